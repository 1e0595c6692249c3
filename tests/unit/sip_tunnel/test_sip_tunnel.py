"""What the role refuses beforehand, and what its settings say for every way to trust."""

from __future__ import annotations

from pathlib import Path

import pytest
import sip_tunnel_look

from readingroom import toolkit
from readingroom.apply.rendering import render_file
from readingroom.lab.consortium import credentials

ASKED = {
    "server": "sip.example:6443",
    "local_port": "tcp/6001",
    "trust": "authority",
    "certificate": "system",
    "transport": "tls",
    "plain_ports": ["tcp/6001", "tcp/8023"],
    "client_certificate": "none",
}
TEMPLATE = toolkit.root() / "roles" / "sip_tunnel" / "templates" / "sip.conf.j2"


HOMES = ("127.0.0.1", "::1")


def settings(
    server: str, trust: str, certificate: str = "system", homes: tuple[str, ...] = HOMES, client: str = "none"
) -> dict[str, set[str]]:
    """The settings of both services, by name."""
    values = {
        "server": server, "trust": trust, "certificate": certificate, "local_port": "tcp/6001", "client_certificate": client,
    }  # fmt: skip
    found: dict[str, set[str]] = {}
    given = {f"sip_tunnel_{name}": value for name, value in values.items()} | {"__sip_tunnel_found": {"homes": homes}}
    for line in render_file(TEMPLATE, given).splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            found.setdefault(name, set()).add(value)
    return found


@pytest.mark.parametrize("name", ["sip.consortium.example", "SIP.example"])
def test_with_an_authority_the_name_is_checked_as_well(name: str) -> None:
    found = settings(f"{name}:6443", "authority")
    assert found["verifyChain"] == {"yes"}
    assert found["checkHost"] == found["sni"] == {name}
    assert found["CAfile"] == {"/etc/ssl/certs/ca-certificates.crt"}


@pytest.mark.parametrize(
    ("server", "address"), [("192.0.2.1:6443", "192.0.2.1"), ("[2001:db8::1]:6443", "2001:db8::1")]
)
def test_an_address_is_checked_as_an_address(server: str, address: str) -> None:
    found = settings(server, "authority")
    assert found["checkIP"] == {address}
    assert "sni" not in found


def test_a_pinned_certificate_is_compared_and_comes_from_the_policy() -> None:
    found = settings("sip.example:6443", "pinned", "PEM")
    assert found["verifyPeer"] == {"yes"}
    assert found["CAfile"] == {"/etc/readingroom/sip-trust.pem"}


@pytest.mark.parametrize("trust", ["any", "authority", "pinned"])
def test_stations_on_this_machine_alone_are_served_and_nothing_but_errors_is_noted(trust: str) -> None:
    found = settings("sip.example:6443", trust, "PEM")
    assert found["accept"] == {"127.0.0.1:6001", "::1:6001"}
    assert found["debug"] == {"err"}
    assert found["syslog"] == {"no"}
    assert found["sslVersionMin"] == {"TLSv1.2"}


def test_nothing_is_refused_where_nothing_is_wrapped() -> None:
    assert sip_tunnel_look.refusals({**ASKED, "server": "none", "trust": "pinned"}, "telnetd") == []
    assert sip_tunnel_look.refusals({**ASKED, "transport": "plain"}, "telnetd") == []


def test_what_cannot_work_is_said_at_once() -> None:
    said = "\n".join(sip_tunnel_look.refusals({**ASKED, "trust": "pinned"}, "SIPServer"))
    assert "sip.certificate" in said
    assert "SIPServer listens on the port" in said


def test_our_own_tunnel_does_not_stand_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"ss": 'LISTEN 0 4096 127.0.0.1:6001 0.0.0.0:* users:(("stunnel4",pid=77,fd=8))\n', "systemctl": "77\n"}
    monkeypatch.setattr(sip_tunnel_look, "run", lambda *argv: said[argv[0]])
    assert sip_tunnel_look.holder(6001) == ""
    said["systemctl"] = "0\n"
    assert sip_tunnel_look.holder(6001) == "stunnel4"


def test_a_machine_without_ipv6_is_not_told_to_listen_there() -> None:
    assert settings("sip.example:6443", "authority", homes=("127.0.0.1",))["accept"] == {"127.0.0.1:6001"}


def test_a_server_on_a_port_that_the_firewall_closes_is_refused() -> None:
    said = "\n".join(sip_tunnel_look.refusals({**ASKED, "server": "sip.example:6001"}, ""))
    assert "sip.plain_ports" in said


def test_a_certificate_of_the_machines_own_is_shown_by_both_services_and_only_where_it_is_asked_for() -> None:
    assert "cert" not in settings("sip.example:6443", "authority")
    found = settings("sip.example:6443", "authority", client="/etc/ssl/private/sip-client.pem")
    assert found["cert"] == {"/run/credentials/readingroom-sip.service/client.pem"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file with a certificate and its key."""
    chain, key = credentials.write(tmp_path, "desk.library.example", credentials.certificate("desk.library.example"))
    file = tmp_path / "client.pem"
    file.touch(mode=0o600)
    file.write_text(chain.read_text() + key.read_text())
    return file


def test_a_certificate_with_its_key_for_root_alone_is_fit(own: Path) -> None:
    assert sip_tunnel_look.unfit(str(own)) == []


def test_why_a_certificate_is_unfit_is_said_with_the_mend_and_without_its_path(own: Path) -> None:
    def said() -> str:
        (line,) = sip_tunnel_look.unfit(str(own))
        assert str(own) not in line
        return str(line)

    whole = own.read_text()
    own.chmod(0o640)
    assert "chmod 600" in said()
    own.chmod(0o600)
    stranger = credentials.pem(credentials.certificate("stranger.consortium.example"))
    own.write_text(stranger + whole[whole.index("-----BEGIN PRIVATE KEY") :])
    assert "the key that goes with it" in said()
    own.write_text(whole[: whole.index("-----BEGIN PRIVATE KEY")])
    assert "the key that goes with it" in said()
    own.unlink()
    assert "put certificate and key there" in said()
