"""The election of the Bootstrap router, for each scope zone: RFC 5059 3.1.

`decide(facts) -> event` compares weights (3.1.4); what the event does in each state is a total table (3.1.1, 3.1.2).
Beside the RFC's tables stands what its text says of both: the timer's expiry refreshes the RP-Set also at a candidate,
so that mappings outlive the election of a new BSR (3.1.5).
"""

from __future__ import annotations

from collections.abc import Callable
from math import log2
from typing import TYPE_CHECKING

from pimpy.core.engine.machine import Machine, Word
from pimpy.core.engine.timers import Timer
from pimpy.core.pim import bsm
from pimpy.core.pim.crp_set import CandidateRpSet
from pimpy.core.pim.scope import Zone
from pimpy.wire.bootstrap import Bootstrap
from pimpy.wire.family import Address, Family, format_address
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.bootstrap import BootstrapRouting
    from pimpy.core.rpf import Path

Weight = tuple[int, Address]
"""(BSR Priority, BSR Address): the higher one wins (3.1)."""
LOWEST_PRIORITY = 0


class State(Word):
    """Of a router in one zone: the first two of one that is no candidate (3.1.2), the others of one that is (3.1.1)."""

    ACCEPT_ANY = "accept_any"
    ACCEPT_PREFERRED = "accept_preferred"
    CANDIDATE = "candidate"
    PENDING = "pending"
    ELECTED = "elected"


class Event(Word):
    """The columns of the tables."""

    PREFERRED = "Receive Preferred BSM"
    NON_PREFERRED = "Receive Non-preferred BSM"
    NON_PREFERRED_FROM_ELECTED = "Receive Non-preferred BSM from Elected BSR"
    TIMER_EXPIRES = "Bootstrap Timer Expires"
    ZONE_TIMER_EXPIRES = "Scope-Zone Expiry Timer Expires"


@frozen
class Facts(Value):
    """What the classification of a Bootstrap message hangs on (3.1.4)."""

    state: State
    mine: Weight | None
    """Ours, None if we are no candidate."""
    current: Weight | None
    """The current BSR's, None if none is known."""
    received: Weight


def decide(facts: Facts) -> Event:
    """Which event a Bootstrap message is that passed the checks (3.1.4)."""
    if facts.state is State.ACCEPT_ANY:
        return Event.PREFERRED  # Receive BSM: it accepts the first it sees
    stands_for = facts.mine if facts.state in (State.PENDING, State.ELECTED) else facts.current
    if stands_for is None or facts.received >= stands_for:
        return Event.PREFERRED
    if facts.state in (State.PENDING, State.ELECTED) or facts.current is None:
        return Event.NON_PREFERRED
    if facts.received[1] != facts.current[1]:
        return Event.NON_PREFERRED
    if facts.mine is None or facts.received >= facts.mine:
        return Event.PREFERRED  # the current BSR, weaker than it was
    return Event.NON_PREFERRED_FROM_ELECTED


