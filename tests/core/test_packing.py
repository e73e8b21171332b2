"""Conformance rows U20 to U27: what Join/Prune messages look like when there is much to say (RFC 7761 4.9.5)."""

from __future__ import annotations

import pytest
from speakers import Channel
from stand import Stand

from pimpy.wire.family import Family
from pimpy.wire.join_prune import SG


def sizes(stand: Stand, link: str = "up") -> list[int]:
    """The sizes of the IP packets that carried our Join/Prune messages."""
    return [
        len(packet.data) + stand.family.ip_header
        for _, packet, message in stand.net.links[link].spoken("r1")
        if type(message).__name__ == "JoinPrune"
    ]


def many(stand: Stand, count: int, group: int | None = None) -> list[Channel]:
    """Channels of one group, or of a group each."""
    return [stand.channel(number, group) for number in range(1, count + 1)]


def join_all(stand: Stand, channels: list[Channel]) -> list[Channel]:
    """A downstream router joins them, a few in a message."""
    for first in range(0, len(channels), 60):
        stand.peer("down", 2).join(stand.us(), *channels[first : first + 60])
    stand.run(0)
    return channels


def test_U20_capacity_of_one_group_set(family: Family) -> None:
    capacity = 181 if family.size == 4 else 70
    for count, messages in ((capacity, 1), (capacity + 1, 2)):
        stand = Stand(family)
        join_all(stand, many(stand, count, group=1))
        assert len(stand.messages()) == messages
        assert sorted(channel for _, _, channel in stand.said(to=stand.nine)) == sorted(many(stand, count, group=1))
        assert max(sizes(stand)) <= 1500


