"""Asserts: who forwards onto a link on which several could (RFC 7761 4.6).

`decide` and `decide_star` are the tables of 4.6.1 and 4.6.2 as functions of facts; `_perform` does what they
say. A machine in state NoInfo has no object.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer
from pimpy.core.pim import macros, trees
from pimpy.core.pim.metric import (
    INFINITE,
    INFINITE_METRIC,
    INFINITE_PREFERENCE,
    Metric,
    better,
    is_infinite,
)
from pimpy.core.pim.tib import SG, StarG
from pimpy.wire.family import Address, format_address
from pimpy.wire.pim import Assert
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import Neighbor, PimInterface

Entry = SG | StarG

ASSERT_TIME = 180.0
"""Assert_Time (4.11), seconds: how long a loser stays one."""
ASSERT_OVERRIDE_INTERVAL = 3.0
"""Assert_Override_Interval (4.11): so much earlier the winner says it again."""


class State(Enum):
    """AssertState(S,G,I) or AssertState(*,G,I)."""

    NO_INFO = "no_info"
    WINNER = "winner"
    LOSER = "loser"


class Verdict(Enum):
    """The actions of 4.6.1 and 4.6.2; A6 is A2 and the SPTbit."""

    NOTHING = "-"
    A1 = "become winner: send Assert"
    A2 = "lose to the sender, or take its new metric"
    A3 = "stay winner: send Assert again"
    A5 = "forget"
    A6 = "lose to the sender; set SPTbit if it is upstream and Joined"


@frozen
class Facts(Value):
    """What the verdict on a received Assert hangs on."""

    state: State
    rpt: bool
    """The RPTbit of the message."""
    could_assert: bool
    tracking_desired: bool
    received: Metric
    mine: Metric
    """my_assert_metric."""
    stored: Metric
    """AssertWinnerMetric, infinite in NoInfo."""
    from_winner: bool
    """Whether the sender is AssertWinner."""

    @property
    def preferred(self) -> bool:
        """Better than the current winner's metric."""
        return better(self.received, self.stored)

    @property
    def acceptable(self) -> bool:
        """Better than mine, and not infinite."""
        return not is_infinite(self.received) and better(self.received, self.mine)

    @property
    def inferior(self) -> bool:
        """Worse than mine, unless mine is infinite."""
        return not is_infinite(self.mine) and better(self.mine, self.received)

    @property
    def cancel(self) -> bool:
        """An AssertCancel (4.6.4)."""
        return self.rpt and is_infinite(self.received)


def decide(facts: Facts) -> Verdict:
    """A received Assert and the (S,G) machine (4.6.1, figure 8)."""
    if facts.state is State.NO_INFO:
        if facts.could_assert and (facts.rpt or facts.inferior):
            return Verdict.A1
        if not facts.rpt and facts.acceptable and facts.tracking_desired:
            return Verdict.A6
    elif facts.state is State.WINNER:
        if facts.preferred:
            return Verdict.A2
        if facts.inferior:
            return Verdict.A3
    elif facts.preferred:
        return Verdict.A2
    elif facts.from_winner:
        if facts.cancel or facts.inferior:
            return Verdict.A5
        if facts.acceptable and not facts.rpt:
            return Verdict.A2
    return Verdict.NOTHING


def decide_star(facts: Facts) -> Verdict:
    """A received Assert with the RPTbit and the (*,G) machine (4.6.2, figure 9)."""
    if facts.state is State.NO_INFO:
        if facts.could_assert and facts.inferior:
            return Verdict.A1
        if facts.acceptable and facts.tracking_desired:
            return Verdict.A2
    elif facts.state is State.WINNER:
        if facts.preferred:
            return Verdict.A2
        if facts.inferior:
            return Verdict.A3
    elif facts.preferred:
        return Verdict.A2
    elif facts.from_winner:
        if facts.cancel or facts.inferior:
            return Verdict.A5
        if facts.acceptable:
            return Verdict.A2
    return Verdict.NOTHING


@define
class AssertState:
    """An Assert machine that is not in state NoInfo."""

    entry: Entry
    interface: PimInterface
    won: bool
    winner: Address
    """AssertWinner: a neighbour's primary address, or ours."""
    metric: Metric
    """AssertWinnerMetric."""
    on_rpf: bool
    """Whether the interface was RPF_interface(S), or of the RP, when we lost."""
    timer: Timer = field(init=False)
    """AT."""

    def __post_init__(self) -> None:
        self.timer = Timer(self.interface.pim.heap, self, _assert_timer_expires)


def receive(interface: PimInterface, source: Address, message: Assert) -> None:
    """An Assert from the neighbour `source`: first for (S,G), and only if that is and stays NoInfo for (*,G)."""
    pim = interface.pim
    received = Metric(message.rpt, message.preference, message.metric, source)
    sg = pim.tib.sg.get(message.source + message.group)
    if sg is None and message.source != pim.family.any:
        sg = _new_entry(interface, message)
    if sg is not None:
        _consider(sg, interface, received, decide)
        if _state(sg, interface) is not State.NO_INFO:
            return
    tree = pim.tib.groups.get(message.group)
    if message.rpt and tree is not None and tree.star is not None:
        if sg is not None and _was_just_forgotten(sg, interface):
            return
        _consider(tree.star, interface, received, decide_star)


