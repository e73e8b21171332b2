"""What the core tells those who watch (`pimctl monitor`): each change of state once, refreshes never."""

from __future__ import annotations

from typing import Any

from asm_stand import AsmStand
from stand import Stand

from pimpy.config.model import StaticRp
from pimpy.daemon.monitor import EVENTS
from pimpy.wire.family import Family, parse_address


def watch(stand: Stand) -> list[tuple[Any, ...]]:
    """The list that grows as the router tells."""
    told: list[tuple[Any, ...]] = []
    stand.router.pim.told = lambda *said: told.append(said)
    return told


def test_joins_of_routers_are_told_once(family: Family) -> None:
    stand = Stand(family)
    told = watch(stand)
    (channel,) = stand.joined(1)
    source, group = channel
    assert told == [
        ("join_received", group, source, "down", None),
        ("joined", group, source, None, None),
        ("rpf_changed", group, source, "up", stand.nine),
    ]
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(100)
    assert len(told) == 3, "refreshes are not told"
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(10)
    assert [what for what, *_ in told[3:]] == ["join_ended", "left"]


def test_members_are_told(family: Family) -> None:
    stand = AsmStand(family)
    told = watch(stand)
    host = stand.member()
    assert [(what, source, where) for what, _, source, where, _ in told] == [
        ("member_joined", None, "down"),
        ("joined", None, None),
        ("rpf_changed", None, "rpt"),
    ]
    host.want_no_more(stand.group())
    stand.run(10)
    assert ("member_left", stand.group(), None, "down", None) in told


def test_registers_and_another_rp_are_told(family: Family) -> None:
    stand = AsmStand(family)
    told = watch(stand)
    channel = stand.near()
    stand.data(channel)
    assert ("register_started", stand.group(), channel[0], None, stand.rp) in told
    stand.register_stop(channel)
    assert ("register_stopped", stand.group(), channel[0], None, stand.rp) in told
    other = parse_address("10.8.0.2" if family.size == 4 else "2001:db8:8::2")
    stand.configure(rp_addresses=(StaticRp(other, family.multicast),))
    assert ("rp_changed", stand.group(), None, None, other) in told
    assert {what for what, *_ in told} <= set(EVENTS)


def test_nobody_is_told_while_nobody_watches(family: Family) -> None:
    stand = Stand(family)
    told = watch(stand)
    stand.router.pim.told = None
    stand.joined(1)
    assert told == []
