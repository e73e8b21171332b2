"""`watch` and `expect-neighbor`: what is told, and when, in virtual time."""

from __future__ import annotations

from typing import Any

from asm_stand import AsmStand
from stand import Stand

from pimpy.config.model import Config, ExpectedNeighbor, Watch
from pimpy.core.watch_rows import ExpectedNeighborRow, WatchRow
from pimpy.wire.family import Family, format_address
from pimpy.wire.record import evolve

REASONS = {"watch_silent", "watch_flows", "expected_neighbor_missing", "expected_neighbor_up"}


def told(stand: Stand) -> list[str]:
    """The reasons of what was told since the last time."""
    found = [notice.reason for notice in stand.r1.notices if notice.reason in REASONS]
    stand.r1.notices.clear()
    return found


def watched(stand: Stand) -> WatchRow:
    """The one watch."""
    (row,) = [row for row in stand.router.rows("watches") if isinstance(row, WatchRow)]
    return row


def expected(stand: Stand) -> ExpectedNeighborRow:
    """The one expected neighbour."""
    (row,) = [row for row in stand.router.rows("watches") if isinstance(row, ExpectedNeighborRow)]
    return row


def watching(family: Family, **more: Any) -> tuple[Stand, tuple[bytes, bytes]]:
    """A stand with a member, and a watch of ten seconds that begins now."""
    stand = Stand(family)
    channel = stand.channel()
    stand.host().join(channel[1], channel[0])
    stand.run(5)
    stand.r1.configure(watches=(Watch("cam", channel[1], **more),))
    stand.run(0)
    stand.r1.notices.clear()
    return stand, channel


def flow(stand: Stand, channel: tuple[bytes, bytes], packets: int, seconds: float) -> None:
    """So many packets, evenly over that time."""
    for _ in range(packets):
        stand.data(channel)
        stand.run(seconds / packets)


def test_a_stream_that_falls_silent_is_told_once_and_once_when_it_flows_again(family: Family) -> None:
    stand, channel = watching(family)
    assert watched(stand).state == "pending"
    flow(stand, channel, 20, 10.0)
    stand.run(0)
    assert (watched(stand).state, watched(stand).recent_packets, told(stand)) == ("flowing", 20, [])
    stand.run(10.0)
    row = watched(stand)
    assert (row.state, row.recent_packets, row.packets, told(stand)) == ("silent", 0, 20, ["watch_silent"])
    stand.run(60.0)
    assert told(stand) == [], "once is enough"
    assert watched(stand).since == 60.0
    flow(stand, channel, 5, 10.0)
    stand.run(0)
    assert (watched(stand).state, watched(stand).packets, told(stand)) == ("flowing", 25, ["watch_flows"])


def test_a_stream_that_never_flows_is_told_after_the_first_interval(family: Family) -> None:
    stand, _ = watching(family, interval=30)
    stand.run(29.0)
    assert (watched(stand).state, told(stand)) == ("pending", [])
    stand.run(1.0)
    assert (watched(stand).state, told(stand), watched(stand).last_packet) == ("silent", ["watch_silent"], None)


def test_fewer_packets_than_wanted_are_silence(family: Family) -> None:
    stand, channel = watching(family, min_packets=10)
    flow(stand, channel, 9, 9.0)
    stand.run(1.0)
    assert (watched(stand).state, told(stand)) == ("silent", ["watch_silent"])
    flow(stand, channel, 10, 10.0)
    stand.run(0)
    assert (watched(stand).state, told(stand)) == ("flowing", ["watch_flows"])


def test_a_watch_of_a_source_counts_that_source_alone(family: Family) -> None:
    stand = Stand(family)
    one, two = stand.channel(1, group=1), stand.channel(2, group=1)
    stand.host().join(one[1], one[0], two[0])
    stand.run(5)
    of_one, of_all = Watch("one", one[1], one[0]), Watch("all", one[1])
    stand.r1.configure(watches=(of_one, of_all))
    stand.run(0)
    flow(stand, two, 10, 10.0)
    stand.run(0)
    rows = {row.watch: (row.state, row.packets) for row in stand.router.rows("watches") if isinstance(row, WatchRow)}
    assert rows == {"one": ("silent", 0), "all": ("flowing", 10)}


