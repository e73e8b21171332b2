"""ICMP errors for Registers (conformance Y7, TH46; RFC 5059 6.2): they hold Registers to an RP for a while, no more."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from datagrams import Datagram
from speakers import Channel

from pimpy.core.engine.events import RegisterUnreachable
from pimpy.core.pim.register import State
from pimpy.wire import pim
from pimpy.wire.family import Family, parse_address

HOLD = 5.0


def at_dr(family: Family) -> tuple[AsmStand, Channel]:
    """A DR that registers a source."""
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.mark()
    return stand, source


def quoted(stand: AsmStand, source: Channel, message: pim.Message | None = None) -> bytes:
    """A Register of ours as a router on its way quotes it: 512 bytes at the most."""
    family = stand.family
    message = message or pim.Register(False, False, Datagram(*source, 1).to_bytes())
    return pim.encode(family, stand.net.address("src", 5), stand.rp, message)[:512]


def unreachable(stand: AsmStand, data: bytes, rp: bytes | None = None, why: str = "protocol") -> None:
    stand.r1.handle(RegisterUnreachable(rp or stand.rp, why, data))
    stand.run(0)


def sends(stand: AsmStand, source: Channel) -> bool:
    """Whether a data packet leaves in a Register."""
    before = len(stand.registers())
    stand.data(source)
    return len(stand.registers()) > before


def counted(stand: AsmStand, reason: str) -> int:
    return stand.r1.router.counters.values.get(("-", "pim", "rx", "icmp", reason), 0)


@pytest.mark.parametrize("why", ["host", "protocol"])
def test_Y7_TH46_a_quoted_register_holds_registers_to_that_rp_for_a_short_time(family: Family, why: str) -> None:
    stand, source = at_dr(family)
    assert sends(stand, source)
    unreachable(stand, quoted(stand, source), why=why)
    assert not sends(stand, source) and counted(stand, "") == 1
    assert stand.sg(source).register.state is State.JOIN, "the Register machine is as it was"  # type: ignore[union-attr]
    stand.run(HOLD - 0.01)
    assert not sends(stand, source)
    stand.run(0.02)
    assert sends(stand, source)


def test_Y7_TH46_it_holds_again_but_is_never_extended(family: Family) -> None:
    stand, source = at_dr(family)
    for _ in range(4):
        unreachable(stand, quoted(stand, source))
        stand.run(1)
        assert not sends(stand, source)
    stand.run(1.01)
    assert sends(stand, source), "5 s after the first of them"
    unreachable(stand, quoted(stand, source))
    assert not sends(stand, source)


def test_Y7_all_sources_of_that_rp_wait_and_those_of_another_do_not(family: Family) -> None:
    stand, source = at_dr(family)
    other = stand.near(number=201)
    stand.data(other)
    unreachable(stand, quoted(stand, source))
    assert not sends(stand, source) and not sends(stand, other)
    assert stand.r1.router.pim.unreachable.keys() == {stand.rp}
    stand.run(HOLD)
    assert not stand.r1.router.pim.unreachable and sends(stand, other)


@pytest.mark.parametrize("what", ["no_register", "short", "empty", "hello", "stranger", "elsewhere", "not_registered"])
def test_Y7_TH46_anything_else_is_counted_and_changes_nothing(family: Family, what: str) -> None:
    stand, source = at_dr(family)
    data, rp = quoted(stand, source), stand.rp
    if what == "short":
        data = data[: 8 + (20 if family.size == 4 else 40) - 1]
    elif what == "empty":
        data = b""
    elif what == "hello":
        data = quoted(stand, source, pim.Hello())
    elif what == "stranger":
        data = quoted(stand, (source[0], stand.group(9)))
    elif what == "elsewhere":
        rp = parse_address("10.8.0.9" if family.size == 4 else "2001:db8:8::9")
    elif what == "not_registered":
        far = stand.far()
        stand.say("Join(S2,G)")
        assert stand.entry(far) is not None
        data = quoted(stand, far)
    elif what == "no_register":
        data = bytes((0x20,)) + data[1:]  # version 2, type 0: no Register
    unreachable(stand, data, rp)
    assert counted(stand, "icmp_not_ours") == 1 and counted(stand, "") == 0
    assert sends(stand, source)


def test_Y7_a_register_stop_during_the_hold_is_heard_and_the_hold_ends_by_itself(family: Family) -> None:
    stand, source = at_dr(family)
    unreachable(stand, quoted(stand, source))
    stand.register_stop(source)
    assert stand.sg(source).register.state is State.PRUNE  # type: ignore[union-attr]
    stand.run(HOLD)
    assert not stand.r1.router.pim.unreachable and not sends(stand, source)


def test_Y7_the_operator_is_told_once_a_minute(family: Family) -> None:
    stand, source = at_dr(family)
    for _ in range(3):
        unreachable(stand, quoted(stand, source))
        stand.run(6)
    assert [notice.reason for notice in stand.r1.notices].count("rp_refuses") == 1
