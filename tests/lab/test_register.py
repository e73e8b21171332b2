"""Conformance 3a and 3b: a new source reaches waiting receivers from its first datagram on, and how it lives.

That is through Register, shared tree, both switch-overs to its own tree and the Register-Stop: nothing is lost, and
nothing doubled for longer than that takes. And who comes first, who leaves and comes back, who falls silent.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from pimpy.wire import pim
from pimpy.wire.family import IPV4, IPV6, parse_address

from .capture import assert_clean
from .kernel import forwards, mfc
from .pimpyd import QUICK, Pimpyd, prefer, wait_neighbors
from .sharing import Shared, shared_by_a_file
from .shell import LabError, wait_until
from .test_register_guard import FORGED, SEND, packet
from .topology import Lab, Node
from .traffic import Receiver, Sender, Stream

pytestmark = pytest.mark.usefixtures("pimpyd", "captures")
PLACES = {"src_dr": 0, "between": 1, "last_hop": 2, "beside": 3}
"""Where an RP is: which of the routers. Each has a range of groups."""
RATE = 1000
GAP = 0.0007
"""A sender that was kept waiting does not make up for it by a burst, which would be more than RATE."""
COUNT = 3000
SOURCES = 100
LIFE, SILENT, FORGERY, QUIET = range(SOURCES + 2, SOURCES + 6)
"""Numbers of the groups of tests that want one only."""
SOON = 2.0
"""Seconds from the report to the first datagram. It takes less than 0.2 s on a quiet machine; a busy one is slower."""


class Row:
    """src - r1 - r2 - r3 - h, and r4 beside r2. Each router is the RP of some groups, so all tests share them.

    From the beginning src sends to a group that nobody wants.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab, self.intact = lab, False
        self.src, self.h = lab.host("src"), lab.host("h")
        self.routers = r1, r2, r3, r4 = [lab.router(f"r{number}") for number in (1, 2, 3, 4)]
        for left, right in ((self.src, r1), (r1, r2), (r2, r3), (r3, self.h), (r2, r4)):
            lab.link(left, right)
        lab.start()
        lab.capture_all()
        addresses = [at.port(towards) for at, towards in ((r1, r2), (r2, r1), (r3, r2), (r4, r2))]
        text = QUICK + "".join(
            f"rp-address {port.ipv4} 239.1.{number}.0/24\nrp-address {port.ipv6} ff0e::{number}:0/112\n"
            for number, port in enumerate(addresses, 1)
        )
        self.daemons = [Pimpyd(router, text).launch() for router in self.routers]
        for daemon in self.daemons:
            daemon.wait_ready()
        wait_neighbors(self.daemons)
        prefer(self.daemons)
        self.last = self.daemons[2]
        self.tools: list[Receiver | Sender] = []
        self.quiet = Quiet(self)

    def send(self, groups: Sequence[str], rate: float = RATE, count: int | None = None, gap: float = 0.0) -> Sender:
        sender = Sender(self.src.port("r1"), groups, rate=rate, count=count, gap=gap)
        if count is None:
            self.tools.append(sender)
        return sender

    def receive(self, groups: Iterable[str]) -> Receiver:
        """The host wants these groups, whoever sends."""
        receiver = Receiver(self.h.port("r3"), [(None, one) for one in groups])
        self.tools.append(receiver)
        return receiver

    def end(self) -> None:
        """A test ends well: its streams end too."""
        while self.tools:
            with contextlib.suppress(LabError):  # it has ended
                self.tools.pop().stop()
        self.intact = True


class Quiet:
    """The source that nobody wants, and the Registers about it."""

    def __init__(self, row: Row) -> None:
        place = Place(row, "between")
        groups = {family: place.group(family, QUIET) for family in (4, 6)}
        four, six = (parse_address(group)[-4:].hex() for group in groups.values())
        registers = f"(ip[9] == 103 and ip[20] == 0x21 and ip[44:4] == 0x{four})"
        registers += f" or (ip6[6] == 103 and ip6[40] == 0x21 and ip6[84:4] == 0x{six})"
        self.capture = row.src.lab.links[1].capture(registers)
        self.keys = {family: (row.src.port("r1").address(family), group) for family, group in groups.items()}
        self.senders = [Sender(row.src.port("r1"), [group], rate=50) for group in groups.values()]

    def registers(self, family: int) -> tuple[int, int]:
        """Those with data, and the Null-Registers."""
        data, start, found = self.capture.path.read_bytes(), 24, [0, 0]
        while len(data) >= start + 16:  # the records of a pcap file
            (length,) = struct.unpack_from("=I", data, start + 8)
            frame = data[start + 16 : start + 16 + length]
            flags = 14 + (20 if family == 4 else 40) + 4  # behind Ethernet, IP, and PIM's own four bytes
            if frame[12:14] == (b"\x08\x00" if family == 4 else b"\x86\xdd"):
                found[bool(frame[flags] & 0x40)] += 1
            start += 16 + length
        return found[0], found[1]


