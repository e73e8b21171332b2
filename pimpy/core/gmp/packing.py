"""Group records into reports that fit a link (RFC 9776 4.2.17, RFC 9777 5.2.16)."""

from __future__ import annotations

from collections.abc import Iterator

from pimpy.wire.family import Address, Family
from pimpy.wire.membership import Record, RecordType, Report

_ALERT = {4: 4, 16: 8}
"""Bytes that Router Alert takes of the packet."""
_REPORT_HEADER = 8
_RECORD_HEADER = 4
_EXCLUDING = (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE)


def packed(family: Family, records: list[Record], mtu: int) -> Iterator[Report]:
    """Reports of at most `mtu` bytes of IP packet, in the order of `records`.

    A record with too many sources is split; one that excludes cannot be, since each part would take the others'
    place: it is cut to the sources that fit, the same ones each time if they come sorted.
    """
    room = mtu - family.ip_header - _ALERT[family.size] - _REPORT_HEADER
    batch: list[Record] = []
    left = room
    for record in records:
        for part in _parts(family, record, room):
            size = _size(family, part.sources)
            if batch and size > left:
                yield Report(tuple(batch))
                batch, left = [], room
            batch.append(part)
            left -= size
    if batch:
        yield Report(tuple(batch))


def _parts(family: Family, record: Record, room: int) -> Iterator[Record]:
    most = max(1, (room - _RECORD_HEADER - family.size) // family.size)
    if len(record.sources) <= most:
        yield record
    elif record.type in _EXCLUDING:
        yield Record(record.type, record.group, record.sources[:most])
    else:
        for first in range(0, len(record.sources), most):
            yield Record(record.type, record.group, record.sources[first : first + most])


def _size(family: Family, sources: tuple[Address, ...]) -> int:
    return _RECORD_HEADER + family.size * (1 + len(sources))
