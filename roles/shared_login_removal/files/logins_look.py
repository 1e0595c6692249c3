"""What the role must know of a machine before it changes anything: whether there is an sshd to set up. Only looks."""

from __future__ import annotations

import json
import os

print(json.dumps({"sshd": os.access("/usr/sbin/sshd", os.X_OK)}))
