"""Hello messages: options that are there, absent, unknown, repeated or wrong (RFC 7761 4.9.2)."""

from __future__ import annotations

from struct import pack

import pytest
from pim_samples import FOREIGN, NETS, body, encode, messages, reason_of, unicast

from pimpy.wire import pim
from pimpy.wire.family import IPV4, IPV6, Family, parse_address

HOLDTIME = pack(">HHH", 1, 2, 105)
LAN_PRUNE_DELAY = pack(">HHHH", 2, 4, 500, 2500)
DR_PRIORITY = pack(">HHI", 19, 4, 1)
GENERATION_ID = pack(">HHI", 20, 4, 0x12345678)
OPTIONS = (HOLDTIME, LAN_PRUNE_DELAY, DR_PRIORITY, GENERATION_ID)
FULL = pim.Hello(105, pim.LanPruneDelay(False, 500, 2500), 1, 0x12345678)


def hello(family: Family, *options: bytes) -> pim.Hello:
    message = body(family, 0, *options)
    assert isinstance(message, pim.Hello)
    return message


def option(number: int, value: bytes) -> bytes:
    return pack(">HH", number, len(value)) + value


def test_N2_golden_hello_ipv4() -> None:
    data = encode(IPV4, FULL)
    assert data.hex() == "20006af90001000200690002000401f409c400130004000000010014000412345678"
    assert pim.decode(IPV4, NETS[IPV4].me, IPV4.all_pim_routers, data) == FULL


def test_N2_golden_hello_ipv6() -> None:
    source = parse_address("fe80::1")
    data = pim.encode(IPV6, source, IPV6.all_pim_routers, FULL)
    assert data.hex() == "20006cde0001000200690002000401f409c400130004000000010014000412345678"
    assert pim.decode(IPV6, source, IPV6.all_pim_routers, data) == FULL


def test_N2_address_list_golden(family: Family) -> None:
    net = NETS[family]
    data = encode(family, pim.Hello(addresses=(net.secondary, net.rp)))
    size = 2 * (2 + family.size)
    assert data[4:] == pack(">HH", 24, size) + unicast(family, net.secondary) + unicast(family, net.rp)


@pytest.mark.parametrize("holdtime", [0, 1, 105, 0xFFFE, 0xFFFF])
def test_N3_holdtime_is_told_as_it_is(family: Family, holdtime: int) -> None:
    assert hello(family, option(1, pack(">H", holdtime))) == pim.Hello(holdtime=holdtime)


def test_N3_hello_without_holdtime_has_none(family: Family) -> None:
    assert hello(family, DR_PRIORITY).holdtime is None


UNKNOWN = (option(65001, b"\1\2\3"), option(3, b""), option(18, bytes(4)), option(21, bytes(4)), option(0, b"x"))


@pytest.mark.parametrize("position", range(len(OPTIONS) + 1))
@pytest.mark.parametrize("unknown", UNKNOWN, ids=["private", "empty", "18", "21", "0"])
def test_N4_unknown_options_are_skipped_by_length(family: Family, unknown: bytes, position: int) -> None:
    message = hello(family, *OPTIONS[:position], unknown, *OPTIONS[position:])
    assert message == FULL
    assert message.notes == ()


def test_N4_unknown_options_alone(family: Family) -> None:
    assert hello(family, *UNKNOWN) == pim.Hello()


def test_options_in_any_order(family: Family) -> None:
    assert hello(family, *reversed(OPTIONS)) == FULL


def test_V11_hello_without_options(family: Family) -> None:
    message = hello(family)
    assert message == pim.Hello(None, None, None, None, None)
    assert message.notes == ()
    assert len(encode(family, message)) == 4


@pytest.mark.parametrize("tail", ["00", "0001", "000100", "00010002", "0001000200", "fde9ffff", "0013000500000001"])
def test_V11_option_past_the_end_drops_the_hello(family: Family, tail: str) -> None:
    good = hello(family, HOLDTIME)
    assert good.holdtime == 105
    assert reason_of(hello, family, HOLDTIME, bytes.fromhex(tail)) == "hello_bad_option"


