"""Procedures of the XORP project's PIM-SM test plan that no test of a conformance row goes through as they stand.

`xorp_plan.txt` says which test stands for which part of the plan. The router under test is `r1`; where the plan has it
be the first hop and the RP, as in its groups 4.3 and 4.4, the source is on a link of its own.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from asm_stand import AsmStand
from speakers import Channel
from stand import US, Stand

from pimpy.config.model import Config, Phyint, StaticRp
from pimpy.core.pim.downstream_rpt import RptDownstream
from pimpy.core.pim.downstream_rpt import State as RptState
from pimpy.wire import pim
from pimpy.wire.family import Family, format_address, parse_address

HOLDTIME = 210
OVERRIDE = 3.0


def elected(stand: Stand) -> int:
    """The number of the DR on `down`."""
    return parse_address(stand.row("interfaces", interface="down").dr_address)[-1]


@pytest.mark.parametrize(("number", "drs"), [(2, "55255525"), (9, "59959599")], ids=["larger than", "smaller than"])
def test_plan_2_5_the_dr_follows_both_priorities(family: Family, number: int, drs: str) -> None:
    """Our address is larger, or smaller, than the neighbour's; theirs is 1, 2, 0, 1, then ours 2, 0, 1."""
    stand = Stand(family, up=(), down=(), warm_up=0.0)
    seen = [elected(stand)]
    for priority in (1, 2, 0, 1):
        stand.peer("down", number).hello(dr_priority=priority)
        stand.run(0)
        seen.append(elected(stand))
    for ours in (2, 0, 1):
        stand.r1.configure(phyints=(Phyint("down", dr_priority=ours),))
        stand.run(0)
        seen.append(elected(stand))
    assert seen == [int(dr) for dr in drs] and US in seen and number in seen


def test_plan_2_6C_a_neighbour_that_restarts_gets_a_hello_and_then_our_join(family: Family) -> None:
    stand = AsmStand(family)
    stand.member()
    stand.run(20)
    stand.mark()
    stand.hello("rpt", 7, generation_id=0x77)
    stand.run(2.5)
    kinds = [type(message).__name__ for _, _, message in stand.rpt.spoken("r1")]
    assert kinds == ["Hello", "JoinPrune"], "within t_override, the Hello in front"
    assert [word for _, word in stand.told("rpt", to=stand.seven)] == ["Join(*,G)"]


