"""Conformance group U as far as it speaks of (S,G): the upstream machine (RFC 7761 4.5.5). Packing: test_packing.py."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from network import Net
from speakers import Channel, group_sets
from stand import Stand, star_entries
from tables import UPSTREAM

from pimpy.core.pim.upstream import MACHINE, Event
from pimpy.wire.family import Address, Family, parse_address
from pimpy.wire.join_prune import SG_RPT, STAR_G, GroupSet, JoinPrune
from pimpy.wire.pim import Assert, LanPruneDelay
from pimpy.wire.record import evolve

EVENTS = {
    "JoinDesired ->True": Event.JOIN_DESIRED,
    "JoinDesired ->False": Event.JOIN_NOT_DESIRED,
    "Timer Expires": Event.TIMER_EXPIRES,
    "See Join to RPF'": Event.SEE_JOIN,
    "See Prune to RPF'": Event.SEE_PRUNE,
    "See Prune(S,G,rpt) to RPF'": Event.SEE_PRUNE_RPT,
    "See Prune(*,G) to RPF'": Event.SEE_PRUNE_STAR,
    "RPF' changes not due to an Assert": Event.RPF_PRIME_CHANGES,
    "RPF' GenID changes": Event.RPF_PRIME_GENID_CHANGES,
    "RPF' changes due to an Assert": Event.RPF_PRIME_CHANGES_BY_ASSERT,
}
T_PERIODIC = 60.0
OVERRIDE = 2.5


def any_source_channel(stand: Stand) -> Channel:
    """A channel outside the SSM range, where a Prune(*,G) means something."""
    return stand.channel()[0], parse_address("239.1.1.1" if stand.family.size == 4 else "ff1e::1")


def see(stand: Stand, what: str, channel: Channel, *, to: Address | None = None, holdtime: int = 210) -> None:
    """Number 8 on `up` sends a Join or Prune that concerns a channel to number 9, or to `to`."""
    source, group = channel
    entries = {
        "Join": group_sets(joins=(channel,)),
        "Prune": group_sets(prunes=(channel,)),
        "Prune(S,G,rpt)": (GroupSet(group, (), ((source, SG_RPT),)),),
        "Prune(*,G)": (GroupSet(group, (), ((stand.net.address("up", 77), STAR_G),)),),
    }
    stand.peer("up", 8).send(JoinPrune(to or stand.nine, holdtime, entries[what]))
    stand.run(0)


# The table.


class Case:
    """A router of which number 8 and 9 are neighbours on `up`; 9 is RPF'."""

    def __init__(self, family: Family, before: str, seed: int = 1) -> None:
        self.stand = stand = Stand(family, up=(9, 8), seed=seed)
        self.channel = any_source_channel(stand)
        self.two = stand.peer("down", 2)
        if before == "J":
            self.two.join(stand.us(), self.channel)
            stand.run(0)
        stand.mark()

    def jt(self) -> float | None:
        return self.stand.join_timer(self.channel) if self.stand.entry(self.channel) is not None else None

    def happen(self, event: str) -> None:
        """Let an event happen, from the outside where it can come from there."""
        stand, channel = self.stand, self.channel
        deeds: dict[str, Callable[[], None]] = {
            "JoinDesired ->True": lambda: self.two.join(stand.us(), channel),
            "JoinDesired ->False": lambda: self.two.prune(stand.us(), channel),
            "Timer Expires": lambda: stand.run(self.jt() or 0.0),
            "See Join to RPF'": lambda: see(stand, "Join", channel),
            "See Prune to RPF'": lambda: see(stand, "Prune", channel),
            "See Prune(S,G,rpt) to RPF'": lambda: see(stand, "Prune(S,G,rpt)", channel),
            "See Prune(*,G) to RPF'": lambda: see(stand, "Prune(*,G)", channel),
            "RPF' changes not due to an Assert": lambda: stand.r1.static_route(
                channel[0], "up", stand.peer("up", 8).address
            ),
            "RPF' GenID changes": lambda: stand.peer("up", 9).hello(generation_id=0x9999),
            "RPF' changes due to an Assert": lambda: stand.peer("up", 8).send(
                Assert(channel[1], channel[0], False, 0, 0)
            ),
        }
        deeds[event]()
        stand.run(0)

    def said(self, number: int) -> list[str]:
        """What was said to a neighbour on `up`."""
        said = self.stand.said(to=self.stand.peer("up", number).address)
        assert all(channel == self.channel for _, _, channel in said)
        return [verb for _, verb, _ in said]