def test_U21_two_thousand_joins_in_a_second(family: Family) -> None:
    stand = Stand(family)
    channels = many(stand, 2000)
    join_all(stand, channels)
    said = stand.said(to=stand.nine)
    assert sorted(channel for _, _, channel in said) == sorted(channels)
    assert {(when, verb) for when, verb, _ in said} == {(0.0, "join")}
    per_packet = 73 if family.size == 4 else 32
    assert len(stand.messages()) == -(-2000 // per_packet), f"{per_packet} single-source sets in a packet"
    assert max(sizes(stand)) <= 1500
    assert all(len(message.groups) <= 255 for _, message in stand.messages())
    stand.mark()
    stand.run(60)
    assert len(stand.messages()) == -(-2000 // per_packet), "and so once a minute"


def test_U21_num_groups_stays_below_256_where_the_mtu_would_allow_more(family: Family) -> None:
    stand = Stand(family, mtu=9000 if family.size == 4 else 16000)
    channels = many(stand, 600)
    join_all(stand, channels)
    assert sorted(channel for _, _, channel in stand.said()) == sorted(channels)
    assert max(len(message.groups) for _, message in stand.messages()) == 255
    assert len(stand.messages()) == 3


@pytest.mark.parametrize("mtu", [1280, 1400, 576, 128])
def test_U20_no_packet_is_larger_than_the_mtu(family: Family, mtu: int) -> None:
    stand = Stand(family, mtu=mtu)
    channels = many(stand, 100) + many(stand, 150, group=7)
    stand.net.checker.on = True
    join_all(stand, list(dict.fromkeys(channels)))
    assert sorted(channel for _, _, channel in stand.said()) == sorted(set(channels))
    assert max(sizes(stand)) <= mtu


def test_U22_neighbours_and_groups_do_not_share_a_packet(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    channels = many(stand, 10)
    eight = stand.peer("up", 8).address
    for source, _ in channels[::2]:
        stand.r1.static_route(source, "up", eight)
    join_all(stand, channels)
    assert [message.upstream_neighbor for _, message in stand.messages()] == [eight, stand.nine]
    assert {channel for _, _, channel in stand.said(to=eight)} == set(channels[::2])
    assert {channel for _, _, channel in stand.said(to=stand.nine)} == set(channels[1::2])


def test_U23_joins_and_prunes_of_one_batch_never_contradict(family: Family) -> None:
    stand = Stand(family)
    channel, _ = join_all(stand, [stand.channel(1), stand.channel(1, group=2)])
    two = stand.peer("down", 2)
    stand.run(1)
    stand.mark()
    two.prune(stand.us(), channel)
    two.join(stand.us(), channel)
    stand.run(0)
    assert stand.said() == [(0.0, "join", channel)], "the last word counts"
    stand.mark()
    two.join(stand.us(), channel)
    two.prune(stand.us(), channel)
    two.join(stand.us(), channel)
    two.prune(stand.us(), channel)
    stand.run(0)
    assert stand.said() == [(0.0, "prune", channel)]


def test_U23_joins_and_prunes_of_one_group_share_its_set(family: Family) -> None:
    stand = Stand(family)
    first, second = (stand.channel(number, group=1) for number in (1, 2))
    join_all(stand, [first, stand.channel(2, group=2)])
    stand.mark()
    stand.peer("down", 2).prune(stand.us(), first)
    stand.peer("down", 2).join(stand.us(), second)
    stand.run(0)
    ((_, message),) = stand.messages()
    ((group, joins, prunes),) = message.groups
    assert (group, joins, prunes) == (stand.group(1), ((second[0], SG),), ((first[0], SG),))


def test_U24_the_encoding_of_s_g(family: Family) -> None:
    stand = Stand(family)
    (source, group) = stand.channel()
    stand.peer("down", 2).join(stand.us(), (source, group))
    stand.run(0)
    ((_, packet, _),) = [spoken for spoken in stand.up.spoken("r1") if type(spoken[2]).__name__ == "JoinPrune"]
    number, bits = family.pim_number.to_bytes(1, "big"), family.bits.to_bytes(1, "big")
    body = (
        (number + b"\0" + stand.nine)
        + b"\0\x01\x00\xd2"
        + (number + b"\0\0" + bits + group)
        + b"\0\x01\0\0"
        + (number + b"\0\x04" + bits + source)
    )
    assert packet.data[:2] == b"\x23\x00" and packet.data[4:] == body


def test_U25_join_prune_goes_to_all_pim_routers_from_the_hello_address(family: Family) -> None:
    stand = Stand(family)
    stand.peer("down", 2).join(stand.us(), stand.channel())
    stand.run(0)
    ((_, packet, message),) = [spoken for spoken in stand.up.spoken("r1") if type(spoken[2]).__name__ == "JoinPrune"]
    assert (packet.source, packet.destination) == (stand.us("up"), family.all_pim_routers)
    assert message.upstream_neighbor == stand.nine  # type: ignore[union-attr]
    if family.size == 16:
        assert family.is_link_local(stand.nine) and family.is_link_local(packet.source)


def test_U27_a_thousand_entries_lose_their_neighbour_in_packed_messages(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    channels = many(stand, 1000)
    join_all(stand, channels)
    stand.run(5)
    stand.mark()
    eight = stand.peer("up", 8).address
    for source, _ in channels:
        stand.r1.static_route(source, "up", eight)
    stand.run(1)
    assert sorted(channel for _, _, channel in stand.said(to=eight)) == sorted(channels)
    assert sorted(channel for _, _, channel in stand.said(to=stand.nine)) == sorted(channels)
    per_packet = 73 if family.size == 4 else 32
    assert len(stand.messages()) == 2 * -(-1000 // per_packet)


def test_U27_N18_a_neighbour_that_comes_back_is_told_everything_packed(family: Family) -> None:
    stand = Stand(family)
    channels = many(stand, 1000)
    join_all(stand, channels)
    stand.peer("up", 9).hello(holdtime=0)
    stand.run(5)
    stand.mark()
    stand.peer("up", 9).hello(generation_id=0x9999)
    stand.run(0)
    assert sorted(channel for _, _, channel in stand.said(to=stand.nine)) == sorted(channels)
    assert len(stand.messages()) == -(-1000 // (73 if family.size == 4 else 32))