@dataclass(frozen=True)
class Place:
    """One of the RPs and its groups."""

    row: Row
    name: str

    @property
    def rp(self) -> Pimpyd:
        return self.row.daemons[PLACES[self.name]]

    def group(self, family: int, number: int = 1) -> str:
        place = PLACES[self.name] + 1
        return f"239.1.{place}.{number}" if family == 4 else f"ff0e::{place:x}:{number:x}"

    def receive(self, family: int, groups: Sequence[str]) -> Receiver:
        """The host wants these groups, whoever sends; their shared trees stand."""
        receiver = self.row.receive(groups)
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


shared = shared_by_a_file(Row, lambda row: assert_clean(row.lab, *row.routers))


@pytest.fixture
def row(shared: Shared[Row]) -> Row:
    return shared.take()


@pytest.fixture
def place(row: Row, rp: str) -> Place:
    return Place(row, rp)


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


@pytest.mark.parametrize("rp", PLACES)
def test_new_sources_at_1000_a_second_one_and_a_hundred(place: Place) -> None:
    """In each family one source alone, which is heard again later; then a hundred that begin together."""
    for family in (4, 6):
        one_new_source(place, family)
        a_hundred_new_sources(place, family)
    place.row.end()


def one_new_source(place: Place, family: int) -> None:
    group = place.group(family)
    receiver = place.receive(family, [group])
    sender = place.row.send([group], RATE, COUNT, GAP)
    sent = sender.wait_done().per_group
    wait_until(lambda: receiver.stream().last_seq == sent - 1, 10, "the stream arrives")
    assert_nothing_lost(Count.of(sent, [receiver.stream()]))
    assert forwards(place.row.routers[2], sender.source, group) == {"h"}
    again = place.row.send([group])
    receiver.wait_for(100)
    receiver.reset()
    receiver.wait_for(RATE)
    later = receiver.stream()
    assert (later.lost, later.duplicates, later.reordered) == (0, 0, 0), "its own tree has it alone"
    again.stop()
    receiver.stop()


def a_hundred_new_sources(place: Place, family: int) -> None:
    groups = [place.group(family, 2 + i) for i in range(SOURCES)]
    receiver = place.receive(family, groups)
    sent = place.row.send(groups, RATE, COUNT, GAP).wait_done().per_group
    wait_until(lambda: len(receiver.streams()) == SOURCES, 10, "the streams arrive")
    assert_nothing_lost(Count.of(sent, receiver.streams().values()), SOURCES)
    receiver.stop()


@pytest.mark.parametrize("rp", ["src_dr", "between", "last_hop"])
def test_source_first_receiver_later_and_again(place: Place) -> None:
    row, groups = place.row, [place.group(family, LIFE) for family in (4, 6)]
    keys = [(sender.source, sender.groups[0]) for sender in [row.send([group], 200) for group in groups]]
    place.rp.wait_for(lambda one: all(one.entry(*key) for key in keys), 10, "the RP has heard of the sources")
    receivers = [row.receive([group]) for group in groups]
    for receiver in receivers:
        receiver.wait_for(200)
        assert receiver.stream().first_time - receiver.joined_at < SOON
        receiver.reset()
    for receiver in receivers:
        receiver.wait_for(200)
        assert (receiver.stream().lost, receiver.stream().duplicates) == (0, 0)
    for _ in range(2):
        for receiver in receivers:
            receiver.leave()
        wait_until(lambda: not any(forwards(row.routers[2], *key) for key in keys), 20, "they stop at the last hop")
        joined = []
        for receiver, group in zip(receivers, groups, strict=True):
            receiver.reset()
            joined.append(receiver.join((None, group)))
        for receiver, since in zip(receivers, joined, strict=True):
            receiver.wait_for(200)
            assert receiver.stream().first_time - since < SOON, "coming back is as quick as coming"
            assert receiver.stream().lost <= 5
    row.end()


@pytest.mark.parametrize("rp", ["between"])
def test_what_the_kernel_takes_out_of_a_register_at_no_rp_goes_nowhere(place: Place) -> None:
    """A forged Register to the DR: the kernel takes it apart, and what is in it gets an entry that leads nowhere."""
    for family in (4, 6):
        forged_registers_go_nowhere(place, family)
    place.row.end()


def forged_registers_go_nowhere(place: Place, family: int) -> None:
    row, group = place.row, place.group(family, FORGERY)
    receiver = place.receive(family, [group])
    row.send([group], 100)
    receiver.wait_for(100)
    stranger = row.src.port("r1").address(family)[:-1] + "9"
    to = row.routers[0].port("r2").address(family)
    value = IPV4 if family == 4 else IPV6
    inner = [packet(stranger, group, FORGED + number) for number in range(20)]
    own = parse_address(row.src.port("r1").address(family))
    messages = [pim.encode(value, own, parse_address(to), pim.Register(False, False, one)).hex() for one in inner]
    row.src.run(sys.executable, "-I", "-S", "-c", SEND, str(value.number), to, *messages)
    daemon = row.daemons[0]
    daemon.wait_for(lambda _: reason(daemon, family, "reg_not_rp") >= 20, 10, "each is refused")
    entry = mfc(row.routers[0], family).get((stranger, group))
    assert entry is not None and entry.oifs == frozenset(), "the kernel need not ask again"
    assert (stranger, group) not in receiver.streams()
    told = daemon.entry(stranger, group)
    assert told is None or told["mode"] == "negative"
    receiver.wait_for(100)


