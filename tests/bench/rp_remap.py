"""What a Bootstrap message costs the core: `python tests/bench/rp_remap.py [--family ipv6] [--groups N] [--ranges N]`.

One router with groups that a neighbour joined, in ranges with ten RPs each, all learned by Bootstrap messages. No
kernel, no sockets: processor time of `handle` and `drain`.

    same      the message comes again without a change; and how many groups were looked at
    lost      an RP is listed no more in so many ranges that about 100, 1,000 and all of its groups move

Exits with 1 if a message without change looks at any group, or a change looks at one that does not move.
"""

from __future__ import annotations

import argparse
from random import Random
from time import process_time

from pimpy.config.model import Config
from pimpy.core.engine.effects import ResolveRpf
from pimpy.core.engine.events import AddressesChanged, Configured, LinkChanged, PacketReceived, RouteResolved
from pimpy.core.pim import bsm
from pimpy.core.pim.rp_set import Choice, RpSet
from pimpy.core.pim.scope import GLOBAL
from pimpy.core.router import Router
from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, RpEntry, RpRange
from pimpy.wire.family import FAMILIES, IPV4, Address, Family, Prefix, parse_address
from pimpy.wire.join_prune import STAR_G, GroupSet, pack

UP, DOWN = 2, 3
RPS = 10


class Bench:
    """The router, a neighbour above that all RPs and the BSR are behind, and one below that joins."""

    def __init__(self, family: Family, ranges: int) -> None:
        self.family = family
        self.router = Router(family, Random(1))
        self.now = 1000.0
        four = family is IPV4
        self.up, self.down = (parse_address(x) for x in (("10.0.1.9", "10.0.2.9") if four else ("fe80::9", "fe80::a")))
        self.bsr = parse_address("10.9.0.1" if four else "2001:db8:9::1")
        self.rps = [parse_address(f"10.8.{n * 7}.{n}" if four else f"2001:db8:8:{n * 77}::{n}") for n in range(RPS)]
        self.ranges = [Prefix(self._network(number), 24 if four else 32) for number in range(ranges)]
        own = ("10.0.1.1", "10.0.2.1") if four else ("fe80::1", "fe80::2")
        self.own = [parse_address(text) for text in own]
        self.handle(Configured(Config(triggered_hello_delay=0.0)))
        for ifindex, address in zip((UP, DOWN), self.own, strict=True):
            self.handle(LinkChanged(ifindex, f"eth{ifindex}", True, True, False, False, 1500))
            self.handle(AddressesChanged(ifindex, ((address, 24 if four else 64),)))
        hello = pim.Hello(0xFFFF, pim.LanPruneDelay(False, 500, 2500), 1, 7)
        self.receive(UP, self.up, hello)
        self.receive(DOWN, self.down, hello)

    def _network(self, number: int) -> Address:
        if self.family is IPV4:
            return bytes((239, number >> 8, number & 255, 0))
        return bytes((0xFF, 0x1E, number >> 8, number & 255)) + bytes(12)

    def handle(self, *events: object) -> None:
        """Let events happen, and answer what is asked about routes: everything is behind the neighbour above."""
        for event in events:
            self.router.handle(event, self.now)  # type: ignore[arg-type]
        while True:
            asked = [effect.address for effect in self.router.drain() if isinstance(effect, ResolveRpf)]
            if not asked:
                return
            for address in asked:
                self.router.handle(RouteResolved(address, UP, self.up), self.now)

    def receive(self, ifindex: int, source: Address, message: pim.Message) -> None:
        """A message from a neighbour."""
        to = self.family.all_pim_routers
        data = pim.encode(self.family, source, to, message)
        self.handle(PacketReceived("pim", ifindex, source, to, 1, False, data))

    def bootstrap(self, without: int = 0) -> float:
        """The BSR's message; the first RP is missing in `without` ranges. Seconds of processor time."""
        entries = tuple(RpEntry(rp, 150, 0) for rp in self.rps)
        ranges = tuple(
            RpRange(prefix, False, False, len(rps), rps)
            for number, prefix in enumerate(self.ranges)
            for rps in [entries[1:] if number < without else entries]
        )
        self.now += 60
        message = Bootstrap(int(self.now) & 0xFFFF, self.family.bits - 2, 64, self.bsr, False, ranges)
        parts = bsm.fragments(self.family, GLOBAL, message, 1480)
        began = process_time()
        for part in parts:
            self.receive(UP, self.up, part)
        return process_time() - began

    def join(self, count: int) -> None:
        """So many groups, spread over the ranges."""
        random = Random(2)
        groups: set[Address] = set()
        while len(groups) < count:
            prefix = random.choice(self.ranges)
            if self.family is IPV4:
                groups.add(prefix.network[:3] + bytes((random.randrange(256),)))
            else:
                groups.add(prefix.network[:13] + random.randbytes(3))
        sets = (GroupSet(g, ((self.router.pim.rp_set.rp(g) or self.rps[0], STAR_G),), ()) for g in sorted(groups))
        for message in pack(self.family, self.own[1], 0xFFFF, sets, 1480):
            self.receive(DOWN, self.down, message)

    def with_first(self) -> int:
        """How many groups have the first RP."""
        return sum(tree.rp == self.rps[0] for tree in self.router.pim.tib.groups.values())


def counted() -> list[Address]:
    """The groups that are looked at from now on."""
    seen: list[Address] = []
    choose = RpSet.choose

    def spy(self: RpSet, group: Address) -> Choice:
        seen.append(group)
        return choose(self, group)

    RpSet.choose = spy  # type: ignore[method-assign]
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--family", choices=["ipv4", "ipv6"], default="ipv4")
    parser.add_argument("--groups", type=int, default=20_000)
    parser.add_argument("--ranges", type=int, default=200)
    options = parser.parse_args()
    family = next(each for each in FAMILIES if each.name == options.family)
    bench = Bench(family, options.ranges)
    bench.bootstrap()
    bench.join(options.groups)
    groups = len(bench.router.pim.tib.groups)
    print(
        f"{family.name}: {groups} groups, {options.ranges} ranges with {RPS} RPs, {bench.with_first()} of the first RP"
    )
    seen = counted()
    seconds = min(bench.bootstrap() for _ in range(3))
    failed = bool(seen)
    print(f"same      {1000 * seconds:8.1f} ms, {len(seen)} groups looked at")
    total = bench.with_first()
    for share in (0.05, 0.5, 1.0):
        before = bench.with_first()
        seen.clear()
        seconds = bench.bootstrap(without=int(share * options.ranges))
        moved = before - bench.with_first()
        looked = len(set(seen))
        failed |= looked > moved
        same = min(bench.bootstrap(without=int(share * options.ranges)) for _ in range(2))
        each = 1e6 * (seconds - same) / max(1, moved)
        print(
            f"lost      {1000 * seconds:8.1f} ms, {moved} of {total} moved, {looked} looked at, {each:.0f} us for each"
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
