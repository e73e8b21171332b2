"""Conformance group J as far as it speaks of (S,G): the downstream machine (RFC 7761 4.5.2) and what feeds it."""

from __future__ import annotations

from itertools import product

import pytest
from speakers import Channel
from stand import Stand, star_entries
from tables import DOWNSTREAM

from pimpy.core.engine.events import NoCache
from pimpy.core.pim.downstream import MACHINE, Downstream
from pimpy.wire.family import Family, parse_address
from pimpy.wire.join_prune import SG, SG_RPT, GroupSet, JoinPrune
from pimpy.wire.pim import LanPruneDelay

STATES = {"NI": "no_info", "J": "join", "PP": "prune_pending"}
EVENTS = list(dict.fromkeys(event for _, event in DOWNSTREAM))
OVERRIDE = 3.0
"""J/P_Override_Interval with the defaults (T6)."""
FOREVER = 0xFFFF


def machine(stand: Stand, channel: Channel, link: str = "down") -> Downstream | None:
    """The machine of a channel on a link, None in NoInfo."""
    entry = stand.entry(channel)
    interface = stand.router.pim.interfaces[stand.r1.ports[link].ifindex]
    return None if entry is None else interface.downstream.get(entry)


def state(stand: Stand, channel: Channel) -> str:
    found = machine(stand, channel)
    return "no_info" if found is None else found.state.value


def expiry(stand: Stand, channel: Channel) -> float | None:
    """Seconds left on ET; None if it does not run."""
    found = machine(stand, channel)
    return None if found is None else found.expiry.left(stand.net.now)


def pending(stand: Stand, channel: Channel) -> float | None:
    """Seconds left on PPT; None if it does not run."""
    found = machine(stand, channel)
    timer = None if found is None else found.prune_pending
    return None if timer is None else timer.left(stand.net.now)


def echoes(stand: Stand) -> list[tuple[float, str, Channel]]:
    """What was said on `down` to our own address."""
    return stand.said("down", to=stand.us())


# The table.

RECEIVED = 100
"""The HoldTime of the message in hand."""
EXPIRY = {"short": 20, "long": 400, "forever": FOREVER}
"""What ET was set to before."""


def test_J5_the_table_is_total() -> None:
    assert {(before, event) for before, event in DOWNSTREAM} == set(product(STATES, EVENTS))
    assert [event.removesuffix("(S,G)") for event in EVENTS] == [e.value for e in MACHINE.events]
    assert {s.value for s in MACHINE.states} == set(STATES.values())
    assert MACHINE.section == "4.5.1, 4.5.2"


CASES = [
    (before, event, neighbors, et)
    for (before, event), neighbors, et in product(DOWNSTREAM, (1, 2), EXPIRY)
    if not (et == "forever" and before != "NI" and event.startswith("Expiry"))  # such a timer never expires
]


@pytest.mark.parametrize(("before", "event", "neighbors", "et"), CASES)
def test_J1_J2_J3_J4_J5_every_cell_of_figure_3(
    family: Family, before: str, event: str, neighbors: int, et: str
) -> None:
    stand = Stand(family, down=(2, 3))
    channel = stand.channel()
    put_into(stand, channel, before, EXPIRY[et])
    if neighbors == 1:
        stand.peer("down", 3).hello(holdtime=0)
        stand.run(0)
    et_before, ppt_before = expiry(stand, channel), pending(stand, channel)
    due = happen(stand, channel, before, event)
    cell = DOWNSTREAM[before, event]
    at_once = "start PPT" in cell.actions and neighbors == 1  # PPT of zero: it expires immediately
    after = "NI" if at_once else cell.state
    assert state(stand, channel) == STATES[after]
    assert stand.forwards(channel) == (set() if after == "NI" else {"down"}), "PP forwards as J does"
    assert expected_expiry(cell.actions, after, et_before, due) == pytest.approx(expiry(stand, channel))
    assert expected_pending(cell.actions, after, ppt_before, due) == pytest.approx(pending(stand, channel))
    sends = "Send Prune-Echo" in cell.actions and neighbors > 1
    assert echoes(stand) == ([(stand.now, "prune", channel)] if sends else [])


def put_into(stand: Stand, channel: Channel, before: str, holdtime: int) -> None:
    """Bring the machine into a state, with ET set to `holdtime` a second ago."""
    two = stand.peer("down", 2)
    if before != "NI":
        two.join(stand.us(), channel, holdtime=holdtime)
        stand.run(1)
    if before == "PP":
        two.prune(stand.us(), channel)
        stand.run(0)
    stand.mark()
    assert state(stand, channel) == STATES[before]


