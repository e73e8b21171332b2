"""What IGMP (RFC 9776, 2236, 1112) and MLD (RFC 9777, 2710) say, as values common to both, and the parts they share.

The two protocols are one in all but the size of an address, the width of a field and the numbers of their
messages. `igmp` and `mld` hold what differs, under the same function names, so that a table from the address
family to the module serves the state machine.
"""

from __future__ import annotations

from struct import Struct, iter_unpack

from pimpy.wire.family import Address
from pimpy.wire.reader import Malformed, Reader
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


class RecordType:
    """Group record types (RFC 9776 4.2.13, RFC 9777 5.2.13): plain numbers, as they stand on the wire."""

    MODE_IS_INCLUDE = 1
    MODE_IS_EXCLUDE = 2
    CHANGE_TO_INCLUDE_MODE = 3
    CHANGE_TO_EXCLUDE_MODE = 4
    ALLOW_NEW_SOURCES = 5
    BLOCK_OLD_SOURCES = 6


RECORD_TYPES = range(RecordType.MODE_IS_INCLUDE, RecordType.BLOCK_OLD_SOURCES + 1)
"""Every type there is; records of other types are skipped (RFC 9776 4.2.13)."""


@frozen
class Query(Value):
    """A query of any version; general if `group` is the unspecified address.

    `version` is 1 to 3 for IGMP, 1 or 2 for MLD. `max_response` is in seconds (RFC 9776 4.1.1); an IGMPv1
    query, which has no such field, counts as 10. The other fields are those of IGMPv3 and MLDv2, and zero in
    older versions: `suppress` is the S flag, `robustness` QRV (0 to 7, 0: not told), `interval` QQI in
    seconds (0: not told).
    """

    version: int
    group: Address
    max_response: float
    suppress: bool = False
    robustness: int = 0
    interval: float = 0.0
    sources: tuple[Address, ...] = ()


@frozen
class Record(Value):
    """A group record of a report: `type` is one of RecordType."""

    type: int
    group: Address
    sources: tuple[Address, ...] = ()


@frozen
class Report(Value):
    """An IGMPv3 or MLDv2 report. `cut` tells that a record ran past the end: it and what followed is not here."""

    records: tuple[Record, ...]
    cut: bool = False


@frozen
class OldReport(Value):
    """An IGMPv1 report (version 1), an IGMPv2 report (2) or an MLDv1 report (1)."""

    version: int
    group: Address


@frozen
class Leave(Value):
    """An IGMPv2 leave or an MLDv1 done."""

    group: Address


@frozen
class Solicitation(Value):
    """A Multicast Router Solicitation (RFC 4286 4.1): a switch asks which routers there are."""


Message = Query | Report | OldReport | Leave | Solicitation


def read_code(code: int, mantissa: int) -> int:
    """The number that a floating-point code stands for (RFC 9776 4.1.1, RFC 9777 5.1.3).

    `mantissa` is the number of its mantissa bits, 4 in a code of 8 bits and 12 in one of 16.
    """
    if code < 1 << (mantissa + 3):
        return code
    exponent = code >> mantissa & 0x07
    return (code & (1 << mantissa) - 1 | 1 << mantissa) << (exponent + 3)


def write_code(value: int, mantissa: int) -> int:
    """The code of `value` (0 or more), or of the next lower number that has one (RFC 9776 8.8)."""
    if value < 1 << (mantissa + 3):
        return value
    exponent = value.bit_length() - mantissa - 4
    if exponent > 7:
        return (1 << (mantissa + 4)) - 1
    return 1 << (mantissa + 3) | exponent << mantissa | value >> (exponent + 3) & (1 << mantissa) - 1


def ticks(seconds: float, per_second: int) -> int:
    """`seconds` in whole units of a field, the next lower number if not exact, 0 if negative."""
    return max(0, int(seconds * per_second + 1e-6))


def read_sources(reader: Reader, count: int, size: int) -> tuple[Address, ...]:
    """The next `count` addresses of `size` bytes each."""
    if not count:
        return ()
    return tuple([source for (source,) in iter_unpack(f"{size}s", reader.take(count * size))])


_QUERY_TAIL = Struct("!BBH")
_RECORD_HEAD = Struct("!BBH")
_SUPPRESS = 0x08


def read_query(reader: Reader, version: int, group: Address, max_response: float) -> Query:
    """The rest of an IGMPv3 or MLDv2 query, behind its group (RFC 9776 4.1.4 to 4.1.10). What follows is ignored."""
    flags = reader.u8()
    interval = read_code(reader.u8(), 4)
    sources = read_sources(reader, reader.u16(), len(group))
    return Query(version, group, max_response, bool(flags & _SUPPRESS), flags & 0x07, float(interval), sources)


def write_query(query: Query) -> bytes:
    """What `read_query` reads. A robustness above 7 is written as 0 (RFC 9776 4.1.6)."""
    robustness = query.robustness if query.robustness <= 7 else 0
    flags = robustness | (_SUPPRESS if query.suppress else 0)
    interval = write_code(ticks(query.interval, 1), 4)
    return _QUERY_TAIL.pack(flags, interval, len(query.sources)) + b"".join(query.sources)


def read_report(reader: Reader, size: int) -> Report:
    """The rest of an IGMPv3 or MLDv2 report, behind its checksum (RFC 9776 4.2.3 to 4.2.13).

    Records of unknown types and auxiliary data are skipped; a record that runs past the end stops the
    reading, those before it count (conformance I17).
    """
    reader.skip(2)
    count = reader.u16()
    records: list[Record] = []
    sources: tuple[Address, ...] = ()  # of many channels of one source, all records keep the same bytes
    try:
        for _ in range(count):
            kind, words, number = _RECORD_HEAD.unpack(reader.take(4))
            group = reader.take(size)
            named = read_sources(reader, number, size)
            sources = sources if named == sources else named
            reader.skip(4 * words)
            if kind in RECORD_TYPES:
                records.append(Record(kind, group, sources))
    except Malformed:
        return Report(tuple(records), cut=True)
    return Report(tuple(records))


def write_report(report: Report) -> bytes:
    """What `read_report` reads, without auxiliary data."""
    parts = [b"\0\0", len(report.records).to_bytes(2, "big")]
    for record in report.records:
        parts += (_RECORD_HEAD.pack(record.type, 0, len(record.sources)), record.group, *record.sources)
    return b"".join(parts)
