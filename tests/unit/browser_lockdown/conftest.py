"""The role's programs run on the machine by themselves, so they are found by their folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "browser_lockdown" / "files"))
