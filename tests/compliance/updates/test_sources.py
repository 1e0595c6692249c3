"""Do programs come from signed archives only? The machine's own apt is offered an unsigned one, and asked about its sources."""

from __future__ import annotations

from testinfra.host import Host

from readingroom.verify.api import NOTHING, Promise, control
from updates.view import BUSY, asked_in_view


@control("update.sources")
def test_an_unsigned_archive_is_refused_and_none_is_taken_on_trust(host: Host, promise: Promise) -> None:
    if promise.value == "any":
        promise.observed(NOTHING)
        return
    seen = asked_in_view(host, "unsigned.py")
    if seen["busy"]:
        promise.not_tested(BUSY)
    if seen["looked_at"] < seen["sources"]:
        raise RuntimeError("apt does not say of each of its sources whether it trusts it")
    if not (seen["works"] and seen["offered"]):
        raise RuntimeError("apt could not read an archive of our own even when told to trust it")
    assert seen["on_trust"] == 0, f"this machine takes {seen['on_trust']} archives on trust, because a source says so"
    assert seen["unsigned"] == 0, f"the lists of {seen['unsigned']} archives were read without a signature"
    assert seen["refused"], "an unsigned archive was let in"
    assert not seen["known"], "a package of an unsigned archive can be found"
    assert not seen["given"], "a package would be installed although nothing proves where it is from"
    promise.observed(
        f"an unsigned archive was refused; {seen['sources']} archives of the machine's own, none taken on trust"
    )
