"""What the machine itself must not keep of a session or add to it: memory copies, foreign programs, names, lists.

Throw-away accounts are used where the promise is made for everybody, the patron account where it is made for patrons.
It must not know how the role does its work.
"""

from __future__ import annotations

import re
import secrets
import shlex

import pytest
from testinfra.host import Host

from readingroom.verify import probe
from readingroom.verify.api import NOTHING, Promise, control
from sessions import canaries, desktop, dumps
from sessions import search as searching
from sessions.session import Session, opened, require_nobody, settle

# --- temporary files ------------------------------------------------------------------------------------------------


@control("session.temporary-files")
@pytest.mark.parametrize("end", ["leave", "crash"])
def test_temporary_files_are_private_and_go_with_the_session(
    host: Host, promise: Promise, patron: str, end: str
) -> None:
    if promise.value != "per-session":
        promise.observed("temporary files are shared, as the policy says")
        return
    uid = require_nobody(host, promise, patron)
    with searching.begun(host, uid) as search, probe.account(host) as other:
        with opened(host, patron) as session:
            words = canaries.plant(session, canaries.TEMPORARY)
            if len(words) < len(canaries.TEMPORARY):
                raise RuntimeError("the patron cannot write to a temporary folder")
            found = search.look(words)
            if set(words) - found.words():
                raise RuntimeError("the search misses temporary files, so it proves nothing")
            names = "ls -aR " + " ".join(canaries.TEMPORARY_FOLDERS)
            seen = {word for word in words if word in probe.run_as(host, other, names)[1]}
            getattr(session, end)()
            with opened(host, patron) as next_one:
                met = {word for word in words if word in next_one.run(names)[1]}
        settle(session, next_one)
        left = search.look(words).words()
    for what, those in (
        ("lie on the disk while the session lasts", found.words("disk")),
        ("are in sight of other accounts", seen),
        ("are there for the next patron who logs in", met),
        ("are still there after the session", left),
    ):
        where = ", ".join(sorted({words[word] for word in those}))
        assert not those, f"temporary files {what}: in {where}"
    promise.observed(f"files in {len(words)} temporary folders: in memory, out of others' sight, gone with the session")


TWO_DAYS = 2 * 24 * 3600


def files_untouched_for_two_days_are_deleted(host: Host, promise: Promise) -> None:
    """Ask systemd, which deletes them, from which time on it does; and look that it comes round."""
    timer = "systemctl is-active systemd-tmpfiles-clean.timer"
    assert host.run(timer).rc == 0, "nothing comes round to delete old temporary files"
    said = host.run(
        "SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console systemd-tmpfiles --clean --prefix=/tmp --prefix=/var/tmp"
    ).stderr
    for folder in ("/tmp", "/var/tmp"):
        threshold = re.search(rf'Cleanup threshold for .*"{folder}" is \w+ ([-\d]+ [:\d]+)', said)
        assert threshold, f"old files in {folder} are not deleted"
        age = float(probe.run(host, f"echo $(( $(date +%s) - $(date -d '{threshold[1]}' +%s) ))"))
        assert age <= TWO_DAYS + 60, f"files in {folder} are deleted only after {age / 86400:.0f} days"
    promise.observed("systemd deletes temporary files that nobody touched for two days")


@control("session.temporary-files")
def test_old_temporary_files_of_patrons_are_deleted(host: Host, promise: Promise) -> None:
    if promise.value == "aged":
        files_untouched_for_two_days_are_deleted(host, promise)


@control("session.staff-temporary-files")
def test_old_temporary_files_of_staff_are_deleted(host: Host, promise: Promise) -> None:
    if promise.value == "aged":
        files_untouched_for_two_days_are_deleted(host, promise)
    else:
        promise.observed(NOTHING)


# --- crashes --------------------------------------------------------------------------------------------------------


@control("session.crash-dumps")
def test_a_crash_leaves_no_memory(host: Host, promise: Promise, somebody: Session) -> None:
    if promise.value == "kept":
        promise.observed(NOTHING)
        return
    with searching.begun(host, somebody.uid) as search, dumps.cleared(host, search):
        in_memory, on_command_line = dumps.crash(somebody)
        dumps.hand_over_to_coredump(host, somebody, in_memory)
        found = search.look([in_memory, on_command_line])
        files = dumps.files(host, search)
    assert in_memory not in found.words(), "the memory of a program that crashed lies on the machine"
    assert files == 0, f"{files} copies of the memory of a program that crashed lie on the machine"
    if promise.value == "off":
        assert on_command_line not in found.words(), "the log tells what a program that crashed was told to do"
    promise.observed("a program crashed with a word in its memory and one on its command line: neither is found")


# --- programs that are brought along --------------------------------------------------------------------------------