def test_plan_3_1_whoever_is_dr_registers(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    for priority, registers in ((9, False), (0, True), (9, False), (0, True)):
        stand.hello("src", 9, dr_priority=priority)
        stand.mark()
        stand.data(source)
        stand.data(source)
        assert (stand.registers() == [(0.0, "data")] * 2) == registers
        assert registers or stand.registers() == []
    assert {m.border for _, m in stand.messages_of(pim.Register)} == {False}


def test_plan_3_1D_null_registers_alone_while_the_rp_wants_nothing_and_the_spt_when_it_does(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.register_stop(source)
    stand.mark()
    times = []
    for _ in range(400):
        stand.data(source)
        stand.run(1)
        said = stand.registers()
        if said and said[-1][0] not in times:
            times.append(said[-1][0])
            stand.register_stop(source)
    assert {kind for _, kind in stand.registers()} == {"null"} and len(times) >= 4
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(25 <= gap <= 90 for gap in gaps), "rand(30, 90) - 5, and up to 1 s until the stop"
    stand.say("Join(S,G)", by=7, link="rpt")
    number = stand.data(source)
    assert stand.net.copies("rpt", number) == 1 and stand.registers()[-1][1] == "null", "natively to the RP"


def test_plan_3_2_the_tunnel_comes_goes_and_moves_with_the_rp(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    assert stand.entry(source) is None and stand.registers() == [], "no source, no machine"
    stand.data(source)
    assert stand.row("mroute", row="entry", source_address=text(source)).register_state == "join"
    stand.register_stop(source)
    assert stand.row("mroute", row="entry", source_address=text(source)).register_state == "prune"
    stand.run(245)
    assert stand.entry(source) is None, "a silent source's machine goes with its Keepalive Timer"
    stand.mark()
    stand.data(source)
    other = parse_address("10.8.0.2" if family.size == 4 else "2001:db8:8::2")
    stand.r1.static_route(other, "rpt", stand.seven)
    stand.configure(rp_addresses=(StaticRp(other, family.multicast),))
    stand.data(source)
    sent = [packet.destination for _, packet, message in stand.rpt.spoken("r1") if isinstance(message, pim.Register)]
    assert sent == [stand.rp, other]


def text(source: Channel) -> str:
    return format_address(source[0])


@pytest.mark.parametrize("end", ["expiry", "prune"])
def test_plan_4_2_the_rp_serves_a_joined_link_as_long_as_the_state_lasts(family: Family, end: str) -> None:
    stand = AsmStand(family, rp="me", down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Prune(*,G)")
    assert stand.star is None, "a Prune makes no state"
    stand.say("Join(*,G)", holdtime=HOLDTIME)
    row = stand.row("mroute", row="entry", source_address="*")
    assert (row.upstream_state, row.incoming_interface, row.rpf_neighbor) == ("joined", "register", None)
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 1
    assert not any(stand.told(link) for link in ("up", "rpt", "down")), "it ends here"
    if end == "expiry":
        stand.run(HOLDTIME - 0.01)
        assert stand.star is not None
        stand.run(0.01)
    else:
        stand.say("Prune(*,G)")
    assert stand.star is None
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 0


@pytest.mark.parametrize("end", ["expiry", "prune"])
@pytest.mark.parametrize("near", [True, False], ids=["first hop", "further on"])
def test_plan_4_3_a_joined_link_gets_the_source_as_long_as_the_state_lasts(
    family: Family, near: bool, end: str
) -> None:
    stand = AsmStand(family, rp="me" if near else "up", down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.near() if near else stand.far()
    stand.say("Prune(S,G)")
    assert stand.entry(source) is None, "a Prune makes no state"
    stand.mark()
    stand.say("Join(S,G)", holdtime=HOLDTIME)
    assert stand.told("up") == ([] if near else [(0.0, "Join(S,G)")])
    for _ in range(HOLDTIME - 10):
        number = stand.data(source)
        assert stand.net.copies("down", number) == 1 and stand.sg(source).spt_bit
        stand.run(1)
    if end == "prune":
        stand.say("Prune(S,G)")
    else:
        stand.run(10)
    assert stand.net.copies("down", stand.data(source)) == 0
    assert (stand.told("up")[-1][1] == "Prune(S,G)") if not near else not stand.told("up")
    assert not near or stand.keepalive(source) is not None, "the source is connected and still sends"
    stand.run(245)
    assert stand.entry(source) is None


def rpt_machine(stand: AsmStand, source: Channel) -> RptDownstream | None:
    entry = stand.entry(source)
    machines = stand.router.pim.interfaces[stand.r1.ports["down"].ifindex].downstream_rpt
    return None if entry is None else machines.get(entry)


def first_hop_and_rp(family: Family) -> tuple[AsmStand, Channel]:
    stand = AsmStand(family, rp="me", config=Config(spt_threshold="infinity"))
    return stand, stand.near()


def test_plan_4_4A_a_join_rpt_alone_makes_nothing(family: Family) -> None:
    stand, source = first_hop_and_rp(family)
    stand.say("Join(S,G,rpt)")
    assert stand.entry(source) is None
    assert stand.net.copies("down", stand.data(source)) == 0


def test_plan_4_4B_a_prune_rpt_alone_pends_prunes_and_expires(family: Family) -> None:
    stand, source = first_hop_and_rp(family)
    stand.say("Prune(S,G,rpt)", holdtime=HOLDTIME)
    machine = rpt_machine(stand, source)
    assert machine is not None and machine.state is RptState.PRUNE_PENDING
    stand.run(OVERRIDE - 0.01)
    assert machine.state is RptState.PRUNE_PENDING
    stand.run(0.01)
    assert machine.state is RptState.PRUNE
    stand.run(HOLDTIME - OVERRIDE - 0.01)
    assert rpt_machine(stand, source) is machine
    stand.run(0.01)
    assert stand.entry(source) is None


def test_plan_4_4C_a_join_rpt_takes_the_prune_back(family: Family) -> None:
    stand, source = first_hop_and_rp(family)
    stand.say("Prune(S,G,rpt)")
    stand.run(OVERRIDE)
    assert stand.net.copies("down", stand.data(source)) == 0
    stand.say("Join(S,G,rpt)")
    assert rpt_machine(stand, source) is None
    assert stand.net.copies("down", stand.data(source)) == 0, "nobody joined the group there"


def test_plan_4_4D_a_join_star_ends_the_prune_and_one_with_a_prune_brings_it_back(family: Family) -> None:
    stand, source = first_hop_and_rp(family)
    stand.say("Prune(S,G,rpt)")
    stand.run(OVERRIDE)
    assert stand.net.copies("down", stand.data(source)) == 0
    stand.say("Join(*,G)")
    assert rpt_machine(stand, source) is None and stand.star is not None
    assert stand.net.copies("down", stand.data(source)) == 1
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    stand.run(OVERRIDE)
    machine = rpt_machine(stand, source)
    assert machine is not None and machine.state is RptState.PRUNE
    assert stand.net.copies("down", stand.data(source)) == 0 and not stand.sg(source).joined
    assert stand.star.joined


@pytest.mark.parametrize("kind", ["*", "S"])
def test_plan_4_6A_4_7A_what_comes_and_goes_on_two_links_is_told_upstream_once(family: Family, kind: str) -> None:
    stand = AsmStand(family, rp="up", down=(2,), config=Config(spt_threshold="infinity"))
    stand.far()
    join, prune = f"Join({kind},G)", f"Prune({kind},G)"
    for words in ((join,), (prune,), (join,)):
        stand.mark()
        stand.say(*words)
        assert stand.told("up", to=stand.nine) == [(0.0, words[0])]
    stand.mark()
    stand.say(join, by=7, link="rpt")
    stand.say(prune, by=7, link="rpt")
    assert stand.told("up") == [], "the other link still wants it"


def test_plan_4_9B_with_the_spt_complete_the_join_star_carries_the_prune(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(S,G)")
    stand.data(source)
    assert stand.sg(source).spt_bit
    stand.mark()
    stand.say("Join(*,G)")
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Join(*,G)"), (0.0, "Prune(S,G,rpt)")]
    assert len(stand.messages("rpt")) == 1


def test_plan_4_9F_when_the_spt_ends_the_source_is_asked_for_from_the_shared_tree(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)", holdtime=0xFFFF)
    stand.data(source)
    assert [word for _, word in stand.told("rpt")][-1] == "Prune(S,G,rpt)"
    stand.run(60)
    stand.mark()
    stand.r1.static_route(source[0], "rpt", stand.seven)
    stand.run(0)
    assert stand.told("rpt", to=stand.seven) == [(0.0, "Join(S,G)"), (0.0, "Join(S,G,rpt)")], "RPF'(*,G) = RPF'(S,G)"


def test_plan_4_9I_a_source_that_joins_a_standing_tree_is_not_pruned_and_nothing_is_said(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(S,G)", by=9, link="up")
    stand.mark()
    stand.say("Join(*,G)")
    rpt = stand.sg(source).rpt
    assert rpt is not None and rpt.state.value == "not_pruned"
    assert stand.told("rpt") == [(0.0, "Join(*,G)")]
