"""What `explain` has to know of the host and the kernel's table, beside the core's own state."""

from __future__ import annotations

from pimpy.core.explain import ExplainRow, Facts, explain
from pimpy.core.router import Router
from pimpy.core.traffic import Meter
from pimpy.daemon.driver import Driver
from pimpy.kernel.adapter import Adapter
from pimpy.kernel.host import read_sysctls
from pimpy.wire.family import Address


def explained(
    driver: Driver, adapter: Adapter, meter: Meter, source: Address | None, group: Address, ttl: int | None
) -> list[ExplainRow]:
    """The sentences on a stream as things are now."""
    router, now = driver.router, driver.now()
    router.heap.now = max(router.heap.now, now)
    router.traffic = meter.tell(adapter.counters(), now)
    try:
        return explain(router, source, group, facts(router, adapter, source, group, ttl))
    finally:
        router.traffic = {}


def facts(router: Router, adapter: Adapter, source: Address | None, group: Address, ttl: int | None) -> Facts:
    """The facts on one stream; `ttl` was seen by whoever asks."""
    return Facts(ttl, _rp_filters(router), source is not None, _entry(router, adapter, source, group))


def _rp_filters(router: Router) -> dict[str, int]:
    if router.family.size == 16:
        return {}
    names = [interface.name for interface in router.pim.interfaces.values()]
    values = read_sysctls([*names, "all"])
    everywhere = values.get("ipv4/conf/all/rp_filter", 0)
    return {name: max(everywhere, values.get(f"ipv4/conf/{name}/rp_filter", 0)) for name in names}


def _entry(
    router: Router, adapter: Adapter, source: Address | None, group: Address
) -> tuple[str | None, frozenset[str]] | None:
    """The kernel's entry in names; an interface that is not ours is the register tunnel's."""
    names = {link.ifindex: link.name for link in router.interfaces.values()}
    vifs = {held.ifindex: names.get(held.ifindex, "register") for held in adapter.table.vifs.values()}
    for entry in adapter.table.entries() if source is not None else ():
        if (entry.source, entry.group) == (source, group):
            incoming = None if entry.iif < 0 else vifs.get(entry.iif, "register")
            return incoming, frozenset(vifs.get(oif, "register") for oif in entry.oifs)
    return None
