"""Makes the role's programs importable as the modules they are on a machine."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles" / "print_queue_purge" / "files"))
