"""What a patron leaves behind: words planted through the doors that real programs use.

Each door is a piece of shell that runs in the session and plants `$word`; it fails where the machine has no such door.
Whatever is planted in a file of its own is named after the word, so that `UPROOT` finds it. Must not know any promise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from readingroom.verify import probe

from .session import Session

# A picture of 64 by 64 red dots: something to make a thumbnail of.
_PICTURE = (
    "import struct,sys,zlib;c=lambda k,d:struct.pack('>I',len(d))+k+d+struct.pack('>I',zlib.crc32(k+d));"
    "sys.stdout.buffer.write(b'\\x89PNG\\r\\n\\x1a\\n'+c(b'IHDR',struct.pack('>IIBBBBB',64,64,8,2,0,0,0))"
    "+c(b'IDAT',zlib.compress(b''.join(b'\\0'+b'\\xff\\0\\0'*64 for _ in range(64))))+c(b'IEND',b''))"
)
_THUMBNAILER = "org.freedesktop.thumbnails.Thumbnailer1 /org/freedesktop/thumbnails/Thumbnailer1"
_NOTES = "org.gtk.vfs.Metadata /org/gtk/vfs/metadata org.gtk.vfs.Metadata Set 'ayaya{sv}'"
_AS_BYTES = "as_bytes() { python3 -c 'import sys; b = sys.argv[1].encode(); print(len(b) + 1, *b, 0)' \"$1\"; }; "

THUMBNAIL = (
    f'python3 -c "{_PICTURE}" >~/$word.png; '
    f"busctl --user call {_THUMBNAILER} org.freedesktop.thumbnails.Thumbnailer1 "
    "Queue asasssu 1 file://$HOME/$word.png 1 image/png normal default 0; "
    "for i in 1 2 3 4 5 6 7 8 9; do grep -rqs $word ~/.cache/thumbnails && break; sleep 0.1; done; "
    "rm ~/$word.png; grep -rqs $word ~/.cache/thumbnails"
)

# Words on command lines would stand in the journal, which is another promise: hence files with scripts.
HOME: Mapping[str, str] = {
    "a saved file": "mkdir -p ~/Documents; echo $word >~/Documents/$word.txt",
    "a file's name": ': >~/"a $word letter.txt"',
    "a locked folder": "mkdir ~/$word && echo $word >~/$word/page && chmod 000 ~/$word",
    "a start file": 'echo "# $word" >>~/.profile',
    "a link": "ln -s /nowhere/$word ~/$word.link",
    "an open home": "chmod 777 ~; echo $word >~/$word.note",
    "a service of the session": (
        "echo 'echo $1 >~/$1.written' >~/$word.sh; echo \"sh ~/$word.sh $word\" >~/x$word.sh; "
        "systemd-run --user --quiet --wait --description=x sh x$word.sh"
    ),
    # the word must not be in the unit's name either, which is logged
    "the last words of a service": (
        "echo \"echo $word >~/$word.last\" >~/rrcheck0-last.sh; "
        "printf '[Unit]\nDescription=x\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
        "ExecStop=/bin/sh %%h/rrcheck0-last.sh\n' >~/.config/systemd/user/rrcheck0-last.service; "
        "systemctl --user daemon-reload; systemctl --user start rrcheck0-last.service"
    ),
    "gvfs metadata": (
        _AS_BYTES + "d=$HOME/.local/share/gvfs-metadata; mkdir -p $d; "
        f"busctl --user call {_NOTES} $(as_bytes $d/$word) $(as_bytes /letter) 1 metadata::note s $word"
    ),
    "dconf": "dconf write /org/rrcheck/note \"'$word'\"",
    "a thumbnail": THUMBNAIL,
}  # fmt: skip

TEMPORARY_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
TEMPORARY: Mapping[str, str] = {
    folder: f"echo $word >{folder}/$word && mkdir {folder}/d$word && echo $word >{folder}/d$word/page"
    for folder in TEMPORARY_FOLDERS
}

_ELSEWHERE = r"""
find / -path /proc -prune -o -path /sys -prune -o -path "$HOME" -prune -o -path "$XDG_RUNTIME_DIR" -prune \
  -o -path '/run/rrcheck*' -prune -o -path /tmp -prune -o -path /var/tmp -prune -o -path /dev/shm -prune \
  -o -type d -writable -print 2>/dev/null | while read -r folder; do : >"$folder/$word" && echo "$folder"; done
"""

# Takes everything that is left of any of our words away again, as the account itself.
UPROOT = r"""
for d in ~/rrcheck[0-9]*; do [ ! -d "$d" ] || chmod 700 "$d"; done
find ~ -name '*rrcheck[0-9]*' -prune -exec rm -rf {} +
grep -q 'rrcheck[0-9]' ~/.profile && sed -i '/rrcheck[0-9]/d' ~/.profile
[ ! -d ~/.cache/thumbnails ] || grep -rlaZ 'rrcheck[0-9]' ~/.cache/thumbnails | xargs -0 -r rm -f
find /tmp /var/tmp /dev/shm /run/lock /dev/mqueue -user "$(id -u)" -name '*rrcheck[0-9]*' -prune -exec rm -rf {} +
"""


def plant(session: Session, doors: Mapping[str, str]) -> dict[str, str]:
    """Plant a word through each door that is open; returns the door of each word."""
    words = {probe.canary(): name for name in doors}
    script = "mkdir -p ~/.config/systemd/user\n"
    for number, (word, door) in enumerate(zip(words, doors.values(), strict=True)):
        script += f"(word={word}\n{door}\n) >/dev/null 2>&1 && echo planted-{number}\n"
    said = session.run(script)[1]
    planted = {int(number) for number in re.findall(r"^planted-(\d+)$", said, re.MULTILINE)}
    return {word: name for number, (word, name) in enumerate(words.items()) if number in planted}


def plant_elsewhere(session: Session) -> tuple[str, int]:
    """Plant one word in every folder out of the home that the account can write to; the word, and in how many."""
    word = probe.canary()
    said = session.run(f"word={word}\n{_ELSEWHERE}")[1]
    return word, len(said.splitlines())
