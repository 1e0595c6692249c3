"""Makes the role's program importable as the package it is on a machine."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles" / "shared_login_removal" / "files"))