def happen(stand: Stand, channel: Channel, before: str, event: str) -> float:
    """Let an event happen; the seconds that passed until it did."""
    two = stand.peer("down", 2)
    if event == "Receive Join(S,G)":
        two.join(stand.us(), channel, holdtime=RECEIVED)
    elif event == "Receive Prune(S,G)":
        two.prune(stand.us(), channel, holdtime=RECEIVED)
    else:
        timer = expiry(stand, channel) if event.startswith("Expiry") else pending(stand, channel)
        found = machine(stand, channel)
        if timer is None or found is None:
            return 0.0  # no timer runs in NoInfo, and no PPT in Join
        if event.startswith("Expiry") and found.prune_pending is not None:
            found.prune_pending.at(found.expiry.deadline + 1)  # so that ET comes first
        stand.run(timer)
        return timer
    stand.run(0)
    return 0.0


def expected_expiry(actions: frozenset[str], after: str, before: float | None, passed: float) -> float | None:
    """ET after the actions of a cell; `before` None: it did not run (NoInfo: there is none; else: for ever)."""
    if after == "NI":
        return None
    if "start ET" in actions:
        return float(RECEIVED)
    if "max ET" in actions:
        return None if before is None else max(before, RECEIVED)
    return None if before is None else before - passed


def expected_pending(actions: frozenset[str], after: str, before: float | None, passed: float) -> float | None:
    """PPT after the actions of a cell."""
    if after != "PP":
        return None
    return OVERRIDE if "start PPT" in actions else None if before is None else before - passed


# The rows.


