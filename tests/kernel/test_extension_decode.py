"""The decoders of the extension against a second set, written in Python: the same results for whatever bytes."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from random import Random
from socket import AF_INET, AF_INET6

import pytest
from kernel_frames import ALERT4, ALERT6, ip4, ip6, mfc_entry, netlink, upcall
from kernel_namespaces import families, group, host

from pimpy.kernel import _mroute
from pimpy.wire.family import IPV4, IPV6, Address, Family

ROUNDS = 20_000 if "PIMPY_EXTENSION" in os.environ else 40_000
"""Mutated inputs of each decoder; fewer for a build that sanitizers watch, which is slower."""

Message = tuple[int, int, bytes, bytes, int, bool, bytes]
S4, S6 = bytes(4), bytes(16)


def twin_total(data: bytes, family: Family) -> int:
    """The length of the IP packet that begins here, 0 if it is none."""
    if family is IPV4:
        if len(data) < 20 or data[0] >> 4 != 4:
            return 0
        header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
        return total if 20 <= header <= total <= len(data) else 0
    if len(data) < 40 or data[0] >> 4 != 6:
        return 0
    total = 40 + int.from_bytes(data[4:6], "big")
    return total if total <= len(data) else 0


def twin_alert4(options: bytes) -> bool:
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or options[1] < 2 or options[1] > len(options):
            return False
        if options[:2] == b"\x94\x04":
            return True
        options = options[options[1] :]
    return False


def twin_alert6(header: bytes) -> bool:
    if len(header) < 8:
        return False
    options = header[2 : 8 * (header[1] + 1)]
    while options:
        if options[0] == 0:
            options = options[1:]
            continue
        if len(options) < 2 or options[1] + 2 > len(options):
            return False
        if options[:4] == b"\x05\x02\x00\x00":
            return True
        options = options[options[1] + 2 :]
    return False


def twin_upcall(data: bytes, family: Family) -> Message | None:
    if family is IPV4:
        kind, vif, addresses, packet = data[8], data[10], data[12:20], data[20:]
        inner = packet[12:20]
    else:
        if len(data) < 40:
            return None
        kind, vif = data[1], struct.unpack_from("=H", data, 2)[0]
        addresses, packet = data[8:40], data[40:]
        inner = packet[8:40]
    if kind not in (1, 2, 3, 4) or vif >= 32:
        return None
    source, destination = addresses[: family.size], addresses[family.size :]
    if kind < 3:
        return 1000 + kind, vif, source, destination, 0, False, b""
    total = twin_total(packet, family)
    if not total or inner != addresses:
        return None
    return 1000 + kind, vif, source, destination, packet[8 if family is IPV4 else 7], False, packet[:total]


def twin4(protocol: int, data: bytes, ifindex: int) -> Message | None:
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    if protocol == 2 and data[9] == 0:
        return twin_upcall(data, IPV4)
    total = twin_total(data, IPV4)
    if not total or data[9] != protocol or not ifindex:
        return None
    header = (data[0] & 15) * 4
    return protocol, ifindex, data[12:16], data[16:20], data[8], twin_alert4(data[20:header]), data[header:total]


def twin6(protocol: int, data: bytes, told: tuple[int, Address, Address, int, bytes]) -> Message | None:
    ifindex, source, destination, limit, options = told
    if protocol == 58 and data[:1] == b"\0":
        return twin_upcall(data, IPV6)
    if not ifindex or limit < 0:
        return None
    return protocol, ifindex, source, destination, limit, twin_alert6(options), data


def mutations(seeds: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Seeds with bytes changed, cut off, put in; lengths are changed often, as what follows hangs on them."""
    random = Random(seed)
    for _ in range(count):
        data = bytearray(random.choice(seeds))
        for _ in range(random.randrange(4)):
            how = random.randrange(5)
            at = random.randrange(len(data) + 1)
            if how == 0 and data:
                data[at % len(data)] = random.choice((0, 1, 2, 4, 8, 20, 31, 32, 0x45, 0x46, 0x60, 0x80, 0xFF))
            elif how == 1 and data:
                data[at % len(data)] = random.randrange(256)
            elif how == 2:
                del data[at:]
            elif how == 3:
                data[at:at] = random.randbytes(random.randrange(9))
            else:
                del data[at : at + random.randrange(9)]
        yield bytes(data)