def rand_override(family: Family, mine: Weight, stored: Weight | None) -> float:
    """BS_Rand_Override, 5 to 23 seconds: the shorter the more our weight is (5)."""
    priority, address = mine[0], int.from_bytes(mine[1], "big")
    best_priority, best_address = priority, address
    if stored is not None:
        best_priority = max(priority, stored[0])
        best_address = max(address, int.from_bytes(stored[1], "big"))
    if best_priority == priority:
        address_delay = log2(1 + best_address - address) / (family.bits // 2)
    else:
        address_delay = 2 - address / 2 ** (family.bits - 1)
    return 5 + 2 * log2(1 + best_priority - priority) + address_delay


@frozen
class BsrTimes(Value):
    """The values of section 5 that follow from BS_Period, in seconds."""

    period: float = 60.0
    """BS_Period."""

    @property
    def timeout(self) -> float:
        """BS_Timeout = 2 * BS_Period + 10."""
        return 2 * self.period + 10

    @property
    def min_interval(self) -> float:
        """BS_Min_Interval: 10, less only where BS_Period is shorter than a minute."""
        return min(10.0, self.period / 6)

    @property
    def zone_timeout(self) -> float:
        """SZ_Timeout = 10 * BS_Timeout."""
        return 10 * self.timeout


@frozen
class CandidateBsr(Value):
    """Our candidacy in a zone."""

    address: Address
    priority: int
    """0 to 255, the higher one wins."""
    hash_mask: int
    """Bits that the hash function looks at."""

    @property
    def weight(self) -> Weight:
        """What it stands for election with."""
        return self.priority, self.address


@frozen
class Received(Value):
    """The Bootstrap message in hand."""

    message: Bootstrap
    data: bytes
    """As it came, PIM header included."""
    forward: bool
    """Whether it may be forwarded: multicast, No-Forward bit clear (3.4)."""

    @property
    def weight(self) -> Weight:
        """Of its BSR."""
        return self.message.priority, self.message.bsr


@define
class BsrZone:
    """All that a router holds for one scope zone (2)."""

    routing: BootstrapRouting
    zone: Zone
    since: float
    """When the zone got into its state, in seconds of the core's clock."""
    configured: bool = False
    """Whether the zone stays when nobody speaks of it: the global one, and those that the configuration names."""
    state: State = State.ACCEPT_ANY
    mine: CandidateBsr | None = None
    current: Weight | None = None
    """The current BSR's priority and address."""
    path: Path | None = None
    """The way to the current BSR."""
    hash_mask: int = 0
    """As its last message said."""
    last: bsm.LastBsm | None = None
    """The last message that told of mappings, our own too."""
    accepted: bool = False
    """Whether any message for this zone was accepted since startup (3.1.3)."""
    heard: float = 0.0
    """When the last message of the current BSR was accepted."""
    in_hand: Received | None = None
    sent: float | None = None
    """When we last originated a message."""
    bst: Timer = field(init=False)
    """BST(Z), the Bootstrap Timer."""
    szt: Timer = field(init=False)
    """SZT(Z), the Scope-Zone Expiry Timer."""
    crp_set: CandidateRpSet = field(init=False)

    def __post_init__(self) -> None:
        heap = self.routing.pim.heap
        self.bst = Timer(heap, self, _bootstrap_timer_expires)
        self.szt = Timer(heap, self, _zone_timer_expires)
        self.crp_set = CandidateRpSet(heap, self.rp_set_changed)

    @property
    def now(self) -> float:
        """The time of the event in hand."""
        return self.routing.pim.now

    @property
    def elected(self) -> bool:
        """Whether we are the BSR."""
        return self.state is State.ELECTED

    def receive(self, received: Received) -> bool:
        """Let a message that passed the checks happen; whether anything follows from it."""
        self.in_hand = received
        mine = self.mine.weight if self.mine is not None else None
        event = decide(Facts(self.state, mine, self.current, received.weight))
        acts = MACHINE.table[self.state, event] is not None
        MACHINE.step(self.state, event, self)
        self.in_hand = None
        return acts

    def stand(self, candidacy: CandidateBsr | None) -> None:
        """We are a candidate from now on, another one than before, or none any more (3.1.1)."""
        if candidacy == self.mine:
            return
        if self.elected and self.mine is not None and candidacy is not None and candidacy.address == self.mine.address:
            self.mine = candidacy
            self.set_current(candidacy.weight)
            self.assert_election()
            return
        if self.elected:
            self.routing.originate(self, priority=LOWEST_PRIORITY)
            self.crp_set.clear()
        self.mine = candidacy
        if candidacy is None:
            self._accept_again()
        else:
            self._to(State.PENDING)
            self.bst.at(self.now + self.rand_override())

    def _accept_again(self) -> None:
        """No candidate any more: the current BSR, if there is one, is listened to."""
        other = self.current is not None and self.last is not None and self.current[1] == self.last.bsr
        if other and self.bst.running and self.state is State.CANDIDATE:
            self._to(State.ACCEPT_PREFERRED)
            return
        self.bst.cancel()
        self.set_current(None)
        self._to(State.ACCEPT_ANY)

    def rand_override(self) -> float:
        """BS_Rand_Override against the BSR that is stored (5)."""
        assert self.mine is not None
        return rand_override(self.routing.pim.family, self.mine.weight, self.current)

    def set_current(self, weight: Weight | None) -> None:
        """Who the BSR is; the way there is kept up, and candidate RPs are told of a new one."""
        rpf = self.routing.pim.rpf
        before, self.current = self.current, weight
        if weight is not None and before is not None and weight[1] == before[1]:
            return
        old, self.path = self.path, None
        if weight is not None:
            self.path = rpf.track(weight[1], self)
        if old is not None:
            rpf.release(old, self)
        if weight is not None:
            pim = self.routing.pim
            pim.notice("notice", "bsr_change", f"zone {self.zone}: the BSR is {format_address(weight[1])}")
            self.routing.new_bsr(self)

    def path_changed(self) -> None:
        """The way to the BSR is looked at when a message comes."""

    def rp_set_changed(self) -> None:
        """Our C-RP-Set is another one: a message soon, BS_Min_Interval after the last at the earliest (3.3)."""
        if self.elected:
            self.bst.no_later_than(self._soonest())

    def close(self) -> None:
        """The zone is no more."""
        self.crp_set.clear()
        self.bst.close()
        self.szt.close()
        self.set_current(None)

    def _to(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self.since = self.now

    # Actions (3.1.5).

    def accept(self) -> None:
        """Forward BSM; Store RP-Set; Set Bootstrap Timer to BS_Timeout; its BSR is the current one."""
        assert self.in_hand is not None
        received = self.in_hand
        if self.elected:
            self.crp_set.clear()
        self._to(State.CANDIDATE if self.mine is not None else State.ACCEPT_PREFERRED)
        self.accepted = True
        self.heard = self.now
        self.szt.cancel()
        self.routing.know(self)
        self.forward()
        self.routing.store(self, received.message, received.data)
        self.set_current(received.weight)
        self.bst.at(self.now + self.routing.times.timeout)

    def forward(self) -> None:
        """Forward BSM."""
        assert self.in_hand is not None
        if self.in_hand.forward:
            self.routing.forward(self.zone, self.in_hand.data)

    def become_pending(self) -> None:
        """Set Bootstrap Timer to BS_Rand_Override."""
        self._to(State.PENDING)
        self.bst.at(self.now + self.rand_override())

    def become_elected(self) -> None:
        """Originate BSM; Set Bootstrap Timer to BS_Period."""
        assert self.mine is not None
        newly = not self.elected
        self._to(State.ELECTED)
        if newly:
            self.accepted = True
            self.routing.know(self)
            self.set_current(self.mine.weight)
        self.routing.originate(self)
        self.bst.at(self.now + self.routing.times.period)

    def assert_election(self) -> None:
        """Originate BSM, but BS_Min_Interval after the last one at the earliest (3.3; conformance B7)."""
        due = self._soonest()
        if due <= self.now:
            self.become_elected()
        else:
            self.bst.no_later_than(due)

    def _soonest(self) -> float:
        """When another BSM may be originated: BS_Min_Interval after the last one (3.3)."""
        return self.now if self.sent is None else max(self.now, self.sent + self.routing.times.min_interval)

    def refresh(self) -> None:
        """Refresh RP-Set: as if the last message had just been received."""
        if self.last is not None:
            for message in self.last.messages:
                self.routing.store_mappings(self, message)

    def refresh_and_forget(self) -> None:
        """Refresh RP-Set; Remove BSR state; Set SZT to SZ_Timeout."""
        self.refresh()
        self.last = None
        self.set_current(None)
        self._to(State.ACCEPT_ANY)
        self.routing.pim.notice("warning", "bsr_timeout", f"zone {self.zone}: the BSR is silent")
        if not self.configured:
            self.szt.at(self.now + self.routing.times.zone_timeout)


def _accept(zone: BsrZone, _: float) -> None:
    zone.accept()


def _forward(zone: BsrZone, _: float) -> None:
    zone.forward()


def _forward_and_stand(zone: BsrZone, _: float) -> None:
    """The elected BSR is weaker than we are now: its message passes, and we stand for election (3.1.1)."""
    zone.forward()
    zone.become_pending()


def _timeout_of_candidate(zone: BsrZone, _: float) -> None:
    zone.refresh()
    zone.become_pending()


def _elect(zone: BsrZone, _: float) -> None:
    zone.become_elected()


def _assert_election(zone: BsrZone, _: float) -> None:
    zone.assert_election()


def _timeout(zone: BsrZone, _: float) -> None:
    zone.refresh_and_forget()


def _remove(zone: BsrZone, _: float) -> None:
    zone.routing.remove_zone(zone)


def _bootstrap_timer_expires(zone: BsrZone) -> None:
    MACHINE.step(zone.state, Event.TIMER_EXPIRES, zone)


def _zone_timer_expires(zone: BsrZone) -> None:
    MACHINE.step(zone.state, Event.ZONE_TIMER_EXPIRES, zone)


_Action = Callable[[BsrZone, float], None]
_NOTHING: dict[tuple[State, Event], _Action | None] = {(state, event): None for state in State for event in Event}

MACHINE: Machine[State, Event, BsrZone] = Machine(
    "RFC 5059 3.1.1, 3.1.2",
    State,
    Event,
    {
        **_NOTHING,
        (State.ACCEPT_ANY, Event.PREFERRED): _accept,
        (State.ACCEPT_ANY, Event.ZONE_TIMER_EXPIRES): _remove,
        (State.ACCEPT_PREFERRED, Event.PREFERRED): _accept,
        (State.ACCEPT_PREFERRED, Event.TIMER_EXPIRES): _timeout,
        (State.CANDIDATE, Event.PREFERRED): _accept,
        (State.CANDIDATE, Event.TIMER_EXPIRES): _timeout_of_candidate,
        (State.CANDIDATE, Event.NON_PREFERRED_FROM_ELECTED): _forward_and_stand,
        (State.PENDING, Event.PREFERRED): _accept,
        (State.PENDING, Event.TIMER_EXPIRES): _elect,
        (State.PENDING, Event.NON_PREFERRED): _forward,
        (State.ELECTED, Event.PREFERRED): _accept,
        (State.ELECTED, Event.TIMER_EXPIRES): _elect,
        (State.ELECTED, Event.NON_PREFERRED): _assert_election,
    },
)
