"""What smcroute's `show` prints: its columns, its marks for headings, and its JSON.

A line that ends in `_` is a title and one that ends in `=` a heading; the client makes them stand out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pimpy.config.routes import StaticJoin, StaticRoute
from pimpy.core.router import Router
from pimpy.wire.family import Prefix, format_address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

Counts = dict[tuple[bytes, bytes], tuple[int, int, int]]
"""(packets, bytes, wrong interface) by (source, group)."""


@frozen
class Entry(Value):
    """One line of `show routes`."""

    source: str | None
    group: str
    interface: str
    outgoing: tuple[str, ...]
    packets: int = 0
    bytes: int = 0

    @property
    def name(self) -> str:
        """As the first column has it."""
        return f"({self.source or '*'}, {self.group})"

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"source": self.source, "group": self.group, "iif": self.interface, "oifs": list(self.outgoing)}


def text_of(prefix: Prefix | None) -> str | None:
    """An address, with its length if it is a range; None for none."""
    if prefix is None:
        return None
    text = str(prefix)
    return text.partition("/")[0] if prefix.length == 8 * len(prefix.network) else text


def rules(routers: Iterable[Router], *, exact: bool) -> list[Entry]:
    """The rules of one kind: of one stream each, or templates."""
    found = []
    for router in routers:
        for rule in router.static.rules.values():
            route = rule.route
            if route.exact == exact:
                interface, outgoing = route.interface, _there(router, route)
                found.append(Entry(text_of(route.source), text_of(route.group) or "", interface, outgoing))
    return found


def _there(router: Router, route: StaticRoute) -> tuple[str, ...]:
    """The outgoing interfaces, but those that are not there."""
    names = {interface.name for interface in router.interfaces.values()}
    return tuple(name for name in route.outgoing if name.endswith("+") or name in names)


def kernel(routers: Iterable[Router], counts: dict[str, Counts]) -> list[Entry]:
    """The entries of the kernel's table, stop filters among them."""
    found = []
    for router in routers:
        counted = counts.get(router.family.name, {})
        entries = [(s, g, iif, oifs) for s, g, _, iif, oifs in router.forwarding.claimed()]
        entries += [(n.source, n.group, n.vif, 0) for n in router.forwarding.negatives()]
        for source, group, iif, oifs in entries:
            packets, size, _ = counted.get((source, group), (0, 0, 0))
            name = "".join(router.vifs.names(1 << iif))
            outgoing = tuple(router.vifs.names(oifs))
            found.append(Entry(format_address(source), format_address(group), name, outgoing, packets, size))
    return found


def routes(routers: list[Router], counts: dict[str, Counts], detail: bool) -> str:
    """`show routes`."""
    tables = (
        ("(*,G) Template Rules", rules(routers, exact=False)),
        ("(S,G) Rules", rules(routers, exact=True)),
        ("Kernel MFC Table", kernel(routers, counts)),
    )
    width = _width(entry.interface for _, entries in tables for entry in entries)
    text = ""
    for title, entries in tables:
        if entries:
            heading = f"{'PACKETS':>10} {'BYTES':>10} " if detail else ""
            text += f"{title}_\n{'ROUTE (S,G)':<42} {'IIF':<{width}} {heading} OIFS=\n"
            text += "".join(_line(entry, width, detail) for entry in entries)
    return text


def _width(names: Iterable[str]) -> int:
    return max(map(len, ("IIF", *names)))


def _line(entry: Entry, width: int, detail: bool) -> str:
    numbers = f"{entry.packets:>10} {entry.bytes:>10} " if detail else ""
    outgoing = "".join(f" {name}" for name in entry.outgoing)
    return f"{entry.name:<42} {entry.interface:<{width}} {numbers}{outgoing}\n"


def joins(routers: Iterable[Router], *, pending: bool) -> Iterator[StaticJoin]:
    """The joins that stand, or those that wait."""
    for router in routers:
        for join, interfaces in router.static.joins.wanted.items():
            if bool(interfaces) != pending:
                yield join


def groups(routers: list[Router], detail: bool) -> str:
    """`show groups`: with detail, all memberships that stand in the kernel too."""
    found = [(_member(join), join.interface) for join in joins(routers, pending=False)]
    text = ""
    if found:
        text = f"Group Memberships Table_\n{'GROUP (S,G)':<42} {'IIF':<16}=\n"
        text += "".join(f"{name:<42} {interface}\n" for name, interface in found)
    if detail:
        inside = "".join(f"{entry.name:<42} {entry.interface}\n" for entry in _memberships(routers))
        text += f"Kernel Group Membership Table_\n{inside}" if inside else ""
    return text


