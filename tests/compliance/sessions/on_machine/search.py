"""Runs on the machine, as root, in a mount namespace of its own: looks for words, and for what an account left.

usage: search.py UID BEGAN FOLDER WORD…. Everything that was touched since the file BEGAN was written is looked at, in
every file system that any program of this machine sees, also beneath what is mounted over it. Only the folders of checks
such as this one are left out. FOLDER is an empty folder to mount on. Prints JSON.
"""

import glob
import json
import os
import subprocess
import sys

uid, began, under = int(sys.argv[1]), sys.argv[2], sys.argv[3]
words = sys.argv[4:]
OURS = os.path.dirname(began).partition(".")[0] + "."
IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "mqueue", "hugetlbfs"}
NO_FILES = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "securityfs", "debugfs", "tracefs", "configfs", "pstore", "bpf",
            "efivarfs", "autofs", "binfmt_misc", "fusectl", "rpc_pipefs", "nfs", "nfs4", "cifs", "squashfs",
            "selinuxfs", "nsfs"}  # fmt: skip


def file_systems():
    """One way to each file system: device -> (way in, name of that place, kind)."""
    found, seen = {}, set()
    for table in ["/proc/1/mountinfo", *glob.glob("/proc/[0-9]*/mountinfo")]:
        process = table.split("/")[2]
        try:
            namespace = os.readlink(f"/proc/{process}/ns/mnt")
            if namespace in seen:
                continue
            seen.add(namespace)
            with open(table) as lines:
                mounts = [line.split() for line in lines]
        except OSError:  # ended meanwhile
            continue
        for words in sorted(mounts, key=lambda one: one[3] != "/"):
            device, target, kind = words[2], words[4].encode().decode("unicode_escape"), words[words.index("-") + 1]
            if device in found or kind in NO_FILES or kind.startswith("fuse"):
                continue
            way = f"/proc/{process}/root{target}"
            if process == "1":
                way = f"{under}/{len(found)}"
                os.mkdir(way)
                if subprocess.run(["mount", "--bind", target, way], stderr=subprocess.DEVNULL).returncode:
                    os.rmdir(way)
                    way = target
            found[device] = (way, target.rstrip("/"), kind)
    return found.values()


def touched():
    """What was touched since, and all files of the account: (place, name, owner, kind of file, way to it, new?).

    The latter, since a program that maps a file into its memory can write to it without a new time on the file.
    """
    since = os.stat(began).st_mtime
    for way, name, kind in file_systems():
        listing = subprocess.run(
            ["find", way, "-xdev", "(", "-cnewer", began, "-o", "-uid", str(uid), "-type", "f", ")",
             "-printf", "%U %y %C@ %P\\0%l\\0"], capture_output=True,
        ).stdout.decode(errors="surrogateescape").split("\0")  # fmt: skip
        for entry, target in zip(listing[::2], listing[1::2], strict=False):
            owner, sort, changed, rest = entry.split(" ", 3)
            path = f"{name}/{rest}"
            if not path.startswith(OURS):
                medium = "memory" if kind in IN_MEMORY else "disk"
                yield medium, path, int(owner), sort, os.path.join(way, rest), float(changed) > since, target


hits, owned, look_into = [], [], {}
for medium, path, owner, sort, way, new, target in touched():
    hits += [(word, medium, path) for word in words if word in path or word in target]
    if owner == uid and new:
        owned.append((medium, path))
    if sort == "f" and "/log/journal/" not in path:
        look_into[way] = (medium, path)
if words and look_into:
    listing = "\0".join(look_into).encode(errors="surrogateescape")
    found = subprocess.run(
        ["xargs", "-0", "grep", "-aoHZF", *(part for word in words for part in ("-e", word)), "--"],
        input=listing, capture_output=True,
    ).stdout.decode(errors="surrogateescape")  # fmt: skip
    for line in set(filter(None, found.split("\n"))):
        way, _, word = line.rpartition("\0")
        if way in look_into:
            hits.append((word, *look_into[way]))
since = f"@{int(os.stat(began).st_mtime)}"
journal = subprocess.run(["journalctl", "-q", "-o", "export", "--since", since], capture_output=True).stdout
hits += [(word, "journal", "") for word in words if word.encode() in journal]


def processes():
    """Living processes that have the account's number in any of their identities."""
    for status in glob.glob("/proc/[0-9]*/status"):
        try:
            with open(status) as lines:
                facts = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
        except OSError:
            continue
        if str(uid) in facts["Uid"].split() and facts["State"][0] not in "ZX":
            yield facts["Name"]


def ipc():
    """Kinds of System V objects that belong to the account."""
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}") as lines:
            head, *rows = [line.split() for line in lines]
        columns = [head.index("uid"), head.index("cuid")]
        yield from (kind for row in rows if str(uid) in [row[column] for column in columns])


print(json.dumps({"hits": hits, "owned": owned, "processes": list(processes()), "ipc": list(ipc())}))