def seeds4() -> list[bytes]:
    source, to = host(IPV4, 1), group(IPV4)
    whole = ip4(source, to, 17, b"payload", 64)
    seeds = [upcall(IPV4, kind, 3, source, to) for kind in (1, 2)]
    seeds += [upcall(IPV4, kind, 3, source, to, whole) for kind in (3, 4)]
    seeds += [
        ip4(source, to, 2, b"igmp" * 2, 1, options)
        for options in (b"", ALERT4, b"\x01\x01\x01\x00", b"\x44\x08abcdef" + ALERT4)
    ]
    return seeds


def seeds6() -> list[bytes]:
    source, to = host(IPV6, 1), group(IPV6)
    whole = ip6(source, to, 17, b"payload", 64)
    seeds = [upcall(IPV6, kind, 3, source, to) for kind in (1, 2)]
    seeds += [upcall(IPV6, kind, 3, source, to, whole) for kind in (3, 4)]
    return [*seeds, b"\x8f\x00abcdef", b"\x82" + bytes(23)]


def decode4(protocol: int, data: bytes, ifindex: int = 7) -> Message | None:
    return _mroute.decode(AF_INET, protocol, data, ifindex, S4, S4, 0, b"")


def test_ipv4_packets_and_upcalls_equal_the_twin() -> None:
    accepted = 0
    for data in mutations(seeds4(), ROUNDS, 4):
        found = decode4(2, data)
        assert found == twin4(2, data, 7), data.hex()
        accepted += found is not None
    assert ROUNDS // 5 < accepted < ROUNDS


def test_ipv6_packets_and_upcalls_equal_the_twin() -> None:
    accepted = 0
    random = Random(6)
    options = list(mutations([ALERT6, b"\x3a\x01\x01\x0a" + bytes(10) + b"\x05\x02\x00\x00"[:2]], 500, 66))
    for data in mutations(seeds6(), ROUNDS, 6):
        told = (
            random.choice((0, 7, 7, 7)),
            host(IPV6, 1),
            group(IPV6),
            random.choice((-1, 1, 1, 255)),
            random.choice(options),
        )
        found = _mroute.decode(AF_INET6, 58, data, *told)
        assert found == twin6(58, data, told), data.hex()
        accepted += found is not None
    assert ROUNDS // 5 < accepted < ROUNDS


