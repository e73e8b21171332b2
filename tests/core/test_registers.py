"""Conformance group R: Registers at the DR and at the RP (RFC 7761 4.4)."""

from __future__ import annotations

from itertools import product

import pytest
from asm_stand import AsmStand
from datagrams import datagram_of
from speakers import Channel
from tables import REGISTER

from pimpy.config.model import StaticRp
from pimpy.core.pim.register import MACHINE
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, Prefix, parse_address
from pimpy.wire.record import evolve

TUNNEL = 1 << 31
STATES = {"NI": None, "J": "join", "JP": "join_pending", "P": "prune"}


def state(stand: AsmStand, source: Channel) -> str | None:
    entry = stand.entry(source)
    return None if entry is None or entry.register is None else entry.register.state.value


def suppression(stand: AsmStand, source: Channel) -> float | None:
    """Seconds left on RST."""
    entry = stand.entry(source)
    return None if entry is None or entry.register is None else entry.register.timer.left(stand.net.now)


def other_rp(family: Family) -> Address:
    return parse_address("10.8.0.2" if family.size == 4 else "2001:db8:8::2")


# The table.


def put_into(stand: AsmStand, source: Channel, before: str) -> None:
    """Bring the Register machine into a state."""
    if before != "NI":
        stand.data(source)
    if before in ("P", "JP"):
        stand.register_stop(source)
    if before == "JP":
        stand.run(suppression(stand, source) or 0.0)
    assert state(stand, source) == STATES[before]
    stand.mark()


def happen(stand: AsmStand, source: Channel, event: str) -> None:
    """Let an event of figure 1 happen from the outside."""
    if event == "Register-Stop Timer expires":
        stand.run(suppression(stand, source) or 0.0)
    elif event == "Could Register ->True":
        stand.data(source)
    elif event == "Could Register ->False":
        if stand.entry(source) is not None:
            stand.hello("src", 9, dr_priority=77)
    elif event == "Register-Stop received":
        stand.register_stop(source)
    else:
        stand.r1.static_route(other_rp(stand.family), "rpt", stand.seven)
        stand.configure(rp_addresses=(StaticRp(other_rp(stand.family), stand.family.multicast),))


def test_R1_the_table_is_total() -> None:
    assert set(REGISTER) == set(product(STATES, [event.value for event in MACHINE.events]))
    assert {s.value for s in MACHINE.states} == {name or "no_info" for name in STATES.values()}


@pytest.mark.parametrize(("before", "event"), list(REGISTER))
def test_R1_R2_R3_R4_R5_every_cell_of_figure_1(family: Family, before: str, event: str) -> None:
    stand = AsmStand(family)
    source = stand.near()
    put_into(stand, source, before)
    left = suppression(stand, source)
    happen(stand, source, event)
    cell = REGISTER[before, event]
    assert state(stand, source) == STATES[cell.state]
    forwards = stand.r1.kernel.mfc.get(source, (0, 0))[1]
    assert bool(forwards & TUNNEL) == (cell.state == "J"), "the tunnel is an outgoing interface in Join alone"
    sent = stand.registers()
    data = 1 if event == "Could Register ->True" and cell.state == "J" else 0
    assert [kind for _, kind in sent] == ["data"] * data + ["null"] * ("send Null-Register" in cell.actions)
    rst = suppression(stand, source)
    if "set RST to rand" in cell.actions:
        assert rst is not None and 25 <= rst <= 85
    elif "set RST to probe" in cell.actions:
        assert rst == 5
    elif cell.state in ("NI", "J"):
        assert rst is None
    else:
        assert rst == left


# The rows of the DR.


