"""Entries that end in the core are freed by their reference counts: the daemon relies on it (daemon/memory.py).

Interfaces and what stands once on each of them are few, and may wait for the collector.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asm_stand import AsmStand

from pimpy.core.engine.timers import Timer
from pimpy.wire.family import Family

FEW = {
    "PimInterface",
    "Membership",
    "Link",
    "Querier",
    "Advertiser",
    "GmpSettings",
    "Variables",
    "Neighbor",
    "Filter",
    "JoinFilter",
    "Bucket",
}


@contextmanager
def everything_that_only_the_collector_frees() -> Iterator[list[object]]:
    """All that was unreachable and yet alive at the end."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
        gc.collect()
    finally:
        gc.set_debug(0)
        gc.enable()


def of_the_core(garbage: list[object]) -> Counter[str]:
    """The entries, machines and timers of entries among it."""
    owners = (one.owner if isinstance(one, Timer) else one for one in garbage)
    names = (type(one).__name__ for one in owners if type(one).__module__.startswith("pimpy."))
    return Counter(name for name in names if name not in FEW)


def channels_come_and_go(stand: AsmStand) -> None:
    stand.joined(1, 2, 3)
    source, group = stand.channel(9)
    host = stand.net.host("down", 101)
    host.join(group, source)
    stand.run(300)
    host.leave(group, source)
    stand.run(300)


def a_shared_tree_comes_and_goes(stand: AsmStand) -> None:
    host = stand.member()
    channel = stand.far()
    stand.say("Join(*,G)")
    stand.data(channel, "rpt")
    stand.data(channel, "up")
    stand.say("Prune(S,G,rpt)")
    stand.hear_assert(channel[0], (False, 1, 1))
    stand.run(200)
    host.want_no_more(stand.group())
    stand.run(900)


def a_source_registers_and_falls_silent(stand: AsmStand) -> None:
    channel = stand.near()
    stand.data(channel)
    stand.register_stop(channel)
    stand.run(900)


def neighbours_go(stand: AsmStand) -> None:
    stand.say("Join(*,G)")
    stand.net.set_link("down", False)
    stand.run(300)
    stand.net.set_link("down", True)
    stand.run(300)


@pytest.mark.parametrize(
    "story",
    [channels_come_and_go, a_shared_tree_comes_and_goes, a_source_registers_and_falls_silent, neighbours_go],
)
def test_what_ends_leaves_nothing_to_the_collector(family: Family, story) -> None:  # type: ignore[no-untyped-def]
    stand = AsmStand(family)
    stand.net.checker.on = False
    with everything_that_only_the_collector_frees() as garbage:
        story(stand)
    left = of_the_core(garbage)
    garbage.clear()
    assert not stand.router.pim.tib.sg and not stand.router.pim.tib.groups, "the story is told to its end"
    assert not left


def test_a_cycle_would_be_seen() -> None:
    from pimpy.core.pim.tib import Group

    with everything_that_only_the_collector_frees() as garbage:
        group = Group(b"")
        group.sources[group] = None  # type: ignore[index]
        del group
    assert of_the_core(garbage) == {"Group": 1}
    garbage.clear()