def _new_entry(interface: PimInterface, message: Assert) -> SG | None:
    """AssertTrackingDesired(S,G,I) may hold without any state of (S,G), by what holds of (*,G) (4.6.1)."""
    pim = interface.pim
    tree = pim.tib.groups.get(message.group)
    if message.rpt or tree is None or tree.star is None:
        return None
    if not macros.assert_tracking_desired_star(tree.star) & interface.mask:
        return None
    return trees.obtain_limited(
        pim, message.source, message.group, trees.Asker(interface.name, "assert", "assert_limit")
    )


def _was_just_forgotten(sg: SG, interface: PimInterface) -> bool:
    """Whether this very message took the (S,G) machine to NoInfo: then (*,G) does not consider it (4.6.2)."""
    return interface.assert_forgotten is sg


def data_arrives(sg: SG, interface: PimInterface) -> None:
    """Data of (S,G) arrived on an interface that we forward to: somebody else does too (4.2, 4.6.1, 4.6.2)."""
    if interface.passive:
        return
    mask = interface.mask
    if sg.spt_bit:
        if _state(sg, interface) is State.NO_INFO and _could_assert(sg) & mask & macros.inherited_olist(sg):
            _win(sg, interface)
        return
    star = sg.tree.star if sg.tree is not None else None
    if star is None or _state(sg, interface) is not State.NO_INFO or _state(star, interface) is not State.NO_INFO:
        return
    if _could_assert(star) & mask & macros.inherited_olist_rpt(sg):
        _win(star, interface, sg.source)


def settle(entry: Entry) -> None:
    """Let what follows from new derived values happen to the machines of an entry (4.6.1, 4.6.2)."""
    if not entry.asserts:
        return
    for state in list(entry.asserts.values()):
        mask = state.interface.mask
        if state.won:
            if not _could_assert(entry) & mask:
                _cancel(state)
        elif (
            not _tracking_desired(entry) & mask
            or (state.on_rpf and not _rpf_mask(entry) & mask)
            or better(_my_metric(entry, state.interface), state.metric)
        ):
            forget(state)


def join_received(entry: Entry, interface: PimInterface) -> None:
    """A Join of `entry` was addressed to us on an interface where we lost: the winner may have died (A14)."""
    state = _machine(entry, interface)
    if state is not None and not state.won:
        forget(state)


def winner_gone(neighbor: Neighbor) -> None:
    """The Neighbor Liveness Timer of a neighbour expired, or its GenID changed (A12)."""
    for state in [s for s in neighbor.interface.asserts if not s.won and s.winner == neighbor.address]:
        forget(state)


def cancel_all(interface: PimInterface, *, reachable: bool) -> None:
    """The interface stops: where we won, others are to take over at once (A16), if they can be told."""
    for state in list(interface.asserts):
        if reachable:
            withdraw(state)
        else:
            forget(state)


def withdraw(state: AssertState) -> None:
    """What the machine stands for is taken away: a winner says so (4.6.4)."""
    if state.won:
        _cancel(state)
    else:
        forget(state)


def our_address_changes(interface: PimInterface) -> None:
    """Where we won it was by the address that goes: the others are told, and we may win again by the new one (A16)."""
    for state in [s for s in interface.asserts if s.won]:
        _cancel(state)


def forget(state: AssertState) -> None:
    """A5: delete the assert information."""
    entry, interface = state.entry, state.interface
    state.timer.close()
    interface.asserts.pop(state, None)
    if entry.asserts is not None:
        entry.asserts.pop(interface, None)
        if not entry.asserts:
            entry.asserts = None
    interface.pim.touched.touch(entry)


def _consider(entry: Entry, interface: PimInterface, received: Metric, table: Callable[[Facts], Verdict]) -> None:
    """Let the table judge a received Assert, and do what it says."""
    mask = interface.mask
    state = _machine(entry, interface)
    facts = Facts(
        state=_state(entry, interface),
        rpt=received.rpt,
        could_assert=bool(_could_assert(entry) & mask),
        tracking_desired=bool(_tracking_desired(entry) & mask),
        received=received,
        mine=_my_metric(entry, interface),
        stored=_winner_metric(entry, interface),
        from_winner=state is not None and state.winner == received.address,
    )
    interface.assert_forgotten = None
    _perform(table(facts), entry, interface, state, received)


