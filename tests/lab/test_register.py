"""Conformance 3a: a new source reaches waiting receivers from its first datagram on.

That is through Register, shared tree, both switch-overs to its own tree and the Register-Stop: nothing is lost, and
nothing doubled for longer than that takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from pimpy.wire import pim
from pimpy.wire.family import IPV4, IPV6, parse_address

from .capture import assert_clean
from .kernel import forwards, mfc
from .pimpyd import QUICK, Pimpyd, prefer, wait_neighbors
from .shell import wait_until
from .test_register_guard import FORGED, SEND, packet
from .topology import Lab, Node
from .traffic import Receiver, Sender, Stream

FAMILIES = pytest.mark.parametrize("family", [4, 6])
RPS = ("src_dr", "between", "last_hop", "beside")
PLACES = pytest.mark.parametrize("rp", RPS)
RATE = 1000
GAP = 0.0007
"""A sender that was kept waiting does not make up for it by a burst, which would be more than RATE."""
COUNT = 3000
SOURCES = 100


def group(family: int, number: int = 1) -> str:
    return f"239.1.1.{number}" if family == 4 else f"ff0e::{number:x}"


@dataclass
class Row:
    """src - r1 - r2 - r3 - h, and r4 beside r2."""

    lab: Lab
    src: Node
    routers: list[Node]
    h: Node
    daemons: list[Pimpyd]
    rp: Pimpyd
    last: Pimpyd

    @classmethod
    def start(cls, lab: Lab, rp: str) -> Row:
        """The network, its daemons, and the RP of all groups: the source's DR, between, the last hop, or beside."""
        src, h = lab.host("src"), lab.host("h")
        routers = [lab.router(f"r{number}") for number in (1, 2, 3, 4)]
        r1, r2, r3, r4 = routers
        for left, right in ((src, r1), (r1, r2), (r2, r3), (r3, h), (r2, r4)):
            lab.link(left, right)
        lab.start()
        lab.capture_all()
        at, towards = {"src_dr": (r1, r2), "between": (r2, r1), "last_hop": (r3, r2), "beside": (r4, r2)}[rp]
        port = at.port(towards)
        text = QUICK + f"rp-address {port.ipv4}\nrp-address {port.ipv6}\n"
        daemons = [Pimpyd(router, text).start() for router in routers]
        wait_neighbors(daemons)
        prefer(daemons)
        return cls(lab, src, routers, h, daemons, daemons[routers.index(at)], daemons[2])

    def receive(self, family: int, groups: Sequence[str] = ()) -> Receiver:
        """The host wants these groups, or the first of its family, whoever sends; their shared trees stand."""
        groups = groups or [group(family)]
        receiver = Receiver(self.h.port("r3"), [(None, one) for one in groups])
        wanted = {("*", one) for one in groups}
        wait_until(lambda: wanted <= self.rp.joined(family) | self.trees(family), 20, "the shared trees stand")
        return receiver

    def trees(self, family: int) -> set[tuple[str, str]]:
        """The shared trees that end at the RP: it asks nobody for them."""
        return {
            (row["source_address"], row["group"])
            for row in self.rp.show("mroute", family)
            if row["row"] == "entry" and row["source_address"] == "*" and row["outgoing_count"]
        }


@dataclass(frozen=True)
class Count:
    """What became of a number of streams, all together."""

    missing_at_first: int
    """Datagrams before the first that arrived."""
    missing: int
    """All that did not arrive."""
    doubled: int

    @classmethod
    def of(cls, sent: int, streams: Iterable[Stream]) -> Count:
        """`sent` is the number of datagrams of each stream."""
        streams = list(streams)
        missing = sum(sent - (one.received - one.duplicates) for one in streams)
        return cls(missing - sum(one.lost for one in streams), missing, sum(one.duplicates for one in streams))


def assert_nothing_lost(count: Count, streams: int = 1) -> None:
    """Nothing is missing, and at each switch-over comes twice what is on both ways at once: on a quiet machine that is
    the one packet that proved the new way.
    """
    assert (count.missing_at_first, count.missing) == (0, 0), count
    assert count.doubled <= 10 + 3 * streams, count


@PLACES
def test_new_sources_at_1000_a_second_one_and_a_hundred(lab: Lab, rp: str) -> None:
    """In each family one source alone, which is heard again later; then a hundred that begin together."""
    row = Row.start(lab, rp)
    for family in (4, 6):
        one_new_source(row, family)
        a_hundred_new_sources(row, family)
    assert_clean(lab, *row.routers)


