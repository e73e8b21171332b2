"""Every function of the extension refuses what it cannot take: types, ranges, lengths, descriptors."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from socket import AF_INET, AF_INET6, AF_UNIX
from typing import Any

import pytest

from pimpy.kernel import _mroute

HUGE = 1 << 80
GOOD_CHANGE = (bytes(4), b"\xef\x01\x01\x01", 0, 1)
GOOD_PACKET = (1, bytes(4), b"\xe0\x00\x00\x0d", b"data")
TTLS = b"\x01" * 32
CLOSED = 1 << 20
"""A descriptor that nobody has."""

FD = [
    (None, TypeError),
    ("3", TypeError),
    (1.0, TypeError),
    (-1, ValueError),
    (1 << 31, ValueError),
    (HUGE, ValueError),
]
FAMILY = [
    (None, TypeError),
    (b"", TypeError),
    (AF_UNIX, ValueError),
    (0, ValueError),
    (-1, ValueError),
    (HUGE, ValueError),
]
BYTES = [(None, TypeError), ("abcd", TypeError), (bytearray(4), TypeError), (0, TypeError)]
LIST = [(None, TypeError), ((), TypeError), ({}, TypeError), (iter(()), TypeError)]


def number(high: int, low: int = 0) -> list[tuple[object, type[Exception]]]:
    """What an argument from `low` to `high` must not be."""
    ranges = [(value, ValueError) for value in (low - 1, high + 1, HUGE, -HUGE)]
    return [(None, TypeError), ("1", TypeError), (1.5, TypeError), (b"1", TypeError), *ranges]


def sized(size: int) -> list[tuple[object, type[Exception]]]:
    """What an argument of `size` bytes must not be."""
    return [*BYTES, (b"", ValueError), (bytes(size - 1), ValueError), (bytes(size + 1), ValueError)]


# Function, arguments that are good but for a closed descriptor, and for each argument what it must not be.
FUNCTIONS: list[tuple[str, tuple[object, ...], list[list[tuple[Any, type[Exception]]]]]] = [
    ("init", (CLOSED, AF_INET, 0), [FD, FAMILY, number(999999999)]),
    ("set_pim", (CLOSED, AF_INET, 4), [FD, FAMILY, number(4)]),
    ("done", (CLOSED, AF_INET), [FD, FAMILY]),
    ("flush", (CLOSED, AF_INET, 1), [FD, FAMILY, number(15, 1)]),
    (
        "add_vif",
        (CLOSED, AF_INET, 0, 1, 1, False),
        [
            FD,
            FAMILY,
            number(65535),
            [*number(2**31 - 1), (0, ValueError)],
            number(255, 1),
            [(0, TypeError), (None, TypeError)],
        ],
    ),
    ("del_vif", (CLOSED, AF_INET, 0), [FD, FAMILY, number(65535)]),
    ("change_mfc", (CLOSED, AF_INET, [GOOD_CHANGE], TTLS), [FD, FAMILY, LIST, sized(32)]),
    ("dump_mfc", (CLOSED, AF_INET, 0), [FD, FAMILY, number(2**32 - 1)]),
    ("count_mfc", (CLOSED, AF_INET, 0), [FD, FAMILY, number(2**32 - 1)]),
    ("decode_mfc", (AF_INET, 0, b""), [FAMILY, number(2**32 - 1), BYTES]),
    ("receive", (CLOSED, AF_INET, 2, 1), [FD, FAMILY, number(255, 1), number(65536, 1)]),
    (
        "decode",
        (AF_INET, 2, b"", 1, bytes(4), bytes(4), 1, b""),
        [FAMILY, number(255, 1), BYTES, number(2**31 - 1), sized(4), sized(4), number(255, -1), BYTES],
    ),
    ("send", (CLOSED, AF_INET, [GOOD_PACKET]), [FD, FAMILY, LIST]),
    ("timer_set", (CLOSED, 1), [FD, number(86400000)]),
]
NAMES = [name for name, _, _ in FUNCTIONS]


def _wrong() -> list[Any]:
    cases = []
    for name, good, positions in FUNCTIONS:
        assert len(good) == len(positions)
        for position, values in enumerate(positions):
            for value, expected in values:
                arguments = (*good[:position], value, *good[position + 1 :])
                cases.append(pytest.param(name, arguments, expected, id=f"{name}-{position}-{str(value)[:12]}"))
    return cases


def function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(_mroute, name)
    return found


@pytest.mark.parametrize(("name", "arguments", "expected"), _wrong())
def test_a_wrong_argument_is_refused(name: str, arguments: tuple[object, ...], expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        function(name)(*arguments)
    assert type(caught.value) is expected


@pytest.mark.parametrize(("name", "good", "positions"), FUNCTIONS, ids=NAMES)
def test_the_number_of_arguments_is_checked(name: str, good: tuple[object, ...], positions: object) -> None:
    for arguments in (good[:-1], (*good, None), ()):
        with pytest.raises(TypeError):
            function(name)(*arguments)
    with pytest.raises(TypeError):
        function(name)(*good[:-1], unknown=good[-1])


@pytest.mark.parametrize("name", [name for name, good, _ in FUNCTIONS if good[0] == CLOSED])
def test_a_closed_descriptor_is_an_oserror(name: str) -> None:
    good = next(good for found, good, _ in FUNCTIONS if found == name)
    if name in ("change_mfc", "send"):  # these tell of each item
        assert function(name)(*good) == [errno.EBADF]
        return
    with pytest.raises(OSError) as caught:
        function(name)(*good)
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("name", [name for name, good, _ in FUNCTIONS if good[0] == CLOSED])
def test_a_descriptor_of_another_kind_is_an_oserror(name: str) -> None:
    good = next(good for found, good, _ in FUNCTIONS if found == name)
    reader, writer = os.pipe()
    try:
        if name in ("change_mfc", "send"):
            assert function(name)(writer, *good[1:]) == [errno.ENOTSOCK]
            return
        with pytest.raises(OSError):
            function(name)(reader, *good[1:])
    finally:
        os.close(reader)
        os.close(writer)


CHANGES: list[tuple[object, type[Exception]]] = [
    (None, TypeError),
    ([bytes(4), bytes(4)], TypeError),
    ((), ValueError),
    ((bytes(4),), ValueError),
    ((bytes(4), bytes(4), 0), ValueError),
    ((bytes(4), bytes(4), 0, 0, 0), ValueError),
    ((bytes(3), bytes(4)), ValueError),
    ((bytes(4), bytes(5)), ValueError),
    ((bytes(16), bytes(16)), ValueError),
    (("a" * 4, bytes(4)), TypeError),
    ((bytes(4), None), TypeError),
    ((bytes(4), bytes(4), "0", 0), TypeError),
    ((bytes(4), bytes(4), 0, 1.0), TypeError),
    ((bytes(4), bytes(4), -1, 0), ValueError),
    ((bytes(4), bytes(4), 65536, 0), ValueError),
    ((bytes(4), bytes(4), HUGE, 0), ValueError),
    ((bytes(4), bytes(4), 0, -1), ValueError),
    ((bytes(4), bytes(4), 0, 1 << 32), ValueError),
    ((bytes(4), bytes(4), 0, HUGE), ValueError),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_malformed_change_is_refused_before_any_is_made(change: object, expected: type[Exception]) -> None:
    for changes in ([change], [GOOD_CHANGE, change], [change, GOOD_CHANGE]):
        with pytest.raises(expected):
            _mroute.change_mfc(CLOSED, AF_INET, changes, TTLS)  # type: ignore[arg-type]


PACKETS: list[tuple[object, type[Exception]]] = [
    (None, TypeError),
    (list(GOOD_PACKET), TypeError),
    ((), ValueError),
    (GOOD_PACKET[:3], ValueError),
    ((*GOOD_PACKET, 0, 0), ValueError),
    ((*GOOD_PACKET, -1), ValueError),
    ((*GOOD_PACKET, 256), ValueError),
    ((*GOOD_PACKET, "1"), TypeError),
    ((*GOOD_PACKET, None), TypeError),
    (("1", *GOOD_PACKET[1:]), TypeError),
    ((-1, *GOOD_PACKET[1:]), ValueError),
    ((1 << 31, *GOOD_PACKET[1:]), ValueError),
    ((HUGE, *GOOD_PACKET[1:]), ValueError),
    ((1, bytes(16), bytes(4), b""), ValueError),
    ((1, bytes(4), bytes(16), b""), ValueError),
    ((1, "a" * 4, bytes(4), b""), TypeError),
    ((1, bytes(4), bytes(4), "text"), TypeError),
    ((1, bytes(4), bytes(4), None), TypeError),
    ((1, bytes(4), bytes(4), bytes(65536)), ValueError),
]


@pytest.mark.parametrize(("packet", "expected"), PACKETS)
def test_a_malformed_packet_is_refused_before_any_is_sent(packet: object, expected: type[Exception]) -> None:
    for packets in ([packet], [GOOD_PACKET, packet], [packet, GOOD_PACKET]):
        with pytest.raises(expected):
            _mroute.send(CLOSED, AF_INET, packets)  # type: ignore[arg-type]


def test_empty_batches_do_nothing() -> None:
    assert _mroute.change_mfc(CLOSED, AF_INET6, [], TTLS) == []
    assert _mroute.send(CLOSED, AF_INET6, []) == []


def test_bool_and_int_subclasses_are_ints() -> None:
    class Number(int):
        def __index__(self) -> int:
            raise AssertionError("no Python code runs inside")

    assert _mroute.change_mfc(Number(CLOSED), AF_INET, [(bytes(4), bytes(4), True, Number(3))], TTLS) == [errno.EBADF]


def test_the_timer_fires_once_and_can_be_disarmed() -> None:
    fd = _mroute.timer_open()
    try:
        with pytest.raises(BlockingIOError):
            os.read(fd, 8)
        assert not os.get_inheritable(fd)
        _mroute.timer_set(fd, 1)
        os.set_blocking(fd, True)
        assert int.from_bytes(os.read(fd, 8), "little") == 1
        os.set_blocking(fd, False)
        _mroute.timer_set(fd, 1)
        _mroute.timer_set(fd, 0)
        with pytest.raises(BlockingIOError):
            os.read(fd, 8)
    finally:
        os.close(fd)
