"""Are logins people's own, and do only those come in who may? Everything is tried on the live machine.

Logins happen for real, through sshd, sudo, PAM and atd, with keys and accounts made for the moment. Whatever is put
somewhere is taken away again. It must not know how the role does its work.
"""

from __future__ import annotations

import secrets
import shlex
import string
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import Alone, Promise, control
from readingroom.verify.knock import Knock
from sessions.session import rest

# --- coming in over the network -------------------------------------------------------------------------------------


@pytest.fixture
def knock(host: Host) -> Iterator[Knock]:
    """Someone at the door, with a key of their own; skips where nobody can come in over the network."""
    if host.run("command -v sshd ssh ssh-keygen && pgrep -x sshd").rc != 0:
        pytest.skip("this machine has no ssh server and client to try it with")
    with probe.folder(host) as folder:
        yield Knock(host, folder)


def positive_control(host: Host, knock: Knock) -> None:
    """The same key lets somebody in who may come in; without this, a refusal would prove nothing."""
    with probe.account(host, home=True) as login:
        allowed = host.run("sshd -T | grep -Ei '^allow(users|groups)'").stdout.strip()
        with knock.with_key(login):
            if not knock.by_key(login):
                pytest.skip(
                    "sshd lets only listed logins in, so that a login made for the test cannot come in"
                    if allowed
                    else "even a login made for the test could not come in, so refusals prove nothing"
                )


@control("account.remote-root")
def test_root_cannot_come_in_over_the_network(host: Host, promise: Promise, knock: Knock) -> None:
    if promise.value == "password":
        promise.observed("the policy lets root come in over the network; nothing to try")
        return
    positive_control(host, knock)
    if promise.value == "off":
        with knock.with_key("root"):
            came_in = knock.by_key("root")
        assert not came_in, "root came in over the network with a key"
    for address in ("127.0.0.1", _controller(host)):
        believed = _sshd_says(host, "root", address)["permitrootlogin"]
        fine = (
            {"no"}
            if promise.value == "off"
            else {"no", "without-password", "prohibit-password", "forced-commands-only"}
        )
        assert believed in fine, (
            f"sshd would let root in over the network (permitrootlogin {believed}); {_who_says(host, 'PermitRootLogin')}"
        )
    promise.observed("a valid key for root was refused, the same key let another login in" if promise.value == "off"
                     else "sshd refuses passwords for root")  # fmt: skip


@control("account.patron-remote-login")
def test_the_patron_account_cannot_be_reached(host: Host, promise: Promise, knock: Knock, alone: Alone) -> None:
    if promise.value in (True, "on"):
        promise.observed("the policy lets the patron account be reached; nothing to try")
        return
    patron = promise.inputs["accounts.patron_login"]
    if host.run(f"getent passwd {shlex.quote(patron)}").rc != 0:
        promise.not_tested("this machine has no patron account")
    positive_control(host, knock)
    uid = int(probe.run(host, f"id -u {shlex.quote(patron)}"))
    with alone("patron"):
        rest(host, uid)  # the end of a session may empty its home
        with knock.with_key(patron):
            tried = {
                "with a key": knock.by_key(patron),
                "with an empty password": knock.by_password(patron, ""),
                "for files (sftp)": knock.by_sftp(patron),
            }
            held = knock.has_key(patron)
        if any(tried.values()):
            rest(host, uid)  # or the next check takes the session that is ending for a patron's
    for how, came_in in tried.items():
        assert not came_in, f"the patron account was reached over the network {how}"
    if not held:
        raise RuntimeError("the key did not lie in the patron account's home to the end, so nothing was tried")
    promise.observed(f"{len(tried)} ways in were tried and refused; the same key let another login in")


def _controller(host: Host) -> str:
    """Where we come from, or this machine itself when we did not come over the network."""
    who = host.run("tr '\\0' '\\n' </proc/$PPID/environ | grep ^SSH_CONNECTION= || env | grep ^SSH_CONNECTION=").stdout
    words = who.strip().partition("=")[2].split()
    return words[0] if words else "127.0.0.1"


def _sshd_says(host: Host, login: str, address: str) -> dict[str, str]:
    where = f"user={shlex.quote(login)},host=localhost,addr={address},laddr=127.0.0.1,lport=22"
    return dict(line.split(" ", 1) for line in probe.run(host, f"sshd -T -C {where}").splitlines() if " " in line)


def _who_says(host: Host, word: str) -> str:
    files = host.run(
        f"grep -liE '^[[:space:]]*{word}' /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config"
    ).stdout.split()
    return f"set in {' and '.join(files)}" if files else "no file sets it"


