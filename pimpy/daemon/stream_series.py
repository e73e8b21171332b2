"""Series of single streams, /metrics/mroute?group=PREFIX&source=PREFIX&limit=N: for those who ask for them.

Each entry is some series, which a page for everybody could not carry: there may be tens of thousands. A scrape makes
their text as it goes through the entries, so that nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pimpy.core.rows import MrouteRow
from pimpy.daemon.exposition import escaped
from pimpy.wire.family import Prefix, family_of, parse_address, parse_prefix
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

LIMIT = 1000
"""Entries that are told if nobody says how many."""
MOST = 131_072
"""Entries that a scrape may ask for."""

FAMILIES = {
    "stream_info": ("gauge", "How a stream comes in, and who owns its entry; always 1."),
    "stream_joined": ("gauge", "Whether this router has joined towards the stream's source."),
    "stream_outgoing_interfaces": ("gauge", "Interfaces that the stream leaves by."),
    "stream_packets_total": ("counter", "Packets of the stream that came in on the right interface."),
    "stream_bytes_total": ("counter", "Bytes of the stream, as the kernel counts them."),
    "stream_wrong_interface_packets_total": ("counter", "Packets of the stream that came in on another interface."),
    "stream_last_packet_timestamp_seconds": ("gauge", "When the kernel saw the stream's last packet."),
    "stream_left_out": ("gauge", "Entries that were asked for and not told, as the limit was reached."),
}
"""Each family with its kind and help text."""


class BadSelectionError(ValueError):
    """What is asked for makes no sense; the text says why."""


@frozen
class Selection(Value):
    """Which entries are asked for."""

    group: Prefix | None = None
    source: Prefix | None = None
    limit: int = LIMIT
    """Entries, 1 to MOST."""

    @classmethod
    def of(cls, words: Mapping[str, Sequence[str]]) -> Selection:
        """From the parameters of a URL, each with its values; BadSelectionError for unknown or impossible ones."""
        said: dict[str, Prefix | int] = {}
        for name, values in words.items():
            if name not in ("group", "source", "limit"):
                raise BadSelectionError(f"unknown parameter {name[:40]!r}: group, source and limit are known")
            if len(values) != 1:
                raise BadSelectionError(f"{name} stands there {len(values)} times")
            said[name] = _limit(values[0]) if name == "limit" else _prefix(name, values[0])
        return cls(**said)  # type: ignore[arg-type]

    def takes(self, row: MrouteRow) -> bool:
        """Whether this entry is asked for."""
        for prefix, text in ((self.group, row.group), (self.source, row.source_address)):
            if prefix is not None and not prefix.covers(parse_address(text)):
                return False
        return True


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= MOST):
        raise BadSelectionError(f"limit is 1 to {MOST}, not {text[:40]!r}")
    return int(text)


def _prefix(name: str, text: str) -> Prefix:
    """A range, or a single address."""
    try:
        if "/" in text:
            return parse_prefix(text)
        address = parse_address(text)
        return family_of(address).host(address)
    except ValueError:
        raise BadSelectionError(f"{name} is an address or a range like 239.0.0.0/8, not {text[:60]!r}") from None


@define
class StreamSeries:
    """The series of the entries that a selection takes, as text."""

    selection: Selection
    clock: float
    """Seconds since 1970, now."""
    told: int = field(init=False, default=0)
    left_out: int = field(init=False, default=0)
    _lines: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = {name: [] for name in FAMILIES}

    def take(self, rows: Iterable[MrouteRow]) -> None:
        """Those of these entries that are asked for; (*,G) have no packets of their own, and no series."""
        for row in rows:
            if row.is_rpt or not self.selection.takes(row):
                continue
            if self.told >= self.selection.limit:
                self.left_out += 1
                continue
            self.told += 1
            self._add(row)

    def _add(self, row: MrouteRow) -> None:
        stream = f'af="{row.address_family}",source="{row.source_address}",group="{row.group}"'
        by = f'incoming_interface="{escaped(row.incoming_interface or "")}",rpf_neighbor="{row.rpf_neighbor or ""}"'
        self._say("stream_info", f'{stream},mode="{row.mode}",{by}', 1)
        self._say("stream_joined", stream, int(row.upstream_state == "joined"))
        self._say("stream_outgoing_interfaces", stream, row.outgoing_count)
        if row.packets is None:
            return  # the kernel has no entry
        wrong = row.wrong_if or 0
        self._say("stream_packets_total", stream, max(0, row.packets - wrong))
        self._say("stream_bytes_total", stream, row.bytes or 0)
        self._say("stream_wrong_interface_packets_total", stream, wrong)
        if row.last_packet is not None:
            self._say("stream_last_packet_timestamp_seconds", stream, self.clock - row.last_packet)

    def _say(self, name: str, labels: str, value: float) -> None:
        self._lines[name].append(f"pimpy_{name}{{{labels}}} {value!r}\n")

    def text(self) -> bytes:
        """The page."""
        self._lines["stream_left_out"] = [f"pimpy_stream_left_out {self.left_out}\n"]
        page = []
        for name, lines in self._lines.items():
            kind, words = FAMILIES[name]
            if lines:
                page += [f"# HELP pimpy_{name} {words}\n# TYPE pimpy_{name} {kind}\n", *lines]
        return "".join(page).encode()
