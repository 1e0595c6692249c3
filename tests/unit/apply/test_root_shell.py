"""The root shell: every byte comes back as it was, and nothing a script does can break the conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from readingroom.apply.root_shell import (
    CannotConnect,
    Conversation,
    PasswordNeeded,
    RootShell,
    ShellLost,
    as_root,
    ssh_command,
)


@pytest.fixture
def shell() -> Iterator[RootShell]:
    opened = RootShell.here()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("script", "status", "stdout", "stderr"),
    [
        ("true", 0, "", ""),
        ("printf 'no newline'", 0, "no newline", ""),
        ("printf '\\n\\nblank lines\\n\\n'", 0, "\n\nblank lines\n\n", ""),
        ("echo out; echo err >&2; exit 3", 3, "out\n", "err\n"),
        ("echo 'ünïcödé ❦'", 0, "ünïcödé ❦\n", ""),
        ("cat", 0, "", ""),  # standard input is empty, and is not the conversation
        ("echo 'two' 'lines'\necho \"quo'ted\"", 0, "two lines\nquo'ted\n", ""),
        ("cat <<'END'\n$HOME `id`\nEND\n", 0, "$HOME `id`\n", ""),
        ("exec true", 0, "", ""),
        ("kill -9 $(sh -c 'echo $PPID')", 137, "", ""),
    ],
)
def test_what_a_script_says_comes_back_unchanged(
    shell: RootShell, script: str, status: int, stdout: str, stderr: str
) -> None:
    finished = shell.run(script)
    assert (finished.status, finished.stdout, finished.stderr.replace("Killed\n", "")) == (status, stdout, stderr)
    assert shell.run("echo still here").stdout == "still here\n"


def test_a_syntax_error_does_not_end_the_shell(shell: RootShell) -> None:
    assert shell.run("echo 'unfinished").status != 0
    assert shell.run("echo fine").stdout == "fine\n"


def test_one_script_leaves_nothing_behind_for_the_next(shell: RootShell) -> None:
    shell.run("cd /tmp; x=1; umask 077; set -e; readonly n")
    assert shell.run('pwd; echo "[$x]"; umask').stdout == "/\n[]\n0022\n"


def test_a_script_may_be_larger_than_an_argument_list_takes(shell: RootShell) -> None:
    text = "0123456789abcdef" * 40_000
    assert shell.run(f"wc -c <<'END'\n{text}\nEND\n").stdout.strip() == str(len(text) + 1)


def test_much_output_on_both_streams_does_not_block(shell: RootShell) -> None:
    finished = shell.run("seq 60000; seq 60000 >&2")
    assert len(finished.stdout.split()) == len(finished.stderr.split()) == 60_000


def test_output_that_comes_late_from_behind_does_not_confuse_the_next_answer(shell: RootShell) -> None:
    shell.run("(sleep 0.2; echo late) &")
    shell.run("sleep 0.4")
    assert shell.run("echo on time; exit 4").status == 4


def test_a_command_that_takes_too_long_is_given_up() -> None:
    shell = RootShell.here()
    with pytest.raises(ShellLost, match="longer than"):
        shell.run("sleep 60", timeout=0.3)


def test_a_lost_connection_is_an_error_and_not_an_answer() -> None:
    shell = RootShell.here()
    with pytest.raises(ShellLost, match="broke"):
        shell.run("kill -9 $$")


def test_ssh_s_own_words_are_the_reason_that_is_given() -> None:
    with pytest.raises(CannotConnect, match="No route to host"):
        RootShell(["sh", "-c", "echo 'ssh: connect to host x port 22: No route to host' >&2; exit 255"])


def test_a_machine_that_never_answers_is_given_up() -> None:
    with pytest.raises(CannotConnect, match="no answer"):
        RootShell(["sleep", "60"], connect_timeout=0.2)


FAKE_SUDO = """#!/bin/sh
while [ "$1" != -- ]; do [ "$1" = -p ] && prompt=$2; shift; done; shift
tries=0
while [ $tries -lt 3 ]; do
  printf '%s' "$prompt" >&2; IFS= read -r word || exit 1
  [ "$word" = "open sesame" ] && exec "$@"
  tries=$((tries + 1)); echo "Sorry, try again." >&2
done
exit 1
"""


@pytest.fixture
def as_a_common_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`id` and `sudo` as on a machine where the login is not root and sudo asks."""
    for name, text in {"id": "#!/bin/sh\necho 1000\n", "sudo": FAKE_SUDO}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def _talk(password: str | None) -> Conversation:
    talk = Conversation(["sh", "-c", as_root("echo reading-room-ready; echo in")])
    talk.become_root(password, 5)
    return talk


@pytest.mark.usefixtures("as_a_common_user")
def test_the_right_password_opens() -> None:
    _talk("open sesame").close()


@pytest.mark.usefixtures("as_a_common_user")
@pytest.mark.parametrize(("password", "words"), [(None, "asks for a password"), ("wrong", "did not take")])
def test_without_the_right_password_we_say_so_and_do_not_try_again(password: str | None, words: str) -> None:
    with pytest.raises(PasswordNeeded, match=words):
        _talk(password)


def test_no_secret_and_no_script_of_a_role_is_an_argument() -> None:
    ours = ssh_command(Path("/cfg"), "desk-3", "echo reading-room-ready")
    assert ours[:3] == ["ssh", "-F", "/cfg"]
    assert ours[-2] == "desk-3"


def test_a_shell_that_is_lost_says_so_each_time_and_at_once() -> None:
    shell = RootShell.here()
    for _ in range(2):
        with pytest.raises(ShellLost, match="broke"):
            shell.run("kill -9 $$", timeout=20)


def test_an_end_of_which_only_half_arrived_is_no_answer() -> None:
    shell = RootShell(["sh", "-c", "echo reading-room-ready; read -r m; read -r n; printf '\\n%s 0\\n' \"$m\""])
    with pytest.raises(ShellLost, match="broke"):
        shell.run("true", timeout=20)