# --- shared logins --------------------------------------------------------------------------------------------------

# Asks PAM, as the console, the screen, sudo, cron and atd do before they let an account go on: PAM's own answer.
_PAM_ACCOUNT = r"""
import ctypes, sys
pam = ctypes.CDLL("libpam.so.0")
class Conv(ctypes.Structure):
    _fields_ = [("conv", ctypes.c_void_p), ("data", ctypes.c_void_p)]
CONV = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
silent = CONV(lambda *_: 19)
conv = Conv(ctypes.cast(silent, ctypes.c_void_p), None)
for service in sys.argv[2:]:
    handle = ctypes.c_void_p()
    if pam.pam_start(service.encode(), sys.argv[1].encode(), ctypes.byref(conv), ctypes.byref(handle)) == 0:
        print(service, pam.pam_acct_mgmt(handle, 0x8000))
        pam.pam_end(handle, 0)
"""


def _doors_open_to(host: Host, login: str) -> list[str]:
    """Services of this machine whose PAM lets the account `login` go on."""
    services = "sshd login su cron atd lightdm gdm-password sddm"
    there = probe.run(host, f"cd /etc/pam.d; ls {services} 2>/dev/null || true").split()
    script = f"python3 -c {shlex.quote(_PAM_ACCOUNT)} {shlex.quote(login)} {' '.join(there)}"
    answers = dict(line.split() for line in probe.run(host, script).splitlines())
    return [service for service, answer in answers.items() if answer == "0"]


@control("account.shared-logins")
def test_nobody_can_use_a_shared_login(host: Host, promise: Promise, knock: Knock) -> None:
    shared = promise.inputs["accounts.shared_logins"]
    here = [name for name in shared if host.run(f"getent passwd {shlex.quote(name)}").rc == 0]
    if promise.value in ("allowed", "reported"):
        promise.observed(f"{len(here)} of {len(shared)} listed shared logins are on this machine")
        return
    if promise.value == "removed":
        assert not here, f"{len(here)} of {len(shared)} shared logins are still on this machine"
    with probe.account(host) as somebody:
        assert _doors_open_to(host, somebody), "PAM lets nobody go on, so refusals prove nothing"
    if here:
        positive_control(host, knock)
    for name in here:
        _refused_everywhere(host, knock, name)
    promise.observed(
        f"{len(here)} of {len(shared)} listed shared logins exist; keys, passwords, console, screen and timetable were refused"
        if here
        else "none of the listed shared logins exists here"
    )


def _refused_everywhere(host: Host, knock: Knock, name: str) -> None:
    quoted = shlex.quote(name)
    state = probe.run(host, f"passwd -S {quoted}").split()[1]
    assert state in ("L", "LK"), f"a shared login has a password that works (state {state})"
    with knock.with_key(name):
        assert not knock.by_key(name), "a shared login came in over the network with a key"
    assert not knock.by_password(name, "library"), "a shared login came in over the network with a password"
    doors = _doors_open_to(host, name)
    assert not doors, f"a shared login is still let in by {', '.join(doors)}"
    assert host.run(f"runuser -u nobody -- su {quoted} -c true </dev/null").rc != 0, "a shared login can be switched to"


@control("account.shared-logins")
def test_nothing_of_a_shared_login_runs_or_waits(host: Host, promise: Promise) -> None:
    if promise.value in ("allowed", "reported"):
        promise.observed("the policy does not close shared logins")
        return
    for name in promise.inputs["accounts.shared_logins"]:
        quoted, uid = shlex.quote(name), host.run(f"id -u {shlex.quote(name)}").stdout.strip()
        if uid:
            running = host.run(f"pgrep -U {uid} | wc -l").stdout.strip()
            assert running == "0", f"{running} programs of a shared login are running"
            jobs = host.run(f"find /var/spool/cron/atjobs -type f -user {uid} 2>/dev/null | wc -l").stdout.strip()
            assert jobs == "0", f"{jobs} jobs of a shared login wait to be run"
        keys = host.run(
            f'h=$(getent passwd {quoted} | cut -d: -f6); cat "$h"/.ssh/authorized_keys* 2>/dev/null | grep -c AAAA'
        ).stdout.strip()
        assert keys == "0", f"{keys} keys open a shared login"
        line = rf"^[[:space:]]*(@[a-z]+[[:space:]]+|([^#[:space:]][^[:space:]]*[[:space:]]+){{5}}){name}[[:space:]]"
        timetable = host.run(
            f"test -e /var/spool/cron/crontabs/{quoted} || grep -qE '{line}' /etc/crontab /etc/cron.d/*"
        )
        assert timetable.rc != 0, "a shared login has a timetable"
        assert not host.file(f"/var/lib/systemd/linger/{name}").exists, (
            "a shared login's programs start with the machine"
        )
        starts = (
            rf"^[^#]*(autologin|-a)[ =]?{name}([[:space:]]|$)|"
            rf"^[[:space:]]*(autologin-user|AutomaticLogin|TimedLogin|User)[[:space:]]*=[[:space:]]*{name}[[:space:]]*$"
        )
        places = "/etc/systemd/system /etc/lightdm /etc/gdm3 /etc/sddm.conf /etc/sddm.conf.d"
        automatic = host.run(f"grep -rlE -- '{starts}' {places} 2>/dev/null | wc -l").stdout.strip()
        assert automatic == "0", "a session of a shared login starts by itself"
    promise.observed("no program, waiting job, timetable, key or automatic session of a shared login was found")


