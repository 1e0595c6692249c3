"""The role's programs run on machines without this package; here they are imported from where they lie."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "software_updates" / "files"))
