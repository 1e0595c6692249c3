"""What goes over the wire, and what is made of what comes back."""

from __future__ import annotations

import struct

import print_ipp as ipp
import pytest


def attribute(tag: int, name: str, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(name)) + name.encode() + struct.pack(">H", len(value)) + value


def answer(*parts: bytes) -> bytes:
    return struct.pack(">BBHI", 1, 1, 0, 1) + b"".join(parts) + b"\x03"


def test_a_request_can_be_read_back() -> None:
    sent = ipp.encode(ipp.GET_JOBS, ipp.keyword("requested-attributes", "job-id", "job-state"), ipp.number("limit", 5))
    read = ipp.decode(sent)
    assert read.status == ipp.GET_JOBS
    assert read.groups[0][1]["requested-attributes"] == ["job-id", "job-state"]
    assert read.groups[0][1]["limit"] == [5]


def test_each_job_is_a_group_of_its_own() -> None:
    one = b"\x02" + attribute(0x21, "job-id", struct.pack(">i", 1))
    two = b"\x02" + attribute(0x21, "job-id", struct.pack(">i", 2))
    assert [group["job-id"] for group in ipp.decode(answer(one, two)).each(2)] == [[1], [2]]


def test_what_lies_in_a_collection_is_left_out() -> None:
    collection = (
        attribute(0x34, "media-col", b"")
        + attribute(0x4A, "", b"job-id")
        + attribute(0x21, "", struct.pack(">i", 99))
        + attribute(0x37, "", b"")
    )
    job = b"\x02" + collection + attribute(0x21, "job-id", struct.pack(">i", 1))
    assert [group["job-id"] for group in ipp.decode(answer(job)).each(2)] == [[1]]


@pytest.mark.parametrize("text", [b"", b"HTTP", b"\x01\x01\0\0\0\0\0\x01", b"\x01\x01\0\0\0\0\0\x01\x02\x21\0\xff"])
def test_anything_else_is_no_answer(text: bytes) -> None:
    with pytest.raises(ipp.NoAnswer):
        ipp.decode(text)


def test_a_printer_that_is_off_is_no_answer() -> None:
    with pytest.raises(ipp.NoAnswer):
        ipp.Printer("ipp://127.0.0.1:9/ipp/print", timeout=2).ask(ipp.GET_JOBS)
