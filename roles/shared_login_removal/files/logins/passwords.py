"""Sees to it that new passwords are really checked, and that nothing on the machine loosens the role's rules.

The rules themselves are a file of the role (`readingroom.conf`). libpwquality reads it first, then other files, then
the line in PAM; whichever comes last wins. Stricter settings of others stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from logins.machine import Problem, run
from logins.record import Record
from logins.steps import Plan, Situation, Step

PAM = Path("/etc/pam.d/common-password")
PROFILE = Path("/usr/share/pam-configs/pwquality")
CONFIG = Path("/etc/security/pwquality.conf")
OURS = "00-readingroom.conf"
LENGTHS = {"length-12": 12, "passphrase-15": 15}
_CHECKED = re.compile(r"^password\s+(?!optional\b|sufficient\b).*\bpam_pwquality\.so\b", re.MULTILINE)
_SETTING = re.compile(r"\b(minlen|[dulo]credit|dictcheck|usercheck|enforcing)\s*=\s*(-?\d+)")


def is_looser(name: str, value: int, length: int) -> bool:
    """Would this setting let a password pass that our rules refuse?

    >>> is_looser("minlen", 20, 12), is_looser("minlen", 8, 12), is_looser("dcredit", 1, 12)
    (False, True, True)
    """
    if name == "minlen":
        return value < length
    if name.endswith("credit"):
        return value > 0  # a digit would count as two characters
    return value == 0


def without_looser_lines(text: str, length: int) -> str:
    """A settings file with the lines that loosen our rules turned into comments.

    >>> without_looser_lines("minlen = 6\\nminclass = 3\\n", 12)
    '#minlen = 6\\nminclass = 3\\n'
    """
    kept = []
    for line in text.splitlines(keepends=True):
        match = None if line.lstrip().startswith("#") else _SETTING.search(line)
        kept.append(f"#{line}" if match and is_looser(match[1], int(match[2]), length) else line)
    return "".join(kept)


def without_looser_words(text: str, length: int) -> str:
    """PAM's file with the words taken out that loosen our rules.

    >>> without_looser_words("password requisite pam_pwquality.so retry=3 minlen=6 minclass=2\\n", 12)
    'password requisite pam_pwquality.so retry=3 minclass=2\\n'
    """

    def word(match: re.Match[str]) -> str:
        found = _SETTING.fullmatch(match[0].strip())
        return "" if found and is_looser(found[1], int(found[2]), length) else match[0]

    lines = text.splitlines(keepends=True)
    return "".join(re.sub(r"[ \t]+\S+", word, line) if _CHECKED.match(line) else line for line in lines)


def plan(situation: Situation) -> Plan:
    """Steps that turn the check on and take away what loosens it; none when any password will do."""
    found = Plan()
    length = LENGTHS.get(situation.policy.passwords)
    if length is None:
        return found
    text = PAM.read_text()
    if not _CHECKED.search(text):
        if PROFILE.exists():  # else the package is about to be installed, and turns itself on
            found.steps.append(Step("have every new password checked (PAM)", _turn_on))
    elif (after := without_looser_words(text, length)) != text:
        found.steps.append(Step(f"take settings out of {PAM} that accept easier passwords", _rewriting(PAM, after)))
    more = sorted(CONFIG.with_name("pwquality.conf.d").glob("*.conf"))
    for path in [CONFIG, *(path for path in more if path.name != OURS)]:
        if path.is_file():
            before = path.read_text(errors="surrogateescape")
            if (after := without_looser_lines(before, length)) != before:
                found.steps.append(
                    Step(f"take settings out of {path} that accept easier passwords", _rewriting(path, after))
                )
    return found


def _rewriting(path: Path, text: str) -> Callable[[Record], None]:
    return lambda record: record.replace(path, text)


def _turn_on(record: Record) -> None:
    record.keep_file(PAM)
    run("pam-auth-update", "--enable", "pwquality")
    if _CHECKED.search(PAM.read_text()):
        return
    # the file was changed by hand, and Debian's tool leaves such a file alone
    text = PAM.read_text()
    check = "password\trequisite\t\t\tpam_pwquality.so retry=3\n"
    after = re.sub(r"^(?=password\s.*\bpam_unix\.so\b)", check, text, flags=re.MULTILINE)
    if after == text:
        raise Problem(
            f"{PAM} does not say where passwords are kept (pam_unix), so they cannot be checked; mend it by hand"
        )
    record.replace(PAM, after)
