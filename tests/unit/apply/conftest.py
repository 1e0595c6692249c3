"""The program that tries settings on the machine is imported from where both engines take it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "playbooks" / "files"))
