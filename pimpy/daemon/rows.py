"""The rows that only the daemon knows (status, counters), and what every row needs to leave it: order and names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any

from pimpy.core.explain import ExplainRow
from pimpy.core.rows import (
    BsrRow,
    CandidateRpRow,
    ExpectedNeighborRow,
    GmpGroupRow,
    GmpInterfaceRow,
    GmpReporterRow,
    GmpSourceRow,
    InterfaceRow,
    MrouteRow,
    NeighborRow,
    OfferRow,
    OutgoingRow,
    ProxyGroupRow,
    ProxyInterfaceRow,
    ProxyRow,
    Row,
    RpChoiceRow,
    RpfRow,
    RpRow,
    RpSetRow,
    RptOutgoingRow,
    RptRow,
    StaticRow,
    WatchRow,
)
from pimpy.daemon.commands import BETWEEN_ROWS
from pimpy.wire.record import fields, frozen
from pimpy.wire.value import Value


@frozen(kw_only=True)
class StatusRow(Value):
    """The daemon itself, `show status`: always one row."""

    version: str
    ident: str
    pid: int
    up_time: float
    """Seconds since it was ready."""
    table: int
    """The multicast routing table of the kernel."""
    address_families: str
    """Blank-separated: `ipv4 ipv6`; a family that the kernel does not have is missing."""
    config_file: str | None = None
    """None if it runs without one."""
    config_ok: bool = True
    """Whether the last attempt to read the configuration succeeded."""
    config_time: float = 0.0
    """When the configuration in force was read, in seconds since 1970 (UTC)."""
    restarts: int = 0
    """How often the worker was started again since the daemon was."""
    adopted: int = 0
    """Forwarding entries that this worker took over from the one before it, in both families."""
    swept: int = 0
    """Outgoing interfaces of those that were given up, as nobody confirmed them in time."""
    drift: int = 0
    """Entries and virtual interfaces that another program had changed in the kernel, and that were put right."""
    log_level: str = "notice"
    interface_count: int = 0
    """Interfaces that are up, each family counted."""
    neighbor_count: int = 0
    mroute_count: int = 0
    """(S,G) entries."""
    group_count: int = 0
    """Group records of IGMP and MLD."""
    hello_interval: float = 30.0
    join_prune_interval: float = 60.0
    igmp_query_interval: float = 125.0
    igmp_robustness: int = 2
    igmp_querier_timeout: float = 255.0
    """After which a querier that is silent is given up, if it has our timers."""


@frozen
class CounterRow(Value):
    """One counter of messages, `show counters`."""

    address_family: str
    interface: str
    protocol: str
    """`pim`, `igmp` or `mld`."""
    direction: str
    """`rx` or `tx`."""
    type: str
    """The message's type in words, `hello` for example."""
    reason: str | None
    """Why these were not taken, a stable word; None for those that were."""
    count: int


@frozen
class EventRow(Value):
    """One event, `pimctl monitor`."""

    time: float
    """Seconds since 1970 (UTC)."""
    address_family: str | None
    event: str
    """One of `daemon.monitor.EVENTS`, or a reason word of the log."""
    interface: str | None
    group: str | None
    source_address: str | None
    """None for (*,G), and where no entry is concerned."""
    address: str | None
    """The neighbour or RP that is concerned."""
    text: str | None
    """In words, where there are any."""


AnyRow = Row | StatusRow | CounterRow | EventRow | ExplainRow

EXTRA: dict[type, dict[str, Any]] = {GmpInterfaceRow: {"row": "interface"}}
"""Fields that a row gains on its way out, so that `show igmp` can hold interfaces, groups and sources in one array."""


def names(cls: type) -> tuple[str, ...]:
    """The keys of a row's JSON object, in order."""
    return (*EXTRA.get(cls, ()), *(each.name for each in fields(cls)))


def as_json(rows: Iterable[AnyRow]) -> str:
    """Rows as flat JSON objects, BETWEEN_ROWS between: floats rounded to milliseconds, what is not finite null."""
    words, numbers = _Words(), _Numbers()
    return BETWEEN_ROWS.join([_WRITERS[row.__class__](row, words, numbers) for row in rows])


def sort_key(row: AnyRow) -> tuple[Any, ...]:
    """Where a row stands among those of its command: by family, then by address as a number or by name."""
    return _KEYS[row.__class__](row)


class _Words(dict[Any, str]):
    """The JSON of what has been said before: text, truth values, None. The same words stand in most rows."""

    def __missing__(self, value: Any) -> str:
        found = self[value] = encode_basestring(value) if isinstance(value, str) else _CONSTANTS[value]
        return found


