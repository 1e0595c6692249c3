"""Runs a role's look with the modules that it shares with others: `look.py PROGRAM [NAME TEXT]…`, each as text.

The machine gets nothing but these words, and writes none of them down.
"""

import sys
import types

program, *shared = sys.argv[1:]
for name, text in zip(shared[::2], shared[1::2], strict=True):
    sys.modules[name] = types.ModuleType(name)
    exec(text, vars(sys.modules[name]))  # noqa: S102 (our own text, from the checkout)
exec(program, {"__name__": "__main__"})  # noqa: S102
