"""What the role must know of a machine before it changes anything. Only looks.

`sshd`      whether there is an sshd to set up
`in_trial`  whether an earlier run changed logins, and nobody confirmed that the machine can still be reached
"""

from __future__ import annotations

import json
import os

print(
    json.dumps(
        {
            "sshd": os.access("/usr/sbin/sshd", os.X_OK),
            "in_trial": os.path.isdir("/var/lib/readingroom/trial/logins"),  # noqa: PTH112
        }
    )
)
