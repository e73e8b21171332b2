"""The stand with Bootstrap messages: one router between scripted neighbours, BSRs and RPs somewhere behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asm_stand import AsmStand
from stand import UPSTREAM

from pimpy.config.model import BsrCandidate, Config, RpCandidate
from pimpy.core.pim.bsr import BsrZone
from pimpy.core.pim.scope import GLOBAL, Zone
from pimpy.wire.bootstrap import Bootstrap, CandidateRpAdvertisement, GroupRange, RpEntry, RpRange
from pimpy.wire.family import Address, Family, Prefix, parse_address, parse_prefix

Rps = Iterable[tuple[Address, int] | tuple[Address, int, int]]
"""(RP, priority) or (RP, priority, holdtime)."""
HOLDTIME = 150
ZONES = {4: "239.192.0.0/14", 16: "ff05::/16"}


class BsrStand(AsmStand):
    """A router without static RPs; 9 on `up` leads to BSRs and RPs unless a test says otherwise."""

    def __init__(self, family: Family, config: Config | None = None, started: float = 100.0, **settings: Any) -> None:
        super().__init__(family, rp="none", config=config or Config(), **settings)
        self.tag = 0
        self.run(started)
        self.mark()

    # Who is there.

    def behind(self, number: int, by: int = UPSTREAM, link: str = "up") -> Address:
        """The address of a router behind a neighbour: 10.6.0.N or 2001:db8:6::N."""
        address = parse_address(f"10.6.0.{number}" if self.family.size == 4 else f"2001:db8:6::{number:x}")
        self.r1.static_route(address, link, self.peer(link, by).address)
        return address

    @property
    def me(self) -> Address:
        """Our routable address on `src`."""
        return self.net.address("src", 5)

    @property
    def everything(self) -> Prefix:
        """All groups."""
        return self.family.multicast

    def range(self, four: str, six: str) -> Prefix:
        """A range of the family."""
        return parse_prefix(four if self.family.size == 4 else six)

    @property
    def scope(self) -> Prefix:
        """A range that is an admin-scope zone."""
        return parse_prefix(ZONES[self.family.size])

    def inside(self, number: int = 1) -> Address:
        """A group in that zone."""
        return parse_address(f"239.192.1.{number}" if self.family.size == 4 else f"ff05::1:{number:x}")

    # What they say.

    def listed(
        self, prefix: Prefix, *rps: Any, count: int | None = None, zone: bool = False, bidir: bool = False
    ) -> RpRange:
        """A range with RPs, each an address, (address, priority) or (address, priority, holdtime)."""
        entries = []
        for rp in rps:
            address, *rest = rp if isinstance(rp, tuple) else (rp,)
            priority, holdtime = (*rest, 0, HOLDTIME)[:2] if len(rest) != 1 else (rest[0], HOLDTIME)
            entries.append(RpEntry(address, holdtime, priority))
        return RpRange(prefix, bidir, zone, len(entries) if count is None else count, tuple(entries))

    def message(self, bsr: Address, *ranges: RpRange, priority: int = 64, **changes: Any) -> Bootstrap:
        """A Bootstrap message with a tag of its own."""
        self.tag += 1
        fields: dict[str, Any] = {
            "fragment_tag": self.tag,
            "hash_mask_length": self.family.bits - 2,
            "no_forward": False,
        }
        return Bootstrap(priority=priority, bsr=bsr, ranges=ranges, **fields | changes)

    def hear(
        self,
        bsr: Address,
        *ranges: RpRange,
        by: int = UPSTREAM,
        link: str = "up",
        to: Address | None = None,
        **settings: Any,
    ) -> Bootstrap:
        """A neighbour sends a Bootstrap message of `bsr`."""
        message = self.message(bsr, *ranges, **settings)
        self.peer(link, by).send(message, to=to)
        self.run(0)
        return message

    def offer(self, rp: Address, *ranges: Prefix, priority: int = 192, holdtime: int = 150, **settings: Any) -> None:
        """A Candidate-RP-Advertisement comes in for us."""
        groups = tuple(GroupRange(prefix, settings.get("bidir", False)) for prefix in ranges)
        message = CandidateRpAdvertisement(rp, priority, holdtime, groups)
        self.unicast(message, settings.get("source", rp), settings.get("to", self.me))

    # What the router says and thinks.

    def stand_for_bsr(self, priority: int = 64, **settings: Any) -> None:
        """Be a candidate BSR with our address on `src`."""
        self.configure(bsr_candidates=(BsrCandidate(address=self.me, priority=priority, **settings),))

    def elected(self, priority: int = 64, **settings: Any) -> None:
        """Be the elected BSR; the log begins with the election."""
        self.stand_for_bsr(priority, **settings)
        left = self.zone().bst.left(self.net.now)
        assert left is not None
        self.mark()
        self.run(left)
        self.zero = self.net.now
        assert self.zone().elected

    def offer_ourselves(self, priority: int = 192, interval: int = 60, **settings: Any) -> None:
        """Be a candidate RP with our address on `src`."""
        self.configure(rp_candidates=(RpCandidate(self.me, None, priority, interval),), **settings)

    def zone(self, scope: Prefix | None = None) -> BsrZone:
        """The state of a zone."""
        return self.router.pim.bootstrap.zones[GLOBAL if scope is None else Zone(scope)]

    def state(self, scope: Prefix | None = None) -> str:
        """The state of a zone, in words; `no_info` if nothing is known of it."""
        zone = self.router.pim.bootstrap.zones.get(GLOBAL if scope is None else Zone(scope))
        return "no_info" if zone is None else zone.state.value

    def timer(self, scope: Prefix | None = None) -> float | None:
        """Seconds left on BST."""
        left = self.zone(scope).bst.left(self.net.now)
        return None if left is None else round(left, 3)

    def bsr(self, scope: Prefix | None = None) -> Address | None:
        """The current BSR."""
        current = self.zone(scope).current
        return None if current is None else current[1]

    def bsms(self, link: str = "down") -> list[tuple[float, Bootstrap]]:
        """The Bootstrap messages that the router sent on a link."""
        return [(round(when - self.zero, 3), message) for when, message in self.net.links[link].pim("r1", Bootstrap)]

    def advertisements(self) -> list[tuple[float, CandidateRpAdvertisement]]:
        """The Candidate-RP-Advertisements that the router sent."""
        return self.messages_of(CandidateRpAdvertisement)

    def rp_of(self, group: Address | None = None) -> Address | None:
        """RP(G)."""
        return self.router.pim.rp_set.rp(self.group() if group is None else group)

    def mapped(self, prefix: Prefix | None = None, scope: Prefix | None = None) -> dict[Address, tuple[int, float]]:
        """RP -> (priority, seconds left) of what was learned for a range."""
        zone = self.router.pim.rp_set.zones.get(GLOBAL if scope is None else Zone(scope))
        known = zone.ranges.by_prefix.get(prefix or self.everything) if zone is not None else None
        if known is None:
            return {}
        now = self.net.now
        return {rp: (each.priority, round(each.expiry.left(now) or 0.0, 3)) for rp, each in known.rps.items()}

    def refused(self, reason: str, kind: str = "bootstrap") -> int:
        """How often something was refused for a reason."""
        return self.counted(reason, kind)