def _perform(
    verdict: Verdict, entry: Entry, interface: PimInterface, state: AssertState | None, received: Metric
) -> None:
    if verdict is Verdict.A1:
        _win(entry, interface)
    elif verdict is Verdict.A3 and state is not None:
        _assert_again(state)
    elif verdict in (Verdict.A2, Verdict.A6):
        _lose(entry, interface, received)
        if verdict is Verdict.A6 and isinstance(entry, SG) and entry.joined and interface.mask & macros.rpf_mask(entry):
            entry.spt_bit = True  # the Assert tells that the SPT is complete (A7)
    elif verdict is Verdict.A5 and state is not None:
        forget(state)
        interface.assert_forgotten = entry


def _win(entry: Entry, interface: PimInterface, source: Address | None = None) -> None:
    """A1: send Assert, store self as winner."""
    metric = _my_metric(entry, interface)
    state = _put(AssertState(entry, interface, True, interface.address, metric, False))
    state.timer.at(interface.pim.now + ASSERT_TIME - ASSERT_OVERRIDE_INTERVAL)
    _send(entry, interface, metric, source)
    _tell(state, "won")


def _assert_again(state: AssertState) -> None:
    """A3: send Assert, restart the timer."""
    state.metric = _my_metric(state.entry, state.interface)
    state.timer.at(state.interface.pim.now + ASSERT_TIME - ASSERT_OVERRIDE_INTERVAL)
    _send(state.entry, state.interface, state.metric)


def _lose(entry: Entry, interface: PimInterface, received: Metric) -> None:
    """A2: store the new winner and its metric, set the timer."""
    state = _machine(entry, interface)
    news = state is None or state.winner != received.address
    if state is None:
        state = _put(AssertState(entry, interface, False, received.address, received, False))
    state.won, state.winner, state.metric = False, received.address, received
    if news:
        _tell(state, "lost")
    state.on_rpf = bool(_rpf_mask(entry) & interface.mask)
    state.timer.at(interface.pim.now + ASSERT_TIME)
    interface.pim.touched.touch(entry)


def _cancel(state: AssertState) -> None:
    """A4: send AssertCancel, delete the assert information (4.6.4). Who heard no Hello of ours heard no Assert."""
    entry, interface = state.entry, state.interface
    if interface.hello_sent:
        cancel = Assert(entry.group, _source(entry), True, INFINITE_PREFERENCE, INFINITE_METRIC)
        interface.pim.send(interface, cancel)
    forget(state)


def _put(state: AssertState) -> AssertState:
    entry, interface = state.entry, state.interface
    if entry.asserts is None:
        entry.asserts = {}
    entry.asserts[interface] = state
    interface.asserts[state] = None
    interface.pim.touched.touch(entry)
    return state


def _assert_timer_expires(state: AssertState) -> None:
    if state.won:
        _assert_again(state)
    else:
        forget(state)


def _send(entry: Entry, interface: PimInterface, metric: Metric, source: Address | None = None) -> None:
    source = _source(entry) if source is None else source
    interface.say_hello_first(*interface.neighbors.values())
    interface.pim.send(interface, Assert(entry.group, source, metric.rpt, metric.preference, metric.metric))


def _source(entry: Entry) -> Address:
    """What an Assert of the entry names as its source: zeros for (*,G) (4.9.6)."""
    return entry.source if isinstance(entry, SG) else entry.pim.family.any


def _tell(state: AssertState, what: str) -> None:
    entry, pim = state.entry, state.interface.pim
    source = format_address(entry.source) if isinstance(entry, SG) else "*"
    text = f"{state.interface.name}: ({source}, {format_address(entry.group)}) assert {what}"
    pim.notice("info", f"assert_{what}", text if state.won else f"{text} to {format_address(state.winner)}")


def _machine(entry: Entry, interface: PimInterface) -> AssertState | None:
    """The machine of an entry on an interface, None in state NoInfo."""
    return entry.asserts.get(interface) if entry.asserts else None


def _state(entry: Entry, interface: PimInterface) -> State:
    state = _machine(entry, interface)
    if state is None:
        return State.NO_INFO
    return State.WINNER if state.won else State.LOSER


def _could_assert(entry: Entry) -> int:
    """CouldAssert; not without a way to the root of the tree: who cannot forward must not keep others from it."""
    if not _rpf_mask(entry):
        return 0
    return macros.could_assert(entry) if isinstance(entry, SG) else macros.could_assert_star(entry)


def _tracking_desired(entry: Entry) -> int:
    if isinstance(entry, SG):
        return macros.assert_tracking_desired(entry)
    return macros.assert_tracking_desired_star(entry)


def _my_metric(entry: Entry, interface: PimInterface) -> Metric:
    if isinstance(entry, SG):
        return macros.my_assert_metric(entry, interface)
    return macros.my_assert_metric_star(entry, interface)


def _winner_metric(entry: Entry, interface: PimInterface) -> Metric:
    """AssertWinnerMetric: infinite in NoInfo; where we won, our metric as it is now."""
    state = _machine(entry, interface)
    if state is None:
        return INFINITE
    return _my_metric(entry, interface) if state.won else state.metric


def _rpf_mask(entry: Entry) -> int:
    return macros.rpf_mask(entry) if isinstance(entry, SG) else macros.rp_mask(entry.pim, entry.tree)