def test_J1_J5_T8_a_join_makes_state_for_its_holdtime_and_never_less(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.run(100)
    stand.peer("down", 2).join(stand.us(), channel, holdtime=50)
    stand.run(109.99)
    assert stand.forwards(channel) == {"down"}, "max(110, 50)"
    stand.run(0.01)
    assert stand.forwards(channel) == set() and stand.entry(channel) is None


def test_J2_J3_J5_T6_on_a_lan_a_prune_waits_3_s_and_is_echoed(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    (channel,) = stand.joined()
    stand.run(1)
    stand.mark()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(2.99)
    assert stand.forwards(channel) == {"down"} and not stand.said("down") and not stand.said()
    stand.run(0.01)
    assert stand.forwards(channel) == set()
    assert stand.said("down") == echoes(stand) == [(3.0, "prune", channel)]
    assert stand.said(to=stand.nine) == [(3.0, "prune", channel)]


def test_J2_T6_the_wait_is_the_effective_one_of_the_link(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    stand.peer("down", 3).hello(lan_prune_delay=LanPruneDelay(False, 1000, 6000))
    stand.run(0)
    (channel,) = stand.joined()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(6.99)
    assert stand.forwards(channel) == {"down"}
    stand.run(0.01)
    assert stand.forwards(channel) == set()


def test_J2_J3_with_one_neighbour_a_prune_ends_it_at_once_without_echo(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(0)
    assert stand.forwards(channel) == set() and stand.entry(channel) is None
    assert stand.said("down") == [] and stand.said() == [(0.0, "prune", channel)]


def test_J1_J3_a_join_in_time_overrides_the_prune(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    (channel,) = stand.joined()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(2.9)
    stand.peer("down", 3).join(stand.us(), channel)
    stand.run(60)
    assert stand.forwards(channel) == {"down"}
    assert [verb for _, verb, _ in stand.said() + stand.said("down")] == ["join"], "the periodic one, no echo"


def test_J4_a_second_prune_does_not_restart_the_wait(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    (channel,) = stand.joined()
    for _ in range(3):
        stand.peer("down", 2).prune(stand.us(), channel)
        stand.run(1)
    assert stand.forwards(channel) == set()


def test_J4_a_prune_in_no_info_does_nothing(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    stand.peer("down", 2).prune(stand.us(), stand.channel())
    stand.run(10)
    assert stand.entry(stand.channel()) is None and not stand.said() and not stand.said("down")


def test_J6_TH22_only_our_primary_address_on_that_link_is_us(family: Family) -> None:
    stand = Stand(family, down=(2, 3))
    channel, two = stand.channel(), stand.peer("down", 2)
    secondary = stand.net.address("down", 31)
    port = stand.r1.ports["down"]
    port.readdress(*port.addresses, (secondary, stand.net.subnet_bits))
    stand.run(0)
    elsewhere = stand.net.address("up", 5)
    for other in (secondary, elsewhere, stand.peer("down", 3).address, family.any):
        two.join(other, channel)
        stand.run(0)
        assert stand.entry(channel) is None, other
    two.join(stand.us(), channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down"}
    for other in (secondary, elsewhere, family.any):
        two.prune(other, channel)
        stand.run(4)
        assert stand.forwards(channel) == {"down"}, other


def test_J7_on_a_point_to_point_link_no_address_is_us_too(family: Family) -> None:
    stand = Stand(family, p2p=True)
    channel = stand.channel()
    stand.peer("down", 2).join(family.any, channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down"}
    stand.peer("down", 2).prune(family.any, channel)
    stand.run(0)
    assert stand.forwards(channel) == set()


def any_source_group(family: Family) -> bytes:
    """A group outside the SSM range."""
    return parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")


def test_J8_TH26_a_join_star_is_dropped_and_the_rest_of_its_set_processed(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()[0], any_source_group(family)
    rp = stand.net.address("up", 77)
    joins = (*star_entries(rp), (source, SG), (stand.channel(2)[0], SG_RPT))
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, (GroupSet(group, joins, ()),)))
    stand.run(0)
    assert set(stand.router.pim.tib.sg) == {source + group}
    assert stand.counted("jp_wrong_rp") == 1
    assert stand.said() == [(0.0, "join", (source, group))]


def test_J9_a_prune_star_to_us_ends_no_s_g_state_whatever_its_rp(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()[0], any_source_group(family)
    stand.peer("down", 2).join(stand.us(), (source, group))
    rp = stand.net.address("up", 77)
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, (GroupSet(group, (), star_entries(rp)),)))
    stand.run(10)
    stand.data((source, group))
    assert stand.forwards((source, group)) == {"down"}


def test_J10_holdtime_ffff_lasts_until_a_prune(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(holdtime=FOREVER)
    stand.run(10_000)
    stand.peer("down", 2).join(stand.us(), channel, holdtime=30)
    stand.run(10_000)
    assert stand.forwards(channel) == {"down"} and stand.row("mroute", row="outgoing").expiration is None
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(0)
    assert stand.entry(channel) is None


def test_J10_holdtime_0_leaves_a_running_timer_and_makes_no_state(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=0)
    stand.run(0)
    assert stand.entry(channel) is None and not stand.said() and not stand.router.rpf.paths
    stand.joined()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=0)
    stand.run(209.99)
    assert stand.forwards(channel) == {"down"}
    stand.run(0.01)
    assert stand.forwards(channel) == set()


def test_J11_data_neither_prolongs_nor_ends_a_join(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    vif = stand.r1.vif("up")
    assert vif is not None
    for _ in range(21):
        stand.r1.handle(NoCache(vif, *channel))
        stand.run(9.99)
        assert stand.forwards(channel) == {"down"}
    stand.run(0.21)
    assert stand.forwards(channel) == set(), "ET alone ends it, 210 s after the Join"


def test_J12_prunes_of_one_entry_touch_no_other(family: Family) -> None:
    stand = Stand(family)
    first, second = stand.joined(1, 2)
    third = stand.channel(3, group=1)
    stand.peer("down", 2).join(stand.us(), third)
    stand.peer("down", 2).prune(stand.us(), first)
    stand.run(0)
    assert (stand.entry(first), stand.forwards(second), stand.forwards(third)) == (None, {"down"}, {"down"})


def test_J20_a_join_on_the_rpf_interface_is_state_but_nothing_goes_back(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    channel = stand.channel()
    stand.peer("up", 8).join(stand.us("up"), channel)
    stand.run(0)
    assert stand.entry(channel) is not None and stand.said(to=stand.nine) == [(0.0, "join", channel)]
    assert stand.forwards(channel) == set()
    vif = stand.r1.vif("up")
    assert stand.r1.kernel.mfc == {channel: (vif, 0)}
    stand.joined()
    assert stand.forwards(channel) == {"down"}


@pytest.mark.parametrize("how", ["down", "removed"])
def test_J21_F18_a_link_that_goes_takes_its_state_and_upstream_reacts_in_the_same_event(
    family: Family, how: str
) -> None:
    stand = Stand(family)
    channels = stand.joined(1, 2)
    stand.host().join(channels[0][1], channels[0][0])
    stand.run(1)
    stand.mark()
    if how == "down":
        stand.net.set_link("down", False)
    else:
        stand.r1.detach("down")
    stand.run(0)
    assert sorted(stand.said(to=stand.nine)) == sorted((0.0, "prune", channel) for channel in channels)
    assert not stand.router.pim.tib.sg and not stand.r1.kernel.mfc
    assert not stand.hellos("up") and len(stand.router.memberships) == 1


def test_J21_what_others_want_stays(family: Family) -> None:
    stand = Stand(family)
    side = stand.net.link("side", "r1")
    (channel,) = stand.joined()
    peer = stand.net.peer("side", 3)
    peer.hello()
    peer.join(stand.r1.address("side"), channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down", "side"}
    stand.mark()
    stand.net.set_link("down", False)
    stand.run(0)
    assert stand.forwards(channel) == {side.name} and not stand.said()
