"""The entries with what the kernel counts of them: all at once, or in slices between which others get their turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from pimpy.core.interface import REGISTER_VIF
from pimpy.core.router import Router
from pimpy.core.rows import MrouteRow, Row
from pimpy.core.traffic import Counted, Key, Meter, Sum
from pimpy.daemon.serving import Served
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

SLICE = 200
"""Rows that are made in one go: a few milliseconds."""


def with_interfaces(served: Served) -> list[Row]:
    """The rows of `mroute`, with the kernel's counters and the register table's, each read once for all of them."""
    router, adapter = served.router, served.adapter
    router.traffic = served.meter.tell(adapter.counters(), served.driver.now())
    router.registered = adapter.registered()
    rows = list(router.rows("mroute"))
    router.traffic, router.registered = {}, {}
    return rows


@frozen
class Totals(Value):
    """The entries of one family, counted."""

    address_family: str
    sg: int
    """(S,G) entries, those of static routes and proxies among them."""
    starg: int
    resolved: int
    """Entries that the kernel has, those of unwanted streams among them."""
    unresolved: int
    """Wanted entries that it has not."""
    interfaces: Mapping[str, Sum]
    """What came in, by the interface, since the daemon looked for the first time."""


def totals(router: Router, counters: Mapping[Key, Counted], meter: Meter) -> Totals:
    """The entries counted, with one look at the kernel's counters. No entry becomes a row for it."""
    forwarding, tib = router.forwarding, router.pim.tib
    names = {vif: owner.name for vif, owner in enumerate(router.vifs.owners) if owner is not None}
    names[REGISTER_VIF] = "register"

    def incoming(key: Key) -> tuple[str, bool] | None:
        found = forwarding.incoming(*key)
        return None if found is None or found[0] not in names else (names[found[0]], found[1])

    meter.sums.take(counters, incoming)
    present = {source + group for source, group in counters}
    wanted = {*tib.sg, *forwarding.others()}
    resolved = len(present & wanted)
    return Totals(
        address_family=router.family.name,
        sg=len(wanted),
        starg=sum(tree.star is not None for tree in tib.groups.values()),
        resolved=resolved + len(present.intersection(forwarding.unwanted()) - wanted),
        unresolved=len(wanted) - resolved,
        interfaces=meter.sums.by_interface,
    )


def in_slices(tables: Iterable[Served]) -> Iterator[list[MrouteRow]]:
    """The entries without their interfaces, of all these; between two slices anything may happen."""
    for served in tables:
        router, adapter, driver = served.router, served.adapter, served.driver
        traffic, registered = served.meter.tell(adapter.counters(), driver.now()), adapter.registered()
        rows = router.rows("entries")
        while True:
            router.heap.now = max(router.heap.now, driver.now())
            router.traffic, router.registered = traffic, registered
            part = list(islice(rows, SLICE))
            router.traffic, router.registered = {}, {}
            if not part:
                break
            yield [row for row in part if isinstance(row, MrouteRow)]
