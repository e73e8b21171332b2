"""The register table: its arguments, its bounds, and what it makes of a packet, beside a twin in Python (G22)."""

from __future__ import annotations

import errno
import os
import random
import select
import time
from socket import AF_INET, AF_INET6
from typing import Any

import pytest
from kernel_frames import checksum, ip4, ip6
from kernel_namespaces import families, group, host
from kernel_registers import fragments, udp

from pimpy.kernel import _mroute
from pimpy.wire import pim
from pimpy.wire.family import IPV4, IPV6, Address, Family
from pimpy.wire.ip import decrement_ttl

CLOSED = 1 << 20
HUGE = 1 << 80
GOOD = (CLOSED, CLOSED, CLOSED, AF_INET, 2, 10)
S, G, A, RP = bytes((10, 0, 0, 1)), bytes((239, 1, 1, 1)), bytes((10, 0, 0, 2)), bytes((10, 0, 0, 3))


# Arguments.


def number(low: int, high: int) -> list[tuple[object, type[Exception]]]:
    ranges = [(value, ValueError) for value in (low - 1, high + 1, HUGE, -HUGE)]
    return [(None, TypeError), ("1", TypeError), (1.5, TypeError), *ranges]


WRONG_MAKING = [
    *[(at, *case) for at in (0, 1, 2) for case in number(0, 2**31 - 1)],
    *[(3, value, error) for value, error in ((None, TypeError), (0, ValueError), (1, ValueError), (HUGE, ValueError))],
    *[(4, *case) for case in number(1, 255)],
    *[(5, *case) for case in number(1, 1 << 24)],
]


@pytest.mark.parametrize(("at", "value", "expected"), WRONG_MAKING)
def test_a_wrong_argument_makes_no_table(at: int, value: Any, expected: type[Exception]) -> None:
    arguments: Any = (*GOOD[:at], value, *GOOD[at + 1 :])
    with pytest.raises(expected):
        _mroute.Registers(*arguments)


def test_the_number_of_arguments_is_checked() -> None:
    make: Any = _mroute.Registers
    for arguments in ((), GOOD[:-1], (*GOOD, False, None)):
        with pytest.raises(TypeError):
            make(*arguments)
    with pytest.raises(TypeError):
        make(*GOOD[:-1], limit=10)
    table: Any = make(*GOOD)
    calls = [(table.set, (S, G, A, RP, False)), (table.delete, (S, G)), (table.receive, (1,))]
    calls += [(table.counters, ()), (table.totals, ()), (table.fileno, ()), (table.close, ())]
    for call, good in calls:
        for arguments in ([good[:-1]] if good else []) + [(*good, None)]:
            with pytest.raises(TypeError):
                call(*arguments)
        with pytest.raises(TypeError):
            call(*good, unknown=1)
    table.close()


BAD_BYTES: list[tuple[object, type[Exception]]] = [
    (None, TypeError), ("abcd", TypeError), (bytearray(4), TypeError), (4, TypeError),
    (b"", ValueError), (bytes(3), ValueError), (bytes(5), ValueError), (bytes(16), ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), BAD_BYTES)
def test_a_wrong_address_changes_nothing(value: Any, expected: type[Exception]) -> None:
    table = _mroute.Registers(*GOOD)
    good: Any = (S, G, A, RP, False)
    for at in range(4):
        if at == 3 and value == bytes(16):
            continue  # four addresses
        with pytest.raises(expected):
            table.set(*good[:at], value, *good[at + 1 :])
    assert table.counters() == {}
    table.set(*good)
    for bad in ((value, G), (S, value)):
        with pytest.raises(expected):
            table.delete(*bad)
    assert table.counters() == {(S, G): (0, 0)}
    table.close()


@pytest.mark.parametrize("value", [None, 0, 1, "no", b""])
def test_stopped_is_a_bool(value: Any) -> None:
    table = _mroute.Registers(*GOOD)
    with pytest.raises(TypeError):
        table.set(S, G, A, RP, value)
    table.close()