def test_U1_the_table_is_total() -> None:
    assert set(UPSTREAM) == set(product(("NJ", "J"), EVENTS))
    assert set(EVENTS.values()) == set(MACHINE.events)
    assert MACHINE.section == "4.5.4, 4.5.5"


@pytest.mark.parametrize(("before", "event"), list(UPSTREAM))
@pytest.mark.parametrize("left", [55.0, 0.001], ids=["long", "short"])
def test_U1_U2_U3_U5_U7_U8_U9_every_cell_of_figure_6(family: Family, before: str, event: str, left: float) -> None:
    case = Case(family, before)
    stand = case.stand
    if before == "J":
        stand.run(T_PERIODIC - left)
        stand.mark()
        assert case.jt() == pytest.approx(left)
    cell = UPSTREAM[before, event]
    case.happen(event)
    entry = stand.entry(case.channel)
    assert (entry is not None and entry.joined) == (cell.state == "J")
    assert case.said(9) == (
        ["join"] * bool({"Send Join"} & cell.actions)
        + ["prune"] * bool({"Send Prune", "Send Prune to old"} & cell.actions)
    )
    assert case.said(8) == ["join"] * ("Send Join to new" in cell.actions)
    low, high = expected_join_timer(cell.actions, left, before)
    jt = case.jt()
    assert (jt is None) == (low is None)
    assert jt is None or low is None or low - 1e-6 <= jt <= high + 1e-6


def expected_join_timer(actions: frozenset[str], left: float, before: str) -> tuple[float | None, float]:
    """The least and the greatest that JT may show after the actions of a cell; None: it does not run."""
    if "JT = t_periodic" in actions:
        return T_PERIODIC, T_PERIODIC
    if "cancel JT" in actions or before == "NJ":
        return None, 0.0
    if "increase JT to t_joinsuppress" in actions:
        return max(left, 66.0), 84.0
    if "decrease JT to t_override" in actions:
        return 0.0, min(left, OVERRIDE)
    return left, left


# The rows.


def test_U1_T7_T8_a_join_at_once_then_every_60_s_and_nothing_between(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=0xFFFF)
    stand.run(600)
    assert stand.said(to=stand.nine) == [(60.0 * n, "join", channel) for n in range(11)]
    assert stand.said() == stand.said(to=stand.nine)
    assert {message.holdtime for _, message in stand.messages()} == {210}