@control("session.own-programs")
def test_a_program_that_is_brought_along_does_not_run(host: Host, promise: Promise, patron: str) -> None:
    if promise.value != "none":
        promise.observed("own programs may be run, as the policy says")
        return
    with opened(host, patron) as session:
        good, said = session.run(_TRY_TO_RUN)
    tried = int(said.rpartition("tried ")[2] or 0) if good else 0
    if tried < 4:
        raise RuntimeError("a program could not even be copied to the patron's folders")
    ran = sorted(set(re.findall(r"^ran (.*)$", said, re.MULTILINE)))
    assert not ran, f"a program that a patron brought along runs: {', '.join(ran)}"
    promise.observed(
        f"a program and a script were copied to {tried} folders, and neither started, nor through the loader; "
        "a script that is handed to a program of the machine still runs, which no such rule can stop"
    )


# Copies a program and a script to every folder that the account can write to, and starts them in every way.
_TRY_TO_RUN = r"""
loader=$(ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* /lib/*/ld-linux-*.so.* 2>/dev/null | head -n 1)
name=rrcheck1x$$; tried=0
[ "$(/bin/echo works)" = works ] || exit 1
try() { [ "$("$@" 2>/dev/null)" = started ] && echo "ran $how in $where"; }
for folder in ~ /tmp /var/tmp /dev/shm "$XDG_RUNTIME_DIR" $(find / -xdev -path /proc -prune -o -path /sys -prune \
    -o -path '/run/rrcheck*' -prune -o -type d -perm -0002 -print 2>/dev/null) /run/lock; do
  program=$folder/$name; where=$folder
  case $folder in "$HOME") where="the home" ;; /run/user/*) where="the runtime folder" ;; esac
  cp /bin/echo "$program" 2>/dev/null && chmod 755 "$program" && cmp -s /bin/echo "$program" || continue
  tried=$((tried + 1))
  how="a program"; try "$program" started
  how="a program, through the loader,"; try "$loader" "$program" started
  printf '#!/bin/sh\necho started\n' >"$program.script"; chmod 755 "$program.script"
  how="a script"; try "$program.script"
  rm -f "$program" "$program.script"
done
echo "tried $tried"
"""


@control("session.own-programs")
def test_no_program_in_a_patrons_folders_gives_more_rights(host: Host, promise: Promise, patron: str) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    name, ran = probe.canary(), []
    with opened(host, patron) as session:
        inside = f"nsenter --target {session.leader} --mount sh -c"
        for folder in [session.home, *canaries.TEMPORARY_FOLDERS]:
            program = f"{folder}/{name}"
            # as one finds it on a stick: a program of root that lends its rights to whoever starts it
            put = host.run(f"{inside} {shlex.quote(f'cp /usr/bin/id {program} && chmod 4755 {program}')}")
            if put.rc != 0:
                raise RuntimeError("root could not put a program into a patron's folder")
            if session.run(f"{program} -u")[1].strip() == "0":
                ran.append("the home" if folder == session.home else folder)
            host.run(f"{inside} {shlex.quote(f'rm -f {program}')}")
    assert not ran, f"a program in a patron's folder lends its owner's rights: in {', '.join(ran)}"
    promise.observed("set-user-id programs were put into a patron's folders: none gave more rights")


# --- what the desktop remembers -------------------------------------------------------------------------------------


@control("session.desktop-traces")
def test_no_list_of_recent_files_is_kept(host: Host, promise: Promise, somebody: Session) -> None:
    if promise.value == "default":
        promise.observed(NOTHING)
        return
    with desktop.display(host, promise, somebody) as display:
        kept = desktop.opens_a_file(somebody, display)
    if kept is None:
        promise.observed("no program with a list of recent files is installed")
        return
    assert not kept, "the desktop keeps a list of recent files"
    promise.observed("a desktop program opened a file, and no list of recent files names it")


@control("session.desktop-traces")
def test_nothing_searches_files_to_list_them(host: Host, promise: Promise, somebody: Session) -> None:
    if promise.value == "default":
        promise.observed(NOTHING)
        return
    listed = desktop.names_in_index(host, somebody)
    assert not listed, "an index of file names lists what is in people's homes"
    started = desktop.start_by_name(somebody, desktop.INDEXERS)
    assert not started, f"a service that indexes documents can be started: {', '.join(started)}"
    promise.observed("no index of file names or contents covers the homes")


@control("session.desktop-traces")
def test_no_thumbnail_keyring_or_clipboard_history_is_kept(host: Host, promise: Promise) -> None:
    if promise.value != "none":
        promise.observed("thumbnails, keyrings and clipboard histories are kept, as the policy says")
        return
    with probe.account(host, home=True) as login, opened(host, login, desktop.door(host)) as session:
        thumbnails = canaries.plant(session, {"a thumbnail": canaries.THUMBNAIL})
        started = desktop.start_by_name(session, desktop.KEEPERS)
        keyring = session.run("pgrep -u $(id -u) gnome-keyring; ls ~/.local/share/keyrings")[1]
        clipboard = desktop.clipboard_keepers(session)
    assert not thumbnails, "the desktop keeps thumbnails of pictures"
    assert not started, f"a service that keeps passwords or thumbnails can be started: {', '.join(started)}"
    assert not re.search(r"^\d+$|\.keyring", keyring, re.MULTILINE), "a keyring is opened"
    assert not clipboard, f"{clipboard} programs that keep what was copied start with the desktop"
    promise.observed("no thumbnail was made, no keyring opened, and nothing keeps what was copied")


