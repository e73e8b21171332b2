"""The routers of further tables of the kernel: proxies that asked for a table of their own.

Each has a core router, sockets and a driver as a family's main table has; nothing but its proxies is routed there.
The keeper takes the tables, and leads the interfaces to them by the kernel's multicast rules.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pimpy.config.model import Config
from pimpy.config.routes import WILDCARD
from pimpy.config.tables import of_table, without
from pimpy.core.engine.effects import Notice
from pimpy.core.engine.events import Configured, EntryGone, Event, LinkChanged, LinkGone
from pimpy.daemon.backend import CounterKey
from pimpy.daemon.keeping import Given, Keeping, RefusedByKeeper
from pimpy.daemon.monitor import Monitor
from pimpy.daemon.serving import Served, serve
from pimpy.wire.family import FAMILIES, Address, Family
from pimpy.wire.record import evolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pimpy.core.rows import Row
    from pimpy.daemon.recorder import Recorder

log = logging.getLogger("pimpy")

KINDS = ("interfaces", "mroute", "proxy")
"""The kinds of rows that these routers have, with those of the membership protocols."""


def fitting(config: Config, given: Given) -> Config:
    """The configuration with those tables that the kernel gave; proxies of others are served in the main one."""
    return without(config, set(given.asked) - set(given.tables))


class Tables:
    """All of them."""

    def __init__(self, given: Given, keeping: Keeping, monitor: Monitor, config: Config) -> None:
        self.given = given
        self.keeping = keeping
        self.monitor = monitor
        self.config = config
        self.served: list[Served] = []

    def start(self, notice_of: Callable[[Family], Callable[[Notice], None]], recorder: Recorder | None) -> None:
        """Serve the tables that the keeper gave."""
        for family in FAMILIES:
            for name, table in self.given.tables:
                if name == family.name:
                    own = None if recorder is None else recorder.of_table(table)
                    self._start(serve(family, table, self.given, self.keeping, self.monitor, notice_of(family), own))

    def _start(self, served: Served) -> None:
        self.served.append(served)
        served.heard = partial(self._heard, served)
        self._lead(served)
        served.start(of_table(self.config, served.table), adopts=self.given.adopts)
        self._lead(served)

    def _heard(self, served: Served, events: Sequence[Event]) -> None:
        if any(isinstance(event, (LinkChanged, LinkGone)) for event in events):
            self._lead(served)

    def _lead(self, served: Served) -> None:
        """Have the kernel lead to a table the interfaces of its proxies: those that are named, and those that are
        there by the beginning of a name."""
        proxies = [proxy for proxy in self.config.proxies if proxy.table == served.table]
        names = {side.name for proxy in proxies for side in (*proxy.upstreams, *proxy.downstreams)}
        names = {name for name in names if not name.endswith(WILDCARD)}
        names |= {port.name for port in served.router.proxies.ports.values()}
        if names == served.led:
            return
        try:
            self.keeping.lead(served.family.name, served.table, sorted(names))
            served.led = names
        except (OSError, RefusedByKeeper) as problem:
            text = "%s: interfaces cannot be led to table %d: %s"
            log.error(text, served.family.name, served.table, problem, extra={"reason": "table_rules"})

    def follow(self, config: Config) -> None:
        """The configuration is this now; its tables are the same."""
        self.config = config
        for served in self.served:
            served.driver.feed([Configured(of_table(config, served.table))])
            self._lead(served)

    def audit(self) -> None:
        """Compare the kernel's tables with what they should be."""
        for served in self.served:
            served.driver.feed([EntryGone(None, None)])

    def look(self, family: Family) -> None:
        """See how fast streams of a family flow."""
        for served in (one for one in self.served if one.family is family):
            with contextlib.suppress(OSError):
                served.look()

    def stop(self) -> None:
        """Leave everything, and the tables as they were."""
        for served in self.served:
            served.stop()

    # What they tell.

    def rows(self, kind: str, main: list[Row]) -> list[Row]:
        """All rows of a kind, `main` being those of the main tables."""
        from pimpy.core.rows import InterfaceRow

        found = list(main)
        for served in self.served:
            own = list(self._rows(served, kind))
            if kind == "interfaces":
                taken = {(row.address_family, row.interface) for row in own if isinstance(row, InterfaceRow)}
                found = [
                    row
                    for row in found
                    if not isinstance(row, InterfaceRow) or (row.address_family, row.interface) not in taken
                ]
            found += own
        return found

    def _rows(self, served: Served, kind: str) -> Iterator[Row]:
        from pimpy.core.rows import InterfaceRow, MrouteRow, OutgoingRow, ProxyRow

        protocol, _, rest = kind.partition("_")
        router = served.router
        router.heap.now = max(router.heap.now, served.driver.now())
        if protocol in ("igmp", "mld"):
            yield from router.rows(f"gmp_{rest}") if protocol == served.family.gmp else ()
        elif kind in KINDS:
            router.traffic = served.meter.tell(served.adapter.counters(), served.driver.now())
            for row in router.rows(kind):
                if isinstance(row, (MrouteRow, OutgoingRow, ProxyRow)):
                    yield evolve(row, table=served.table)
                elif not isinstance(row, InterfaceRow) or row.mode == "proxy":
                    yield row
            router.traffic = {}

    def concerned(self, family: Family, source: Address | None, group: Address) -> Served | None:
        """The table in which a proxy has the stream's entry, or members that want the group."""
        for served in self.served:
            if served.family is family and served.router.proxies.concerns(source, group):
                return served
        return None

    def add_counters(self, family: Family, counters: Mapping[CounterKey, int]) -> Mapping[CounterKey, int]:
        """`counters` with theirs; what they hear on interfaces of other tables is not counted a second time."""
        own = [served for served in self.served if served.family is family]
        total = Counter(counters)
        for served in own:
            for key, count in served.router.counters.values.items():
                if key[-1] != "if_not_enabled":
                    total[key] += count
        return total if own else counters
