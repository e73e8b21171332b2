"""PIM messages (RFC 7761 4.9): one table of them, checksums, and the short ones.

Join/Prune is in `join_prune.py`, the two messages of RFC 5059 in `bootstrap.py`. Whether a message may come
from its source to its destination is the core's to judge; `ROWS` tells where each type may be addressed.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import error, pack
from typing import Any

from pimpy.wire.address import (
    read_own,
    read_single_group,
    read_unicast,
    write_single_group,
    write_unicast,
)
from pimpy.wire.bootstrap import (
    Bootstrap,
    CandidateRpAdvertisement,
    bootstrap_flags,
    read_bootstrap,
    read_candidate_rp,
    write_bootstrap,
    write_candidate_rp,
)
from pimpy.wire.checksum import internet_checksum, is_sound, pseudo_header
from pimpy.wire.family import IPV4, IPV6, Address, Family
from pimpy.wire.join_prune import JoinPrune
from pimpy.wire.join_prune import read as read_join_prune
from pimpy.wire.join_prune import write as write_join_prune
from pimpy.wire.reader import Malformed, Reader
from pimpy.wire.record import field, frozen
from pimpy.wire.value import Value

VERSION = 2
PROTOCOL = 103
"""PIM's IP protocol number."""
HEADER = 4
"""Bytes of the common header: version and type, flags, checksum."""
REGISTER_HEADER = 8
"""Bytes of a Register in front of the packet that it carries; its checksum covers only these."""


@frozen
class LanPruneDelay(Value):
    """The LAN Prune Delay option of a Hello."""

    t_bit: bool
    """Whether the sender can do without join suppression."""
    propagation_delay: int
    """Milliseconds, 0 to 0x7fff."""
    override_interval: int
    """Milliseconds, 0 to 0xffff."""


@frozen
class Hello(Value):
    """A Hello message (RFC 7761 4.9.2). None stands for an option that is not there."""

    holdtime: int | None = None
    """Seconds, 0 to 0xffff; 0xffff is for ever, 0 a good-bye."""
    lan_prune_delay: LanPruneDelay | None = None
    dr_priority: int | None = None
    """0 to 2**32 - 1, higher is better."""
    generation_id: int | None = None
    """0 to 2**32 - 1."""
    addresses: tuple[Address, ...] | None = None
    """The sender's other addresses (RFC 7761 4.3.4), as it lists them; those of the other family are left out."""
    notes: tuple[str, ...] = field(default=(), eq=False)
    """`hello_bad_option` if a known option of a received message was ignored as malformed; never sent."""


@frozen
class Register(Value):
    """A Register or Null-Register message (RFC 7761 4.9.3)."""

    border: bool
    null: bool
    packet: bytes
    """The whole inner IP packet, not looked at: see `inner_addresses`."""


@frozen
class RegisterStop(Value):
    """A Register-Stop message (RFC 7761 4.9.4)."""

    group: Address
    source: Address
    """All zero for every source of the group."""


@frozen
class Assert(Value):
    """An Assert message (RFC 7761 4.9.6)."""

    group: Address
    source: Address
    """All zero is valid with `rpt` only."""
    rpt: bool
    preference: int
    """0 to 0x7fffffff."""
    metric: int
    """0 to 0xffffffff."""


Message = Hello | JoinPrune | Register | RegisterStop | Assert | Bootstrap | CandidateRpAdvertisement

MESSAGE_NAMES: dict[type, str] = {
    Hello: "hello",
    Register: "register",
    RegisterStop: "register_stop",
    JoinPrune: "join_prune",
    Bootstrap: "bootstrap",
    Assert: "assert",
    CandidateRpAdvertisement: "candidate_rp_advertisement",
}
"""The label of each message in metrics and views."""


def message_name(message: Message) -> str:
    """The label of `message`: that of its class, but `null_register` for a Register that is one."""
    if isinstance(message, Register) and message.null:
        return "null_register"
    return MESSAGE_NAMES[type(message)]


# Hello


def _read_hello(family: Family, reader: Reader) -> Hello:
    options: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    while reader.left:
        number, length = reader.u16(), reader.u16()
        start = reader.skip(length)
        option = _OPTIONS.get(number)
        if option is None:
            continue
        name, sizes, read_value = option
        try:
            if length not in sizes:
                raise Malformed("hello_bad_option")
            options[name] = read_value(family, Reader(reader.data, start, start + length))
        except Malformed:
            notes = ("hello_bad_option",)
    return Hello(**options, notes=notes)


