"""What one event brings about for very many entries is worked out a part at a time, and leaves as it is (U21, U27)."""

from __future__ import annotations

from speakers import Channel
from stand import WARM_UP, Stand

from pimpy.core.engine.effects import DelMfc, DelVif, Effect, SendPacket, SetMfc
from pimpy.core.engine.events import LinkGone, RouteResolved
from pimpy.core.engine.settle import PART, Worklist
from pimpy.core.engine.timers import TimerHeap
from pimpy.wire import pim
from pimpy.wire.family import Family
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.record import define, field

MANY = 1000


@define
class Item:
    """Something to be settled, and whom that touches."""

    number: int
    touched: bool = False
    touches: list[Item] = field(factory=list)


def test_a_queue_is_settled_a_part_at_a_time_in_order_each_once() -> None:
    work: Worklist[Item] = Worklist()
    items = [Item(number) for number in range(2 * PART + 1)]
    other = Item(-1)
    items[0].touches = [other]
    settled: list[int] = []

    def one(item: Item) -> None:
        settled.append(item.number)
        for further in item.touches:
            work.touch(further)

    work.queue(items)
    work.touch(items[PART])
    work.settle(one)
    assert settled == [PART, *range(PART), -1] and work.queued == PART + 1
    settled.clear()
    work.settle(one)
    assert settled == list(range(PART, 2 * PART)) and work.queued == 1
    settled.clear()
    work.settle(one)
    assert settled == [2 * PART] and not work.queued
    settled.clear()
    work.settle(one)
    assert not settled


def test_timers_that_are_set_alike_share_the_number() -> None:
    heap = TimerHeap()
    heap.now = 1000.5
    ten, twenty = heap.after(10.0), heap.after(20.0)
    assert (ten, twenty) == (1010.5, 1020.5) and heap.after(20.0) is twenty
    heap.now = 1001.5
    assert heap.after(20.0) == 1021.5 and heap.after(19.0) == twenty


class Moving:
    """Many channels of one source, which is reached by `up` and is about to be by `other`."""

    def __init__(self, family: Family) -> None:
        self.stand = stand = Stand(family, warm_up=0.0)
        stand.net.link("other", "r1")
        stand.run(WARM_UP)
        self.eight = stand.peer("other", 8).address
        stand.peer("other", 8).keep_saying_hello()
        self.channels = [stand.channel(1, group) for group in range(1, MANY + 1)]
        for first in range(0, MANY, 60):
            stand.peer("down", 2).join(stand.us(), *self.channels[first : first + 60])
        stand.run(5)
        self.full = 73 if family.size == 4 else 32
        """Joins in a full message."""

    def move(self) -> None:
        """The kernel tells of the other way."""
        moved = RouteResolved(self.channels[0][0], self.stand.r1.ports["other"].ifindex, self.eight)
        self.stand.router.handle(moved, self.stand.net.now)

    def drains(self) -> list[list[Effect]]:
        """What each of the drains brings, until all is settled."""
        brought = [self.stand.router.drain()]
        while self.stand.router.unsettled:
            brought.append(self.stand.router.drain())
        return brought

    def said(self, effects: list[Effect]) -> list[JoinPrune]:
        """The Join/Prune messages in there."""
        read = (pim.decode(self.stand.family, e.source, e.destination, e.data) for e in packets(effects))
        return [message for message in read if isinstance(message, JoinPrune)]


def packets(effects: list[Effect]) -> list[SendPacket]:
    return [effect for effect in effects if isinstance(effect, SendPacket)]


def of_kernel(effects: list[Effect]) -> list[Channel]:
    """The entries that the kernel is told of."""
    return [(effect.source, effect.group) for effect in effects if isinstance(effect, (SetMfc, DelMfc))]


def test_U27_joins_of_a_source_that_moves_leave_while_others_are_worked_out(family: Family) -> None:
    moving = Moving(family)
    moving.move()
    first, *others = moving.drains()
    assert len(others) >= MANY // PART - 2
    assert of_kernel(first) == moving.channels[: 2 * PART], "those that were settled with the event, and one part more"
    assert [channel for effects in [first, *others] for channel in of_kernel(effects)] == moving.channels
    said = moving.said(first)
    assert said and all(len(message.groups) == moving.full for message in said), "what fills no message waits"
    everything = said + [message for effects in others for message in moving.said(effects)]
    for neighbor in (moving.eight, moving.stand.nine):
        messages = [message for message in everything if message.upstream_neighbor == neighbor]
        assert len(messages) == -(-MANY // moving.full), "as few as if all had been said at once"
        groups = [group_set.group for message in messages for group_set in message.groups]
        assert groups == [group for _, group in moving.channels]


def test_U27_the_daemon_that_goes_on_draining_gets_all_of_it(family: Family) -> None:
    moving = Moving(family)
    moving.stand.mark()
    moving.stand.r1.static_route(moving.channels[0][0], "other", moving.eight)
    moving.stand.run(1)
    joined = {channel for _, verb, channel in moving.stand.said("other", to=moving.eight) if verb == "join"}
    pruned = {channel for _, verb, channel in moving.stand.said(to=moving.stand.nine) if verb == "prune"}
    assert joined == pruned == set(moving.channels)
    assert all(moving.stand.forwards(channel) == {"down"} for channel in moving.channels[:: MANY // 20])


def test_what_is_discarded_while_it_queues_stays_so(family: Family) -> None:
    moving = Moving(family)
    moving.move()
    last = moving.channels[-1]
    moving.stand.peer("down", 2).prune(moving.stand.us(), last)
    moving.stand.run(5)
    assert moving.stand.entry(last) is None and not moving.stand.router.unsettled


def test_a_vif_that_queueing_entries_may_name_rests_until_they_are_settled(family: Family) -> None:
    moving = Moving(family)
    moving.move()
    moving.stand.router.handle(LinkGone(moving.stand.r1.ports["up"].ifindex), moving.stand.net.now)
    brought = moving.drains()
    given_up = [number for number, effects in enumerate(brought) if any(isinstance(e, DelVif) for e in effects)]
    assert given_up == [len(brought) - 1], "with what is settled last"
