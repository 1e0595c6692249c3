"""What a desktop remembers, made to happen: recent files, indexes, thumbnails, keyrings, what was copied.

Must not know any promise.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Promise

from .session import CONSOLE, SCREEN, Session

# Services that list what is in people's documents, and those that keep passwords or pictures; by their name on the bus.
INDEXERS: Mapping[str, str] = {
    "org.freedesktop.Tracker3.Miner.Files": "tracker",
    "org.freedesktop.LocalSearch3": "localsearch",
    "org.gnome.zeitgeist.Engine": "zeitgeist",
    "org.kde.baloo": "baloo",
}
KEEPERS: Mapping[str, str] = {
    "org.freedesktop.secrets": "keyring",
    "org.freedesktop.impl.portal.Secret": "keyring",
    "org.gnome.keyring": "keyring",
    "org.freedesktop.thumbnails.Thumbnailer1": "thumbnails",
}
_CLIPBOARDS = "clipman|klipper|parcellite|clipit|copyq|diodon|gpaste|xfce4-clipman"


def door(host: Host) -> str:
    """The way in that a desktop takes: its display manager's, where there is one."""
    return SCREEN if host.file(f"/etc/pam.d/{SCREEN}").exists else CONSOLE


def start_by_name(session: Session, names: Mapping[str, str]) -> list[str]:
    """Which of these services the session's bus starts, or has running."""
    said = session.run(
        "\n".join(
            "busctl --user --timeout=5 call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus "
            f"StartServiceByName su {name} 0 >/dev/null 2>&1 && echo {what}"
            for name, what in names.items()
        )
    )[1]
    return sorted(set(said.split()))


def names_in_index(host: Host, session: Session) -> bool:
    """Does locate's index list files in homes, or would it at its next round?"""
    word = probe.canary()
    session.must(f": >~/{word}")
    known = host.run("command -v plocate >/dev/null && plocate --limit 1 /home/").stdout.strip()
    comes_round = (
        # Debian's daily script leaves the work to the timer where systemd runs
        "systemctl list-timers --no-legend '*locate*' | grep -q locate || "
        "grep -Ls run/systemd/system /etc/cron.daily/*locate* | grep -q ."
    )
    with probe.folder(host) as folder:
        would = host.run(
            f"command -v updatedb >/dev/null && {{ {comes_round}; }} && "
            f"updatedb --require-visibility 0 --database-root {shlex.quote(session.home)} --output {folder}/index && "
            f"plocate --database {folder}/index {word}"
        ).stdout.strip()
    return bool(known or would)


def clipboard_keepers(session: Session) -> int:
    """How many programs that keep what was copied start with the desktop, by the rules of desktop autostart."""
    said = session.run(
        # the first file of a name wins; Hidden means: as if it were not there
        "seen=' '; for d in ~/.config/autostart $(echo ${XDG_CONFIG_DIRS:-/etc/xdg} | tr : ' ' "
        "| sed 's|\\([^ ]*\\)|\\1/autostart|g'); do for f in $d/*.desktop; do "
        '[ -f "$f" ] || continue; n=${f##*/}; '
        'case $seen in *" $n "*) continue;; esac; seen="$seen$n "; '
        "grep -qi '^Hidden *= *true' $f && continue; "
        f"grep -qiE '^Exec *=.*({_CLIPBOARDS})' $f && echo $n; done; done"
    )[1]
    return len(said.split())


@contextmanager
def display(host: Host, promise: Promise, session: Session, options: str = "") -> Iterator[str]:
    """The environment of a display that the session's programs can use: one in memory, that nobody sees.

    `options` are more words for Xvfb.
    """
    if host.run("command -v Xvfb").rc != 0:
        promise.not_tested("a desktop program cannot be tried here, since there is no virtual display (Xvfb)")
    number = 80 + session.uid % 1000
    session.must(
        f"setsid Xvfb :{number} -screen 0 640x480x24 -nolisten tcp {options} >/dev/null 2>&1 & echo $! >~/display"
    )
    try:
        probe.wait_until(
            lambda: host.run(f"test -S /tmp/.X11-unix/X{number}").rc == 0, "the virtual display did not start"
        )
        yield f"DISPLAY=:{number}"
    finally:
        session.run("kill $(cat ~/display)")


_OPEN = r"""
import ctypes, os, sys, time
gtk, glib = ctypes.CDLL("libgtk-3.so.0"), ctypes.CDLL("libglib-2.0.so.0")
if not gtk.gtk_init_check(None, None):
    sys.exit(3)
gtk.gtk_recent_manager_get_default.restype = ctypes.c_void_p
gtk.gtk_recent_manager_add_item(ctypes.c_void_p(gtk.gtk_recent_manager_get_default()), sys.argv[1].encode())
end = time.monotonic() + 2
kept = os.path.expanduser("~/.local/share/recently-used.xbel")
while time.monotonic() < end:
    glib.g_main_context_iteration(None, 0)
    if os.path.exists(kept) and sys.argv[1] in open(kept).read() and time.monotonic() > end - 1:
        break
    time.sleep(0.02)
"""


def opens_a_file(session: Session, display: str) -> bool | None:
    """Does a list of recent files name a file that a program with GTK's own list opened? None without such programs."""
    word = probe.canary()
    session.must("mkdir -p ~/.local/share; cat >~/open.py <<'OPEN'\n" + _OPEN + "\nOPEN")
    good, said = session.run(f"{display} python3 ~/open.py file://$HOME/{word}.txt")
    if not good:
        if "libgtk-3" in said:
            return None
        raise RuntimeError(f"the desktop program did not start: {said}")
    return word in session.run("cat ~/.local/share/recently-used.xbel")[1]
