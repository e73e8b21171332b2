"""The invariants bite: what is put out of order by hand is found at the next look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from network import Net
from node import Node

from pimpy.config.model import Phyint
from pimpy.core.engine.timers import NEVER, Timer
from pimpy.core.pim.instance import PimSettings
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.router import Router
from pimpy.wire.family import Family


def neighbors(family: Family) -> Node:
    """A router with a neighbour on a LAN."""
    net = Net(family)
    first, _ = net.router("r1"), net.router("r2")
    net.link("lan", "r1", "r2")
    net.start()
    net.run(60)
    return first


def _interface(router: Router) -> PimInterface:
    return next(iter(router.pim.interfaces.values()))


def _silent_liveness(router: Router) -> None:
    next(iter(_interface(router).neighbors.values())).liveness.cancel()


def _timer_of_nobody(router: Router) -> None:
    Timer(router.heap, "nobody", lambda _: None).at(router.heap.now + 5)


def _timer_beside_the_heap(router: Router) -> None:
    _interface(router).triggered_hello.deadline = router.heap.now + 5


def _timer_missed(router: Router) -> None:
    _interface(router).hello_timer.deadline = router.heap.now


def _overdue(router: Router) -> None:
    router.heap.now += 1000


def _counter_back(router: Router) -> None:
    key = next(iter(router.counters.values))
    router.counters.values[key] -= 1


def _counter_lost(router: Router) -> None:
    del router.counters.values[next(iter(router.counters.values))]


def _dr_elsewhere(router: Router) -> None:
    router.pim.dr ^= _interface(router).mask


def _too_many(router: Router) -> None:
    router.pim.settings = PimSettings(max_neighbors=0)


def _wrong_neighbor(router: Router) -> None:
    found = _interface(router).neighbors
    found[router.family.any] = next(iter(found.values()))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_silent_liveness, "without its liveness timer"),
        (_timer_of_nobody, "a timer of nobody"),
        (_timer_beside_the_heap, "timers that the heap does not know"),
        (_timer_missed, "a timer that the heap will miss"),
        (_overdue, "overdue"),
        (_counter_back, "the counter"),
        (_counter_lost, "the counter"),
        (_dr_elsewhere, "the DR is not who it should be"),
        (_too_many, "too many neighbours"),
        (_wrong_neighbor, "a neighbour in another's place"),
    ],
)
def test_what_is_out_of_order_is_found(family: Family, spoil: Callable[[Router], None], said: str) -> None:
    node = neighbors(family)
    assert node.router is not None and node.router.counters.values
    node.net.checker.check(node)
    assert _interface(node.router).hello_timer.deadline != NEVER
    spoil(node.router)
    with pytest.raises(AssertionError, match=said):
        node.net.checker.check(node)


def test_a_hello_on_a_passive_link_is_found(family: Family) -> None:
    node = neighbors(family)
    node.config = type(node.config)(phyints=(Phyint("lan", passive=True),))
    with pytest.raises(AssertionError, match="PIM on the passive lan"):
        node.net.run(60)
