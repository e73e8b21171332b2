"""Which table of the kernel each proxy is served in: mcproxy's `pinstance NAME(TABLE)`, `table N` of a proxy line.

An interface is in one table: the kernel's multicast rules lead what comes in by it there. So a proxy of another table
that shares an interface with one of the main table, or with a static route, is served in the main table too.
"""

from __future__ import annotations

from pimpy.config.model import NO_STATIC, Config, Proxy
from pimpy.config.routes import WILDCARD
from pimpy.wire.record import evolve

MAX_TABLES = 16
"""Tables beside the main one, of both families; proxies of more are served in the main table."""


def assigned(config: Config, main: int) -> tuple[Config, list[tuple[str, str]]]:
    """The configuration with the tables that proxies are really served in, None being the main one; and (name of the
    proxy, why it is there), for those that asked for another one."""
    proxies = [evolve(p, table=None) if p.table == main else p for p in config.proxies]
    remarks: list[tuple[str, str]] = []
    while (found := _misplaced(config, proxies)) is not None:
        place, why = found
        remarks.append((proxies[place].name, f"table {proxies[place].table} is not used: {why}"))
        proxies[place] = evolve(proxies[place], table=None)
    return evolve(config, proxies=tuple(proxies)), remarks


def _misplaced(config: Config, proxies: list[Proxy]) -> tuple[int, str] | None:
    """A proxy of another table that has to be in the main one, and why."""
    routed = {name for route in config.static.routes for name in (route.interface, *route.outgoing)}
    tables: dict[tuple[str, int], None] = {}
    for place, proxy in enumerate(proxies):
        if proxy.table is None:
            continue
        tables.update(dict.fromkeys((family, proxy.table) for family in proxy.families))
        if len(tables) > MAX_TABLES:
            return place, f"there are {MAX_TABLES} tables at most"
        if shared := next((name for name in _names(proxy) if any(_overlap(name, other) for other in routed)), None):
            return place, f"a static route names {shared}, which is in one table only"
        for other in proxies:
            if other.table != proxy.table and (shared := _shared(proxy, other)) is not None:
                return place, f"{other.name} names {shared} too, which is in one table only"
    return None


def _names(proxy: Proxy) -> list[str]:
    return [side.name for side in (*proxy.upstreams, *proxy.downstreams)]


def _shared(one: Proxy, other: Proxy) -> str | None:
    """An interface that both name, in a family that both serve."""
    if not set(one.families) & set(other.families):
        return None
    theirs = _names(other)
    return next((name for name in _names(one) if any(_overlap(name, their) for their in theirs)), None)


def _overlap(one: str, other: str) -> bool:
    """Whether two names, or beginnings of names with a `+`, can mean one interface."""
    short, long = sorted((one, other), key=lambda name: len(name.removesuffix(WILDCARD)))
    if short.endswith(WILDCARD):
        return long.startswith(short[:-1])
    return short == long or (long.endswith(WILDCARD) and short == long[:-1])


def further(config: Config) -> list[tuple[str, int]]:
    """(family, table) of all tables beside the main one, for a configuration that is `assigned`."""
    wanted = {(family, p.table) for p in config.proxies if p.table is not None for family in p.families}
    return sorted(pair for pair in wanted if pair[0] in config.families)


def without(config: Config, missing: set[tuple[str, int]]) -> Config:
    """Proxies of tables that the kernel cannot give are served in the main one."""
    proxies = [
        evolve(p, table=None) if any((family, p.table) in missing for family in p.families) else p
        for p in config.proxies
    ]
    return evolve(config, proxies=tuple(proxies))


def of_table(config: Config, table: int) -> Config:
    """What a router of this further table follows: its proxies, and nothing else is routed there."""
    return evolve(
        config,
        phyints=tuple(evolve(phyint, enabled=None) for phyint in config.phyints),
        phyints_enabled=False,
        proxies=tuple(evolve(proxy, table=None) for proxy in config.proxies if proxy.table == table),
        static=NO_STATIC,
        rp_addresses=(),
        bsr_candidates=(),
        rp_candidates=(),
        anycast_rps=(),
    )
