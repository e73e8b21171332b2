"""Static routes, joins and proxies as native lines (`route_lines` reads them back)."""

from __future__ import annotations

from collections.abc import Iterator

from pimpy.config.model import RpfRoute
from pimpy.config.proxies import AddressRange, Filter, Proxy, ProxyInterface
from pimpy.config.route_lines import PROXY_WORDS
from pimpy.config.routes import FLUSH_INTERVAL, Static, StaticRoute
from pimpy.wire.family import Prefix, format_address


def print_static(static: Static) -> Iterator[str]:
    """The lines of static routes and joins."""
    if static.flush_interval != FLUSH_INTERVAL:
        yield f"static-flush-interval {static.flush_interval}"
    yield from map(print_route, static.routes)
    for join in static.joins:
        yield f"mgroup from {join.interface}{_source(join.source)} group {_range(join.group)}"


def print_route(route: StaticRoute) -> str:
    """The line of a static route."""
    to = "".join(f" {name}" for name in route.outgoing)
    return f"mroute from {route.interface}{_source(route.source)} group {_range(route.group)} to{to}"


def print_rpf_route(route: RpfRoute) -> str:
    """The line of a route for RPF."""
    via = "" if route.next_hop is None else f" via {format_address(route.next_hop)}"
    return f"rpf-route {route.prefix}{via} dev {route.interface}"


def _source(source: Prefix | None) -> str:
    return "" if source is None else f" source {_range(source)}"


def _range(prefix: Prefix) -> str:
    text = str(prefix)
    return text.partition("/")[0] if prefix.length == 8 * len(prefix.network) else text


def print_proxy(proxy: Proxy) -> Iterator[str]:
    """The lines of a proxy."""
    words = ["proxy", proxy.name]
    for section, names in (
        ("upstream", [interface.name for interface in proxy.upstreams]),
        ("downstream", [interface.name for interface in proxy.downstreams]),
        ("except", list(proxy.excluded)),
    ):
        words += [section, *map(_name, names)] if names else []
    if len(proxy.families) == 1:
        words += proxy.families
    if proxy.matching == "mutex":
        words += ["mutex", str(proxy.mutex_time)]
    elif proxy.matching != "first":
        words.append(proxy.matching)
    for word in ("send_first", "quick_leave", "always_forward", "check_sources"):
        if getattr(proxy, word):
            words.append(word.replace("_", "-"))
    if proxy.table is not None:
        words += ["table", str(proxy.table)]
    yield " ".join(words)
    for side, interfaces in (("upstream", proxy.upstreams), ("downstream", proxy.downstreams)):
        for interface in interfaces:
            yield from _interface(proxy, side, interface)


def _name(name: str) -> str:
    """In double quotes where it could be taken for a word of the line."""
    return f'"{name}"' if name.lower() in PROXY_WORDS or name[:1] == '"' else name


def _interface(proxy: Proxy, side: str, interface: ProxyInterface) -> Iterator[str]:
    if interface.altnets:
        yield f"proxy-altnet {proxy.name} {interface.name} {' '.join(map(str, interface.altnets))}"
    for way, found in (("in", interface.inward), ("out", interface.outward)):
        if found is not None:
            yield from _filter(f"proxy-filter {proxy.name} {side} {interface.name} {way}", found)


def _filter(begin: str, found: Filter) -> Iterator[str]:
    for rule in found.rules:
        words = [begin, "permit" if rule.permit else "deny"]
        words += ["from", rule.interface] if rule.interface is not None else []
        words += ["group", _addresses(rule.group)] if rule.group is not None else []
        words += ["source", _addresses(rule.source)] if rule.source is not None else []
        yield " ".join(words)
    if not found.otherwise or not found.rules:
        yield f"{begin} otherwise {'permit' if found.otherwise else 'deny'}"


def _addresses(found: AddressRange) -> str:
    return str(found)