def test_router_alert_equals_the_twin() -> None:
    """The options alone, as mutations of a whole packet rarely get there."""
    random = Random(9)
    for _ in range(ROUNDS // 2):
        options = random.choice(
            (b"", b"\x01", b"\x94\x04\0\0", b"\x00", b"\x83\x07abcde", random.randbytes(3))
        ) * random.randrange(4)
        options += random.choice((b"", b"\x94\x04\0\0", b"\x94\x05\0\0\0", b"\x94\x03\0"))
        options = (options + bytes(-len(options) % 4))[:40]
        found = decode4(103, ip4(host(IPV4, 1), group(IPV4), 103, b"x", 1, options))
        assert found is not None
        assert found[5] is twin_alert4(options)
        header = (
            b"\x3a"
            + bytes((random.randrange(4),))
            + random.choice((b"", b"\x00", b"\x01\x02ab", b"\x05\x02\0\0", b"\x05\x02\0\x01")) * random.randrange(9)
        )
        found = _mroute.decode(AF_INET6, 58, b"\x82", 7, S6, S6, 1, header)
        assert found is not None
        assert found[5] is twin_alert6(header)


@families()
def test_every_truncation_of_an_upcall_is_refused(family: Family) -> None:
    source, to = host(family, 1), group(family)
    packet = (ip4 if family is IPV4 else ip6)(source, to, 17, b"payload", 64)
    protocol = 2 if family is IPV4 else 58
    header = 20 if family is IPV4 else 40
    told = (7, bytes(family.size), bytes(family.size), 1, b"")
    for kind in (1, 2, 3, 4):
        data = upcall(family, kind, 3, source, to, packet if kind > 2 else b"")
        shortest = header if kind < 3 else len(data)
        for length in range(1, len(data)):
            found = _mroute.decode(family.number, protocol, data[:length], *told)
            assert found is None or length >= shortest, (kind, length)
        assert _mroute.decode(family.number, protocol, data, *told) is not None


@families()
def test_an_upcall_that_lies_is_refused(family: Family) -> None:
    source, to = host(family, 1), group(family)
    packet = (ip4 if family is IPV4 else ip6)(source, to, 17, b"payload", 64)
    protocol = 2 if family is IPV4 else 58
    told = (7, bytes(family.size), bytes(family.size), 1, b"")

    def decode(data: bytes) -> Message | None:
        return _mroute.decode(family.number, protocol, data, *told)

    assert decode(upcall(family, 1, 31, source, to)) is not None
    assert decode(upcall(family, 1, 32, source, to)) is None
    assert decode(upcall(family, 0, 1, source, to)) is None
    assert decode(upcall(family, 5, 1, source, to)) is None
    assert decode(upcall(family, 3, 1, to, source, packet)) is None
    assert decode(upcall(family, 3, 1, source, group(family, 2), packet)) is None
    found = decode(upcall(family, 4, 1, source, to, packet + b"behind the packet"))
    assert found == (_mroute.WRVIFWHOLE, 1, source, to, 64, False, packet)


@pytest.mark.parametrize("options", [b"", b"\x01\x01\x01\x00", ALERT4 + bytes(36)], ids=["20", "24", "60"])
def test_V13_TH64_the_ipv4_header_says_where_the_message_begins_and_ends(options: bytes) -> None:
    message = b"\x20\x00\xdf\xff" + bytes(8)
    packet = ip4(host(IPV4, 1), group(IPV4), 103, message, 1, options)
    for padding in (b"", bytes(26)):
        found = decode4(103, packet + padding)
        assert found is not None
        assert found[6] == message, "the padding of the frame is no part of it"
    assert decode4(103, packet[:-1]) is None, "less is there than the total length says"
    for words in (0, 4, 15):
        lying = bytes([0x40 | words]) + packet[1:]
        assert (decode4(103, lying) is None) == (not 20 <= 4 * words <= len(packet)), "a header of another length"


def test_what_looks_like_an_upcall_but_is_a_packet() -> None:
    """Only the protocol byte 0 of IPv4, which no packet has, makes an upcall; and only on the socket for IGMP."""
    data = bytearray(upcall(IPV4, 1, 3, host(IPV4, 1), group(IPV4)))
    assert decode4(2, bytes(data)) is not None
    assert decode4(103, bytes(data)) is None
    data[9] = 2
    found = decode4(2, bytes(data))
    assert found is not None
    assert found[0] == 2
    data = bytearray(upcall(IPV6, 1, 3, host(IPV6, 1), group(IPV6)))
    found = _mroute.decode(AF_INET6, 103, bytes(data), 7, S6, S6, 1, b"")
    assert found is not None
    assert found[0] == 103


def test_a_packet_must_tell_its_interface() -> None:
    assert decode4(2, ip4(host(IPV4, 1), group(IPV4), 2, b"igmp"), 0) is None
    assert _mroute.decode(AF_INET6, 58, b"\x82", 0, S6, S6, 1, b"") is None
    assert _mroute.decode(AF_INET6, 58, b"\x82", 1, S6, S6, -1, b"") is None


# The dump


class Malformed(Exception):
    pass


def twin_attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    while len(body) >= 4:
        length, kind = struct.unpack_from("=HH", body)
        if length < 4 or length > len(body):
            raise Malformed
        yield kind & 0x3FFF, body[4:length]
        body = body[(length + 3) & ~3 :]


def twin_oifs(value: bytes) -> tuple[int, ...]:
    found = []
    while value:
        if len(value) < 8 or len(found) == 32:
            raise Malformed
        length, _, _, ifindex = struct.unpack_from("=HBBI", value)
        if length < 8 or length > len(value):
            raise Malformed
        found.append(ifindex)
        value = value[(length + 3) & ~3 :]
    return tuple(found)


def twin_entry(body: bytes, family: Family) -> tuple[int, tuple[object, ...]]:
    if len(body) < 12 or body[0] != (128 if family is IPV4 else 129):
        raise Malformed
    iif, table, oifs, stats = 0, body[4], (), (0, 0, 0)
    addresses: dict[int, bytes] = {}
    for kind, value in twin_attributes(body[12:]):
        if kind in (1, 2):
            if len(value) != family.size:
                raise Malformed
            addresses[kind] = value
        elif kind in (3, 15):
            if len(value) != 4:
                raise Malformed
            number = struct.unpack("=I", value)[0]
            iif, table = (number, table) if kind == 3 else (iif, number)
        elif kind == 9:
            oifs += twin_oifs(value)
            if len(oifs) > 32:
                raise Malformed
        elif kind == 17:
            if len(value) < 24:
                raise Malformed
            stats = struct.unpack_from("=QQQ", value)
        elif kind == 23 and len(value) != 8:
            raise Malformed
    if len(addresses) != 2:
        raise Malformed
    if struct.unpack_from("=I", body, 8)[0] & 0x20:
        iif = -1
    return table, (addresses[2], addresses[1], iif, oifs, *stats)


def twin_dump(family: Family, wanted: int, data: bytes) -> tuple[list[tuple[object, ...]], bool, bool]:
    found, interrupted = [], False
    while len(data) >= 16:
        length, kind, flags = struct.unpack_from("=IHH", data)
        if length < 16 or length > len(data):
            raise Malformed
        body = data[16:length]
        interrupted = interrupted or bool(flags & 0x10)
        if kind in (2, 3):
            error = struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
            if -4096 < error < 0:
                raise OSError(-error, "")
            return found, True, interrupted
        if kind == 24:
            table, entry = twin_entry(body, family)
            if wanted in (0, table):
                found.append(entry)
        data = data[(length + 3) & ~3 :]
    return found, False, interrupted


def dump_seeds(family: Family) -> list[bytes]:
    source = host(family, 1)
    entries = [
        mfc_entry(family, source, group(family, 1), 5, (6, 7), (9, 900, 1)),
        mfc_entry(family, source, group(family, 2), None),
        mfc_entry(family, source, group(family, 3), 0, tuple(range(1, 33)), (2**64 - 1, 2**63, 0)),
        mfc_entry(family, source, group(family, 4), 5, (), table=42),
    ]
    done = netlink(3, struct.pack("=i", 0))
    failed = netlink(2, struct.pack("=i", -16) + bytes(16))
    return [
        b"".join(entries),
        entries[0],
        entries[1] + done,
        entries[2],
        failed,
        netlink(24, entries[3][16:], 0x12) + done,
    ]


@families()
def test_dumps_equal_the_twin(family: Family) -> None:
    accepted = 0
    for data in mutations(dump_seeds(family), ROUNDS, family.number):
        for table in (0, 253):
            try:
                expected: object = twin_dump(family, table, data)
                accepted += 1
            except Malformed:
                expected = 74
            except OSError as error:
                expected = error.errno
            try:
                found: object = _mroute.decode_mfc(family.number, table, data)
            except OSError as error:
                found = error.errno
            assert found == expected, data.hex()
    assert accepted > ROUNDS // 5


@families()
def test_a_dump_is_read(family: Family) -> None:
    source = host(family, 1)
    seeds = dump_seeds(family)
    entries, done, interrupted = _mroute.decode_mfc(family.number, 253, seeds[0])
    assert entries == [
        (source, group(family, 1), 5, (6, 7), 9, 900, 1),
        (source, group(family, 2), -1, (), 0, 0, 0),
        (source, group(family, 3), 0, tuple(range(1, 33)), 2**64 - 1, 2**63, 0),
    ]
    assert (done, interrupted) == (False, False)
    assert _mroute.decode_mfc(family.number, 42, seeds[5]) == ([(source, group(family, 4), 5, (), 0, 0, 0)], True, True)
    assert _mroute.decode_mfc(family.number, 0, b"") == ([], False, False)
    with pytest.raises(OSError, match="busy"):
        _mroute.decode_mfc(family.number, 0, seeds[4])


@families()
def test_every_truncation_of_a_dump_is_refused_or_shorter(family: Family) -> None:
    data = dump_seeds(family)[0]
    for length in range(len(data)):
        try:
            entries, done, _ = _mroute.decode_mfc(family.number, 0, data[:length])
        except OSError as error:
            assert error.errno == 74
        else:
            assert not done
            assert len(entries) < 4
