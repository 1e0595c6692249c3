"""When names may be looked up by our resolver, what is said when they may not, and what its settings say for every policy."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import encrypted_dns_look as look
import pytest

from readingroom import toolkit
from readingroom.apply.rendering import render_file

TEMPLATE = toolkit.root() / "roles" / "encrypted_dns" / "templates" / "readingroom.conf.j2"
RESOLVERS = ["9.9.9.9#dns.quad9.net", "2620:fe::fe#dns.quad9.net"]


def settings(transport: str, *local: dict[str, Any]) -> str:
    values = {"transport": transport, "resolvers": RESOLVERS, "local_domains": list(local), "query_log": "none"}
    return render_file(TEMPLATE, {f"encrypted_dns_{name}": value for name, value in values.items()})


def test_strict_names_whom_a_certificate_has_to_be_for() -> None:
    text = settings("strict")
    assert "forward-addr: 9.9.9.9@853#dns.quad9.net\n" in text
    assert "forward-addr: 2620:fe::fe@853#dns.quad9.net\n" in text
    assert "tls-cert-bundle:" in text


@pytest.mark.parametrize("transport", ["strict", "opportunistic"])
def test_nothing_is_ever_asked_in_clear_from_outside_the_building(transport: str) -> None:
    text = settings(transport, {"domain": "library.example", "resolvers": ["10.0.0.53"]})
    outside, indoors = text.split("forward-zone:")[1:]
    assert "forward-tls-upstream: yes" in outside
    assert "forward-first: no" in outside
    assert "@53" not in text
    assert 'name: "library.example"' in indoors
    assert "forward-addr: 10.0.0.53\n" in indoors


def test_no_name_is_written_down() -> None:
    for line in ("log-queries: no", "log-replies: no", "log-servfail: no", "verbosity: 0"):
        assert line in settings("strict")


class Network:
    """What each resolver says when it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *said: str) -> None:
        self.conf = tmp_path / "resolv.conf"
        self._said = dict(zip(RESOLVERS, said, strict=False))
        self._patch = monkeypatch
        monkeypatch.setattr(look, "answers", lambda resolver, strict: self._said[resolver])
        monkeypatch.setattr(look, "in_the_way", list)
        real = Path
        monkeypatch.setattr(look, "Path", lambda path: self.conf if path == "/etc/resolv.conf" else real(path))

    def found(self, capsys: pytest.CaptureFixture[str], transport: str = "strict") -> dict[str, Any]:
        self._patch.setattr(sys, "stdin", io.StringIO(json.dumps({"transport": transport, "resolvers": RESOLVERS})))
        look.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer


def test_one_resolver_that_answers_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Network(monkeypatch, tmp_path, "unreachable", "").found(capsys)
    assert (found["ready"], found["notes"]) == (True, [])


@pytest.mark.parametrize(
    ("said", "words"),
    [(("unreachable", "unreachable"), "tcp/853"), (("certificate", "unreachable"), "the name after #")],
)
def test_where_none_answers_nothing_changes_and_the_way_to_mend_is_said(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: tuple[str, str],
    words: str,
) -> None:
    found = Network(monkeypatch, tmp_path, *said).found(capsys)
    assert not found["ready"]
    assert words in found["notes"][0]


def test_a_machine_that_asks_our_resolver_goes_on_doing_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network(monkeypatch, tmp_path, "unreachable", "unreachable")
    network.conf.write_text("# Made by Reading Room; …\nnameserver 127.0.0.1\n")
    found = network.found(capsys)
    assert found["ready"], "a resolver that is down for a moment would undo everything"
    assert found["notes"]


def test_with_plain_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Network(monkeypatch, tmp_path).found(capsys, "plain")
    assert (found["ready"], found["notes"]) == (False, [])
