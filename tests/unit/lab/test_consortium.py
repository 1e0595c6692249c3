"""The lab's consortium: what policies may name of it stays the same, and its library system lets nobody in by default."""

from __future__ import annotations

import datetime as dt

import pytest

from readingroom.lab.consortium import credentials
from readingroom.lab.consortium.library_system import Session
from readingroom.lab.recipe import SEED
from readingroom.sip2 import Message

LOGIN = Message("93", "00", {"CN": "selfcheck-1", "CO": "long-enough-secret"}, 0)
ASKS = Message("63", "001" + " " * 28, {"AO": "LAB", "AA": "rrcheck123456", "AD": "123456"}, 1)


def station(*messages: Message) -> list[Message | None]:
    session = Session(lambda: dt.datetime(2026, 11, 27, 9, 0))
    return [session.answer(one) for one in messages]


def test_machines_trust_the_authority_that_signs() -> None:
    seeded = SEED / "files/usr/local/share/ca-certificates/lab-consortium.crt"
    assert seeded.read_text() == credentials.pem(credentials.authority())


def test_a_certificate_is_the_same_each_time_and_signed_by_the_authority() -> None:
    found = credentials.certificate(credentials.RESOLVER, ["10.66.0.53"])
    assert found == credentials.certificate(credentials.RESOLVER, ["10.66.0.53"])
    found.verify_directly_issued_by(credentials.authority())


@pytest.mark.parametrize("login", ["koha", "staff", "term1", "selfcheck-1"])
def test_a_login_with_its_name_for_a_password_is_refused(login: str) -> None:
    said, ended = station(Message("93", "00", {"CN": login, "CO": login}, 0), ASKS)
    assert said is not None
    assert said.fixed == "0"
    assert ended is None


def test_a_station_learns_whether_a_pin_is_right_and_no_more() -> None:
    _, said = station(LOGIN, ASKS)
    assert said is not None
    assert (said.fields["BL"], said.fields["CQ"]) == ("Y", "Y")
    assert not {"BD", "BE", "BF", "PB"} & set(said.fields)
    assert said.fields["AE"] == ""


def test_nothing_is_lent_with_a_wrong_pin() -> None:
    wrong = Message("11", "NN" + " " * 36, {"AO": "LAB", "AA": "rrcheck123456", "AB": "3001", "AD": "0000"}, 2)
    _, said = station(LOGIN, wrong)
    assert said is not None
    assert said.fixed.startswith("0")


def test_messages_with_a_wrong_checksum_are_refused() -> None:
    with pytest.raises(ValueError, match="checksum"):
        Message.decode(LOGIN.encode().replace(b"selfcheck-1", b"selfcheck-2"))