def _read_u16(_family: Family, value: Reader) -> int:
    return value.u16()


def _read_u32(_family: Family, value: Reader) -> int:
    return value.u32()


def _read_lan_prune_delay(_family: Family, value: Reader) -> LanPruneDelay:
    delay = value.u16()
    return LanPruneDelay(bool(delay & 0x8000), delay & 0x7FFF, value.u16())


def _read_addresses(family: Family, value: Reader) -> tuple[Address, ...]:
    addresses: list[Address] = []
    while value.left:
        encoded = read_unicast(value)
        if encoded.family is family:
            addresses.append(encoded.address)
    return tuple(addresses)


_OPTIONS: dict[int, tuple[str, range, Callable[[Family, Reader], Any]]] = {
    1: ("holdtime", range(2, 3), _read_u16),
    2: ("lan_prune_delay", range(4, 5), _read_lan_prune_delay),
    19: ("dr_priority", range(4, 5), _read_u32),
    20: ("generation_id", range(4, 5), _read_u32),
    24: ("addresses", range(0x10000), _read_addresses),
}
"""Option number -> (field of Hello, right lengths in bytes, reader of its value)."""


def _write_hello(family: Family, hello: Hello) -> bytes:
    parts: list[bytes] = []
    if hello.holdtime is not None:
        parts.append(pack(">HHH", 1, 2, hello.holdtime))
    delay = hello.lan_prune_delay
    if delay is not None:
        if not 0 <= delay.propagation_delay <= 0x7FFF:
            raise ValueError(f"a propagation delay is 0 to 32767 ms, not {delay.propagation_delay}")
        parts.append(pack(">HHHH", 2, 4, 0x8000 * delay.t_bit | delay.propagation_delay, delay.override_interval))
    if hello.dr_priority is not None:
        parts.append(pack(">HHI", 19, 4, hello.dr_priority))
    if hello.generation_id is not None:
        parts.append(pack(">HHI", 20, 4, hello.generation_id))
    if hello.addresses is not None:
        value = b"".join([write_unicast(family, address) for address in hello.addresses])
        parts.append(pack(">HH", 24, len(value)) + value)
    return b"".join(parts)


# Register and Register-Stop

_BORDER = 0x80000000
_NULL = 0x40000000


def _read_register(_family: Family, reader: Reader) -> Register:
    flags = reader.u32()
    return Register(bool(flags & _BORDER), bool(flags & _NULL), reader.rest())


def _write_register(_family: Family, register: Register) -> bytes:
    return pack(">I", _BORDER * register.border | _NULL * register.null) + register.packet


def _read_register_stop(family: Family, reader: Reader) -> RegisterStop:
    group = read_single_group(reader, family)
    source = read_own(reader, family)
    if not family.is_multicast(group) or not (source == family.any or family.is_unicast(source)):
        raise Malformed("regstop_bad_addr")
    return RegisterStop(group, source)


def _write_register_stop(family: Family, stop: RegisterStop) -> bytes:
    return write_single_group(family, stop.group) + write_unicast(family, stop.source)


def dummy_header(family: Family, source: Address, group: Address) -> bytes:
    """The packet inside a Null-Register (RFC 7761 4.9.3): an IPv4 header, or an IPv6 header and an empty PIM header."""
    if len(source) != family.size or len(group) != family.size:
        raise ValueError(f"a Null-Register needs {family.name} addresses")
    return _DUMMY_HEADERS[family](source, group)


def _dummy_header4(source: Address, group: Address) -> bytes:
    header = pack(">BBHHHBBH", 0x45, 0, 20, 0, 0, 0, PROTOCOL, 0) + source + group
    return _with_checksum(header, 10, internet_checksum(header))


def _dummy_header6(source: Address, group: Address) -> bytes:
    header = pack(">IHBB", 0x60000000, HEADER, PROTOCOL, 0) + source + group
    return header + pack(">HH", 0, internet_checksum(pseudo_header(source, group, HEADER, PROTOCOL)))


_DUMMY_HEADERS: dict[Family, Callable[[Address, Address], bytes]] = {IPV4: _dummy_header4, IPV6: _dummy_header6}


def inner_channel(family: Family) -> slice:
    """Where source and group stand, one behind the other, in the packet inside a Register, its header before it."""
    start = REGISTER_HEADER + (12 if family.size == 4 else 8)
    return slice(start, start + 2 * family.size)