def test_U2_one_prune_when_nobody_wants_it_any_more(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.run(10)
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(300)
    assert stand.said() == [(10.0, "prune", channel)]


def test_U2_what_was_never_joined_is_not_pruned(family: Family) -> None:
    stand = Stand(family, down=(9,))
    source, group = stand.channel()
    host = stand.host()
    host.join(group, source)
    stand.run(3)
    assert stand.entry((source, group)) is not None and not stand.i_am_dr()
    host.leave(group, source)
    stand.run(300)
    assert stand.entry((source, group)) is None and not stand.said()


def test_U3_T9_a_seen_join_suppresses_for_66_to_84_s(family: Family) -> None:
    times = []
    for seed in range(30):
        stand = Stand(family, up=(9, 8), seed=seed)
        (channel,) = stand.joined()
        stand.run(30)
        see(stand, "Join", channel)
        stand.run(90)
        ((when, verb, _), *_) = stand.said()
        assert verb == "join" and 30 + 66 <= when <= 30 + 84
        times.append(when - 30)
    assert min(times) < 70 and max(times) > 80, "rand(66, 84)"


def test_U3_the_holdtime_seen_is_the_limit_and_jt_never_shrinks(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    (channel,) = stand.joined()
    stand.run(1)
    see(stand, "Join", channel, holdtime=40)
    assert stand.join_timer(channel) == 59, "min(66..84, 40) is less than what is left"
    stand.run(40)
    see(stand, "Join", channel, holdtime=40)
    assert stand.join_timer(channel) == 40


def test_U3_N14_without_suppression_a_seen_join_changes_nothing(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    stand.router.pim.settings = evolve(stand.router.pim.settings, t_bit=True)
    for number in (9, 8):
        stand.peer("up", number).keep_saying_hello(lan_prune_delay=LanPruneDelay(True, 500, 2500))
    (channel,) = stand.joined()
    stand.run(30)
    see(stand, "Join", channel)
    assert stand.join_timer(channel) == 30
    see(stand, "Prune", channel)
    assert (stand.join_timer(channel) or 0.0) <= 2.5, "overriding goes on"


def test_U3_U5_only_what_is_seen_to_rpf_prime_counts(family: Family) -> None:
    stand = Stand(family, up=(9, 8, 7))
    channel = any_source_channel(stand)
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(30)
    seven = stand.peer("up", 7).address
    for what in ("Join", "Prune", "Prune(S,G,rpt)", "Prune(*,G)"):
        see(stand, what, channel, to=seven)
        assert stand.join_timer(channel) == 30, what
    other = channel[0], stand.group(9)
    for what in ("Join", "Prune", "Prune(S,G,rpt)"):
        see(stand, what, other)
        assert stand.join_timer(channel) == 30, what
    see(stand, "Join", channel)
    assert (stand.join_timer(channel) or 0.0) >= 66


@pytest.mark.parametrize("what", ["Prune", "Prune(S,G,rpt)", "Prune(*,G)"])
def test_U5_T5_a_seen_prune_is_overridden_within_2_5_s(family: Family, what: str) -> None:
    times = []
    for seed in range(20):
        stand = Stand(family, up=(9, 8), seed=seed)
        channel = any_source_channel(stand)
        stand.peer("down", 2).join(stand.us(), channel)
        stand.run(30)
        stand.mark()
        see(stand, what, channel)
        stand.run(50)
        ((when, verb, _),) = stand.said(to=stand.nine)
        assert verb == "join" and 0 <= when <= 2.5
        times.append(when)
    assert min(times) < 0.5 and max(times) > 2.0, "rand(0, 2.5)"


def test_U5_J3_the_prune_echo_of_rpf_prime_is_overridden_too(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    (channel,) = stand.joined()
    stand.run(30)
    stand.mark()
    stand.peer("up", 9).prune(stand.nine, channel)
    stand.run(3)
    assert [verb for _, verb, _ in stand.said(to=stand.nine)] == ["join"]


def test_U5_a_join_seen_after_the_prune_saves_us_ours(family: Family) -> None:
    stand = Stand(family, up=(9, 8, 7))
    (channel,) = stand.joined()
    stand.run(30)
    stand.mark()
    see(stand, "Prune", channel)
    see(stand, "Join", channel)
    stand.run(60)
    assert not stand.said()


def test_U5_S3_in_the_ssm_range_a_prune_of_the_shared_tree_is_ignored(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    (channel,) = stand.joined()
    stand.run(30)
    for count, what in enumerate(("Prune(*,G)", "Prune(S,G,rpt)"), start=1):
        see(stand, what, channel)
        assert stand.join_timer(channel) == 30
        assert stand.counted("jp_ssm") == count


def lan_of_three(family: Family, seed: int) -> tuple[Net, Channel]:
    """r1 towards the source, r2 and r3 behind it on one LAN, a host behind each of them."""
    net = Net(family, seed)
    for name in ("r1", "r2", "r3"):
        net.router(name)
    net.link("src", "r1")
    net.link("lan", "r1", "r2", "r3", delay=0.005, jitter=0.01)
    net.link("h2", "r2")
    net.link("h3", "r3")
    net.start()
    net.run(10)
    return net, (net.source("src"), parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1"))


def test_U6_F18_who_stays_loses_nothing_when_another_leaves(family: Family) -> None:
    for seed in range(20):
        net, (source, group) = lan_of_three(family, seed)
        leaving, staying = net.host("h2"), net.host("h3")
        leaving.join(group, source)
        staying.join(group, source)
        net.run(net.random.uniform(1, 60))
        assert net.flows(source, group) == {"src", "lan", "h2", "h3"}
        leaving.leave(group, source)
        for _ in range(800):
            net.run(0.01)
            assert {"src", "lan", "h3"} <= net.flows(source, group), f"seed {seed}: lost at {net.now}"
        assert net.flows(source, group) == {"src", "lan", "h3"}


def test_U8_rpf_prime_changes_to_another_neighbour_or_link(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    (channel,) = stand.joined()
    eight = stand.peer("up", 8).address
    stand.run(10)
    stand.r1.static_route(channel[0], "up", eight)
    stand.run(0)
    assert stand.said(to=eight) == [(10.0, "join", channel)]
    assert stand.said(to=stand.nine) == [(10.0, "prune", channel)]
    assert stand.join_timer(channel) == 60
    stand.net.link("side", "r1")
    stand.run(0)
    side = stand.net.peer("side", 3)
    side.hello()
    stand.run(0)
    stand.mark()
    stand.r1.static_route(channel[0], "side", side.address)
    stand.run(0)
    assert stand.said("side", to=side.address) == [(0.0, "join", channel)]
    assert stand.said(to=eight) == [(0.0, "prune", channel)]
    assert stand.r1.kernel.mfc[channel][0] == stand.r1.vif("side") and stand.forwards(channel) == {"down"}


def test_U8_a_route_that_changes_nothing_says_nothing(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    route = stand.r1.route(channel[0])
    stand.run(10)
    stand.r1.handle(evolve(route, metric=77, protocol=9))
    stand.run(0)
    assert not stand.said() and stand.join_timer(channel) == 50


def test_U11_a_lost_route_prunes_once_keeps_the_state_and_joins_when_it_is_back(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(holdtime=0xFFFF)
    stand.run(10)
    stand.r1.static_route(channel[0], None)
    stand.run(290)
    assert stand.said() == [(10.0, "prune", channel)]
    assert stand.forwards(channel) == set() and not stand.r1.kernel.mfc
    assert stand.row("mroute", row="outgoing").jp_state == "join", "downstream state stays"
    stand.r1.static_route(channel[0], "up", stand.nine)
    stand.run(0.1)
    assert stand.said()[1:] == [(300.0, "join", channel)] and stand.forwards(channel) == {"down"}


def test_U11_no_prune_to_a_neighbour_that_is_gone(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.peer("up", 9).hello(holdtime=0)
    stand.run(0)
    assert not stand.said() and stand.entry(channel) is not None
    stand.r1.static_route(channel[0], None)
    stand.run(5)
    assert not stand.said()


def test_U11_nor_to_one_that_leaves_in_the_same_batch(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.peer("up", 9).hello(holdtime=0)
    stand.run(0)
    assert stand.entry(channel) is None and not stand.messages()


def test_U11_a_link_that_goes_down_and_comes_back(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.net.set_link("up", False)
    stand.run(3)
    assert stand.entry(channel) is not None and not stand.r1.kernel.mfc and not stand.said()
    stand.net.set_link("up", True)
    stand.run(0)
    assert stand.r1.kernel.mfc and not stand.said(), "the neighbour has to say Hello first (N18)"
    stand.mark()
    stand.peer("up", 9).hello()
    stand.run(0.1)
    assert stand.said(to=stand.nine) == [(0.0, "join", channel)]


@pytest.mark.parametrize("p2p", [False, True])
def test_U12_where_the_source_is_on_the_link_nothing_is_sent(family: Family, p2p: bool) -> None:
    stand = Stand(family, p2p=p2p)
    source = stand.net.source("up")
    channel = source, stand.group()
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(200)
    assert stand.forwards(channel) == {"down"} and not stand.said()
    assert stand.row("mroute", row="entry").rpf_state == "connected"


def test_U12_where_the_source_is_our_own_address_nothing_is_sent(family: Family) -> None:
    stand = Stand(family)
    source = stand.r1.ports["up"].addresses[-1][0]
    channel = source, stand.group()
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(200)
    assert stand.forwards(channel) == {"down"} and not stand.said()
    assert stand.row("mroute", row="entry").rpf_state == "local"


def test_U26_a_raised_interval_is_kept_until_peers_hold_long_enough(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=0xFFFF)
    stand.run(90)
    stand.r1.configure(join_prune_interval=120)
    stand.run(500)
    times = [when for when, _, _ in stand.said()]
    assert times == [0, 60, 120, 180, 240, 300, 420, 540], "60 s until 90 + 210, then 120 s"
    assert [message.holdtime for _, message in stand.messages()] == [210] * 2 + [420] * 6


def test_U26_a_lowered_interval_counts_from_the_next_expiry(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=0xFFFF)
    stand.run(70)
    stand.r1.configure(join_prune_interval=20)
    stand.run(100)
    assert [when for when, _, _ in stand.said()] == [0, 60, 120, 140, 160]
    assert [message.holdtime for _, message in stand.messages()] == [210] * 2 + [70] * 3


def test_J8_U3_a_seen_join_star_suppresses_no_join_of_ours(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    channel = any_source_channel(stand)
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(30)
    rp = stand.net.address("up", 77)
    sets = (GroupSet(channel[1], star_entries(rp), ()),)
    stand.peer("up", 8).send(JoinPrune(stand.nine, 210, sets))
    stand.run(0)
    assert stand.join_timer(channel) == 30
