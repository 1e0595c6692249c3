"""The command line: `readingroom`.

Exit codes: 0 all is kept, 1 a promise is broken, 2 the input or the policy is bad, 3 a machine could not be reached.
"""

from .app import app, main

__all__ = ["app", "main"]