@pytest.mark.parametrize(
    ("number", "lengths", "name"),
    [
        (1, (0, 1, 3, 4), "holdtime"),
        (2, (0, 2, 3, 5, 8), "lan_prune_delay"),
        (19, (0, 2, 3, 5, 8), "dr_priority"),
        (20, (0, 2, 3, 5, 8), "generation_id"),
    ],
)
def test_V12_option_with_wrong_length_is_ignored(
    family: Family, number: int, lengths: tuple[int, ...], name: str
) -> None:
    others = [each for each in OPTIONS if each[1] != number]
    for length in lengths:
        message = hello(family, *others[:1], option(number, bytes(range(1, length + 1))), *others[1:])
        assert getattr(message, name) is None
        for other in ("holdtime", "lan_prune_delay", "dr_priority", "generation_id"):
            assert other == name or getattr(message, other) == getattr(FULL, other)
        assert message.notes == ("hello_bad_option",)


def test_V12_a_wrong_repetition_does_not_take_the_right_option_away(family: Family) -> None:
    assert hello(family, DR_PRIORITY, option(19, b"\0\1")).dr_priority == 1


def test_TH16_the_last_of_repeated_options_counts(family: Family) -> None:
    net = NETS[family]
    again = (
        option(1, pack(">H", 7)),
        option(2, pack(">HH", 0x8001, 3)),
        option(19, pack(">I", 9)),
        option(20, pack(">I", 11)),
        option(24, unicast(family, net.rp)),
    )
    message = hello(family, *OPTIONS, option(24, unicast(family, net.secondary)), *again)
    assert message == pim.Hello(7, pim.LanPruneDelay(True, 1, 3), 9, 11, (net.rp,))
    assert message.notes == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("01f409c4", pim.LanPruneDelay(False, 500, 2500)),
        ("81f409c4", pim.LanPruneDelay(True, 500, 2500)),
        ("ffffffff", pim.LanPruneDelay(True, 0x7FFF, 0xFFFF)),
        ("80000000", pim.LanPruneDelay(True, 0, 0)),
    ],
)
def test_lan_prune_delay_bits(family: Family, value: str, expected: pim.LanPruneDelay) -> None:
    message = hello(family, option(2, bytes.fromhex(value)))
    assert message.lan_prune_delay == expected
    assert encode(family, message)[8:].hex() == value


def test_numbers_of_32_bits_are_unsigned(family: Family) -> None:
    message = hello(family, option(19, b"\xff" * 4), option(20, b"\x80\0\0\0"))
    assert (message.dr_priority, message.generation_id) == (2**32 - 1, 2**31)


def test_address_list_in_its_order_and_empty(family: Family) -> None:
    net = NETS[family]
    listed = unicast(family, net.secondary) + unicast(family, net.rp)
    assert hello(family, option(24, listed)).addresses == (net.secondary, net.rp)
    assert hello(family, option(24, b"")).addresses == ()


def test_addresses_of_the_other_family_are_left_out(family: Family) -> None:
    net, other = NETS[family], NETS[FOREIGN[family]]
    listed = unicast(FOREIGN[family], other.secondary) + unicast(family, net.rp)
    assert hello(family, option(24, listed)).addresses == (net.rp,)
    assert hello(family, option(24, unicast(FOREIGN[family], other.rp))).addresses == ()


def test_V9_address_list_that_cannot_be_read_costs_only_the_option(family: Family) -> None:
    net = NETS[family]
    good = unicast(family, net.secondary)
    for bad in (bytes((3, 0)) + net.rp, bytes((family.pim_number, 1)) + net.rp, good[:-1], b"\1", b"\0" * 6):
        message = hello(family, HOLDTIME, option(24, good + bad), DR_PRIORITY)
        assert message == pim.Hello(holdtime=105, dr_priority=1)
        assert message.notes == ("hello_bad_option",)


@pytest.mark.parametrize(
    "message",
    [
        pim.Hello(holdtime=-1),
        pim.Hello(holdtime=0x10000),
        pim.Hello(dr_priority=2**32),
        pim.Hello(generation_id=-1),
        pim.Hello(lan_prune_delay=pim.LanPruneDelay(False, 0x8000, 0)),
        pim.Hello(lan_prune_delay=pim.LanPruneDelay(False, -1, 0)),
        pim.Hello(lan_prune_delay=pim.LanPruneDelay(False, 0, 0x10000)),
        pim.Hello(addresses=(b"\1\2\3",)),
    ],
)
def test_what_cannot_be_written(family: Family, message: pim.Hello) -> None:
    with pytest.raises(ValueError):
        encode(family, message)


def test_notes_are_not_part_of_the_message(family: Family) -> None:
    noted = hello(family, *OPTIONS, option(19, b""))
    assert noted.notes and noted == FULL
    assert encode(family, noted) == encode(family, messages(family)["hello"])
