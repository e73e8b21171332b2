"""What a native configuration is built from while it is read: lines, remarks, values that were said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pimpy.config.diagnostics import ERROR, NOTE, Diagnostic
from pimpy.config.model import (
    AnycastRp,
    BsrCandidate,
    Config,
    Phyint,
    Proxy,
    RpCandidate,
    RpfRoute,
    SsmMapping,
    Static,
    StaticJoin,
    StaticMember,
    StaticRoute,
    StaticRp,
)
from pimpy.config.routes import FLUSH_INTERVAL, merge
from pimpy.wire.family import IPV4, IPV6, Prefix
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

Read = Callable[[str], str]
"""The text of a file; OSError if it cannot be read."""

Expand = Callable[[str], Sequence[str]]
"""The files that a pattern with wildcards stands for, sorted."""

MAX_ERRORS = 100
"""After so many the rest is not looked at: it is no configuration."""


@frozen
class Line(Value):
    """A line with words on it."""

    path: str
    number: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The directive, in small letters."""
        return self.words[0].lower()


@define
class Builder:
    """A model while it is read."""

    read: Read
    expand: Expand | None
    pimd: bool = False
    """Whether the file is pimd's, so that errors say what pimd would do."""
    values: dict[str, Any] = field(factory=dict)
    said: dict[str, Line] = field(factory=dict)
    """Where a value was said, to tell of a second time."""
    phyints: list[Phyint] = field(factory=list)
    ranges: list[Prefix] = field(factory=list)
    rp_addresses: list[StaticRp] = field(factory=list)
    bsr_candidates: list[BsrCandidate] = field(factory=list)
    rp_candidates: list[RpCandidate] = field(factory=list)
    group_prefixes: list[Prefix] = field(factory=list)
    anycast_rps: list[AnycastRp] = field(factory=list)
    static_members: list[StaticMember] = field(factory=list)
    ssm_map: list[SsmMapping] = field(factory=list)
    rpf_routes: list[RpfRoute] = field(factory=list)
    routes: list[StaticRoute] = field(factory=list)
    joins: list[StaticJoin] = field(factory=list)
    flush_interval: int = FLUSH_INTERVAL
    proxies: list[Proxy] = field(factory=list)
    no_ranges: bool = False
    """`ssm-range none` was said."""
    diagnostics: list[Diagnostic] = field(factory=list)
    stack: list[str] = field(factory=list)
    """The files that are being read, the outermost first."""
    files: int = 0
    errors: int = 0

    def error(self, line: Line, word: str | None, text: str) -> None:
        """There will be no model."""
        self.errors += 1
        if self.errors <= MAX_ERRORS:
            if self.pimd:
                from pimpy.config import pimd_ways

                text += pimd_ways.of_line(line.words, word)
            self.diagnostics.append(Diagnostic(line.path, line.number, ERROR, word, text))
        elif self.errors == MAX_ERRORS + 1:
            stop = f"more than {MAX_ERRORS} errors, the rest is not read: is this a configuration of pimpyd?"
            self.diagnostics.append(Diagnostic(line.path, line.number, ERROR, None, stop))

    def note(self, line: Line, word: str | None, text: str) -> None:
        """Something true of the model that a reader of the file may not expect."""
        self.diagnostics.append(Diagnostic(line.path, line.number, NOTE, word, text))

    def set(self, line: Line, name: str, value: object) -> None:
        """`name` of the model; a later line wins."""
        if (before := self.said.get(name)) is not None:
            self.note(line, line.words[0], f"{line.name} replaces what {before.path}:{before.number} says")
        self.said[name] = line
        self.values[name] = value

    def add(self, name: str, values: tuple[Any, ...]) -> None:
        """More of a list of the model; what is there already is not added again."""
        self.values[name] = tuple(dict.fromkeys((*self.values.get(name, ()), *values)))

    def model(self) -> Config:
        """The model of what was read."""
        timeout, interval = self.values.get("igmp_querier_timeout"), self.values.get("igmp_query_interval", 125)
        if timeout is not None and timeout <= interval:
            line = self.said["igmp_querier_timeout"]
            text = f"{line.name} {timeout} is not longer than the query interval, {interval}: the default holds"
            self.note(line, str(timeout), text)
            del self.values["igmp_querier_timeout"]
        for family, name in ((IPV4, "ssm_ranges4"), (IPV6, "ssm_ranges6")):
            ranges = tuple(dict.fromkeys(r for r in self.ranges if len(r.network) == family.size))
            if ranges or self.no_ranges:
                self.values[name] = ranges
        return Config(
            phyints=tuple(self.phyints),
            rp_addresses=tuple(self.rp_addresses),
            bsr_candidates=tuple(self.bsr_candidates),
            rp_candidates=tuple(self.rp_candidates),
            group_prefixes=tuple(self.group_prefixes),
            anycast_rps=tuple(self.anycast_rps),
            static_members=tuple(self.static_members),
            ssm_map=tuple(self.ssm_map),
            rpf_routes=tuple({route.prefix: route for route in self.rpf_routes}.values()),
            static=Static(merge(self.routes), tuple(dict.fromkeys(self.joins)), self.flush_interval),
            proxies=tuple(self.proxies),
            **self.values,
        )