def _member(join: StaticJoin) -> str:
    return f"({text_of(join.source) or '*'}, {text_of(join.group)})"


def _memberships(routers: Iterable[Router]) -> Iterator[Entry]:
    for router in routers:
        for ifindex, group, source in router.static.joins.joined:
            interface = router.interfaces.get(ifindex)
            if interface is not None:
                named = None if source == router.family.any else format_address(source)
                yield Entry(named, format_address(group), interface.name, ())


def interfaces(routers: list[Router]) -> list[dict[str, Any]]:
    """`show interfaces` as JSON has it: a row for each interface of the host."""
    found: dict[int, dict[str, Any]] = {}
    for router in routers:
        key = "vif" if router.family.size == 4 else "mif"
        for interface in router.interfaces.values():
            row = found.setdefault(
                interface.ifindex, {"index": interface.ifindex, "name": interface.name, "vif": None, "mif": None}
            )
            row[key] = interface.vif
    return [found[index] for index in sorted(found)]


def interfaces_text(routers: list[Router]) -> str:
    """`show interfaces`."""
    rows = interfaces(routers)
    width = max([6, *(len(row["name"]) for row in rows)])
    text = f" INDEX {'PHYINT':<{width}} {'VIF':>4} {'MIF':>4}=\n"
    for row in rows:
        vif, mif = ("N/A" if row[key] is None else row[key] for key in ("vif", "mif"))
        text += f"{row['index']:>6} {row['name']:<{width}} {vif:>4} {mif:>4}\n"
    return text


def waiting(routers: list[Router]) -> list[dict[str, Any]]:
    """`show pending` as JSON has it."""
    found: list[dict[str, Any]] = []
    for router in routers:
        names = {interface.name for interface in router.interfaces.values()}
        found += [_waiting_route(rule.route) for rule in router.static.rules.values() if _waits(rule.route, names)]
    for join in joins(routers, pending=True):
        named = {"iif": join.interface, "source": text_of(join.source), "group": text_of(join.group)}
        found.append({"kind": "mgroup", **named, "oifs": []})
    return found


def _waits(route: StaticRoute, names: set[str]) -> bool:
    return any(not name.endswith("+") and name not in names for name in (route.interface, *route.outgoing))


def _waiting_route(route: StaticRoute) -> dict[str, Any]:
    named = {"iif": route.interface, "source": text_of(route.source), "group": text_of(route.group)}
    return {"kind": "mroute", **named, "oifs": list(route.outgoing)}


def waiting_text(routers: list[Router]) -> str:
    """`show pending`."""
    rows = waiting(routers)
    if not rows:
        return "No pending routes or groups\n"
    text = "PENDING ROUTES AND GROUPS\n"
    for row in rows:
        source = f" source {row['source']}" if row["source"] else ""
        to = f" to {' '.join(row['oifs'])}" if row["oifs"] else ""
        text += f"{row['kind']:<7} from {row['iif']}{source} group {row['group']}{to}\n"
    return text


def as_json(what: str, routers: list[Router], counts: dict[str, Counts]) -> str:
    """A show command's answer as JSON: `routes`, `groups`, `interfaces` or `pending`."""
    found: dict[str, Any]
    if what == "interfaces":
        found = {"interfaces": interfaces(routers)}
    elif what == "pending":
        found = {"pending": waiting(routers)}
    elif what == "groups":
        said = [
            {"source": text_of(join.source), "group": text_of(join.group), "iif": join.interface}
            for join in joins(routers, pending=False)
        ]
        inside = [
            {"source": entry.source, "group": entry.group, "iif": entry.interface} for entry in _memberships(routers)
        ]
        found = {"groups": {"conf": said, "kernel": inside}}
    else:
        found = {
            "routes": {
                "asm": [entry.plain for entry in rules(routers, exact=False)],
                "ssm": [entry.plain for entry in rules(routers, exact=True)],
                "kernel": [entry.plain for entry in kernel(routers, counts)],
            }
        }
    return json.dumps(found, separators=(",", ":")) + "\n"


def show(what: str, routers: list[Router], counts: dict[str, Counts], detail: bool) -> str:
    """A show command's answer as text."""
    if what == "interfaces":
        return interfaces_text(routers)
    if what == "pending":
        return waiting_text(routers)
    if what == "groups":
        return groups(routers, detail)
    return routes(routers, counts, detail)
