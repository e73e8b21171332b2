"""The kernel's table is compared with what it should be: what another program changed is put right and counted."""

from __future__ import annotations

import pytest
from stand import Stand

from pimpy.core.drift import GATHER
from pimpy.core.engine.events import EntryGone, NoCache
from pimpy.wire.family import Family


def filled(family: Family) -> tuple[Stand, dict[tuple[bytes, bytes], tuple[int, int]]]:
    """A router with two streams and an unwanted one; its kernel's entries."""
    stand = Stand(family)
    stand.joined(1, 2)
    stand.r1.handle(NoCache(stand.r1.vif("up") or 0, *stand.channel(3)))
    stand.run(0)
    assert len(stand.r1.kernel.mfc) == 3
    return stand, dict(stand.r1.kernel.mfc)


def flush(stand: Stand) -> None:
    """Another program empties the table, and the kernel tells of each entry."""
    gone = list(stand.r1.kernel.mfc)
    stand.r1.kernel.mfc.clear()
    stand.net.checker.on = False
    for channel in gone:
        stand.r1.handle(EntryGone(*channel))


def test_a_flushed_table_is_whole_again_within_a_second(family: Family) -> None:
    stand, before = filled(family)
    flush(stand)
    stand.run(0.9)
    stand.net.checker.on = True
    stand.run(0.1)
    assert stand.r1.kernel.mfc == before and stand.router.health.drift == 3
    assert stand.r1.reasons().count("mroute_kernel_drift") == 1
    told = next(notice.text for notice in stand.r1.notices if notice.reason == "mroute_kernel_drift")
    assert "another program changed the kernel's table: 3 entries were removed" in told


def test_vifs_that_were_flushed_are_made_again(family: Family) -> None:
    stand, before = filled(family)
    vifs = dict(stand.r1.kernel.vifs)
    stand.r1.kernel.vifs.clear()
    flush(stand)
    stand.run(1)
    assert stand.r1.kernel.mfc == before and stand.r1.kernel.vifs == vifs
    assert stand.router.health.drift == len(vifs)


def test_a_change_without_notice_is_found_within_a_minute(family: Family) -> None:
    stand, before = filled(family)
    first, second, third = before
    stand.net.checker.on = False
    kernel = stand.r1.kernel
    kernel.mfc[first] = (kernel.mfc[first][0], 0)
    del kernel.mfc[second]
    kernel.mfc[stand.channel(9)] = kernel.mfc[third]
    for _ in range(6):
        stand.r1.handle(NoCache(stand.r1.vif("up") or 0, *stand.channel(3)))
        stand.run(10)
    assert {key: kernel.mfc[key] for key in before} == before and stand.channel(9) not in kernel.mfc
    assert stand.router.health.drift == 3


def test_our_own_removals_are_no_drift(family: Family) -> None:
    stand, _ = filled(family)
    for channel in list(stand.r1.kernel.mfc):
        stand.peer("down", 2).prune(stand.us(), channel)
        stand.run(0)
        stand.r1.handle(EntryGone(*channel))
    stand.run(200)
    assert stand.router.health.drift == 0 and not stand.r1.reasons().count("mroute_kernel_drift")


def test_a_table_that_was_read_before_a_change_differs_and_one_read_after_it_does_not(family: Family) -> None:
    stand, _ = filled(family)
    old = stand.r1.kernel.contents_read()
    stand.peer("down", 2).join(stand.us(), stand.channel(5))
    stand.peer("down", 2).prune(stand.us(), stand.channel(1))
    stand.run(0)
    stand.router.handle(stand.r1.kernel.contents_read(), stand.net.now)
    assert stand.router.health.drift == 0
    stand.router.handle(old, stand.net.now)
    assert stand.router.health.drift == 2


def test_an_entry_that_is_not_ours_is_no_reason_to_look(family: Family) -> None:
    stand, before = filled(family)
    timer = stand.router.drift_timer
    left = timer.left(stand.net.now)
    stand.router.handle(EntryGone(*stand.channel(77)), stand.net.now)
    assert timer.left(stand.net.now) == left and (left or 0) > GATHER, "it was taken back by ourselves"
    stand.router.handle(EntryGone(*next(iter(before))), stand.net.now)
    assert timer.left(stand.net.now) == pytest.approx(GATHER)


def test_an_entry_of_which_the_kernel_does_not_say_enough_is_looked_for(family: Family) -> None:
    stand, _ = filled(family)
    stand.router.handle(EntryGone(None, None), stand.net.now)
    assert stand.router.drift_timer.left(stand.net.now) == pytest.approx(GATHER)
