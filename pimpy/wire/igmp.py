"""IGMP messages of versions 1 to 3, from their first byte (the type) on: RFC 9776, RFC 2236, RFC 1112."""

from __future__ import annotations

from pimpy.wire.checksum import internet_checksum, is_sound
from pimpy.wire.membership import (
    Leave,
    Message,
    OldReport,
    Query,
    Report,
    Solicitation,
    read_code,
    read_query,
    read_report,
    ticks,
    write_code,
    write_query,
    write_report,
)
from pimpy.wire.reader import Malformed, Reader

QUERY = 0x11
REPORT_V1 = 0x12
REPORT_V2 = 0x16
LEAVE = 0x17
REPORT_V3 = 0x22
ADVERTISEMENT = 0x30
SOLICITATION = 0x31
TERMINATION = 0x32
"""Multicast Router Discovery (RFC 4286)."""

TYPE_NAMES = {
    QUERY: "query",
    REPORT_V1: "report_v1",
    REPORT_V2: "report_v2",
    LEAVE: "leave",
    REPORT_V3: "report_v3",
    SOLICITATION: "mrd_solicitation",
}
"""The label of each type that `decode` knows."""

_SIZE = 4
_OLD_LENGTH = 8
_QUERY_LENGTH = 12
_IP_HEADER = 24
_VERSION_1_RESPONSE = 10.0


def type_name(data: bytes) -> str | None:
    """The label of the message that begins with `data`; None if its type is not one of ours, or there is no byte."""
    return TYPE_NAMES.get(data[0]) if data else None


def sent_name(data: bytes) -> str:
    """The label of a message that we send."""
    return {ADVERTISEMENT: "mrd_advertisement", TERMINATION: "mrd_termination"}.get(data[0]) or TYPE_NAMES[data[0]]


def query_capacity(mtu: int) -> int:
    """How many sources fit into a query on a link of `mtu` bytes (RFC 9776 4.1.8); at least 1."""
    return max(1, (mtu - _IP_HEADER - _QUERY_LENGTH) // _SIZE)


def report_capacity(mtu: int) -> int:
    """How many sources fit into a report of one record on a link of `mtu` bytes (RFC 9776 4.2.17); at least 1."""
    return max(1, (mtu - _IP_HEADER - 16) // _SIZE)


def decode(data: bytes) -> Message | None:
    """The message in `data`, the whole payload of an IP packet; None if its type is unknown.

    Malformed: `truncated`, `bad_checksum` (over all of `data`, RFC 9776 4.1.2), `bad_length` (a query of no
    version, RFC 9776 7.1).
    """
    if len(data) < 4:
        raise Malformed("truncated")
    if not is_sound(data):
        raise Malformed("bad_checksum")
    kind = data[0]
    if kind not in TYPE_NAMES:
        return None
    if kind == QUERY:
        return _decode_query(data)
    if kind == SOLICITATION:
        return Solicitation()
    reader = Reader(data, 4)
    if kind == REPORT_V3:
        return read_report(reader, _SIZE)
    group = reader.take(_SIZE)
    if kind == LEAVE:
        return Leave(group)
    return OldReport(1 if kind == REPORT_V1 else 2, group)


def _decode_query(data: bytes) -> Query:
    """A query; its length and its Max Resp Code tell the version (RFC 9776 7.1)."""
    code = data[1]
    group = data[4:_OLD_LENGTH]
    if len(data) == _OLD_LENGTH:
        return Query(2, group, code / 10) if code else Query(1, group, _VERSION_1_RESPONSE)
    if len(data) < _QUERY_LENGTH:
        raise Malformed("bad_length")
    return read_query(Reader(data, _OLD_LENGTH), 3, group, read_code(code, 4) / 10)


def encode(message: Message) -> bytes:
    """The bytes of any message, checksum included."""
    if isinstance(message, Query):
        return encode_query(message)
    if isinstance(message, Report):
        return encode_report(message)
    if isinstance(message, OldReport):
        return encode_old_report(message)
    if isinstance(message, Leave):
        return encode_leave(message)
    return _finish(SOLICITATION, 0, b"")


def encode_query(query: Query) -> bytes:
    """A query of version 1, 2 or 3 (else ValueError).

    Max Resp Code is 0 in version 1, linear in version 2 (0.1 to 25.5 s, the nearest of these if beyond:
    RFC 9776 7.3.1), floating in version 3. Not the fields that the version does not have.
    """
    if query.version == 1:
        return _finish(QUERY, 0, query.group)
    tenths = ticks(query.max_response, 10)
    if query.version == 2:
        return _finish(QUERY, min(max(tenths, 1), 255), query.group)
    if query.version == 3:
        return _finish(QUERY, write_code(tenths, 4), query.group + write_query(query))
    raise ValueError(f"there is no IGMPv{query.version} query")


def encode_report(report: Report) -> bytes:
    """An IGMPv3 report of all records, whatever its length (0 to 65535 records, and sources in each)."""
    return _finish(REPORT_V3, 0, write_report(report))


def encode_old_report(report: OldReport) -> bytes:
    """An IGMPv1 or IGMPv2 report (ValueError if neither)."""
    kinds = {1: REPORT_V1, 2: REPORT_V2}
    if report.version not in kinds:
        raise ValueError(f"there is no IGMPv{report.version} report of one group")
    return _finish(kinds[report.version], 0, report.group)


def encode_leave(leave: Leave) -> bytes:
    """An IGMPv2 leave."""
    return _finish(LEAVE, 0, leave.group)


def encode_advertisement(interval: int, query_interval: int, robustness: int) -> bytes:
    """A Multicast Router Advertisement (RFC 4286 3.2): seconds until the next, and the querier's variables."""
    tail = min(query_interval, 0xFFFF).to_bytes(2, "big") + min(robustness, 0xFFFF).to_bytes(2, "big")
    return _finish(ADVERTISEMENT, interval, tail)


def encode_termination() -> bytes:
    """A Multicast Router Termination (RFC 4286 5.1)."""
    return _finish(TERMINATION, 0, b"")


def _finish(kind: int, code: int, body: bytes) -> bytes:
    head = bytes((kind, code))
    checksum = internet_checksum(b"".join((head, b"\0\0", body)))
    return b"".join((head, checksum.to_bytes(2, "big"), body))
