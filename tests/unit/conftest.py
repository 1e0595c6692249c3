"""What runs on machines, for both engines and for looks of several roles, is imported from where it is kept."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "playbooks" / "files"))
