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
LOCAL = [{"domain": "library.example", "resolvers": ["10.0.0.53"]}]
RESOLVERS = ["9.9.9.9#dns.quad9.net", "2620:fe::fe#dns.quad9.net"]


def settings(transport: str, *local: dict[str, Any]) -> str:
    values = {"encrypted_dns_local_domains": list(local), "encrypted_dns_query_log": "none"}
    return render_file(TEMPLATE, {**values, "__encrypted_dns_found": {"transport": transport, "resolvers": RESOLVERS}})


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
        self.conf, self.settings = tmp_path / "resolv.conf", tmp_path / "readingroom.conf"
        self._said = dict(zip(RESOLVERS, said, strict=False))
        self._patch = monkeypatch
        monkeypatch.setattr(look, "answers", lambda resolver, strict: self._said[resolver])
        monkeypatch.setattr(look, "in_the_way", list)
        monkeypatch.setattr(look, "CONF", self.conf)
        monkeypatch.setattr(look, "RESOLVER", self.settings)

    def found(self, capsys: pytest.CaptureFixture[str], transport: str = "strict") -> dict[str, Any]:
        self._patch.setattr(
            sys,
            "stdin",
            io.StringIO(json.dumps({"transport": transport, "resolvers": RESOLVERS, "local_domains": LOCAL})),
        )
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


@pytest.mark.parametrize(
    ("line", "said"), [("search library.example.", 0), ("search library.example branch.example", 1), ("", 0)]
)
def test_a_domain_of_the_network_that_the_policy_does_not_know_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: int
) -> None:
    network = Network(monkeypatch, tmp_path, "")
    network.conf.write_text(f"nameserver 10.0.0.1\n{line}\n")
    found = network.found(capsys)
    assert found["ready"]
    assert len(found["notes"]) == said
    assert "branch.example" not in str(found["notes"])


@pytest.mark.parametrize("transport", ["strict", "opportunistic"])
def test_a_machine_that_asks_our_resolver_goes_on_as_it_does_while_none_of_the_policy_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], transport: str
) -> None:
    network = Network(monkeypatch, tmp_path, "unreachable", "certificate")
    network.conf.write_text("# Made by Reading Room; …\nnameserver 127.0.0.1\n")
    network.settings.write_text(settings(transport, {"domain": "library.example", "resolvers": ["10.0.0.53"]}))
    monkeypatch.setattr(look, "answers", lambda resolver, strict: "certificate")
    found = network.found(capsys)
    assert found["ready"], "a resolver that is down for a moment would undo everything"
    assert found["notes"]
    assert found["transport"] == transport
    assert [one.partition("#")[0] for one in found["resolvers"]] == [one.partition("#")[0] for one in RESOLVERS]


def test_a_link_in_the_place_of_resolv_conf_is_somebody_elses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network(monkeypatch, tmp_path, "unreachable", "unreachable")
    (tmp_path / "stub").write_text("# Made by Reading Room; …\nnameserver 127.0.0.1\n")
    network.conf.symlink_to(tmp_path / "stub")
    network.settings.write_text(settings("strict"))
    assert not network.found(capsys)["ready"]


def test_with_plain_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Network(monkeypatch, tmp_path).found(capsys, "plain")
    assert (found["ready"], found["notes"]) == (False, [])