@control("account.shared-logins")
def test_a_job_of_a_shared_login_does_not_run(host: Host, promise: Promise) -> None:
    if promise.value in ("allowed", "reported"):
        promise.observed("the policy does not close shared logins")
        return
    here = [n for n in promise.inputs["accounts.shared_logins"] if host.run(f"getent passwd {shlex.quote(n)}").rc == 0]
    if not here or host.run("command -v at && pgrep -x atd").rc != 0:
        promise.observed("no waiting jobs to try here")
        return
    with probe.account(host) as somebody:
        for name in [somebody, *here]:
            with probe.folder(host) as folder:
                probe.run(host, f"chmod 711 {folder}; install -d -m 1777 {folder}/in; touch {folder}/began")
                given = probe.run_as(host, name, f"cd / && echo 'touch {folder}/in/ran' | at now")
                if name == somebody:
                    if given[0] != 0:
                        promise.observed("waiting jobs are not for everybody here")
                        return
                    probe.wait_until(
                        lambda seen=f"{folder}/in/ran": host.file(seen).exists,
                        "even the job of a login made for the test did not run, so refusals prove nothing",
                    )
                else:
                    _no_job_ran(host, name, folder)
    promise.observed("a job given in a shared login's name did not run; one of another login did")


def _no_job_ran(host: Host, name: str, folder: str) -> None:
    uid = probe.run(host, f"id -u {shlex.quote(name)}").strip()
    mine = f"find /var/spool/cron/atjobs -type f -user {uid} -newer {folder}/began"
    try:
        # atd takes a job by marking its file; when no unmarked one is left it has decided
        probe.wait_until(
            lambda: not host.run(f"{mine} -name 'a*'").stdout.strip(), "atd did not look at a job", within=5
        )
        assert not host.file(f"{folder}/in/ran").exists, "a job of a shared login ran"
    finally:
        host.run(f"{mine} -delete")


@control("account.shared-logins")
def test_everyone_has_a_login_of_their_own(host: Host, promise: Promise) -> None:
    people = promise.inputs["accounts.people"]
    missing = sum(host.run(f"getent passwd {shlex.quote(person['login'])}").rc != 0 for person in people)
    assert missing == 0, f"{missing} of {len(people)} people have no login of their own"
    keyless = 0
    for person in people:
        home = host.run(f"getent passwd {shlex.quote(person['login'])} | cut -d: -f6").stdout.strip()
        have = host.run(f"cat {shlex.quote(home)}/.ssh/authorized_keys").stdout
        keyless += any(key.split()[1] not in have for key in person.get("keys") or [] if len(key.split()) > 1)
    assert keyless == 0, f"the keys of {keyless} people do not open their logins"
    promise.observed(f"{len(people)} people have logins of their own")


# --- administrators -------------------------------------------------------------------------------------------------


def _people_here(host: Host) -> list[str]:
    """Everybody with a login, but for the throw-away accounts of checks, which come and go meanwhile."""
    logins = probe.run(host, "getent passwd | awk -F: '$3 >= 1000 && $3 <= 60000 {print $1}'").split()
    return [login for login in logins if not login.startswith(probe.PREFIX)]


def _came_in_as(host: Host) -> str:
    """The login this very check came in with: the toolkit's own, which stays."""
    return host.run("echo ${SUDO_USER:-root}").stdout.strip()


