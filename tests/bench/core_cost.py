"""What the core alone costs for each (S,G): `python tests/bench/core_cost.py [--family ipv6] [COUNT...]`.

One router, a neighbour downstream that joins COUNT channels in packed Join/Prune messages, and one upstream that
they are joined to. No kernel, no sockets, no other process: processor time of `handle`, `advance` and `drain`.

    new       the Joins are new: entries, downstream and upstream machines, the route, the MFC entry, our own Join
    refresh   the same Joins a minute later: timers are extended
    upstream  our own Joins a minute later, packed and sent
    expire    nobody joins any more: everything is taken back
    bytes     memory of an entry and all that hangs on it, by tracemalloc

Exits with 1 if new or refresh grow by more than a third from the smallest count to 20,000.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections.abc import Iterator
from random import Random
from time import process_time

from pimpy.config.model import Config
from pimpy.core.engine.effects import Effect, ResolveRpf
from pimpy.core.engine.events import AddressesChanged, Configured, LinkChanged, PacketReceived, RouteResolved
from pimpy.core.router import Router
from pimpy.daemon.memory import tune_collector
from pimpy.wire import pim
from pimpy.wire.family import FAMILIES, IPV4, Address, Family, parse_address
from pimpy.wire.join_prune import SG, GroupSet, pack
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

UP, DOWN = 2, 3
MTU = 1500
BATCH = 32
"""Packets that the daemon reads at once."""
GROWTH = 4 / 3
COUNTS = (1000, 10_000, 20_000, 50_000)
WARM_UP = 2000


@frozen
class Cost(Value):
    """Microseconds, and bytes, for one (S,G)."""

    count: int
    new: float
    refresh: float
    upstream: float
    expire: float
    size: float


class Bench:
    """The router and its two neighbours."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.now = 1000.0
        self.router = Router(family, Random(1))
        self.handle(Configured(Config(triggered_hello_delay=0.0)))
        for ifindex, name in ((UP, "up"), (DOWN, "down")):
            self.handle(LinkChanged(ifindex, name, True, True, False, False, MTU))
            self.handle(AddressesChanged(ifindex, ((self.address(ifindex, 5), 64 if family.size == 16 else 24),)))
            hello = pim.Hello(0xFFFF, pim.LanPruneDelay(False, 500, 2500), 1, 7)
            self.receive(ifindex, 9, hello)
        self.answer(self.router.drain())
        self.pass_time(6.0)

    def address(self, ifindex: int, number: int) -> Address:
        """An address on a link."""
        return parse_address(f"10.0.{ifindex}.{number}" if self.family is IPV4 else f"fe80::{ifindex}:{number}")

    def handle(self, event: object) -> None:
        """An event happens."""
        self.router.handle(event, self.now)  # type: ignore[arg-type]

    def receive(self, ifindex: int, number: int, message: pim.Message) -> None:
        """A message of a neighbour arrives."""
        source, group = self.address(ifindex, number), self.family.all_pim_routers
        data = pim.encode(self.family, source, group, message)
        self.handle(PacketReceived("pim", ifindex, source, group, 1, False, data))

    def answer(self, effects: list[Effect]) -> None:
        """Routes are answered as the kernel's adapter does: as events of the next batch."""
        while effects:
            for effect in effects:
                if isinstance(effect, ResolveRpf):
                    self.handle(RouteResolved(effect.address, UP, self.address(UP, 9)))
            effects = self.router.drain()

    def pass_time(self, seconds: float) -> None:
        """Let timers fire one deadline after the other."""
        end = self.now + seconds
        while (when := self.router.next_deadline()) is not None and when <= end:
            self.now = when
            self.router.advance(when)
            self.answer(self.router.drain())
        self.now = end

    def packets(self, count: int) -> list[PacketReceived]:
        """The Joins of `count` channels as a neighbour packs them; ten channels share a source."""
        sets = [GroupSet(group, ((source, SG),), ()) for source, group in channels(self.family, count)]
        messages = pack(self.family, self.address(DOWN, 5), 210, sets, MTU - self.family.ip_header)
        source, group = self.address(DOWN, 9), self.family.all_pim_routers
        return [
            PacketReceived("pim", DOWN, source, group, 1, False, pim.encode(self.family, source, group, message))
            for message in messages
        ]

    def take(self, packets: list[PacketReceived]) -> None:
        """The daemon reads them, a batch at a time."""
        for first in range(0, len(packets), BATCH):
            for packet in packets[first : first + BATCH]:
                self.router.handle(packet, self.now)
            self.answer(self.router.drain())


def channels(family: Family, count: int) -> Iterator[tuple[Address, Address]]:
    """`count` channels, ten groups for each source."""
    for number in range(1, count + 1):
        low = number.to_bytes(3, "big")
        source = (number // 10).to_bytes(2, "big")
        if family is IPV4:
            yield bytes((198, 18)) + source, bytes((232,)) + low
        else:
            yield parse_address("2001:db8::")[:14] + source, parse_address("ff3e::8000:0")[:13] + low


def best(family: Family, count: int, rounds: int) -> Cost:
    """The best of some rounds, time by time: what disturbs a round only ever adds."""
    costs = [measure(family, count) for _ in range(rounds)]
    return Cost(
        count,
        min(cost.new for cost in costs),
        min(cost.refresh for cost in costs),
        min(cost.upstream for cost in costs),
        min(cost.expire for cost in costs),
        size(family, count),
    )


def measure(family: Family, count: int) -> Cost:
    """One round of everything but the memory."""
    bench = Bench(family)
    packets = bench.packets(count)
    tune_collector()
    start = process_time()
    bench.take(packets)
    new = process_time() - start
    assert len(bench.router.pim.tib.sg) == bench.router.forwarding.entries() == count
    bench.now += 59.0
    start = process_time()
    bench.take(packets)
    refresh = process_time() - start
    start = process_time()
    bench.pass_time(2.0)
    upstream = process_time() - start
    start = process_time()
    bench.pass_time(210.0)
    expire = process_time() - start
    assert not bench.router.pim.tib.sg and not bench.router.rpf.paths
    scale = 1e6 / count
    return Cost(count, new * scale, refresh * scale, upstream * scale, expire * scale, 0.0)


def size(family: Family, count: int) -> float:
    """Bytes that an (S,G) keeps, our own Join not yet forgotten by the heap included."""
    bench = Bench(family)
    packets = bench.packets(count)
    gc.collect()
    tracemalloc.start()
    bench.take(packets)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / count


def main() -> int:
    """Print a table, and tell whether the shape is right."""
    parser = argparse.ArgumentParser(description="What the core costs for each (S,G).")
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS)
    parser.add_argument("--family", choices=[family.name for family in FAMILIES], default="ipv4")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    family = next(family for family in FAMILIES if family.name == options.family)
    measure(family, WARM_UP)
    print(f"{family.name}, microseconds and bytes for each (S,G)")
    print("   count      new  refresh upstream   expire    bytes")
    costs = [best(family, count, options.rounds) for count in options.counts]
    for cost in costs:
        times = "".join(f" {value:8.2f}" for value in (cost.new, cost.refresh, cost.upstream, cost.expire))
        print(f"{cost.count:8}{times} {cost.size:8.0f}")
    first, upto = costs[0], [cost for cost in costs if cost.count <= 20_000][-1]
    grown = max(upto.new / first.new, upto.refresh / first.refresh)
    print(f"from {first.count} to {upto.count}: times {grown:.2f} (at most {GROWTH:.2f})")
    return 0 if grown <= GROWTH else 1


if __name__ == "__main__":
    raise SystemExit(main())
