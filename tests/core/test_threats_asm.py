"""Threats to shared trees, Registers and Asserts (reliability.md, TH22, TH26, TH32 to TH47): dropped is unchanged.

Each has its positive control; where a conformance row says the same, its test says more (A22, R6, R7, R10 to R18).
TH39 is in test_filters.py, TH43 and TH48 in test_limits.py, TH46 in test_unreachable.py, TH40's packets in
tests/lab/test_register_guard.py.
"""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from datagrams import Datagram
from digest import digest
from speakers import Channel

from pimpy.config.model import Config, StaticRp
from pimpy.core.engine.events import NoCache, PacketReceived
from pimpy.core.interface import REGISTER_VIF
from pimpy.wire import pim
from pimpy.wire.checksum import internet_checksum, pseudo_header
from pimpy.wire.family import Family, parse_address


def at_rp(family: Family) -> tuple[AsmStand, Channel]:
    """An RP with a receiver on `down`, and a source."""
    stand = AsmStand(family, rp="me", down=(2, 3))
    source = stand.far()
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    return stand, source


def on_lan(family: Family) -> tuple[AsmStand, Channel]:
    """A router that forwards a source to `down`, where 3 could too."""
    stand = AsmStand(family, down=(2, 3), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(S,G)")
    stand.data(source)
    stand.run(5)
    stand.mark()
    return stand, source


# Asserts.


def test_TH32_A22_an_assert_of_a_stranger_changes_nothing(family: Family) -> None:
    stand, source = on_lan(family)
    stranger = stand.net.peer("down", 66)
    before = digest(stand.router)
    stranger.send(pim.Assert(source[1], source[0], False, 0, 0))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("assert_non_nbr", "assert") == 1
    assert stand.forwards(source) == {"down"}
    stand.hear_assert(source[0], (False, 0, 0), by=3)
    assert stand.assert_state(source) == "loser" and stand.forwards(source) == set(), "a neighbour is believed"


def test_TH33_A12_a_forged_assert_mutes_for_180_s_at_most(family: Family) -> None:
    stand, source = on_lan(family)
    stand.hear_assert(source[0], (False, 0, 0), by=3)
    assert stand.forwards(source) == set() and stand.r1.reasons().count("assert_lost") == 1
    stand.say("Join(S,G)", holdtime=0xFFFF, by=2, to=stand.peer("down", 3).address)
    stand.run(179.9)
    assert stand.forwards(source) == set()
    stand.say("Join(S,G)", holdtime=0xFFFF)
    assert stand.forwards(source) == {"down"}, "who wants it asks us (A14)"
    stand.hear_assert(source[0], (False, 0, 0), by=3)
    stand.hello("down", 3, generation_id=99)
    assert stand.assert_state(source) == "no_info" and stand.forwards(source) == {"down"}, "the real 3 restarted"


def test_TH34_A24_zeros_as_source_are_valid_with_the_rptbit_alone(family: Family) -> None:
    stand, source = on_lan(family)
    stand.say("Join(*,G)", holdtime=0xFFFF)
    data = bytearray(pim.encode(family, stand.peer("down", 3).address, family.all_pim_routers,
                                pim.Assert(source[1], family.any, True, 1, 1)))  # fmt: skip
    bad = bytearray(data)
    bad[-8] &= 0x7F
    bad = bytearray(pim.seal(family, stand.peer("down", 3).address, family.all_pim_routers, bytes(bad)))
    before = digest(stand.router)
    stand.peer("down", 3).send_bytes(bytes(bad))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("assert_bad_addr", "assert") == 1
    stand.peer("down", 3).send_bytes(bytes(data))
    stand.run(0)
    assert stand.assert_state(None) == "loser"


def test_TH35_F13_a_storm_of_wrong_data_says_one_assert_in_3_s(family: Family) -> None:
    stand, source = on_lan(family)
    for _ in range(1000):
        stand.data(source, "down")
    assert len(stand.asserts()) == 1 and stand.assert_state(source) == "winner"
    upcalls = stand.router.counters.total("kernel", "rx", "wrongvif")
    for _ in range(290):
        stand.data(source, "down")
        stand.run(0.01)
    assert len(stand.asserts()) == 1
    assert stand.router.counters.total("kernel", "rx", "wrongvif") - upcalls <= 1


# Registers at the RP.


def test_TH36_R14_a_register_to_somebody_else_is_dropped_without_a_word(family: Family) -> None:
    stand, source = at_rp(family)
    before = digest(stand.router)
    notices = len(stand.r1.notices)
    elsewhere = parse_address("10.0.99.99" if family.size == 4 else "2001:db8:99::99")
    message = pim.Register(False, False, Datagram(*source, 1).to_bytes())
    data = pim.encode(family, stand.dr, elsewhere, message)
    port = stand.r1.ports["rpt"]
    stand.r1.handle(PacketReceived("pim", port.ifindex, stand.dr, elsewhere, 60, False, data))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("reg_not_local", "register") == 1
    assert stand.stops() == [] and len(stand.r1.notices) == notices
    stand.register(source)
    assert stand.entry(source) is not None


def test_TH37_R14_a_register_for_another_rps_group_is_stopped_without_state(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    before = digest(stand.router)
    for count in (1, 2, 3):
        stand.register(source, null=True, to=stand.net.address("rpt", 5))
        assert digest(stand.router) == before
        assert len(stand.stops()) == count == stand.counted("reg_not_rp", "register")
    stand.configure(rp_addresses=())
    stand, source = at_rp(family)
    stand.register(source)
    assert stand.stops() == [] and stand.entry(source) is not None


def test_TH38_S4_a_register_for_a_source_specific_group_is_stopped_without_state(family: Family) -> None:
    stand, source = at_rp(family)
    channel = source[0], parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    before = digest(stand.router)
    stand.register(channel, null=True)
    assert digest(stand.router) == before and stand.stops() == [0.0] and stand.counted("reg_ssm", "register") == 1


def test_TH40_what_the_kernel_decapsulates_where_we_are_not_the_rp_goes_nowhere(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    stand.data(stand.near())  # so the register tunnel exists
    stand.say("Join(*,G)")
    far = stand.far()
    stand.r1.handle(NoCache(REGISTER_VIF, *far))
    stand.run(0)
    assert stand.entry(far) is None and stand.r1.kernel.mfc[far] == (REGISTER_VIF, 0)
    assert stand.net.copies("down", stand.data(far, "rpt")) in (0, 1)
    stand, far = at_rp(family)
    stand.r1.handle(NoCache(REGISTER_VIF, *far))
    stand.run(0)
    assert stand.entry(far) is None, "not before its Register is judged, of which the kernel tells nothing"
    stand.register(far)
    assert stand.entry(far) is not None, "the RP takes it"


def test_TH40_the_register_vif_exists_only_where_it_is_needed(family: Family) -> None:
    stand = AsmStand(family, rp="none", down=(2,))
    stand.say("Join(*,G)")
    assert REGISTER_VIF not in stand.r1.kernel.vifs
    before = digest(stand.router)
    stand.r1.handle(NoCache(REGISTER_VIF, *stand.far()))
    stand.run(0)
    assert digest(stand.router) == before and not stand.r1.kernel.mfc
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    assert REGISTER_VIF in stand.r1.kernel.vifs, "it is the DR of its links"


@pytest.mark.parametrize("whole", [False, True], ids=["8_bytes", "whole"])
def test_TH41_R16_both_checksums_of_a_register_are_taken_and_no_third(family: Family, whole: bool) -> None:
    stand, source = at_rp(family)
    message = pim.Register(False, False, Datagram(*source, 1).to_bytes())
    data = bytearray(pim.encode(family, stand.dr, stand.rp, message))
    if whole:
        data[2:4] = bytes(2)
        pseudo = pseudo_header(stand.dr, stand.rp, len(data), 103) if family.size == 16 else b""
        data[2:4] = internet_checksum(pseudo + bytes(data)).to_bytes(2, "big")
    wrong = bytearray(data)
    wrong[3] ^= 0x80
    port = stand.r1.ports["rpt"]
    before = digest(stand.router)
    stand.r1.handle(PacketReceived("pim", port.ifindex, stand.dr, stand.rp, 60, False, bytes(wrong)))
    stand.run(0)
    assert digest(stand.router) == before and stand.counted("bad_checksum", "register") == 1
    stand.r1.handle(PacketReceived("pim", port.ifindex, stand.dr, stand.rp, 60, False, bytes(data)))
    stand.run(0)
    assert stand.entry(source) is not None


# Register-Stops at the DR.


def registering(family: Family) -> tuple[AsmStand, Channel]:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    assert stand.registers() == [(0.0, "data")]
    return stand, source


def test_TH44_R6_a_stop_of_anybody_but_the_rp_changes_nothing(family: Family) -> None:
    stand, source = registering(family)
    before = digest(stand.router)
    stand.register_stop(source, parse_address("10.6.6.6" if family.size == 4 else "2001:db8:6::6"))
    assert digest(stand.router) == before and stand.counted("regstop_not_rp", "register_stop") == 1
    stand.data(source)
    assert len(stand.registers()) == 2
    stand.register_stop(source)
    stand.data(source)
    assert len(stand.registers()) == 2, "the RP is believed"


def test_TH45_R7_a_stop_without_a_source_is_for_all_of_the_group(family: Family) -> None:
    stand, source = registering(family)
    other = stand.near(number=201)
    stand.data(other)
    stand.register_stop((family.any, source[1]))
    for one in (source, other):
        stand.data(one)
    assert len(stand.registers()) == 2
    third = stand.near(number=202)
    stand.data(third)
    assert len(stand.registers()) == 3, "none that starts later"


# Data at the first hop.


def test_TH47_Y8_a_source_that_is_not_of_the_link_is_neither_registered_nor_stored(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    strange = parse_address("10.66.66.66" if family.size == 4 else "2001:db8:66::66")
    for link in ("src", "down"):
        stand.data((strange, stand.group()), link)
    assert stand.registers() == [] and not stand.router.pim.tib.sg
    assert stand.r1.kernel.mfc[strange, stand.group()][1] == 0, "kept off"
    stand.data(stand.near())
    assert stand.registers() == [(0.0, "data")]


def test_TH22_J6_a_join_for_another_router_makes_no_state(family: Family) -> None:
    stand, _ = at_rp(family)
    before = digest(stand.router)
    stand.say("Join(S,G)", "Prune(*,G)", to=stand.peer("down", 3).address)
    assert digest(stand.router) == before
    stand.say("Join(S,G)")
    assert digest(stand.router) != before


def test_TH26_J9_a_prune_that_names_another_rp_is_processed(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    stand.say("Join(*,G)")
    assert stand.star is not None
    other = parse_address("10.8.0.77" if family.size == 4 else "2001:db8:8::77")
    stand.rp, right = other, stand.rp
    before = digest(stand.router)
    stand.say("Join(*,G)", holdtime=0xFFFF)
    assert digest(stand.router) == before and stand.counted("jp_wrong_rp") == 1
    stand.say("Prune(*,G)")
    stand.rp = right
    stand.run(4)
    assert stand.star is None