def inner_addresses(family: Family, packet: bytes, null: bool = False) -> tuple[Address, Address]:
    """(source, group) of the packet inside a Register, or inside a Null-Register if `null`.

    Malformed: `reg_inner_malformed` (no IP header of `family`, a wrong IPv4 header checksum), `reg_inner_len`
    (the packet claims to be longer than it is), `nullreg_csum`, `reg_inner_source` (cannot be one host's, or is
    link-local), `reg_inner_group` (not multicast, or must not cross a router).

    A checksum of 0 in an IPv4 header is never taken as wrong. Of a Null-Register's dummy header nothing but
    the checksum is looked at: peers fill in the rest as they like (RFC 7761 4.9.3; conformance R17, R18).
    """
    source, group = _INNER[family](packet, null)
    if not family.is_unicast(source) or family.is_link_local(source):
        raise Malformed("reg_inner_source")
    if not family.is_routable_group(group):
        raise Malformed("reg_inner_group")
    return source, group


def _inner4(packet: bytes, null: bool) -> tuple[Address, Address]:
    if len(packet) < 20:
        raise Malformed("reg_inner_malformed")
    size = (packet[0] & 0x0F) * 4
    total = packet[2] << 8 | packet[3]
    if null:
        size = size if 20 <= size <= len(packet) else 20
    elif packet[0] >> 4 != 4 or not 20 <= size <= len(packet) or total < size:
        raise Malformed("reg_inner_malformed")
    elif total > len(packet):
        raise Malformed("reg_inner_len")
    if packet[10:12] != b"\0\0" and not is_sound(packet[:size]):
        raise Malformed("nullreg_csum" if null else "reg_inner_malformed")
    return packet[12:16], packet[16:20]


def _inner6(packet: bytes, null: bool) -> tuple[Address, Address]:
    if len(packet) < 40:
        raise Malformed("reg_inner_malformed")
    source, group = packet[8:24], packet[24:40]
    payload = packet[4] << 8 | packet[5]
    if null:
        dummy = packet[40 : 40 + HEADER]
        present = packet[6] == PROTOCOL and len(dummy) == HEADER
        if present and not is_sound(pseudo_header(source, group, HEADER, PROTOCOL) + dummy):
            raise Malformed("nullreg_csum")
    elif packet[0] >> 4 != 6 or payload == 0:
        raise Malformed("reg_inner_malformed")
    elif 40 + payload > len(packet):
        raise Malformed("reg_inner_len")
    return source, group


_INNER: dict[Family, Callable[[bytes, bool], tuple[Address, Address]]] = {IPV4: _inner4, IPV6: _inner6}


# Assert

_RPT = 0x80000000


def _read_assert(family: Family, reader: Reader) -> Assert:
    group = read_single_group(reader, family)
    source = read_own(reader, family)
    preference, metric = reader.u32(), reader.u32()
    rpt = bool(preference & _RPT)
    if not family.is_multicast(group) or not (family.is_unicast(source) or (rpt and source == family.any)):
        raise Malformed("assert_bad_addr")
    return Assert(group, source, rpt, preference & ~_RPT, metric)


def _write_assert(family: Family, message: Assert) -> bytes:
    if not 0 <= message.preference < _RPT:
        raise ValueError(f"a metric preference is 0 to {_RPT - 1}, not {message.preference}")
    addresses = write_single_group(family, message.group) + write_unicast(family, message.source)
    return addresses + pack(">II", _RPT * message.rpt | message.preference, message.metric)


# All messages


def _no_flags(_message: Any) -> int:
    return 0


@frozen
class Row(Value):
    """What is known of one message type."""

    message: type
    fixed: int
    """Bytes of the shortest message without its addresses."""
    addresses: int
    """Addresses that it must have."""
    read: Callable[[Family, Reader], Message]
    write: Callable[[Family, Any], bytes]
    to_all_routers: bool
    """Whether it may be sent to ALL-PIM-ROUTERS (RFC 7761 4.9)."""
    to_one_router: bool
    """Whether it may be sent to a unicast address."""
    flags: Callable[[Any], int] = _no_flags
    """The second byte of the message (RFC 9436)."""
    short: str = "truncated"
    """The reason word for a message that ends too early."""

    def minimum(self, family: Family) -> int:
        """Bytes of the shortest message."""
        return self.fixed + self.addresses * family.size


