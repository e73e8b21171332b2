"""The entries with what the kernel counts of them: all at once, or in slices between which others get their turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Protocol

from pimpy.core.rows import MrouteRow, Row
from pimpy.core.traffic import Counted, Key, Meter
from pimpy.daemon.driver import Driver
from pimpy.wire.family import Address, Family

SLICE = 200
"""Rows that are made in one go: a few milliseconds."""


class Counting(Protocol):
    """What is needed of `kernel.adapter.Adapter`."""

    def counters(self) -> dict[Key, Counted]:
        """What the kernel counts of each entry."""

    def registered(self) -> dict[tuple[Address, Address], tuple[int, int]]:
        """Packets and bytes that left in Registers, of each entry."""


def with_interfaces(driver: Driver, adapter: Counting, meter: Meter) -> list[Row]:
    """The rows of `mroute`, with the kernel's counters and the register table's, each read once for all of them."""
    router = driver.router
    router.traffic, router.registered = meter.tell(adapter.counters(), driver.now()), adapter.registered()
    rows = list(router.rows("mroute"))
    router.traffic, router.registered = {}, {}
    return rows


def in_slices(
    drivers: Mapping[Family, Driver], adapters: Mapping[Family, Counting], meters: Mapping[Family, Meter]
) -> Iterator[list[MrouteRow]]:
    """The entries without their interfaces, of both families; between two slices anything may happen."""
    for family, driver in list(drivers.items()):
        router, adapter = driver.router, adapters[family]
        traffic, registered = meters[family].tell(adapter.counters(), driver.now()), adapter.registered()
        rows = router.rows("entries")
        while True:
            router.heap.now = max(router.heap.now, driver.now())
            router.traffic, router.registered = traffic, registered
            part = list(islice(rows, SLICE))
            router.traffic, router.registered = {}, {}
            if not part:
                break
            yield [row for row in part if isinstance(row, MrouteRow)]
