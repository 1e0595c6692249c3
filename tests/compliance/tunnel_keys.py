"""Who can get at the private key of a tunnel? Both ends of one ask."""

from __future__ import annotations

from testinfra.host import Host

from readingroom.verify import probe

# Where a copy of the key would lie, or pass through.
_COPIES = """
grep -rlaF --devices=skip -f {key} \\
  /etc /root /home /run /tmp /usr/local /var/lib/readingroom /var/log /var/spool /var/tmp 2>/dev/null | grep -vxF {key} | wc -l
"""
_SAID = "journalctl -q -o cat 2>/dev/null | grep -cF -f {key} || true"
_SHOWN = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -caF -f {key} || true"
OBSERVED = "the key is root's alone; no other file, no line of the journal and no program shows it"


def assert_roots_alone(host: Host, key: str) -> None:
    """Nobody but root can read the key's file, and what is in it is nowhere else."""
    there = host.run(f"stat -c '%F %a %U' {key}")
    assert there.rc == 0, "this machine has no key of its own"
    assert there.stdout.split() == ["regular", "file", "600", "root"], "others than root can get at the key"
    copies = int(probe.run(host, _COPIES.format(key=key)))
    assert copies == 0, f"{copies} other files hold the key as well"
    assert probe.run(host, _SAID.format(key=key)).strip() == "0", "the journal holds the key"
    shown = probe.run(host, _SHOWN.format(key=key)).strip()
    assert shown == "0", "a program shows the key to everybody who asks what is running"


def assert_at_work(host: Host, card: str, key: str) -> None:
    """The tunnel that is up, if it is, has this key and no other."""
    now = host.run(f"wg show {card} public-key").stdout.strip()
    if now:
        assert now == probe.run(host, f"wg pubkey <{key}").strip(), "the tunnel is up with another key"