def test_an_entry_that_is_made_anew_counts_from_the_beginning(family: Family) -> None:
    stand, channel = watching(family)
    flow(stand, channel, 20, 10.0)
    stand.run(0)
    host = stand.host()
    host.leave(channel[1], channel[0])
    stand.run(5.0)
    host.join(channel[1], channel[0])
    stand.run(1.0)
    flow(stand, channel, 4, 4.0)
    stand.run(0)
    row = watched(stand)
    assert (row.state, row.recent_packets, row.packets) == ("flowing", 4, 24)


def test_a_reload_goes_on_with_what_is_watched_already(family: Family) -> None:
    stand, channel = watching(family)
    flow(stand, channel, 20, 10.0)
    stand.run(0)
    kept = stand.r1.config.watches
    stand.r1.configure(watches=(*kept, Watch("other", stand.group(9))))
    assert len(list(stand.router.rows("watches"))) == 2
    stand.r1.configure(watches=kept)
    assert (watched(stand).packets, watched(stand).state) == (20, "flowing")
    stand.r1.configure(watches=(evolve(kept[0], min_packets=5),))
    assert watched(stand).state == "pending", "it is another one now"
    stand.r1.configure(watches=())
    stand.run(100.0)
    assert list(stand.router.rows("watches")) == [] and told(stand) == []


def test_a_stream_of_the_shared_tree_is_watched_too(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.member("down")
    stand.r1.configure(watches=(Watch("asm", source[1]),))
    stand.run(0)
    for _ in range(10):
        stand.data(source, "rpt")
        stand.run(1.0)
    assert watched(stand).state == "flowing" and watched(stand).packets > 0


def neighborly(family: Family, interface: str = "down", number: int = 2) -> tuple[Stand, str]:
    """A stand that expects number 2 on `down`."""
    stand = Stand(family)
    address = stand.peer("down", 2).address if number == 2 else stand.net.addresses("down", number)[0][0]
    stand.r1.configure(expected_neighbors=(ExpectedNeighbor(address, interface),))
    stand.r1.notices.clear()
    return stand, format_address(address)


def test_an_expected_neighbour_that_goes_is_told_at_once_and_when_it_comes_back(family: Family) -> None:
    stand, address = neighborly(family)
    assert (expected(stand).state, expected(stand).address) == ("up", address)
    peer = stand.peer("down", 2)
    peer.hello(holdtime=0)
    stand.run(0)
    assert (expected(stand).state, told(stand)) == ("missing", ["expected_neighbor_missing"])
    stand.run(5.0)
    peer.hello()
    stand.run(0)
    assert (expected(stand).state, told(stand)) == ("up", ["expected_neighbor_up"])


def test_one_that_never_comes_is_told_when_it_should_have_said_hello(family: Family) -> None:
    stand, _ = neighborly(family, number=77)
    assert expected(stand).state == "pending"
    stand.run(34.9)
    assert (expected(stand).state, told(stand)) == ("pending", [])
    stand.run(0.2)
    assert (expected(stand).state, told(stand)) == ("missing", ["expected_neighbor_missing"])


def test_one_that_is_on_another_interface_is_missing(family: Family) -> None:
    stand, _ = neighborly(family, interface="up")
    stand.run(40.0)
    assert told(stand) == ["expected_neighbor_missing"]


def test_what_was_expected_is_missing_while_the_interface_is(family: Family) -> None:
    stand, _ = neighborly(family)
    stand.net.set_port("r1", "down", False)
    stand.run(0)
    assert told(stand) == ["expected_neighbor_missing"]
    stand.net.set_port("r1", "down", True)
    stand.run(40.0)
    assert told(stand) == ["expected_neighbor_up"]


def test_nothing_is_watched_without_a_line(family: Family) -> None:
    stand = Stand(family, config=Config())
    stand.run(200.0)
    assert list(stand.router.rows("watches")) == [] and told(stand) == []


def test_a_source_that_comes_later_counts_from_its_first_packet_on(family: Family) -> None:
    stand, channel = watching(family)
    flow(stand, channel, 4, 10.0)
    stand.run(0)
    other = stand.channel(2, group=1)
    stand.host().join(other[1], other[0])
    stand.run(5)
    for _ in range(3):
        stand.data(other)
    stand.run(5)
    row = watched(stand)
    assert (row.packets, row.bytes, row.recent_packets) == (7, 7000, 3)