@control("account.administrators")
def test_only_named_people_may_administer(host: Host, promise: Promise) -> None:
    allowed = {*promise.value, _came_in_as(host)}
    people = _people_here(host)
    others = [name for name in people if name not in allowed]
    with probe.account(host, groups="sudo") as administrator:
        assert _may_administer(host, administrator), (
            "sudo refuses even a member of its group, so refusals prove nothing"
        )
    found = [name for name in others if _may_administer(host, name)]
    assert not found, f"{len(found)} logins may administer that the policy does not list"
    without_password = [n for n in others if probe.run_as(host, n, "sudo -n true")[0] == 0]
    assert not without_password, f"{len(without_password)} unlisted logins may administer without a password"
    as_root = [n for n in others if set(probe.run(host, f"id -Gn {shlex.quote(n)}").split()) & _AS_GOOD_AS_ROOT]
    assert not as_root, f"{len(as_root)} unlisted logins are in a group that is as good as root or reads every log"
    twins = probe.run(host, "getent passwd | awk -F: '$3 == 0 && $1 != \"root\"' | wc -l").strip()
    assert twins == "0", f"{twins} more logins have the number of root"
    here = sum(name in people for name in promise.value)
    promise.observed(
        f"{here} listed logins and the one of this toolkit may administer; {len(others)} others were refused"
    )


_AS_GOOD_AS_ROOT = {
    "sudo",
    "wheel",
    "admin",
    "adm",
    "systemd-journal",
    "shadow",
    "disk",
    "docker",
    "lxd",
    "incus-admin",
}


def _may_administer(host: Host, login: str) -> bool:
    """Sudo's own answer for any command at all, with or without a password."""
    answer = host.run(f"sudo -n -l -U {shlex.quote(login)}").stdout
    return "not allowed to run sudo" not in answer


@control("account.administrators")
def test_the_listed_administrators_may_administer(host: Host, promise: Promise) -> None:
    people = _people_here(host)
    here = [name for name in promise.value if name in people]
    refused = [name for name in here if not _may_administer(host, name)]
    assert not refused, f"{len(refused)} listed administrators may not administer"
    promise.observed(f"{len(here)} of {len(promise.value)} listed administrators are on this machine")


# --- passwords ------------------------------------------------------------------------------------------------------

_LENGTHS = {"length-12": 12, "passphrase-15": 15}


def _random(length: int) -> str:
    """A password nobody can guess, of all kinds of characters."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-+.:,")
    return "".join(secrets.choice(kinds[n % 4]) for n in range(length))


@control("account.password-strength")
def test_weak_passwords_are_refused(host: Host, promise: Promise) -> None:
    length = _LENGTHS.get(promise.value)
    if length is None:
        promise.observed("the policy accepts any password")
        return
    with probe.account(host) as login:
        weak = {
            "the login itself": login,
            "one character short": _random(length - 1),
            "a well-known one": "password" * 2,
            "a word and numbers": "librarian1234567"[: length + 1],
            "a row of the keyboard": "qwertyuiopasdfgh"[: length + 1],
            "one letter over and over": "a" * (length + 4),
        }
        accepted = [kind for kind, word in weak.items() if _set_password(host, login, word)]
        assert not accepted, f"passwords were accepted that are easy to guess: {', '.join(accepted)}"
        assert _set_password(host, login, _random(length)), f"a good password of {length} characters was refused"
        kind = probe.run(host, f"getent shadow {login} | cut -d: -f2 | cut -c1-3").strip()
        assert kind == "$y$", "passwords are not kept in the strong form that Debian uses (yescrypt)"
    promise.observed(f"{len(weak)} kinds of weak passwords were refused, {length} random characters were accepted")


@control("account.password-strength")
def test_people_cannot_choose_a_weak_password_themselves(host: Host, promise: Promise) -> None:
    length = _LENGTHS.get(promise.value)
    if length is None:
        promise.observed("the policy accepts any password")
        return
    with probe.account(host) as login:
        first, short, good = _random(length + 6), _random(length - 1), _random(length)
        assert _set_password(host, login, first), "a good password was refused"
        assert not _change_own(host, login, first, short), (
            f"somebody could choose a password of {length - 1} characters"
        )
        assert _change_own(host, login, first, good), (
            f"somebody could not choose a good password of {length} characters"
        )
    promise.observed("the same holds for people who change their own password")


def _set_password(host: Host, login: str, password: str) -> bool:
    before = probe.run(host, f"getent shadow {login} | cut -d: -f2")
    host.run(f"printf '%s:%s\\n' {login} {shlex.quote(password)} | chpasswd")
    return probe.run(host, f"getent shadow {login} | cut -d: -f2") != before


def _change_own(host: Host, login: str, old: str, new: str) -> bool:
    before = probe.run(host, f"getent shadow {login} | cut -d: -f2")
    typed = shlex.quote("".join(f"{word}\\n" for word in (old, new, new)))
    host.run(f"printf {typed} | timeout 20 runuser -u {login} -- passwd")
    return probe.run(host, f"getent shadow {login} | cut -d: -f2") != before