class _Numbers(dict[Any, str]):
    """The JSON of numbers, apart from truth values, which are the same keys as 0 and 1."""

    def __missing__(self, value: Any) -> str:
        finite = value is not None and value - value == 0
        found = self[value] = repr(round(value, 3)) if finite else "null"
        return found


_CONSTANTS = {True: "true", False: "false", None: "null"}


_Writer = Callable[[Any, _Words, _Numbers], str]


class _Writers(dict[type, _Writer]):
    """What makes the JSON of a row of each class, made when it is first needed."""

    def __missing__(self, cls: type) -> _Writer:
        found = self[cls] = _writer(cls)
        return found


_WRITERS = _Writers()


def _writer(cls: type) -> _Writer:
    """One expression with all fields of the class in it, which takes a third of the time of a loop.

    It is made of names that stand in our own classes, of nothing that anybody said.
    """
    parts = [f'"{key}": {encode_basestring(value)}' for key, value in EXTRA.get(cls, {}).items()]
    for each in fields(cls):
        kind = "numbers" if str(each.type).partition(" ")[0] in ("int", "float") else "words"
        parts.append(f'"{each.name}": {{{kind}[row.{each.name}]}}')
    inside = ", ".join(parts)
    made: _Writer = eval(f"lambda row, words, numbers: f'{{{{{inside}}}}}'")
    return made


def _packed(address: str) -> bytes:
    """The address as bytes, so that 10.0.0.2 comes before 10.0.0.10; text that is none sorts by itself."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        return address.encode(errors="replace")


def _prefix(text: str) -> tuple[bytes, int]:
    """A range as (network, length)."""
    network, _, length = text.partition("/")
    return _packed(network), int(length)


_KEYS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    NeighborRow: lambda row: (row.address_family, row.interface, _packed(row.address)),
    InterfaceRow: lambda row: (row.address_family, row.interface),
    MrouteRow: lambda row: (row.address_family, _packed(row.group), _packed(row.source_address), 0, ""),
    OutgoingRow: lambda row: (
        row.address_family,
        _packed(row.group),
        _packed(row.source_address),
        1,
        row.outgoing_interface,
    ),
    RptRow: lambda row: (row.address_family, _packed(row.group), _packed(row.source_address), 2, ""),
    RptOutgoingRow: lambda row: (
        row.address_family,
        _packed(row.group),
        _packed(row.source_address),
        3,
        row.outgoing_interface,
    ),
    WatchRow: lambda row: (row.address_family, 0, row.watch),
    ExpectedNeighborRow: lambda row: (row.address_family, 1, row.interface, _packed(row.address)),
    GmpInterfaceRow: lambda row: (0, row.address_family, row.interface),
    GmpGroupRow: lambda row: (1, row.address_family, row.interface, _packed(row.group_address), 0, b""),
    GmpSourceRow: lambda row: (
        1,
        row.address_family,
        row.interface,
        _packed(row.group_address),
        1,
        _packed(row.source_address),
    ),
    StaticRow: lambda row: (row.kind, row.address_family, row.interface, row.group_prefix, row.source_prefix or ""),
    ProxyRow: lambda row: (row.address_family, row.proxy, 0),
    ProxyInterfaceRow: lambda row: (row.address_family, row.proxy, 1, row.role != "upstream", row.interface),
    ProxyGroupRow: lambda row: (row.address_family, row.proxy, 2, row.interface, _packed(row.group_address)),
    GmpReporterRow: lambda row: (
        1,
        row.address_family,
        row.interface,
        _packed(row.group_address),
        2,
        _packed(row.reporter_address),
    ),
    RpRow: lambda row: (row.address_family, row.rp_address is None, _packed(row.rp_address or "")),
    RpChoiceRow: lambda row: (row.address_family, not row.is_selected, _packed(row.rp_address or "")),
    RpSetRow: lambda row: (row.address_family, row.zone, _prefix(row.group_prefix), _packed(row.rp_address)),
    BsrRow: lambda row: (0, row.address_family, row.zone != "global", row.zone),
    CandidateRpRow: lambda row: (
        1,
        row.address_family,
        row.zone,
        _prefix(row.group_prefix),
        _packed(row.rp_address),
    ),
    OfferRow: lambda row: (2, row.address_family, row.zone, _packed(row.rp_address)),
    RpfRow: lambda row: (row.address_family, _packed(row.address)),
    StatusRow: lambda row: (row.ident,),
    EventRow: lambda row: (row.time,),
    ExplainRow: lambda row: (),
    CounterRow: lambda row: (
        row.address_family,
        row.interface,
        row.protocol,
        row.direction,
        row.type,
        row.reason or "",
    ),
}