# --- the login screen -----------------------------------------------------------------------------------------------


@control("session.greeter")
def test_the_login_screen_names_nobody(host: Host, promise: Promise) -> None:
    if promise.value == "names-last-user":
        promise.observed(NOTHING)
        return
    if host.run("command -v lightdm").rc != 0:
        if host.run("test -e /etc/systemd/system/display-manager.service").rc == 0:
            promise.not_tested("this machine's login screen is not LightDM, the only one that this check knows")
        promise.observed("this machine has no login screen")
        return
    effective = host.run("lightdm --show-config 2>&1").stdout
    assert re.search(r"greeter-hide-users=true", effective), "the login screen lists the people who have an account"
    named = host.run(_NAMED_BY_GREETER).stdout.strip()
    assert named == "0", f"the login screen remembers {named} logins"
    with probe.account(host) as login:
        kept = host.run(_KEPT_BY_ACCOUNTS.format(login=login, uid=30000 + secrets.randbelow(20000))).stdout.strip()
    assert "kept" not in kept, "whoever logs in to a desktop is remembered (accounts-daemon)"
    if kept == "unknown":
        promise.not_tested("accounts-daemon did not take what a desktop tells it of whoever logs in")
    promise.observed("the login screen lists nobody and remembers nobody")


# Everyone who has an account, looked for in what the login screen and its helpers keep.
_NAMED_BY_GREETER = r"""
getent passwd | awk -F: '$3 >= 1000 && $3 < 60000 {print $1}' | while read -r login; do
  grep -rqsE "^(last-user|user|username) *= *$login$" /var/lib/lightdm/.cache/lightdm-gtk-greeter \
      /var/lib/lightdm/.cache/slick-greeter /var/cache/lightdm && echo "$login"
  [ -e "/var/lib/AccountsService/users/$login" ] && echo "$login"
done | sort -u | wc -l
"""


# A desktop tells accounts-daemon of whoever logs in, which picture and which session they have. It mistakes an account whose number
# another one had lately for that one.
_KEPT_BY_ACCOUNTS = r"""
systemctl cat accounts-daemon.service >/dev/null 2>&1 || exit 0
usermod --uid {uid} {login}
ask() {{ busctl call org.freedesktop.Accounts "$@" 2>/dev/null; }}
user=$(ask /org/freedesktop/Accounts org.freedesktop.Accounts FindUserByName s {login} | cut -d'"' -f2)
ask "$user" org.freedesktop.Accounts.User SetSession s {login} >/dev/null || echo unknown
[ ! -e /var/lib/AccountsService/users/{login} ] || echo kept
rm -f /var/lib/AccountsService/users/{login}
"""


# --- memory on the disk ---------------------------------------------------------------------------------------------


@control("session.swap")
def test_memory_is_never_written_to_the_disk(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    own_kernel = host.run("systemd-detect-virt --quiet --container").rc != 0
    if own_kernel:
        in_use = host.run("tail -n +2 /proc/swaps | grep -cv '^/dev/zram'").stdout.strip()
        assert in_use == "0", f"{in_use} swap areas on disks are in use"
    at_boot = int(probe.run(host, _SWAP_AT_BOOT))
    assert at_boot == 0, f"{at_boot} swap areas on disks come into use when the machine starts"
    ways = [way for way in ("Hibernate", "HybridSleep", "SuspendThenHibernate") if _can(host, way)]
    assert not ways, f"the machine can write its whole memory to the disk ({', '.join(ways)})"
    looked = "" if own_kernel else "; the kernel is shared with others, so swap in use is not this machine's affair"
    promise.observed(f"no swap area comes into use, and the machine cannot hibernate{looked}")


# What systemd would start for swap, by whatever file says so: fstab and units alike. Areas in memory do not count.
_SWAP_AT_BOOT = r"""
for u in $({ systemctl list-unit-files --type=swap --no-legend; systemctl list-units --type=swap --all --no-legend --plain
    systemctl list-dependencies --plain swap.target; } | grep -o '[^ ]*\.swap' | sort -u); do
  [ "$(systemctl show "$u" --property=LoadState --value)" = loaded ] || continue
  what=$(systemctl show "$u" --property=What --value)
  case $what in /dev/zram*) ;; *) echo "$u" ;; esac
done | wc -l
"""


def _can(host: Host, way: str) -> bool:
    """Would logind do it, or do its settings let systemd do it?"""
    said = host.run(
        "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "
        f"Can{way} 2>/dev/null"
    ).stdout
    name = {"Hibernate": "Hibernation"}.get(way, way)
    # the last word counts, and silence means yes
    words = re.findall(
        rf"^Allow{name}=(\S+)", host.run("systemd-analyze cat-config systemd/sleep.conf").stdout, re.MULTILINE
    )
    return '"yes"' in said or '"challenge"' in said or (words or ["yes"])[-1] != "no"
