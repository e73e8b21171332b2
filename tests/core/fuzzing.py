"""A structure-aware fuzzer for `Router.handle`: messages that are nearly right, to a router that stands in the middle.

The router is the RP of one range of groups and not of another, has neighbours on three links, members, sources of its
own and trees of all kinds. Of each message the fields are drawn from what means something there (its neighbours, its
groups, its own addresses) and from what should not be; then, three times in ten, the bytes are spoiled: cut, extended,
flipped, a length or count set to an extreme, a part said twice. Nearly all get a right checksum, or they would not
come far. Time goes on between messages, so timers fire and state ends.

After every message: no exception, something was counted, nothing is left to be settled, every limit is kept.
After every BATCH of messages effects are applied to the fake kernel, twice. After every CHECK of them the whole set of
invariants (`invariants.py`) is worked out from nothing, which costs as much as a hundred messages: not after each one.

    python -m fuzzing --messages 1000000 [--seed N] [--family ipv4]     what `make fuzz` runs
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from random import Random
from struct import pack
from typing import ClassVar

from asm_stand import AsmStand
from datagrams import Datagram
from speakers import CODECS

from pimpy.config.model import BsrCandidate, Config, StaticRp
from pimpy.core.engine.events import NoCache, PacketReceived, WrongVif
from pimpy.core.interface import REGISTER_VIF
from pimpy.wire import pim
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement, GroupRange, RpEntry, RpRange
from pimpy.wire.checksum import internet_checksum, pseudo_header
from pimpy.wire.family import FAMILIES, Address, Family, Prefix, parse_address, parse_prefix
from pimpy.wire.join_prune import SG, SG_RPT, STAR_G, GroupSet, JoinPrune
from pimpy.wire.membership import Query, Record, Report

BATCH = 40
CHECK = 4096
LIMITS = (("sg", 60), ("groups", 20), ("neighbors", 12))
"""So that the limits are reached and the state stays small enough to be checked."""
GROUPS = {
    4: ("239.1.1.1", "239.1.1.2", "239.2.0.1", "232.1.1.1"),
    16: ("ff1e::1", "ff1e::2", "ff2e::1", "ff3e::8000:1"),
}
"""Two groups of our own, one of another RP, a source-specific one."""
STRANGE_GROUPS = {
    4: ("224.0.0.5", "232.0.0.0", "239.9.9.9", "10.0.0.1"),
    16: ("ff02::5", "ff3e::4000:0", "ff3f:9::9", "2001:db8::1"),
}
Parts = tuple[Address, Address, bytes]
"""(source, destination, message)."""


class Fuzzer:
    """One router, and what it is thrown at. All chance comes from the seed."""

    def __init__(self, family: Family, seed: int) -> None:
        self.family = family
        self.random = Random(seed)
        self.stand = AsmStand(family, rp="me", down=(2, 3), config=Config(state_limits=LIMITS))
        self.stand.net.checker.on = False
        self.stand.net.logging = False
        self._set_up()
        self.sent = 0
        self.link = "down"

    def taken(self, kind: str) -> int:
        """How many messages of a type the router took, in whole or in part."""
        values = self.stand.router.counters.values
        wanted = ("rx", kind, "")
        return sum(count for (_, _, *labels), count in values.items() if tuple(labels) == wanted)

    def refused(self, kind: str) -> set[str]:
        """The reasons for which messages of a type were refused."""
        counted = self.stand.router.counters.values
        return {reason for _, _, direction, type_, reason in counted if (direction, type_) == ("rx", kind)} - {""}

    def _set_up(self) -> None:
        stand, four = self.stand, self.family.size == 4
        ours, theirs = ("239.1.0.0/16", "239.2.0.0/16") if four else ("ff1e::/16", "ff2e::/16")
        other = parse_address("10.8.0.1" if four else "2001:db8:8::1")
        stand.r1.static_route(other, "rpt", stand.seven)
        stand.configure(
            rp_addresses=(StaticRp(stand.rp, parse_prefix(ours)), StaticRp(other, parse_prefix(theirs))),
            message_limits=tuple((kind, 0) for kind in ("hello", "join-prune", "assert", "register", "register-stop")),
            register_limit=0,
            bsr_candidates=(BsrCandidate(priority=200),),
        )
        self.groups = [parse_address(text) for text in GROUPS[self.family.size]]
        self.strange_groups = [parse_address(text) for text in STRANGE_GROUPS[self.family.size]]
        self.sources = [stand.far(number)[0] for number in range(1, 5)]
        self.sources += [stand.near(number=number)[0] for number in (200, 201)]
        nobody = ("127.0.0.1", "0.0.0.0", "255.255.255.255") if four else ("::1", "::", "fe80::77")
        self.nobodies = [parse_address(text) for text in nobody]
        self.rps = [stand.rp, other]
        self.routers = {
            "up": [stand.nine, stand.net.link_local("up", 8)],
            "down": [stand.net.link_local("down", number) for number in (2, 3, 4)],
            "rpt": [stand.seven],
        }
        self.hosts = [stand.net.link_local("down", number) for number in (100, 101)]
        host = stand.net.host("down")
        host.want_any(self.groups[0])
        host.join(self.groups[3], self.sources[0])
        stand.say("Join(*,G)", holdtime=0xFFFF)
        for group in self.groups[:3]:
            stand.data((self.sources[0], group), "up")
            stand.data((self.sources[4], group), "src")
        stand.run(200)  # until we are the BSR

    # Chance.

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def number(self, bits: int) -> int:
        """Mostly one that means something, else any."""
        if self.chance(0.7):
            return self.random.choice((0, 1, 2, 3, 60, 105, 210, (1 << bits) - 1, 1 << bits - 1)) & ((1 << bits) - 1)
        return self.random.getrandbits(bits)

    def group(self) -> Address:
        return self.random.choice(self.groups if self.chance(0.9) else self.strange_groups)

    def source(self) -> Address:
        if self.chance(0.1):
            return self.random.choice((*self.nobodies, *self.rps, self.random.randbytes(self.family.size)))
        return self.random.choice(self.sources)

    def anybody(self) -> Address:
        """An address of a router, a host, ourselves or nobody."""
        everybody = [a for addresses in self.routers.values() for a in addresses]
        return self.random.choice((*everybody, *self.rps, *self.hosts, *self.nobodies, self.stand.us("up")))

    # Messages as they should be, or nearly so.

    def encoded(self, message: pim.Message, to: Address | None = None) -> Parts:
        neighbor = self.random.choice(self.routers[self.link]) if self.chance(0.9) else self.anybody()
        to = self.family.all_pim_routers if to is None or self.chance(0.02) else to
        return neighbor, to, pim.encode(self.family, neighbor, to, message)

    def hello(self) -> Parts:
        delay = pim.LanPruneDelay(self.chance(0.5), self.number(15), self.number(16))
        listed = tuple(dict.fromkeys(self.anybody() for _ in range(self.random.randrange(4))))
        return self.encoded(
            pim.Hello(
                self.number(16) if self.chance(0.3) else 105,
                delay if self.chance(0.7) else None,
                self.number(32) if self.chance(0.8) else None,
                self.number(32) if self.chance(0.8) else None,
                listed or None,
            )
        )

    def join_prune(self) -> Parts:
        sets = []
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            group = self.group()
            lists: list[tuple[tuple[Address, int], ...]] = []
            for _ in range(2):
                entries = []
                for _ in range(self.random.choice((0, 1, 1, 2, 5))):
                    flags = self.random.choice((SG, SG, SG_RPT, STAR_G))
                    rp = self.random.choice(self.rps) if self.chance(0.9) else self.source()
                    entries.append((rp if flags == STAR_G else self.source(), flags))
                lists.append(tuple(dict.fromkeys(entries)))
            sets.append(GroupSet(group, lists[0], lists[1]))
        to = self.stand.us(self.link) if self.chance(0.7) else self.anybody()
        return self.encoded(JoinPrune(to, self.number(16) if self.chance(0.3) else 210, tuple(sets)))

    def assertion(self) -> Parts:
        source = self.family.any if self.chance(0.2) else self.source()
        return self.encoded(pim.Assert(self.group(), source, self.chance(0.4), self.number(31), self.number(32)))

    def register(self) -> Parts:
        channel = self.source(), self.group()
        null = self.chance(0.3)
        inner = pim.dummy_header(self.family, *channel) if null else Datagram(*channel, self.sent).to_bytes()
        return self.encoded(pim.Register(self.chance(0.1), null, inner), self._one_of_ours())

    def register_stop(self) -> Parts:
        source = self.family.any if self.chance(0.1) else self.source()
        rp, to = self.random.choice(self.rps), self._one_of_ours()
        stop = pim.encode(self.family, rp, to, pim.RegisterStop(self.group(), source))
        return rp if self.chance(0.9) else self.anybody(), to, stop

    def _one_of_ours(self) -> Address:
        addresses = [address for port in self.stand.r1.ports.values() for address, _ in port.addresses]
        return self.stand.rp if self.chance(0.6) else self.random.choice((*addresses, self.anybody()))

    def _range(self) -> Prefix:
        length = self.random.randrange(self.family.multicast.length, self.family.bits + 1)
        bits = int.from_bytes(self.random.choice(self.groups), "big") >> (self.family.bits - length)
        return Prefix((bits << (self.family.bits - length)).to_bytes(self.family.size, "big"), length)

    def bootstrap(self) -> Parts:
        ranges = []
        for _ in range(self.random.randrange(4)):
            found = tuple(
                RpEntry(self.random.choice((*self.rps, *self.sources)), self.number(16), self.number(8))
                for _ in range(self.random.randrange(4))
            )
            count = min(255, len(found) + self.random.choice((0, 0, 0, 1)))
            ranges.append(RpRange(self._range(), self.chance(0.1), self.chance(0.1), count, found))
        mask = self.random.randrange(self.family.bits + 1)
        bsr = self.random.choice((*self.sources, *self.rps))
        message = Bootstrap(self.number(16), mask, self.number(8), bsr, self.chance(0.1), tuple(ranges))
        return self.encoded(message, self._one_of_ours() if self.chance(0.1) else None)

    def candidate_rp(self) -> Parts:
        groups = tuple(GroupRange(self._range(), self.chance(0.1)) for _ in range(self.random.randrange(1, 4)))
        rp = self.random.choice((*self.sources, *self.rps))
        message = CandidateRpAdvertisement(rp, self.number(8), self.number(16), groups)
        return self.encoded(message, self._one_of_ours())

    def unknown(self) -> Parts:
        kind = self.random.choice((6, 7, 9, 10, 11, 12, 13, 14, 15))
        data = bytes((0x20 | kind, self.number(8), 0, 0)) + self.random.randbytes(self.random.randrange(64))
        return self.random.choice(self.routers[self.link]), self.family.all_pim_routers, data

    def query(self) -> Parts:
        group = self.family.any if self.chance(0.5) else self.group()
        count = self.random.randrange(4) if self.chance(0.3) else 0
        sources = tuple(dict.fromkeys(self.source() for _ in range(count)))
        version = 3 if self.family.size == 4 else 2
        response = self.random.choice((0.0, 1.0, 10.0))
        said = Query(version, group, response, self.chance(0.1), self.number(3), 125.0, sources)
        sender = self.random.choice((*self.routers["down"], *self.hosts))
        to = self.family.all_hosts if group == self.family.any else group
        return sender, to, CODECS[self.family.gmp].encode(said)

    def report(self) -> Parts:
        records = []
        for _ in range(self.random.choice((1, 1, 2, 4))):
            sources = tuple(dict.fromkeys(self.source() for _ in range(self.random.randrange(4))))
            records.append(Record(self.random.randrange(1, 7), self.group(), sources))
        sender = self.random.choice(self.hosts) if self.chance(0.95) else self.anybody()
        return sender, self.family.all_reports, CODECS[self.family.gmp].encode(Report(tuple(records)))

    TYPES: ClassVar[dict[str, Callable[[Fuzzer], Parts]]] = {
        "hello": hello,
        "register": register,
        "register_stop": register_stop,
        "join_prune": join_prune,
        "bootstrap": bootstrap,
        "assert": assertion,
        "candidate_rp_advertisement": candidate_rp,
        "unknown": unknown,
        "query": query,
        "report": report,
    }

    # Spoiling.

    def spoil(self, data: bytes) -> bytes:
        """One or two things wrong with the bytes."""
        spoiled = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2))):
            if not spoiled:
                break
            place, how = self.random.randrange(len(spoiled)), self.random.randrange(6)
            if how == 0:
                del spoiled[place:]
            elif how == 1:
                spoiled += self.random.randbytes(self.random.randrange(1, 40))
            elif how == 2:
                spoiled[place] ^= 1 << self.random.randrange(8)
            elif how == 3:
                spoiled[place] = self.random.choice((0, 1, 0x7F, 0x80, 0xFF))
            elif how == 4:
                spoiled[place : place + 2] = pack(">H", self.random.choice((0, 1, 0x7FFF, 0xFFFF)))
            else:
                spoiled[place:place] = spoiled[place : place + self.random.randrange(1, 20)]
        return bytes(spoiled)

    def sealed(self, kind: str, source: Address, to: Address, data: bytes) -> bytes:
        """With a right checksum, where there is room for one."""
        gmp, four = kind in ("query", "report"), self.family.size == 4
        if len(data) < 4 or (gmp and not four):
            return data  # the checksum of MLD is the kernel's business
        covered = 8 if not gmp and data[0] & 0x0F == 1 else len(data)
        blank = (data[:2] + bytes(2) + data[4:])[:covered]
        pseudo = b"" if four else pseudo_header(source, to, len(blank), 103)
        return data[:2] + internet_checksum(pseudo + blank).to_bytes(2, "big") + data[4:]

    # Throwing.

    def throw(self, kind: str) -> None:
        """One message of a kind."""
        self.link = self.random.choice(("down", "down", "up", "rpt"))
        source, to, data = self.TYPES[kind](self)
        if self.chance(0.3):
            data = self.spoil(data)
            if self.chance(0.95):
                data = self.sealed(kind, source, to, data)
        protocol = self.family.gmp if kind in ("query", "report") else "pim"
        ifindex = self.stand.r1.ports[self.link].ifindex
        ttl = 1 if self.chance(0.98) else 64
        event = PacketReceived(protocol, ifindex, source, to, ttl, protocol != "pim", data)
        router = self.stand.router
        before = sum(router.counters.values.values())
        router.handle(event, self.stand.net.now)
        counted = sum(router.counters.values.values()) > before
        assert counted or self._is_silent(protocol, source), f"nobody counted {event}"
        self._check_cheaply()
        self.sent += 1
        if self.sent % BATCH == 0:
            self._let_time_pass()
        if self.sent % CHECK == 0:
            self.check()

    def _is_silent(self, protocol: str, source: Address) -> bool:
        """IGMP and MLD of our own come back to us, and are not counted."""
        return protocol != "pim" and any(source == own for own, _ in self.stand.r1.ports[self.link].addresses)

    def _check_cheaply(self) -> None:
        pim_, limits = self.stand.router.pim, dict(LIMITS)
        assert not pim_.touched._items, "left to be settled"
        assert len(pim_.tib.sg) <= limits["sg"] and len(pim_.tib.groups) <= limits["groups"] + limits["sg"]
        assert all(len(interface.neighbors) <= limits["neighbors"] for interface in pim_.interfaces.values())

    def _let_time_pass(self) -> None:
        """Data comes, timers fire, effects are applied."""
        source, group = self.random.choice(self.sources), self.random.choice(self.groups)
        vif = self.stand.r1.vif(self.random.choice(("up", "down", "src", "rpt")))
        if self.chance(0.3) and vif is not None:
            self.stand.r1.handle(self.random.choice((NoCache, WrongVif))(vif, source, group))
        if self.chance(0.05):
            self.stand.r1.handle(NoCache(REGISTER_VIF, source, group))
        self.stand.net.touch(self.stand.r1)
        self.stand.run(self.random.choice((0.0, 0.01, 0.1, 1.0)) if self.chance(0.99) else 100.0)
        self.stand.r1.notices.clear()

    def check(self) -> None:
        """The whole set of invariants."""
        self.stand.net.touch(self.stand.r1)
        self.stand.run(0)
        self.stand.net.checker.on = True
        try:
            self.stand.net.checker.check(self.stand.r1)
        finally:
            self.stand.net.checker.on = False


def main() -> int:
    """The command line."""
    grammar = argparse.ArgumentParser(description="Throw many messages at a router of the fake network.")
    grammar.add_argument("--messages", type=int, default=1_000_000, help="in all, of all types and families")
    grammar.add_argument("--seed", type=int, default=None, help="chance begins here; another one each time without it")
    grammar.add_argument("--family", choices=[family.name for family in FAMILIES], help="one family only")
    said = grammar.parse_args()
    seed = int(time.time()) if said.seed is None else said.seed
    families = [family for family in FAMILIES if said.family in (None, family.name)]
    for family in families:
        fuzzer, started = Fuzzer(family, seed), time.monotonic()
        kinds, count = list(Fuzzer.TYPES), said.messages // len(families)
        for number in range(count):
            try:
                fuzzer.throw(fuzzer.random.choice(kinds))
            except BaseException:
                print(f"fuzz: {family.name}, --seed {seed}: message {number} of {count}", file=sys.stderr)
                raise
            if number % 50_000 == 49_999:
                print(f"fuzz: {family.name}, seed {seed}: {number + 1} of {count}, {time.monotonic() - started:.0f} s")
        fuzzer.check()
        entries = len(fuzzer.stand.router.pim.tib.sg)
        print(f"fuzz: {family.name}, seed {seed}: {count} messages, {entries} (S,G) at the end, no complaint")
    return 0


if __name__ == "__main__":
    sys.exit(main())