def one_new_source(row: Row, family: int) -> None:
    receiver = row.receive(family)
    sender = Sender(row.src.port("r1"), [group(family)], rate=RATE, count=COUNT, gap=GAP)
    sent = sender.wait_done().per_group
    wait_until(lambda: receiver.stream().last_seq == sent - 1, 10, "the stream arrives")
    assert_nothing_lost(Count.of(sent, [receiver.stream()]))
    assert forwards(row.routers[2], sender.source, group(family)) == {"h"}
    again = Sender(row.src.port("r1"), [group(family)], rate=RATE)
    receiver.wait_for(100)
    receiver.reset()
    receiver.wait_for(RATE)
    later = receiver.stream()
    assert (later.lost, later.duplicates, later.reordered) == (0, 0, 0), "its own tree has it alone"
    again.stop()
    receiver.stop()


def a_hundred_new_sources(row: Row, family: int) -> None:
    groups = [group(family, 2 + i) for i in range(SOURCES)]
    receiver = row.receive(family, groups)
    sender = Sender(row.src.port("r1"), groups, rate=RATE, count=COUNT, gap=GAP)
    sent = sender.wait_done().per_group
    wait_until(lambda: len(receiver.streams()) == SOURCES, 10, "the streams arrive")
    assert_nothing_lost(Count.of(sent, receiver.streams().values()), SOURCES)
    receiver.stop()


# What the architecture page says of the register tunnel.


def tunnel(router: Node, family: int) -> bool:
    """Whether the register tunnel is a vif of the router's table."""
    number = "" if family == 4 else "6"
    return f"pim{number}reg" in router.run("cat", f"/proc/net/ip{number}_mr_vif")


@FAMILIES
@pytest.mark.parametrize("transit", [False, True])
def test_the_tunnel_exists_where_a_router_is_dr_or_rp(lab: Lab, family: int, transit: bool) -> None:
    names = ("r1", "r2", "r3")
    routers = [lab.router(name) for name in names]
    lab.link(routers[0], routers[1]), lab.link(routers[1], routers[2])
    lab.start()
    rp = routers[2].port("r2").address(family)
    never = "".join(f"phyint {name} dr-priority 0\n" for name in ("r1", "r3")) if transit else ""
    daemons = [Pimpyd(r, QUICK + f"rp-address {rp}\n" + (never if r is routers[1] else "")).start() for r in routers]
    wait_neighbors(daemons)
    wait_until(lambda: tunnel(routers[0], family) and tunnel(routers[2], family), 10, "the tunnels of DR and RP")
    # A router is the DR of its links until it has heard of others: the tunnel of that time stays.
    assert not tunnel(routers[1], 10 - family), "no RP is known in the other family"


def test_what_the_kernel_takes_out_of_a_register_at_no_rp_goes_nowhere(lab: Lab) -> None:
    """A forged Register to the DR: the kernel takes it apart, and what is in it gets an entry that leads nowhere."""
    row = Row.start(lab, "between")
    for family in (4, 6):
        forged_registers_go_nowhere(row, family)


def forged_registers_go_nowhere(row: Row, family: int) -> None:
    receiver = row.receive(family)
    sender = Sender(row.src.port("r1"), [group(family)], rate=100)
    receiver.wait_for(100)
    stranger = row.src.port("r1").address(family)[:-1] + "9"
    to = row.routers[0].port("r2").address(family)
    value = IPV4 if family == 4 else IPV6
    inner = [packet(stranger, group(family), FORGED + number) for number in range(20)]
    own = parse_address(row.src.port("r1").address(family))
    messages = [pim.encode(value, own, parse_address(to), pim.Register(False, False, one)).hex() for one in inner]
    row.src.run(sys.executable, "-I", "-S", "-c", SEND, str(value.number), to, *messages)
    daemon = row.daemons[0]
    daemon.wait_for(lambda _: reason(daemon, family, "reg_not_rp") >= 20, 10, "each is refused")
    entry = mfc(row.routers[0], family).get((stranger, group(family)))
    assert entry is not None and entry.oifs == frozenset(), "the kernel need not ask again"
    assert (stranger, group(family)) not in receiver.streams()
    told = daemon.entry(stranger, group(family))
    assert told is None or told["mode"] == "negative"
    receiver.wait_for(100)
    sender.stop()


def reason(daemon: Pimpyd, family: int, word: str) -> int:
    """How often something was refused for this reason."""
    return sum(int(row["count"]) for row in daemon.show("counters", family) if row["reason"] == word)
