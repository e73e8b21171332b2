"""Where the RP, the sources and the receivers may be: each datagram reaches each receiver, and once.

    src - r1 - a - r2 - b - r3 - h        the way of the data
               |     \\
              (r5)    side - r4 - leaf    beside it

r5 is on link a, a LAN, alone: "on a stick". Control messages and Registers take 1 ms on each link and data none: with a
packet each 10 ms no native packet overtakes a registered one, which whoever has switched would drop (4.2).
"""

from __future__ import annotations

import pytest
from network import Net
from speakers import Channel

from pimpy.config.model import Config, StaticRp
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, Prefix, parse_address
from pimpy.wire.record import evolve

EACH = 0.01
DELAY = 0.001
ROUND_TRIP = 2 * 4 * DELAY
"""To the farthest router and back, at most."""
AT_ONCE = 0.2
KEEPALIVE = 210.0 + 30.0
"""Until a silent source is forgotten, its counters being read each 30 s."""
PLACES = {
    "first hop": ("r1", "src"),
    "in between": ("r2", "b"),
    "last hop": ("r3", "h"),
    "off the path": ("r4", "leaf"),
    "on a stick": ("r5", "a"),
    "on a loopback": ("r2", "lo"),
}
"""(router, link of its address)"""


class Row:
    """The routers in a row, with one RP for all groups, whose address is at a place."""

    def __init__(self, family: Family, place: str = "in between", threshold: str = "immediate") -> None:
        self.family = family
        self.net = net = Net(family)
        net.logging = True
        for name in ("r1", "r2", "r3", "r4", "r5"):
            net.router(name)
        net.link("src", "r1", delay=DELAY)
        net.link("a", "r1", "r2", "r5", delay=DELAY)
        net.link("b", "r2", "r3", p2p=True, delay=DELAY)
        net.link("h", "r3", delay=DELAY)
        net.link("side", "r2", "r4", p2p=True, delay=DELAY)
        net.link("leaf", "r4", delay=DELAY)
        self.threshold = threshold
        self.rp = self.address_at(place)
        self.map({self.rp: family.multicast})
        net.start()
        net.run(40)
        self.host = net.host("h")
        self.source = net.source("src")

    def address_at(self, place: str) -> Address:
        """The RP's address at a place."""
        router, link = PLACES[place]
        node = self.net.nodes[router]
        if link != "lo":
            return self.net.address(link, node.number)
        address = parse_address("10.99.0.1" if self.family.size == 4 else "2001:db8:99::1")
        node.loopback.append(address)
        for name, by in (("r1", "a"), ("r3", "b"), ("r4", "side"), ("r5", "a")):
            self.net.nodes[name].static_route(address, by, node.address(by))
        return address

    def map(self, rps: dict[Address, Prefix]) -> None:
        """All routers have these RPs from now on."""
        mappings = tuple(StaticRp(rp, prefix) for rp, prefix in rps.items())
        for node in self.net.nodes.values():
            if node.router is None:
                node.config = Config(rp_addresses=mappings, spt_threshold=self.threshold)
            else:
                node.config = evolve(node.config, rp_addresses=mappings)
                node.configure()

    def group(self, number: int = 1) -> Address:
        return parse_address(f"239.{number}.1.1" if self.family.size == 4 else f"ff1e:{number}::1")

    @property
    def channel(self) -> Channel:
        return self.source, self.group()

    def join(self, number: int = 1) -> None:
        self.host.want_any(self.group(number))
        self.net.run(1)

    def send(self, seconds: float, channel: Channel | None = None) -> list[int]:
        """How often each packet that is sent for a while reaches the receiver's link."""
        numbers = self.net.stream(*(channel or self.channel), seconds, EACH)
        self.net.run(ROUND_TRIP)  # the last ones may still be on their way inside Registers
        return [self.net.copies("h", number) for number in numbers]

    def assert_new_source(self, copies: list[int]) -> None:
        """Nothing is lost; what comes twice does for a round trip; then each packet is on each link once."""
        assert min(copies) == 1, f"lost: {[number for number, count in enumerate(copies) if not count]}"
        assert max(copies) <= 2 and copies.count(2) * EACH <= ROUND_TRIP + EACH
        assert set(copies[len(copies) // 2 :]) == {1}

    def assert_steady(self, channel: Channel | None = None) -> None:
        """Each packet is at the receiver once, and nowhere twice."""
        numbers = self.net.stream(*(channel or self.channel), 0.2, EACH)
        self.net.run(ROUND_TRIP)
        for number in numbers:
            assert self.net.copies("h", number) == 1
            assert max(self.net.copies(link, number) for link in self.net.links) == 1

    def registers(self) -> int:
        """How many Registers with data were sent so far."""
        links = self.net.links.values()
        return sum(
            not message.null for link in links for name in link.ports for _, message in link.pim(name, pim.Register)
        )


@pytest.mark.parametrize("threshold", ["immediate", "infinity"])
@pytest.mark.parametrize("place", list(PLACES))
def test_a_new_source_reaches_a_receiver_that_waits(family: Family, place: str, threshold: str) -> None:
    row = Row(family, place, threshold)
    row.join()
    row.assert_new_source(row.send(0.5))
    row.net.stream(*row.channel, 130.0, 2.0)  # Null-Registers, Join/Prune messages
    row.assert_steady()
    row.net.run(KEEPALIVE)
    row.assert_new_source(row.send(0.5))


@pytest.mark.parametrize("place", list(PLACES))
def test_a_receiver_comes_to_a_source_leaves_and_comes_back(family: Family, place: str) -> None:
    row = Row(family, place)
    row.send(0.6)
    for _ in range(2):
        row.host.want_any(row.group())
        copies = row.send(0.6)
        assert 1 in copies[: int(AT_ONCE / EACH)]
        row.assert_new_source(copies[copies.index(1) :])
        row.assert_steady()
        row.host.want_no_more(row.group())
        row.net.stream(*row.channel, 6.0, 0.5)
        assert set(row.send(0.2)) == {0}


@pytest.mark.parametrize("place", list(PLACES))
def test_at_the_end_the_rp_gets_no_more_data_in_registers(family: Family, place: str) -> None:
    row = Row(family, place)
    row.join()
    row.send(0.6)
    before = row.registers()
    assert (before > 0) == (place != "first hop"), "R22"
    row.net.stream(*row.channel, 200.0, 1.0)
    assert row.registers() == before


@pytest.mark.parametrize("rp", ["itself", "another one"])
@pytest.mark.parametrize("order", ["source first", "receiver first"])
def test_first_hop_and_last_hop_in_one_router(family: Family, rp: str, order: str) -> None:
    row = Row(family, "first hop" if rp == "itself" else "off the path")
    row.net.link("near", "r1", delay=DELAY)
    row.net.run(40)
    host = row.net.host("near")
    if order == "source first":
        row.send(1.0)
    host.want_any(row.group())
    row.net.run(1)
    numbers = row.net.stream(*row.channel, 0.6, EACH)
    assert {row.net.copies("near", number) for number in numbers} == {1}
    assert {row.net.copies("h", number) for number in numbers} == {0}


@pytest.mark.parametrize("place", ["first hop", "off the path", "on a stick"])
def test_source_and_receiver_on_the_same_link(family: Family, place: str) -> None:
    """The link's data is there already, and never comes back to it; a receiver elsewhere gets it too."""
    row = Row(family, place)
    row.net.host("src").want_any(row.group())
    row.net.run(1)
    for number in row.net.stream(*row.channel, 0.6, EACH):
        assert row.net.copies("src", number) == 1
    row.join()
    row.assert_new_source(row.send(0.5))
    row.assert_steady()


def test_two_rps_for_two_ranges(family: Family) -> None:
    row = Row(family)
    ranges = {1: "off the path", 2: "last hop"}
    row.map({row.address_at(place): Prefix(row.group(number), family.bits) for number, place in ranges.items()})
    other = row.source, row.group(2)
    for number in ranges:
        row.join(number)
    row.assert_new_source(row.send(0.5))
    row.assert_new_source(row.send(0.5, other))
    for link in row.net.links.values():
        link.forget()
    row.net.stream(*row.channel, 100.0, 2.0)
    row.net.stream(*other, 100.0, 2.0)
    for channel, place in ((row.channel, ranges[1]), (other, ranges[2])):
        asked = {
            packet.destination
            for link in row.net.links.values()
            for _, packet, message in link.spoken("r1")
            if isinstance(message, pim.Register) and packet_group(family, message) == channel[1]
        }
        assert asked == {row.address_at(place)}, "its own RP alone"


def packet_group(family: Family, register: pim.Register) -> Address:
    return pim.inner_addresses(family, register.packet, register.null)[1]


def test_the_rp_cannot_be_reached_and_comes_back(family: Family) -> None:
    row = Row(family, "off the path", threshold="infinity")
    row.join()
    row.assert_new_source(row.send(0.5))
    row.net.set_link("side", False)
    assert set(row.send(0.5)) == {0}, "nobody switched to the source's tree"
    row.net.run(300)
    row.net.set_link("side", True)
    row.net.run(10)  # Hellos
    row.assert_new_source(row.send(0.5))


def test_without_its_rp_the_source_tree_goes_on(family: Family) -> None:
    row = Row(family, "off the path")
    row.join()
    row.assert_new_source(row.send(0.5))
    row.net.set_link("side", False)
    assert set(row.send(0.5)) == {1}
    assert {row.net.copies("h", number) for number in row.net.stream(*row.channel, 700.0, 5.0)} == {1}
    row.net.set_link("side", True)
    assert set(row.send(0.5)) == {1}


def test_the_rp_dies_and_another_router_is_made_rp(family: Family) -> None:
    row = Row(family, "off the path", threshold="infinity")
    row.join()
    row.assert_new_source(row.send(0.5))
    row.net.nodes["r4"].crash()
    row.map({row.address_at("last hop"): family.multicast})
    copies = row.send(0.6)
    assert copies.count(0) <= 1, "only what was sent before the routers knew the way to the new RP"
    assert set(copies[len(copies) // 2 :]) == {1}


@pytest.mark.parametrize("threshold", ["immediate", "infinity"])
def test_an_rp_is_added_changed_and_removed(family: Family, threshold: str) -> None:
    row = Row(family, "off the path", threshold)
    row.map({})
    row.join()
    assert set(row.send(0.5)) == {0}
    row.map({row.rp: family.multicast})
    copies = row.send(0.6)
    assert copies.index(1) * EACH <= AT_ONCE, "members and source were known"
    row.assert_new_source(copies[copies.index(1) :])
    row.map({row.address_at("last hop"): family.multicast})
    copies = row.send(0.6)
    assert copies.count(0) <= (1 if threshold == "infinity" else 0), "sent before the way to the new RP was known"
    assert max(copies) <= 2
    row.assert_steady()
    row.map({})
    copies = row.send(0.6)
    assert set(copies[len(copies) // 2 :]) == ({0} if threshold == "infinity" else {1})