def test_R1_data_is_encapsulated_and_goes_to_members_as_well(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    stand.data(source)
    stand.say("Join(S,G)")
    number = stand.data(source)
    assert stand.net.copies("down", number) == 1
    last = stand.messages_of(pim.Register)[-1][1]
    assert datagram_of(family, last.packet).number == number


def test_R2_T14_the_suppression_time_is_spread_over_25_to_85_s(family: Family) -> None:
    times = []
    for seed in range(30):
        stand = AsmStand(family, seed=seed)
        source = stand.near()
        stand.data(source)
        stand.register_stop(source)
        stand.data(source)
        assert stand.registers() == [(0.0, "data")], "nothing in state Prune"
        times.append(suppression(stand, source) or 0.0)
    assert 25 <= min(times) < 35 and 75 < max(times) <= 85


def test_R3_T15_a_null_register_probes_and_5_s_later_data_goes_again(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.register_stop(source)
    stand.mark()
    rst = suppression(stand, source) or 0.0
    stand.run(rst - 0.01)
    assert stand.registers() == []
    stand.run(0.01)
    assert [kind for _, kind in stand.registers()] == ["null"] and state(stand, source) == "join_pending"
    ((_, null),) = stand.messages_of(pim.Register)
    dummy = pim.dummy_header(family, *source)
    assert null == pim.Register(border=False, null=True, packet=dummy), "R17, R19"
    stand.data(source)
    stand.run(4.99)
    assert len(stand.registers()) == 1
    stand.run(0.01)
    stand.data(source)
    assert [kind for _, kind in stand.registers()] == ["null", "data"]


@pytest.mark.parametrize("why", ["keepalive", "dr", "route"])
def test_R4_could_register_false_ends_it_from_any_state(family: Family, why: str) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    if why == "keepalive":
        stand.run(30 + 209.99)  # the counters tell of the packet that was held 30 s later
        assert state(stand, source) == "join"
        stand.run(0.02)
    elif why == "dr":
        stand.hello("src", 9, dr_priority=9)
    else:
        stand.r1.static_route(source[0], "up", stand.nine)
        stand.run(0)
    assert state(stand, source) is None
    assert not stand.r1.kernel.mfc.get(source, (0, 0))[1] & TUNNEL


def test_R5_only_groups_whose_rp_changed_move(family: Family) -> None:
    stand = AsmStand(family)
    (source, group), elsewhere = stand.near(), stand.group(9)
    stand.data((source, group)), stand.data((source, elsewhere))
    for channel in ((source, group), (source, elsewhere)):
        stand.register_stop(channel)
    left = suppression(stand, (source, elsewhere))
    stand.r1.static_route(other_rp(family), "rpt", stand.seven)
    longer = StaticRp(other_rp(family), Prefix(group, family.bits))
    stand.configure(rp_addresses=(*stand.r1.config.rp_addresses, longer))
    assert (state(stand, (source, group)), state(stand, (source, elsewhere))) == ("join", "prune")
    assert suppression(stand, (source, elsewhere)) == left
    stand.mark()
    stand.data((source, group))
    ((_, packet, _),) = [said for said in stand.rpt.spoken("r1") if isinstance(said[2], pim.Register)]
    assert packet.destination == other_rp(family)


def test_R6_a_register_stop_counts_from_the_rp_alone(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.register_stop(source, other_rp(family))
    assert state(stand, source) == "join" and stand.counted("regstop_not_rp", "register_stop") == 1
    old = stand.rp
    stand.r1.static_route(other_rp(family), "rpt", stand.seven)
    stand.configure(rp_addresses=(StaticRp(other_rp(family), family.multicast),))
    stand.run(59.99)
    stand.register_stop(source, old)
    assert state(stand, source) == "join", "it answers what was sent to the former RP, less than 60 s ago"
    assert stand.counted("regstop_not_rp", "register_stop") == 1


def test_R6_the_former_rp_is_no_stranger_for_60_s(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.r1.static_route(other_rp(family), "rpt", stand.seven)
    stand.configure(rp_addresses=(StaticRp(other_rp(family), family.multicast),))
    stand.run(60)
    stand.register_stop(source, stand.rp)
    assert state(stand, source) == "join" and stand.counted("regstop_not_rp", "register_stop") == 1


def test_R7_a_register_stop_for_all_sources_stops_those_that_are_there(family: Family) -> None:
    stand = AsmStand(family)
    first, second, later = stand.near(number=201), stand.near(number=202), stand.near(number=203)
    stand.data(first), stand.data(second)
    stand.register_stop((family.any, stand.group()))
    stand.data(later)
    assert [state(stand, source) for source in (first, second, later)] == ["prune", "prune", "join"]


def test_R8_the_inner_ttl_is_one_less_and_the_rp_takes_one_more(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source, ttl=9)
    stand.data(source, ttl=1)
    ((_, register),) = stand.messages_of(pim.Register)
    assert datagram_of(family, register.packet).ttl == 8
    rp = AsmStand(family, rp="me")
    rp.say("Join(*,G)")
    far = rp.far()
    rp.register(far)
    assert rp.net.seen["down", rp.net.sent] == [31]


# The rows of the RP.


def test_R10_without_receivers_a_register_is_stopped_at_once(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    source = stand.far()
    stand.register(source)
    assert stand.stops() == [0.0] and stand.keepalive(source) == 210
    assert not stand.sg(source).joined and stand.told("up") == []


def test_R10_R11_with_receivers_it_is_stopped_only_when_native_data_is_there(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.mark()
    stand.register(source)
    assert stand.stops() == [] and stand.told("up", to=stand.nine) == [(0.0, "Join(S,G)")]
    assert stand.net.copies("down", stand.net.sent) == 1, "the first datagram reaches the receivers"
    for _ in range(20):
        stand.run(0.1)
        stand.register(source)
        assert stand.net.copies("down", stand.net.sent) == 1 and stand.stops() == []
    number = stand.data(source, "up")
    assert stand.net.copies("down", number) == 1, "nor is the native packet lost that sets the SPTbit"
    assert stand.sg(source).spt_bit
    stand.register(source)
    assert stand.stops() == [2.0] and stand.net.copies("down", stand.net.sent) == 0


def test_R12_T13_the_keepalive_timer_at_the_rp(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    for _ in range(5):
        stand.register(source, null=True)
        stand.run(90)
        assert stand.entry(source) is not None and stand.keepalive(source) == 120, "max(210, 185), not 185"
    assert stand.stops() == [0.0, 90.0, 180.0, 270.0, 360.0]
    stand.run(119.99)
    assert stand.entry(source) is not None
    stand.run(0.01)
    assert stand.entry(source) is None


def test_R13_a_null_register_forwards_nothing(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.register(source, null=True)
    assert stand.forwards(source) == set() and stand.told("up")[-1][1] == "Join(S,G)"


def test_R13_decapsulated_data_enters_the_normal_path(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.say("Prune(S,G,rpt)")
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 0, "prunes(S,G,rpt) count"
    stand.say("Join(*,G)")
    stand.register(source)
    assert stand.net.copies("down", stand.net.sent) == 1


@pytest.mark.parametrize("case", ["another's group", "another of my addresses"])
def test_R14_a_register_for_another_rp_is_stopped_and_makes_no_state(family: Family, case: str) -> None:
    stand = AsmStand(family, rp="rpt" if case == "another's group" else "me", down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.register(source, to=stand.net.address("up", 5))
    assert stand.stops() == [0.0] and stand.keepalive(source) is None and stand.told("up") == []
    if case == "another's group":  # what the RP's own kernel takes out cannot be told from a sound Register's packet
        assert stand.forwards(source) == set()
    ((_, stop),) = stand.messages_of(pim.RegisterStop)
    assert (stop.source, stop.group) == source


def test_R14_what_the_kernel_takes_out_of_a_register_elsewhere_goes_nowhere(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    stand.data(source)  # so the register tunnel exists
    far = stand.far()
    stand.say("Join(*,G)")
    stand.register(far, to=stand.net.address("up", 5))
    assert stand.net.copies("down", stand.net.sent) == 0 and stand.entry(far) is None
    assert stand.net.copies("down", stand.data(far, "rpt")) in (0, 1)
    stand.run(31)
    assert stand.net.copies("down", stand.data(far, "rpt")) == 1, "the true tree is not kept off for good"


@pytest.mark.parametrize("members", [False, True])
def test_R15_with_threshold_never_the_rp_leaves_data_on_the_register_path(family: Family, members: bool) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    stand.configure(spt_threshold="infinity")
    source = stand.far()
    if members:
        stand.say("Join(*,G)")
    stand.mark()
    for _ in range(10):
        stand.register(source)
        stand.run(10)
    assert stand.stops() == [] and stand.told("up") == [] and stand.keepalive(source) is None
    assert stand.net.copies("down", stand.net.sent) == members
    stand.say("Join(S,G)")
    stand.data(source, "up")
    stand.register(source)
    assert len(stand.stops()) == 1, "the SPTbit was set for another reason"


def bad_inner(family: Family) -> list[tuple[str, str]]:
    """(source, group) that no Register may carry."""
    if family.size == 4:
        return [("0.1.2.3", "239.1.1.1"), ("127.0.0.1", "239.1.1.1"), ("224.1.1.1", "239.1.1.1"),
                ("169.254.1.1", "239.1.1.1"), ("10.9.1.1", "10.9.1.2"), ("10.9.1.1", "224.0.0.5")]  # fmt: skip
    return [("::", "ff1e::1"), ("::1", "ff1e::1"), ("ff1e::2", "ff1e::1"), ("fe80::1", "ff1e::1"),
            ("2001:db8:9::1", "2001:db8:9::2"), ("2001:db8:9::1", "ff12::5")]  # fmt: skip


def test_R18_impossible_inner_addresses_make_no_state(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    for source, group in bad_inner(family):
        stand.register((parse_address(source), parse_address(group)), null=True)
    assert not stand.router.pim.tib.sg and not stand.stops()
    refused = stand.counted("reg_inner_source", "register") + stand.counted("reg_inner_group", "register")
    assert refused == len(bad_inner(family))


def test_S4_R18_a_register_for_an_ssm_group_is_stopped(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    group = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    stand.register((stand.far()[0], group))
    assert stand.stops() == [0.0] and not stand.router.pim.tib.sg
    assert all(not oifs for _, oifs in stand.r1.kernel.mfc.values())


def test_R22_dr_and_rp_in_one_router(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.near()
    stand.say("Join(*,G)")
    stand.mark()
    number = stand.data(source)
    assert stand.net.copies("down", number) == 1 and stand.registers() == [] and state(stand, source) is None
    assert [stand.told(link) for link in ("up", "rpt", "src")] == [[], [], []], "the joins stop here"


def test_R22_source_first_receiver_later(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.near()
    stand.data(source)
    assert stand.registers() == []
    stand.run(5)
    stand.say("Join(*,G)")
    assert stand.net.copies("down", stand.data(source)) == 1
    stand.member("up")
    stand.hello("up", 9, dr_priority=0)
    number = stand.data(source)
    assert stand.net.copies("up", number) == 1 == stand.net.copies("down", number)


def test_N11_a_router_that_becomes_dr_registers_with_the_next_packet(family: Family) -> None:
    stand = AsmStand(family)
    stand.hello("src", 9, dr_priority=9)
    source = stand.near()
    stand.data(source)
    assert stand.registers() == []
    stand.hello("src", 9, dr_priority=0)
    stand.data(source)
    assert [kind for _, kind in stand.registers()] == ["data"]
    assert evolve(stand.rpt.spoken("r1")[-1][1], data=b"").destination == stand.rp
