"""Registers at the RP that say what an earlier one said are only counted (RFC 7761 4.4.2; R10 to R15)."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from speakers import Channel

from pimpy.core.engine.effects import QuietRegister
from pimpy.core.pim.repeats import KEEPALIVE_PACE, STOP_PACE
from pimpy.kernel.quiet import Message, QuietRegisters
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, Prefix, parse_address

PIM = 103


def rp_with_members(family: Family) -> tuple[AsmStand, Channel]:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.mark()
    return stand, source


def flood(stand: AsmStand, source: Channel, seconds: float, every: float = 0.01) -> None:
    """A DR registers all the time."""
    for _ in range(round(seconds / every)):
        stand.register(source)
        stand.run(every)


def counted(stand: AsmStand) -> int:
    router = stand.r1.router
    assert router is not None
    return router.counters.total("pim", "rx", "register")


def test_R10_while_a_stop_is_under_way_it_answers_all(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    flood(stand, stand.far(), 10.0)
    first, longest = STOP_PACE
    gaps = [later - earlier for earlier, later in zip(stand.stops(), stand.stops()[1:], strict=False)]
    assert len(gaps) > 5 and max(gaps) <= longest + 0.02, "a lost one is said again"
    assert gaps[1] >= first and gaps == sorted(gaps)
    assert counted(stand) == 1000


def test_R10_R11_native_data_ends_the_quiet_at_once(family: Family) -> None:
    stand, source = rp_with_members(family)
    flood(stand, source, 1.0)
    assert stand.stops() == []
    stand.data(source, "up")
    assert stand.sg(source).spt_bit
    stand.register(source)
    assert stand.stops() == [1.0]


def test_R10_the_last_receiver_leaves_and_the_next_register_is_stopped(family: Family) -> None:
    stand, source = rp_with_members(family)
    flood(stand, source, 1.0)
    stand.say("Prune(*,G)")
    stand.run(3.0)
    before = stand.stops()
    stand.register(source)
    assert before == [] and len(stand.stops()) == 1


def test_R10_a_receiver_comes_and_the_next_register_is_not_stopped(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    flood(stand, source, 1.0)
    stand.say("Join(*,G)")
    stand.mark()
    stand.register(source)
    assert stand.stops() == [] and stand.net.copies("down", stand.net.sent) == 1


def test_R12_the_keepalive_timer_goes_on_while_registers_come(family: Family) -> None:
    stand, source = rp_with_members(family)
    for _ in range(60):
        flood(stand, source, 10.0, 2.5)
        assert 210 - KEEPALIVE_PACE - 2.5 <= (stand.keepalive(source) or 0.0) <= 210
    stand.run(210)
    assert not stand.keepalive(source)


def test_R12_a_null_register_is_always_heard(family: Family) -> None:
    stand, source = rp_with_members(family)
    flood(stand, source, 1.0)
    stand.run(5)
    stand.register(source, null=True)
    assert stand.keepalive(source) == 210


def test_R14_another_dr_and_another_address_are_heard(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    flood(stand, source, 1.0)
    stand.mark()
    stand.register(source, to=stand.net.address("up", 5))
    assert stand.stops() == [0.0]


@pytest.mark.parametrize("change", ["register_accept", "register_accept_from"])
def test_R14_a_reload_that_refuses_the_source_ends_the_quiet(family: Family, change: str) -> None:
    stand, source = rp_with_members(family)
    flood(stand, source, 1.0)
    nobody = Prefix(parse_address("198.51.100.0" if family.size == 4 else "2001:db8:ffff::"), family.bits - 8)
    stand.configure(**{change: (nobody,)})
    stand.mark()
    stand.register(source)
    assert stand.stops() == [0.0]
    assert stand.r1.router is not None and stand.r1.router.counters.total("pim", "rx", "register", "reg_filtered") == 1


def test_R15_no_limit_of_time_where_the_register_path_is_to_stay(family: Family) -> None:
    stand, source = rp_with_members(family)
    stand.configure(spt_threshold="infinity")
    flood(stand, source, 30.0, 0.1)
    assert stand.stops() == [] and stand.keepalive(source) is None and counted(stand) == 300
    assert stand.net.copies("down", stand.net.sent) == 1


# What is only counted: as the adapter tells it.


def addresses(family: Family) -> tuple[Address, Address, Address, Address]:
    """S, G, the DR and the RP."""
    words = ("10.1.1.1", "239.1.1.1", "10.7.7.7", "10.8.0.1")
    if family.size == 16:
        words = ("2001:db8:1::1", "ff1e::1", "2001:db8:7::7", "2001:db8:8::1")
    source, group, dr, rp = map(parse_address, words)
    return source, group, dr, rp


def inner(family: Family, source: Address, group: Address) -> bytes:
    if family.size == 4:
        return b"\x45\0\0\x1c\0\0\0\0\x40\x11\0\0" + source + group + bytes(8)
    return b"\x60\0\0\0\0\x08\x11\x40" + source + group + bytes(8)


def message(family: Family, packet: bytes, dr: Address, rp: Address, **flags: bool) -> Message:
    data = pim.encode(family, dr, rp, pim.Register(flags.get("border", False), flags.get("null", False), packet))
    return PIM, 2, dr, rp, 60, False, data


def test_only_sound_registers_that_say_the_same_are_counted(family: Family) -> None:
    now = [100.0]
    quiet = QuietRegisters(family, lambda: now[0])
    source, group, dr, rp = addresses(family)
    plain = inner(family, source, group)
    same = message(family, plain, dr, rp)
    assert quiet.sift([same]) == ([same], [])
    quiet.set(QuietRegister(source, group, dr, rp, 3.0))
    others = [
        message(family, plain, rp, rp),
        message(family, plain, dr, dr),
        message(family, plain, dr, rp, null=True),
        message(family, plain, dr, rp, border=True),
        message(family, plain[:-1], dr, rp),
        message(family, plain + b"\0", dr, rp),
        message(family, b"\0" + plain[1:], dr, rp),
        message(family, inner(family, source, group[:-1] + b"\x02"), dr, rp),
        (*same[:6], same[6][:2] + b"\x12\x34" + same[6][4:]),
        (*same[:6], same[6][:20]),
        (*same[:6], b""),
    ]
    heard, repeated = quiet.sift([same, *others, same])
    assert heard == others
    assert [(r.ifindex, r.destination, r.count) for r in repeated] == [(2, rp, 2)]
    now[0] += 3.0
    assert quiet.sift([same]) == ([same], [])


def test_what_is_taken_back_is_heard(family: Family) -> None:
    quiet = QuietRegisters(family, lambda: 0.0)
    source, group, dr, rp = addresses(family)
    same = message(family, inner(family, source, group), dr, rp)
    quiet.set(QuietRegister(source, group, dr, rp, 3.0))
    assert quiet.sift([same])[0] == []
    quiet.delete(source, group)
    quiet.delete(source, group)
    assert quiet.sift([same])[0] == [same]
