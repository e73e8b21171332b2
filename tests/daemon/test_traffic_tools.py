"""What pimctl join, send and ping put into packets, and what they make of those of others."""

from __future__ import annotations

import pytest

from pimpy.cli.traffic import ping, stream

SSMPING = bytes.fromhex("5100010004000033100002000400000002000300086b01e245000022bb0004000501e82bd3ea")
"""A request of Debian's ssmping 0.9.1, as it came over the wire."""


def test_a_request_of_ssmping_is_understood_and_made_the_same() -> None:
    message = ping.decode(SSMPING)
    assert message is not None
    assert (message.kind, message.client, message.sequence, message.group) == (b"Q", 0x3310, 2, "232.43.211.234")
    assert ping.encode(message) == SSMPING
    assert ping.answer(SSMPING) == (b"A" + SSMPING[1:], "232.43.211.234")


def test_six_and_the_longer_family_of_later_drafts() -> None:
    message = ping.Message(b"Q", 1, 2, 3.5, "ff3e::4321:1234")
    assert ping.decode(ping.encode(message)) == message
    later = b"Q" + bytes.fromhex("000400060001ef010203")
    found = ping.decode(later)
    assert found is not None and found.group == "239.1.2.3"


def test_bytes_of_strangers() -> None:
    for length in range(len(SSMPING)):
        found = ping.decode(SSMPING[:length])
        assert found is None or found.group is None
    for data in (b"", b"X", b"Q", b"Q" + b"\0\4\0\5\1\n\0\0\1", b"A" + SSMPING[1:]):
        assert ping.answer(data) is None, "no request, or one without a group"


@pytest.mark.parametrize(
    ("sequences", "lost", "twice", "late"),
    [([0, 1, 2], 0, 0, 0), ([5, 7, 9], 2, 0, 0), ([1, 1, 2], 0, 1, 0), ([3, 5, 4], 0, 0, 1), ([3, 2, 9], 5, 0, 1)],
)
def test_loss_duplicates_and_order(sequences: list[int], lost: int, twice: int, late: int) -> None:
    arrivals = stream.Arrivals()
    for sequence in sequences:
        arrivals.take(stream.packet(sequence, 100.0, 200), 100.5, 15)
    assert (arrivals.lost, arrivals.duplicates, arrivals.reordered) == (lost, twice, late)
    assert arrivals.delay == 0.5
    assert arrivals.octets == 200 * len(sequences)


def test_packets_without_numbers_are_counted_only() -> None:
    arrivals = stream.Arrivals()
    arrivals.take(b"video", 1.0, None)
    assert (arrivals.received, arrivals.numbered, arrivals.lost, arrivals.delay) == (1, 0, 0, None)
