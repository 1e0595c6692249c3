"""Disposable Debian machines to harden, break and prove things on.

`Lab.current()` is the way in. The lab knows nothing of policies, controls or roles.
"""

from .errors import LabError
from .lab import Lab, Status
from .recipe import Machine

__all__ = ["Lab", "LabError", "Machine", "Status"]