def test_null_registers_alone_keep_the_source_known_at_the_rp(row: Row) -> None:
    """No receiver: the RP stops the DR at once, and the DR probes with Null-Registers until the source falls silent."""
    dr, rp, quiet = row.daemons[0], row.daemons[1], row.quiet
    for family, key in quiet.keys.items():
        dr.wait_for(lambda one, k=key: register_state(one, *k) == "prune", 10, "stopped")  # type: ignore[misc]
        wait_until(lambda f=family: quiet.registers(f)[1], 95, "Null-Registers probe")  # type: ignore[misc]
        assert 1 <= quiet.registers(family)[0] <= 20, "data at the beginning alone"
        assert rp.entry(*key), "the RP knows the source"
        assert not forwards(row.routers[1], *key)
        assert reason(rp, family, "reg_not_rp") == 0
    row.end()


def register_state(daemon: Pimpyd, source: str, to: str) -> str | None:
    """The state of the Register machine."""
    entry = daemon.entry(source, to)
    return None if entry is None else entry["register_state"]


@pytest.mark.parametrize("rp", ["between"])
def test_a_source_that_was_silent_longer_than_its_entries_live(place: Place) -> None:
    """The routers begin anew in between, which forgets the entries as 210 s of silence do.

    In virtual time the period itself passes (tests/core/test_register_tunnel.py).
    """
    row, groups = place.row, {family: place.group(family, SILENT) for family in (4, 6)}
    receivers = {family: place.receive(family, [group]) for family, group in groups.items()}
    for family, receiver in receivers.items():
        send_a_part(row, groups[family], receiver)
    for daemon in row.daemons:
        daemon.stop()
        daemon.launch()
    for daemon in row.daemons:
        daemon.wait_ready()
    wait_neighbors(row.daemons)
    for family, receiver in receivers.items():
        entry, tree = (row.src.port("r1").address(family), groups[family]), ("*", groups[family])
        wait_until(lambda f=family, e=entry: not any(e in mfc(r, f) for r in row.routers), 20, "forgotten")  # type: ignore[misc]
        wait_until(lambda f=family, t=tree: t in row.last.joined(f), 20, "the shared tree stands again")  # type: ignore[misc]
        receiver.reset()
        send_a_part(row, groups[family], receiver)
        stream = receiver.stream()
        assert 1000 - (stream.received - stream.duplicates) <= 10 and stream.duplicates <= 10, stream
    prefer(row.daemons)
    row.end()


def send_a_part(row: Row, group: str, receiver: Receiver) -> None:
    """A thousand packets in two seconds, the last of which arrives."""
    row.send([group], 500, 1000).wait_done()
    wait_until(lambda: receiver.stream().last_seq == 999, 10, "the last packet of a part arrives")


# What the architecture page says of the register tunnel.


def tunnel(router: Node, family: int) -> bool:
    """Whether the register tunnel is a vif of the router's table."""
    number = "" if family == 4 else "6"
    return f"pim{number}reg" in router.run("cat", f"/proc/net/ip{number}_mr_vif")


@pytest.mark.parametrize("family", [4, 6])
def test_the_tunnel_exists_where_a_router_is_dr_or_rp(lab: Lab, family: int) -> None:
    """r1 - r2 - r3 - r4, r4 being the RP; r2 may become a DR, r3 never does."""
    routers = r1, r2, r3, r4 = [lab.router(f"r{number}") for number in (1, 2, 3, 4)]
    for left, right in itertools.pairwise(routers):
        lab.link(left, right)
    lab.start()
    never = "phyint r2 dr-priority 0\nphyint r4 dr-priority 0\n"
    text = f"{QUICK}rp-address {r4.port('r3').address(family)}\n"
    daemons = [Pimpyd(router, text + (never if router is r3 else "")).launch() for router in routers]
    for daemon in daemons:
        daemon.wait_ready()
    wait_neighbors(daemons)
    wait_until(lambda: tunnel(r1, family) and tunnel(r4, family), 10, "the tunnels of DR and RP")
    # A router is the DR of its links until it has heard of others: the tunnel of that time stays.
    assert not tunnel(r2, 10 - family) and not tunnel(r3, 10 - family), "no RP is known in the other family"


def reason(daemon: Pimpyd, family: int, word: str) -> int:
    """How often something was refused for this reason."""
    return sum(int(row["count"]) for row in daemon.show("counters", family) if row["reason"] == word)
