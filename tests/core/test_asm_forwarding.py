"""Conformance group F: data of any-source groups, the Keepalive Timer and the SPTbit (RFC 7761 4.2)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand

from pimpy.config.model import Config
from pimpy.wire.family import Family, parse_address

POLL = 30.0
"""How often the kernel's counters are read: data is noticed so much later, at most."""


def test_F1_R1_the_first_packet_of_a_connected_source_reaches_the_rp(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    assert stand.registers() == [(0.0, "data")], "the held packet, no later one"
    assert stand.keepalive(source) == 210
    stand.data(source)
    assert stand.registers() == [(0.0, "data")] * 2


def test_F2_T12_data_restarts_the_keepalive_timer_only_where_the_rule_says(family: Family) -> None:
    stand = AsmStand(family, config=never())
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    assert stand.forwards(source) == {"down"} and stand.keepalive(source) is None, "on the shared tree"
    stand.data(source, "down")
    assert stand.keepalive(source) is None, "from a wrong interface"
    stand.say("Join(S,G)")
    stand.run(3)
    stand.data(source, "up")
    assert stand.keepalive(source) == 210, "Joined, from RPF_interface(S)"


def never() -> Config:
    """A configuration that keeps to the shared tree."""
    return Config(spt_threshold="infinity")


def test_F2_a_connected_source_nobody_wants_keeps_its_timer(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.register_stop(source)
    stand.run(100)
    stand.data(source)
    stand.run(POLL)
    assert stand.keepalive(source) is not None and stand.keepalive(source) >= 210 - POLL  # type: ignore[operator]


def test_F3_a_steady_source_is_never_pruned_nor_lost(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.member("down")
    stand.data(source, "rpt")
    stand.data(source)
    stand.mark()
    for _ in range(640):
        number = stand.data(source)
        assert stand.net.copies("down", number) == 1
        stand.run(1)
    assert "Prune(S,G)" not in {word for _, word in stand.told()}
    stand.run(210 + POLL)
    assert (stand.told("up")[-1][1], stand.keepalive(source)) == ("Prune(S,G)", None), "but a silent one ages out"


def test_F3_data_from_a_wrong_interface_alone_lets_the_entry_age(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)", holdtime=0xFFFF)
    stand.data(source)
    assert stand.keepalive(source) == 210
    for _ in range(250):
        stand.data(source, "down")
        stand.run(1)
    assert stand.keepalive(source) is None


def test_F4_case_a_a_connected_source(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    assert stand.sg(source).spt_bit and stand.sg(source).joined


def test_F4_case_b_the_trees_come_by_different_interfaces(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)")
    stand.data(source, "rpt")
    assert not stand.sg(source).spt_bit, "not on RPF_interface(S)"
    stand.data(source, "up")
    assert stand.sg(source).spt_bit


def test_F5_case_c_nobody_wants_it_from_the_shared_tree(family: Family) -> None:
    stand = AsmStand(family, rp="up", down=(2,), up=(9, 8))
    source = stand.far(by=8)
    stand.say("Join(*,G)", "Join(S,G)")
    stand.data(source)
    assert not stand.sg(source).spt_bit, "one interface, two neighbours, olist not empty: none of (a) to (e)"
    stand.say("Join(*,G)", "Join(S,G)", "Prune(S,G,rpt)")
    assert stand.star is not None
    stand.data(source)
    assert stand.sg(source).spt_bit


def test_F6_case_d_both_trees_come_from_the_same_neighbour(family: Family) -> None:
    stand = AsmStand(family, rp="up")
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)")
    stand.data(source)
    assert stand.sg(source).spt_bit


def test_F6_case_d_does_not_hold_of_two_nulls(family: Family) -> None:
    stand = AsmStand(family, rp="up")
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)")
    stand.hello("up", 9, holdtime=0)
    stand.data(source)
    assert not stand.sg(source).spt_bit


def test_F7_case_e_i_am_assert_loser_on_the_incoming_interface(family: Family) -> None:
    stand = AsmStand(family, rp="up", down=(2,), up=(9, 8))
    source = stand.far(by=8)
    stand.say("Join(*,G)", "Join(S,G)")
    stand.data(source)
    assert not stand.sg(source).spt_bit
    stand.hear_assert(source[0], (False, 1, 1), by=8, link="up")
    assert stand.sg(source).spt_bit and stand.assert_state(source, "up") == "loser"


def test_F7_case_e_alone_of_a_loser_that_joined_later(family: Family) -> None:
    stand = AsmStand(family, rp="up", down=(2,), up=(9, 8, 6), config=never())
    source = stand.far(by=8)
    stand.say("Join(*,G)")
    stand.data(source)
    stand.hear_assert(source[0], (False, 1, 1), by=6, link="up")
    assert stand.assert_state(source, "up") == "loser" and not stand.sg(source).spt_bit, "it was not Joined (A7)"
    stand.say("Join(S,G)")
    stand.data(source)
    assert stand.sg(source).spt_bit, "RPF' is 6 here and 9 on the shared tree"


def test_F8_no_case_sets_it_while_nobody_desires_the_source(family: Family) -> None:
    stand = AsmStand(family, config=never())
    source = stand.far()
    stand.member()
    stand.data(source, "rpt")
    stand.data(source, "up")
    assert not stand.sg(source).spt_bit and stand.forwards(source) == {"down"}
    assert stand.net.copies("down", stand.data(source, "rpt")) == 1, "the shared tree goes on"


def test_F9_the_bit_ends_with_join_desired_and_by_nothing_else(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)", holdtime=0xFFFF)
    stand.data(source)
    assert stand.sg(source).spt_bit
    stand.r1.static_route(source[0], "up", stand.peer("up", 8).address)
    stand.run(0)
    stand.r1.static_route(source[0], "rpt", stand.seven)
    stand.run(0)
    assert stand.sg(source).spt_bit, "a route's change is none of its business"
    stand.say("Prune(S,G)")
    assert stand.sg(source).joined and stand.sg(source).spt_bit, "KAT runs, and inherited_olist(S,G) is not empty"
    stand.say("Prune(*,G)")
    assert not stand.sg(source).joined and not stand.sg(source).spt_bit


def test_F10_with_the_bit_the_output_is_inherited_olist_s_g(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.say("Join(S,G)", link="rpt", by=7)
    stand.say("Join(S,G)", link="up", by=9)
    number = stand.data(source)
    assert stand.forwards(source) == {"down", "rpt"} and stand.sg(source).spt_bit
    number = stand.data(source)
    assert [stand.net.copies(link, number) for link in ("up", "down", "rpt")] == [1, 1, 1]


def test_F11_without_it_the_output_is_inherited_olist_s_g_rpt(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=never())
    source = stand.far()
    stand.say("Join(*,G)")
    stand.say("Join(S,G)", link="up", by=9)
    number = stand.data(source, "rpt")
    assert stand.net.copies("down", number) == 1 and stand.net.copies("up", number) == 0


def test_F12_A24_wrong_data_on_an_outgoing_interface_starts_the_assert_of_its_tree(family: Family) -> None:
    for spt in (False, True):
        stand = AsmStand(family, down=(2,), config=never())
        source = stand.far()
        stand.say("Join(*,G)", *(["Join(S,G)"] if spt else []))
        stand.data(source, "up" if spt else "rpt")
        assert stand.sg(source).spt_bit == spt
        number = stand.data(source, "down")
        assert stand.net.copies("rpt", number) == stand.net.copies("up", number) == 0
        ((when, message),) = stand.asserts()
        assert when == 0.0 and message.rpt == (not spt) and message.source in (source[0], family.any)
        assert stand.assert_state(source if spt else None) == "winner"


def test_F12_elsewhere_it_leads_to_nothing(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    stand.net.link("side", "r1")
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)")
    stand.data(source)
    stand.data(source, "side")
    stand.run(5)
    assert not stand.asserts("side") and not stand.asserts("down")


def test_F13_wrong_data_causes_at_most_one_assert_in_3_s(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)")
    stand.data(source)
    before = stand.r1.kernel.upcalls
    for _ in range(1000):
        stand.data(source, "down")
        stand.run(0.01)
    assert len(stand.asserts()) == 1 and stand.r1.kernel.upcalls - before <= 4


def test_F14_a_router_without_members_starts_no_tree_of_its_own(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)")
    stand.mark()
    stand.data(source, "rpt")
    stand.run(100)
    stand.data(source, "rpt")
    stand.run(100)
    assert stand.told("up") == [] and stand.keepalive(source) is None


def test_F15_a_last_hop_joins_the_source_at_once(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.member()
    stand.mark()
    stand.data(source, "rpt")
    assert stand.told("up", to=stand.nine) == [(0.0, "Join(S,G)")]
    assert stand.keepalive(source) == 210


def test_F15_a_member_that_comes_to_a_running_stream_makes_it_a_last_hop_at_once(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    stand.run(7)
    stand.mark()
    stand.member()
    assert stand.told("up") == [(0.0, "Join(S,G)")]


def test_F16_U15_with_the_bit_the_source_is_pruned_off_the_shared_tree_at_once(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.member()
    stand.data(source, "rpt")
    stand.run(1)
    stand.mark()
    number = stand.data(source, "up")
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Prune(S,G,rpt)")]
    assert stand.net.copies("down", number) == 1, "nor is the packet lost that made us switch"


def test_F17_members_are_served_where_we_are_dr(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.hello("down", 2, dr_priority=9)
    stand.member()
    stand.data(source, "rpt")
    assert stand.told("rpt") == [] and stand.forwards(source) == set()
    stand.hello("down", 2, dr_priority=0)
    assert [word for _, word in stand.told("rpt")] == ["Join(*,G)"]
    stand.data(source, "rpt")
    assert stand.forwards(source) == {"down"}


@pytest.mark.parametrize(
    "what", ["join", "prune", "rpt prune", "member", "dr", "route to the rp", "route to the source"]
)
def test_F18_every_change_is_in_the_kernel_in_the_same_event(family: Family, what: str) -> None:
    stand = AsmStand(family, down=(2,), config=never())
    source = stand.far()
    stand.say("Join(*,G)", by=7, link="rpt")
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    assert stand.forwards(source) == {"down"}
    if what == "join":
        stand.say("Join(*,G)", by=9, link="up")
        assert stand.forwards(source) == {"down", "up"}
    elif what == "prune":
        stand.say("Prune(*,G)")
        assert stand.forwards(source) == set()
    elif what == "rpt prune":
        stand.say("Prune(S,G,rpt)")
        assert stand.forwards(source) == set()
    elif what == "member":
        stand.member("up")
        stand.hello("up", 9, dr_priority=0)
        assert stand.forwards(source) == {"down", "up"}
    elif what == "dr":
        stand.say("Prune(*,G)")
        stand.member("down")
        assert stand.forwards(source) == {"down"}
        stand.hello("down", 2, dr_priority=7)
        assert stand.forwards(source) == set()
    elif what == "route to the rp":
        stand.r1.static_route(stand.rp, "up", stand.nine)
        stand.run(0)
        assert stand.r1.kernel.mfc[source] == (stand.r1.vif("up"), 1 << vif(stand, "down") | 1 << vif(stand, "rpt"))
    else:
        stand.say("Join(S,G)")
        stand.data(source, "up")
        stand.r1.static_route(source[0], "down", stand.peer("down", 2).address)
        stand.run(0)
        assert stand.r1.kernel.mfc[source] == (stand.r1.vif("down"), 1 << vif(stand, "rpt"))


def vif(stand: AsmStand, link: str) -> int:
    found = stand.r1.vif(link)
    assert found is not None
    return found


@pytest.mark.parametrize("spt", [False, True])
def test_F19_an_excluded_source_stops_and_others_flow(family: Family, spt: bool) -> None:
    stand = AsmStand(family, down=(2,))
    if not spt:
        stand.configure(spt_threshold="infinity")
    first, second = stand.far(1), stand.far(2)
    host = stand.member()
    for source in (first, second):
        stand.data(source, "rpt")
        stand.data(source, "up" if spt else "rpt")
        assert stand.sg(source).spt_bit == spt and stand.forwards(source) == {"down"}
    host.want_any(stand.group(), first[0])
    stand.run(5)
    assert (stand.forwards(first), stand.forwards(second)) == (set(), {"down"})
    assert stand.told("rpt", to=stand.seven)[-1][1].startswith("Prune(S,G,rpt)") or spt
    host.want_any(stand.group())
    stand.run(5)
    assert stand.forwards(first) == {"down"} == stand.forwards(second)


def test_F20_R8_ttl_1_is_not_forwarded_and_local_groups_make_no_state(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    assert stand.net.copies("down", stand.data(source, "rpt", ttl=1)) == 0
    assert stand.net.seen["down", stand.data(source, "rpt", ttl=9)] == [8]
    entries = dict(stand.router.pim.tib.sg)
    texts = ["224.0.0.5"] if family.size == 4 else ["ff12::5", "ff01::5", "ff00::5"]
    for text in texts:
        stand.data((stand.near()[0], parse_address(text)))
    assert stand.router.pim.tib.sg == entries and len(stand.r1.kernel.mfc) == 1


def test_F21_P7_without_an_rp_data_is_kept_off_by_an_empty_entry(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    source = stand.near()
    for _ in range(300):
        stand.data(source)
        stand.run(0.1)
    assert stand.r1.kernel.upcalls <= 3 and stand.entry(source) is None and not stand.registers()
    stand.member()
    assert stand.star is not None and not stand.told("rpt"), "members are stored"
    stand.data(source)
    assert stand.forwards(source) == {"down"}


def test_F21_unwanted_data_of_a_far_source_is_an_empty_entry_that_goes_with_a_join(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.data(source, "rpt")
    assert stand.entry(source) is None and stand.r1.kernel.mfc == {source: (vif(stand, "rpt"), 0)}
    stand.say("Join(*,G)")
    assert stand.net.copies("down", stand.data(source, "rpt")) == 1


def test_S3_S7_in_the_ssm_range_a_source_is_neither_registered_nor_stored(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.net.source("src")
    group = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    for _ in range(50):
        stand.data((source, group))
        stand.run(0.2)
    assert not stand.registers() and not stand.router.pim.tib.sg and not stand.router.pim.tib.groups
    assert stand.r1.kernel.upcalls == 1


@pytest.mark.parametrize("wanted", [False, True], ids=["nobody wants it", "(*,G) stands"])
@pytest.mark.parametrize("link", ["src", "down"])
def test_Y8_a_source_that_cannot_be_where_it_sends_from_is_neither_registered_nor_joined(
    family: Family, link: str, wanted: bool
) -> None:
    """4.2: it is not DirectlyConnected, so no Keepalive Timer is set; nor did it come by RPF_interface(RP(G)).

    What stands of it with (*,G) is the kernel's entry, for what the shared tree may bring: it ends with the data.
    """
    stand = AsmStand(family, down=(2,))
    if wanted:
        stand.say("Join(*,G)", holdtime=0xFFFF)
    source = stand.far()
    stand.mark()
    for _ in range(5):
        number = stand.data(source, link)
        assert not any(stand.net.copies(other, number) for other in ("up", "rpt", "src", "down") if other != link)
        stand.run(1)
    assert stand.registers() == [] and not any(stand.told(other) for other in ("up", "rpt", "src"))
    entry = stand.entry(source)
    assert (entry is not None) == wanted
    if entry is not None:
        assert not entry.joined and not entry.spt_bit and entry.keepalive is None and entry.register is None
    stand.run(240)
    assert stand.entry(source) is None and source not in stand.r1.kernel.mfc


def test_F2_no_event_but_data_restarts_the_keepalive_timer(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.run(100)
    left = stand.keepalive(source)
    assert left is not None and left < 210
    stand.say("Join(S,G)")
    stand.say("Prune(S,G)")
    assert stand.keepalive(source) == left


def test_F21_a_stream_that_nobody_wanted_flows_with_the_first_wish_after_a_prune(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.data(source, "rpt")
    stand.say("Prune(S,G,rpt)")
    assert stand.forwards(source) == set()
    stand.member("src")
    assert stand.forwards(source) == {"src"}, "the kernel tells of no packet of a stream that it has an entry for"
