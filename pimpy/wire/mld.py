"""MLD messages of versions 1 and 2, from their first byte (the ICMPv6 type) on: RFC 9777, RFC 2710.

The checksum is the kernel's business in both directions: it drops what is wrong and fills in what we send.
The field is ignored here on receipt and written as 0.
"""

from __future__ import annotations

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

QUERY = 130
REPORT_V1 = 131
DONE = 132
REPORT_V2 = 143
ADVERTISEMENT = 151
SOLICITATION = 152
TERMINATION = 153
"""Multicast Router Discovery (RFC 4286)."""

TYPE_NAMES = {
    QUERY: "query",
    REPORT_V1: "report_v1",
    DONE: "done",
    REPORT_V2: "report_v2",
    SOLICITATION: "mrd_solicitation",
}
"""The label of each type that `decode` knows."""

_SIZE = 16
_OLD_LENGTH = 24
_QUERY_LENGTH = 28
_IP_HEADER = 48


def type_name(data: bytes) -> str | None:
    """The label of the message that begins with `data`; None if its type is not one of ours, or there is no byte."""
    return TYPE_NAMES.get(data[0]) if data else None


def sent_name(data: bytes) -> str:
    """The label of a message that we send."""
    return {ADVERTISEMENT: "mrd_advertisement", TERMINATION: "mrd_termination"}.get(data[0]) or TYPE_NAMES[data[0]]


def query_capacity(mtu: int) -> int:
    """How many sources fit into a query on a link of `mtu` bytes (RFC 9777 5.1.10); at least 1."""
    return max(1, (mtu - _IP_HEADER - _QUERY_LENGTH) // _SIZE)


def report_capacity(mtu: int) -> int:
    """How many sources fit into a report of one record on a link of `mtu` bytes (RFC 9777 5.2.16); at least 1."""
    return max(1, (mtu - _IP_HEADER - 28) // _SIZE)


def decode(data: bytes) -> Message | None:
    """The message in `data`, a whole ICMPv6 message; None if its type is unknown.

    Malformed: `truncated`, `bad_length` (a query of no version, RFC 9777 8.1).
    """
    if len(data) < 4:
        raise Malformed("truncated")
    kind = data[0]
    if kind not in TYPE_NAMES:
        return None
    if kind == SOLICITATION:
        return Solicitation()
    reader = Reader(data, 4)
    if kind == REPORT_V2:
        return read_report(reader, _SIZE)
    if kind == QUERY:
        return _decode_query(data)
    reader.skip(4)
    group = reader.take(_SIZE)
    return Leave(group) if kind == DONE else OldReport(1, group)


def _decode_query(data: bytes) -> Query:
    """A query; its length tells the version (RFC 9777 8.1)."""
    code = int.from_bytes(data[4:6], "big")
    group = data[8:_OLD_LENGTH]
    if len(data) == _OLD_LENGTH:
        return Query(1, group, code / 1000)
    if len(data) < _QUERY_LENGTH:
        raise Malformed("bad_length")
    return read_query(Reader(data, _OLD_LENGTH), 2, group, read_code(code, 12) / 1000)


def encode(message: Message) -> bytes:
    """The bytes of any message."""
    if isinstance(message, Query):
        return encode_query(message)
    if isinstance(message, Report):
        return encode_report(message)
    if isinstance(message, OldReport):
        return encode_old_report(message)
    if isinstance(message, Leave):
        return encode_leave(message)
    return bytes((SOLICITATION, 0, 0, 0))


def encode_query(query: Query) -> bytes:
    """A query of version 1 or 2 (else ValueError).

    Maximum Response Code is linear in version 1 (0 to 65.535 s, the nearest of these if beyond: RFC 9777
    8.3.1), floating in version 2. Not the fields that version 1 does not have.
    """
    milliseconds = ticks(query.max_response, 1000)
    if query.version == 1:
        return _finish(QUERY, min(milliseconds, 0xFFFF), query.group)
    if query.version == 2:
        return _finish(QUERY, write_code(milliseconds, 12), query.group + write_query(query))
    raise ValueError(f"there is no MLDv{query.version} query")


def encode_report(report: Report) -> bytes:
    """An MLDv2 report of all records, whatever its length (0 to 65535 records, and sources in each)."""
    return bytes((REPORT_V2, 0, 0, 0)) + write_report(report)


def encode_old_report(report: OldReport) -> bytes:
    """An MLDv1 report (ValueError if of another version)."""
    if report.version != 1:
        raise ValueError(f"there is no MLDv{report.version} report of one group")
    return _finish(REPORT_V1, 0, report.group)


def encode_leave(leave: Leave) -> bytes:
    """An MLDv1 done."""
    return _finish(DONE, 0, leave.group)


def encode_advertisement(interval: int, query_interval: int, robustness: int) -> bytes:
    """A Multicast Router Advertisement (RFC 4286 3.2): seconds until the next, and the querier's variables."""
    tail = min(query_interval, 0xFFFF).to_bytes(2, "big") + min(robustness, 0xFFFF).to_bytes(2, "big")
    return bytes((ADVERTISEMENT, interval, 0, 0)) + tail


def encode_termination() -> bytes:
    """A Multicast Router Termination (RFC 4286 5.1)."""
    return bytes((TERMINATION, 0, 0, 0))


def _finish(kind: int, code: int, body: bytes) -> bytes:
    return b"".join((bytes((kind, 0, 0, 0)), code.to_bytes(2, "big"), b"\0\0", body))