@pytest.mark.parametrize(("value", "expected"), number(1, 65536))
def test_a_wrong_limit_of_messages(value: Any, expected: type[Exception]) -> None:
    table = _mroute.Registers(*GOOD)
    with pytest.raises(expected):
        table.receive(value)
    table.close()


def test_a_closed_table_says_so() -> None:
    table = _mroute.Registers(*GOOD)
    table.close()
    table.close()
    for call in (
        lambda: table.set(S, G, A, RP, False),
        lambda: table.delete(S, G),
        lambda: table.receive(1),
        table.counters,
        table.totals,
        table.fileno,
    ):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_the_table_is_no_base_and_has_no_attributes() -> None:
    table: Any = _mroute.Registers(*GOOD)
    with pytest.raises(AttributeError):
        table.other = 1
    with pytest.raises(TypeError):
        type("Sub", (_mroute.Registers,), {})
    table.close()


# The table.


@pytest.mark.parametrize("kind", ["closed", "pipe"])
def test_a_thread_without_a_socket_ends_and_says_why(kind: str) -> None:
    reader, writer = os.pipe()
    fd = CLOSED if kind == "closed" else reader
    os.write(writer, b"x")
    table = _mroute.Registers(fd, CLOSED, CLOSED, AF_INET, 2, 10)
    readable, _, _ = select.select([table.fileno()], [], [], 5)
    assert readable
    with pytest.raises(OSError) as caught:
        table.receive(1)
    assert caught.value.errno == (errno.EBADF if kind == "closed" else errno.ENOTSOCK)
    table.close()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("size", [4, 16])
def test_the_table_is_bounded_and_grows_to_its_bound(size: int) -> None:
    table = _mroute.Registers(CLOSED, CLOSED, CLOSED, AF_INET if size == 4 else AF_INET6, 2 if size == 4 else 58, 3000)
    entries = [(i.to_bytes(size, "big"), (7 * i).to_bytes(size, "big")) for i in range(3000)]
    tunnels = [(bytes((1 + i % 5,)) * size, bytes((9 + i % 7,)) * size) for i in range(3000)]
    for entry, tunnel in zip(entries, tunnels, strict=True):
        table.set(*entry, *tunnel, False)
    with pytest.raises(OSError) as caught:
        table.set(bytes(size), b"\xff" * size, *tunnels[0], False)
    assert caught.value.errno == errno.ENOSPC
    assert table.counters().keys() == set(entries)
    table.set(*entries[5], *tunnels[9], True)
    for entry in entries[::2]:
        assert table.delete(*entry)
        assert not table.delete(*entry)
    assert table.counters() == dict.fromkeys(entries[1::2], (0, 0))
    table.set(bytes(size), b"\xff" * size, *tunnels[0], False)
    table.close()


def test_tables_come_and_go() -> None:
    before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(200):
        table = _mroute.Registers(*GOOD)
        table.set(S, G, A, RP, False)
        del table
    assert len(os.listdir("/proc/self/fd")) == before[0]
    until = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > before[1] and time.monotonic() < until:
        time.sleep(0.01)  # a thread that was waited for is still in the list until the kernel has taken it down
    assert len(os.listdir("/proc/self/task")) <= before[1]


# Encapsulation, and its twin.


def twin(family: Family, source: Address, rp: Address, mtu: int, packet: bytes) -> list[bytes] | int | None:
    """The same from the RFC's words."""
    inner = decrement_ttl(family, packet)
    if inner is None:
        return None
    if family is IPV6:
        room = max(1280, mtu - 48)
        return room if len(packet) > room else [pim.encode(family, source, rp, pim.Register(False, False, inner))]
    room = mtu - 28
    may = not inner[6] & 0x40 and inner[0] & 15 == 5 and room >= 68
    parts = [inner] if len(inner) <= room or not may else list(fragments(inner, room))
    return [pim.encode(family, source, rp, pim.Register(False, False, part)) for part in parts]


