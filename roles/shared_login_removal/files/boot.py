"""Run the program `logins` from what arrives on standard input; nothing of it stays on the machine.

In: a JSON object with `modules` (name to source, in the order they need one another) and `settings`.
The first argument is the verb. It must not know what the program does.
"""

import json
import sys
import types

bundle = json.load(sys.stdin)
package = types.ModuleType("logins")
package.__path__ = []
sys.modules["logins"] = package
for name, source in bundle["modules"].items():
    module = types.ModuleType(f"logins.{name}")
    sys.modules[module.__name__] = module
    exec(compile(source, f"logins/{name}.py", "exec"), module.__dict__)  # noqa: S102  (our own modules)
sys.exit(sys.modules["logins.main"].main(sys.argv[1], bundle["settings"]))