ROWS: dict[int, Row] = {
    0: Row(Hello, 4, 0, _read_hello, _write_hello, True, False, short="hello_bad_option"),
    1: Row(Register, 8, 0, _read_register, _write_register, False, True),
    2: Row(RegisterStop, 10, 2, _read_register_stop, _write_register_stop, False, True),
    3: Row(JoinPrune, 10, 1, read_join_prune, write_join_prune, True, False, short="jp_malformed"),
    4: Row(Bootstrap, 10, 1, read_bootstrap, write_bootstrap, True, True, flags=bootstrap_flags),
    5: Row(Assert, 18, 2, _read_assert, _write_assert, True, False),
    8: Row(CandidateRpAdvertisement, 10, 1, read_candidate_rp, write_candidate_rp, False, True),
}
"""Every message type that is spoken here. The other types, 6, 7 and 9 to 15, belong to dense mode, Bidirectional
PIM, state refresh, flooding and extensions that are not: Malformed(`unsupported_type`)."""

_TYPE_OF = {row.message: number for number, row in ROWS.items()}


def decode(family: Family, source: Address, destination: Address, data: bytes) -> Message:
    """The message in `data`, which came from `source` to `destination` (packed addresses of `family`).

    Malformed is all that it raises: `truncated` (less than any message has), `bad_version`, `unsupported_type`,
    `bad_checksum`, and what the readers of the messages say. Nothing is checked of `destination` but what the
    IPv6 checksum covers.
    """
    if len(data) < HEADER:
        raise Malformed("truncated")
    if data[0] >> 4 != VERSION:
        raise Malformed("bad_version")
    row = ROWS.get(data[0] & 0x0F)
    if row is None:
        raise Malformed("unsupported_type")
    if len(data) < row.minimum(family):
        raise Malformed(row.short)
    if not _has_sound_checksum(family, source, destination, data):
        raise Malformed("bad_checksum")
    return row.read(family, Reader(data, HEADER, reason=row.short))


def encode(family: Family, source: Address, destination: Address, message: Message) -> bytes:
    """The bytes of `message`, complete with the checksum for sending it from `source` to `destination`.

    ValueError if a number does not fit its field or an address is not of `family`.
    """
    number = _TYPE_OF[type(message)]
    row = ROWS[number]
    try:
        body = row.write(family, message)
    except error as problem:
        raise ValueError(f"a {MESSAGE_NAMES[row.message]} field is out of range: {problem}") from None
    return seal(family, source, destination, bytes((VERSION << 4 | number, row.flags(message), 0, 0)) + body)


def seal(family: Family, source: Address, destination: Address, data: bytes) -> bytes:
    """`data`, a whole PIM message, with the checksum for sending it from `source` to `destination`.

    What a message's own checksum field holds does not matter, so this also re-addresses a received message that
    is to be passed on unchanged (a Bootstrap message, RFC 5059 3.4). `data` has at least 4 bytes, a Register 8.
    """
    blank = _with_checksum(data, 2, 0)
    covered = blank[: _covered(data)]
    return _with_checksum(blank, 2, internet_checksum(_PSEUDO[family](source, destination, len(covered)) + covered))


def _covered(data: bytes) -> int | None:
    """The bytes that the checksum covers (None for all): a Register's does not cover the packet inside."""
    return REGISTER_HEADER if ROWS[data[0] & 0x0F].message is Register else None


def _has_sound_checksum(family: Family, source: Address, destination: Address, data: bytes) -> bool:
    pseudo = _PSEUDO[family]
    size = _covered(data)
    if size is not None and is_sound(pseudo(source, destination, size) + data[:size]):
        return True
    # A Register whose checksum covers all of it is accepted too (RFC 7761 4.9.3).
    return is_sound(pseudo(source, destination, len(data)) + data)


def _pseudo4(_source: Address, _destination: Address, _length: int) -> bytes:
    return b""


def _pseudo6(source: Address, destination: Address, length: int) -> bytes:
    return pseudo_header(source, destination, length, PROTOCOL)


_PSEUDO: dict[Family, Callable[[Address, Address, int], bytes]] = {IPV4: _pseudo4, IPV6: _pseudo6}
"""What the checksum covers in front of the message."""


def _with_checksum(data: bytes, pos: int, value: int) -> bytes:
    return data[:pos] + value.to_bytes(2, "big") + data[pos + 2 :]