@families()
def test_G22_encapsulation_equals_its_twin(family: Family) -> None:
    chance = random.Random(22)
    source, rp = host(family, 1, 1), host(family, 2)
    for _ in range(20_000):
        mtu = chance.choice([0, 27, 28, 67, 95, 96, 97, 576, 1280, 1327, 1328, 1329, 1500, 9000, 2**32 - 1])
        size = chance.randrange(0, 1600)
        flags = chance.choice([0, 0, 0x4000, 0x2000])
        part = chance.choice([0, 0, 0, 100]) if family is IPV4 else 0
        packet = udp(family, host(family, 1), group(family), chance.randbytes(size), chance.choice([0, 1, 2, 64, 255]),
                     chance.randrange(256), flags, part)  # fmt: skip
        if chance.random() < 0.2:
            packet = packet[:9] + bytes((chance.choice([1, 6, 89]),)) + packet[10:] if family is IPV4 else packet
            packet = resum(packet) if family is IPV4 else packet
        assert _mroute.encapsulate(family.number, source, rp, mtu, packet) == twin(family, source, rp, mtu, packet)


def resum(packet: bytes) -> bytes:
    head = packet[:10] + b"\0\0" + packet[12:20]
    return head[:10] + checksum(head) + packet[12:]


def test_R20_options_are_not_taken_apart() -> None:
    packet = ip4(S, G, 17, bytes(1000), 9, b"\x94\x04\0\0")
    found = _mroute.encapsulate(AF_INET, A, RP, 600, packet)
    assert isinstance(found, list) and [len(one) for one in found] == [8 + len(packet)]


def test_R16_the_checksum_of_the_rfc() -> None:
    (four,) = _mroute.encapsulate(AF_INET, A, RP, 1500, ip4(S, G, 17, b"", 9)) or [b""]  # type: ignore[misc]
    assert four[:8].hex() == "2100deff00000000"
    one, two = (bytes.fromhex(f"20010db800000000000000000000000{i}") for i in (1, 2))
    (six,) = _mroute.encapsulate(AF_INET6, one, two, 1500, ip6(one, group(IPV6), 17, b"data", 9)) or [b""]  # type: ignore[misc]
    assert six[:8].hex() == "2100831b00000000"


@families()
def test_random_bytes_are_refused_or_encapsulated(family: Family) -> None:
    chance = random.Random(1)
    seed = udp(family, host(family, 1), group(family), bytes(60), 9)
    for _ in range(20_000):
        packet = bytearray(seed)
        for _ in range(chance.randrange(4)):
            packet[chance.randrange(len(packet))] = chance.randrange(256)
        del packet[chance.randrange(len(packet)) :]
        arguments = (family.number, host(family, 1, 1), host(family, 2), chance.choice([0, 90, 1500]), bytes(packet))
        try:
            found = _mroute.encapsulate(*arguments)
        except ValueError:
            continue
        assert found is None or isinstance(found, int) or found


ENCAPSULATE = (AF_INET, A, RP, 1500, ip4(S, G, 17, b"", 9))


@pytest.mark.parametrize(
    ("at", "value", "expected"),
    [
        *[(0, value, error) for value, error in ((None, TypeError), (0, ValueError), (HUGE, ValueError))],
        *[(at, *case) for at in (1, 2) for case in BAD_BYTES],
        *[(3, *case) for case in number(0, 2**32 - 1)],
        *[(4, value, TypeError) for value in (None, "text", bytearray(40), 4)],
        *[(4, value, ValueError) for value in (b"", bytes(20), ENCAPSULATE[4][:-1], ENCAPSULATE[4] + b"x")],
    ],
)
def test_encapsulate_refuses(at: int, value: Any, expected: type[Exception]) -> None:
    arguments: Any = (*ENCAPSULATE[:at], value, *ENCAPSULATE[at + 1 :])
    with pytest.raises(expected):
        _mroute.encapsulate(*arguments)


def test_encapsulate_tells_of_64_registers_at_most() -> None:
    packet = ip4(S, G, 17, bytes(64 * 48), 9)
    found = _mroute.encapsulate(AF_INET, A, RP, 28 + 68, packet)
    assert isinstance(found, list) and len(found) == 64
    with pytest.raises(ValueError, match="too many"):
        _mroute.encapsulate(AF_INET, A, RP, 28 + 68, ip4(S, G, 17, bytes(64 * 48 + 1), 9))
