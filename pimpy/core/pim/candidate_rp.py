"""Candidate-RP-Advertisements: sent by a candidate RP (RFC 5059 3.2), taken by the elected BSR (3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer
from pimpy.core.pim import macros
from pimpy.core.pim.filters import Filter
from pimpy.core.pim.scope import GLOBAL, Zone
from pimpy.wire.bootstrap import CandidateRpAdvertisement, GroupRange
from pimpy.wire.family import Address, Prefix
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.bootstrap import BootstrapRouting
    from pimpy.core.pim.bsr import BsrZone
    from pimpy.core.pim.instance import Pim
    from pimpy.core.pim.neighbor import PimInterface

KIND = "candidate_rp_advertisement"
"""What advertisements are counted as."""
C_RP_ADV_BACKOFF = 3.0
"""C_RP_Adv_Backoff: a triggered advertisement waits up to so long, seconds (5)."""
TRIGGERED = 3
"""Advertisements that a new BSR gets at once (3.2)."""
HOLDTIME_FACTOR = 2.5
"""The hold time is so many C_RP_Adv_Periods (4.2)."""


@frozen
class Candidacy(Value):
    """We are willing to be an RP."""

    rp: Address
    priority: int
    """0 to 255, the lowest wins."""
    period: float
    """C_RP_Adv_Period, seconds."""
    ranges: tuple[Prefix, ...]


@define
class Advertiser:
    """What one candidacy tells the BSR of one zone."""

    candidate: CandidateRp
    candidacy: Candidacy
    zone: BsrZone
    more: int = TRIGGERED - 1
    """Further advertisements that follow at once."""
    crpt: Timer = field(init=False)
    """CRPT, the C-RP Advertisement Timer."""
    told: bool = False
    """Whether the BSR has heard of us, and has to hear that we end."""

    def __post_init__(self) -> None:
        pim = self.candidate.pim
        self.crpt = Timer(pim.heap, self, _timer_expires)
        self.crpt.at(pim.now + pim.random.uniform(0, C_RP_ADV_BACKOFF))


@define
class CandidateRp:
    """Our candidacies, and what was told of them to whom."""

    pim: Pim
    bootstrap: BootstrapRouting
    candidacies: tuple[Candidacy, ...] = ()
    advertisers: list[Advertiser] = field(factory=list)
    accept: Filter = field(factory=Filter)
    """Whose advertisements are taken where we are the BSR."""

    # The candidate's side (3.2).

    def configure(self, candidacies: tuple[Candidacy, ...]) -> None:
        """We are a candidate with these, and no others; who heard of one that ends is told."""
        if candidacies == self.candidacies:
            return
        self.candidacies = candidacies
        for advertiser in [each for each in self.advertisers if each.candidacy not in candidacies]:
            self._end(advertiser)
        for zone in self.bootstrap.zones.values():
            if zone.current is not None:
                self._begin(zone)

    def new_bsr(self, zone: BsrZone) -> None:
        """A zone has a new BSR: up to three advertisements soon (3.2)."""
        self.zone_gone(zone)
        self._begin(zone)

    def zone_gone(self, zone: BsrZone) -> None:
        """Nobody in the zone is told any more."""
        for advertiser in [each for each in self.advertisers if each.zone is zone]:
            advertiser.crpt.close()
            self.advertisers.remove(advertiser)

    def _begin(self, zone: BsrZone) -> None:
        known = [each.candidacy for each in self.advertisers if each.zone is zone]
        self.advertisers += [Advertiser(self, each, zone) for each in self.candidacies if each not in known]

    def _end(self, advertiser: Advertiser) -> None:
        """Immediately send a C-RP-Adv message with holdtime zero (3.2)."""
        if advertiser.told:
            self.advertise(advertiser, holdtime=0)
        advertiser.crpt.close()
        self.advertisers.remove(advertiser)

    def shutdown(self) -> None:
        """All candidacies end."""
        for advertiser in list(self.advertisers):
            self._end(advertiser)

    def advertise(self, advertiser: Advertiser, holdtime: int) -> None:
        """Tell the BSR of a zone, if it is known, and there is anything to tell (3.2)."""
        zone, candidacy = advertiser.zone, advertiser.candidacy
        groups = self.ranges_for(candidacy, zone.zone)
        if zone.current is None or not groups or self.bootstrap.zones.get(zone.zone) is not zone:
            return
        message = CandidateRpAdvertisement(candidacy.rp, candidacy.priority, holdtime, groups)
        advertiser.told = True
        if zone.elected:
            self.take(message)
            return
        interface = macros.rpf_interface(self.pim, zone.path)
        source = self._source(candidacy)
        if interface is not None and source is not None:
            self.pim.send_unicast(interface, source, zone.current[1], message)

    def _source(self, candidacy: Candidacy) -> Address | None:
        """The RP's own address, or while that goes another one that can be reached from everywhere (4)."""
        if self.pim.is_mine(candidacy.rp):
            return candidacy.rp
        family = self.pim.family
        routable = (a for a in sorted(self.pim.own) if family.is_unicast(a) and not family.is_link_local(a))
        return next(routable, None)

    def ranges_for(self, candidacy: Candidacy, zone: Zone) -> tuple[GroupRange, ...]:
        """The ranges that go to a zone's BSR: those in no smaller known zone, and the zone itself if it is in one."""
        found: dict[Prefix, None] = {}
        for prefix in candidacy.ranges:
            if self._smallest(prefix) == zone:
                found[prefix] = None
            for scope in zone.ranges():
                inside = scope.length > prefix.length and prefix.covers(scope.network)
                if inside:
                    found[scope] = None
        border = zone != GLOBAL and any(
            zone.stays_inside(boundary)
            for interface in self.pim.interfaces.values()
            for boundary in interface.link.phyint.scoped
        )
        return tuple(GroupRange(prefix, zone=border) for prefix in found)[:255]

    def _smallest(self, prefix: Prefix) -> Zone:
        """The smallest zone with a BSR that contains a range; the global one if there is none."""
        known = [z.zone for z in self.bootstrap.zones.values() if z.current is not None and z.zone.contains(prefix)]
        return max(known, key=_length, default=GLOBAL)

    # The BSR's side (3.3).

    def not_admitted(self, interface: PimInterface, source: Address, message: CandidateRpAdvertisement) -> str | None:
        """Why an advertisement is dropped, as a reason word; None if it is not."""
        if interface.link.phyint.bsr_border:
            return "bsm_border"
        if not (self.accept.passes(source) and self.accept.passes(message.rp)):
            return "crp_filtered"
        if not any(self._zone_for(each.group) for each in self._ranges(message)):
            return "crp_not_bsr"
        return None

    def _ranges(self, message: CandidateRpAdvertisement) -> tuple[GroupRange, ...]:
        """The ranges offered; none at all stands for every group (3.3)."""
        return message.groups or (GroupRange(self.pim.family.multicast),)

    def _zone_for(self, prefix: Prefix) -> BsrZone | None:
        """The narrowest zone for which we are elected that contains a range."""
        elected = [z for z in self.bootstrap.zones.values() if z.elected and z.zone.contains(prefix)]
        return max(elected, key=lambda zone: _length(zone.zone), default=None)

    def receive(self, interface: PimInterface, message: CandidateRpAdvertisement) -> None:
        """An admitted advertisement."""
        self.take(message, interface.name)

    def take(self, message: CandidateRpAdvertisement, name: str = "-") -> None:
        """Each range is accepted or ignored by itself (3.3)."""
        changed: dict[BsrZone, None] = {}
        for each in self._ranges(message):
            zone = self._zone_for(each.group)
            if zone is None:
                self.pim.refuse(name, KIND, "crp_not_bsr")
            elif self._store(zone, each, message, name):
                changed[zone] = None
        for zone in changed:
            zone.rp_set_changed()

    def _store(self, zone: BsrZone, each: GroupRange, message: CandidateRpAdvertisement, name: str) -> bool:
        crp_set = zone.crp_set
        if message.holdtime == 0:
            return crp_set.withdraw(each.group, message.rp)
        known = message.rp in crp_set.ranges.get(each.group, ())
        limit = self.pim.settings.max_rp_mappings
        if not known and sum(len(z.crp_set) for z in self.bootstrap.zones.values()) >= limit:
            self.pim.refuse(name, KIND, "crp_limit")
            self.pim.warn(name, "crp_limit", f"{limit} group-to-C-RP mappings, no more are taken")
            return False
        return crp_set.store(each.group, message.rp, each.bidir, message.priority, message.holdtime)


def _timer_expires(advertiser: Advertiser) -> None:
    """Send a C-RP-Adv message; after a new BSR the next two follow after C_RP_Adv_Backoff (3.2)."""
    pim, period = advertiser.candidate.pim, advertiser.candidacy.period
    advertiser.candidate.advertise(advertiser, holdtime=int(HOLDTIME_FACTOR * period))
    if advertiser.more:
        advertiser.more -= 1
        advertiser.crpt.at(pim.now + pim.random.uniform(0, C_RP_ADV_BACKOFF))
    else:
        advertiser.crpt.at(pim.now + period)


def _length(zone: Zone) -> int:
    return -1 if zone.range is None else zone.range.length
