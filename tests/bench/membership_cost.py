"""What IGMP and MLD cost the core: `python tests/bench/membership_cost.py [--family ipv6] [--groups N ...]`.

One router whose hosts report; no kernel, no sockets: processor time of `handle`, `advance` and `drain`, memory by
tracemalloc, and times on the core's own clock.

    groups    one host's reports of N groups, packed: new, and the same again as an answer to a query
    sources   reports that name N sources of one group, and the leave that asks for all of them
    hosts     N hosts, each with 10 groups of 200, answer one General Query within its 10 s; with explicit tracking too
    leave     silence after the last leave, on the core's clock, with and without tracking

The wave of answers must take less than a tenth of the 10 s, so that no Hello waits for it; exits with 1 if not.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from random import Random
from time import process_time

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.effects import ResolveRpf, SendPacket
from pimpy.core.engine.events import AddressesChanged, Configured, LinkChanged, PacketReceived, RouteResolved
from pimpy.core.router import Router
from pimpy.wire import igmp, mld
from pimpy.wire.family import FAMILIES, IPV4, Address, Family, parse_address
from pimpy.wire.membership import Record, RecordType, Report

UP, DOWN = 2, 3
BATCH = 32
"""Packets that the daemon reads at once."""
RESPONSE = 10.0
MOST_OF_IT = 0.1


class Bench:
    """A router with hosts on `down` and sources behind `up`."""

    def __init__(self, family: Family, phyint: Phyint | None = None) -> None:
        self.family, self.now = family, 1000.0
        self.codec = igmp if family is IPV4 else mld
        self.router = Router(family, Random(1))
        self.hellos: list[float] = []
        self.handle(Configured(Config(phyints=(phyint,) if phyint is not None else ())))
        for ifindex, name in ((UP, "up"), (DOWN, "down")):
            self.handle(LinkChanged(ifindex, name, True, True, False, False, 1500))
            self.handle(AddressesChanged(ifindex, ((self.address(ifindex, 5), 64 if family.size == 16 else 16),)))
        self.drain()

    def address(self, ifindex: int, number: int) -> Address:
        """An address on a link, a link-local one in IPv6."""
        text = f"10.{ifindex}.{number >> 8}.{number & 255}" if self.family is IPV4 else f"fe80::{ifindex}:{number:x}"
        return parse_address(text)

    def group(self, number: int) -> Address:
        base = "232.0.0.0" if self.family is IPV4 else "ff3e::8000:0"
        return self._plus(base, number + 1)

    def source(self, number: int) -> Address:
        return self._plus("198.18.0.0" if self.family is IPV4 else "2001:db8::", number + 1)

    def _plus(self, base: str, number: int) -> Address:
        return (int.from_bytes(parse_address(base), "big") + number).to_bytes(self.family.size, "big")

    def handle(self, event: object) -> None:
        self.router.handle(event, self.now)  # type: ignore[arg-type]

    def drain(self) -> None:
        """Do what follows; routes are answered at once."""
        while effects := self.router.drain():
            for effect in effects:
                if isinstance(effect, ResolveRpf):
                    self.handle(RouteResolved(effect.address, UP, None))
                elif isinstance(effect, SendPacket) and effect.protocol == "pim" and effect.data[0] == 0x20:
                    self.hellos.append(self.now)

    def report(self, host: int, records: list[Record]) -> PacketReceived:
        data = self.codec.encode(Report(tuple(records)))
        to = self.family.all_reports
        return PacketReceived(self.family.gmp, DOWN, self.address(DOWN, host), to, 1, True, data)

    def take(self, packets: list[PacketReceived]) -> float:
        """Read them, a batch at a time; microseconds for each."""
        start = process_time()
        for first in range(0, len(packets), BATCH):
            for packet in packets[first : first + BATCH]:
                self.router.handle(packet, self.now)
            self.drain()
        return (process_time() - start) / len(packets) * 1e6

    def until(self, end: float) -> None:
        while (when := self.router.next_deadline()) is not None and when <= end:
            self.now = max(self.now, when)
            self.router.advance(self.now)
            self.drain()
        self.now = end

    @property
    def records(self) -> int:
        return len(self.router.memberships[DOWN].link.groups)


def of_groups(family: Family, count: int) -> None:
    """CPU for each report and record, and bytes for each group."""
    source = Bench(family).source(1)
    per_report = 40 if family is IPV4 else 30
    kinds = (RecordType.ALLOW_NEW_SOURCES, RecordType.MODE_IS_INCLUDE)
    bench = Bench(family)
    packets = [
        [
            bench.report(1, [Record(kind, bench.group(n), (source,)) for n in range(at, min(at + per_report, count))])
            for at in range(0, count, per_report)
        ]
        for kind in kinds
    ]
    new = bench.take(packets[0])
    bench.now += 100.0
    again = bench.take(packets[1])
    assert bench.records == count
    gc.collect()
    tracemalloc.start()
    other = Bench(family)
    other.take(packets[0])
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    each = new / per_report, again / per_report
    print(f"  {count:6} groups: {each[0]:6.2f} us a new group, {each[1]:6.2f} us one that answers, {size:6.0f} bytes")


def of_sources(family: Family, count: int) -> None:
    bench = Bench(family)
    group, per_report = bench.group(1), 300 if family is IPV4 else 80
    sources = [bench.source(number) for number in range(count)]
    chunks = [tuple(sources[at : at + per_report]) for at in range(0, count, per_report)]
    packets = [bench.report(1, [Record(RecordType.ALLOW_NEW_SOURCES, group, chunk)]) for chunk in chunks]
    new = bench.take(packets) * len(packets) / count
    assert len(bench.router.memberships[DOWN].link.groups[group].sources) == count
    leave = bench.take([bench.report(1, [Record(RecordType.CHANGE_TO_INCLUDE_MODE, group, ())])]) / count
    bench.until(bench.now + 3.0)
    assert bench.records == 0
    print(f"  {count:6} sources of one group: {new:6.2f} us each, {leave:6.2f} us each when all are left")


def of_hosts(family: Family, count: int, *, tracked: bool) -> float:
    """The share of the response interval that the answers of all hosts take."""
    bench = Bench(family, Phyint("down", immediate_leave="tracked") if tracked else None)
    source = bench.source(1)
    waves = []
    for kind in (RecordType.ALLOW_NEW_SOURCES, RecordType.MODE_IS_INCLUDE):
        waves.append(
            [
                bench.report(100 + n, [Record(kind, bench.group((n + k * 37) % 200), (source,)) for k in range(10)])
                for n in range(count)
            ]
        )
    bench.take(waves[0])
    bench.now += 100.0
    each = bench.take(waves[1])
    share = each * count / 1e6 / RESPONSE
    words = "tracked" if tracked else "not tracked"
    print(f"  {count:6} hosts of 10 groups, {words}: {each:6.1f} us an answer, {share:.1%} of the {RESPONSE:g} s")
    return share


def of_leave(family: Family, *, tracked: bool) -> None:
    bench = Bench(family, Phyint("down", immediate_leave="tracked") if tracked else None)
    channel = (bench.source(1),)
    bench.take([bench.report(1, [Record(RecordType.ALLOW_NEW_SOURCES, bench.group(1), channel)])])
    bench.until(bench.now + 50.0)
    left = bench.now
    bench.take([bench.report(1, [Record(RecordType.BLOCK_OLD_SOURCES, bench.group(1), channel)])])
    while bench.router.pim.tib.sg and (when := bench.router.next_deadline()) is not None:
        bench.until(when)
    words = "tracked" if tracked else "asked for"
    print(f"  silence {bench.now - left:.3f} s after the last leave ({words})")


def main() -> int:
    """Print the figures, and tell whether a wave of answers leaves room for Hellos."""
    parser = argparse.ArgumentParser(description="What IGMP and MLD cost the core.")
    parser.add_argument("--family", choices=[family.name for family in FAMILIES], action="append")
    parser.add_argument("--groups", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--sources", type=int, default=5000)
    parser.add_argument("--hosts", type=int, default=1000)
    options = parser.parse_args()
    shares = []
    for family in FAMILIES:
        if options.family and family.name not in options.family:
            continue
        print(f"{family.name}:")
        of_groups(family, 500)  # warms up, and is not compared
        for count in options.groups:
            of_groups(family, count)
        of_sources(family, options.sources)
        for tracked in (False, True):
            shares.append(of_hosts(family, options.hosts, tracked=tracked))
            of_leave(family, tracked=tracked)
    return 0 if max(shares) < MOST_OF_IT else 1


if __name__ == "__main__":
    raise SystemExit(main())
