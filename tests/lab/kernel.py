"""The kernel's multicast routing tables, as `ip mroute` shows them."""

from __future__ import annotations

from dataclasses import dataclass

from .topology import Node


@dataclass(frozen=True)
class Mfc:
    """An (S,G) entry of the kernel; interfaces are their names."""

    source: str
    group: str
    iif: str | None
    """None while it is unresolved."""
    oifs: frozenset[str]
    packets: int
    bytes: int
    wrong_if: int
    table: str


def mfc(node: Node, family: int) -> dict[tuple[str, str], Mfc]:
    """All entries, by (source, group)."""
    rows = node.ip_json(f"-{family}", "-s", "mroute", "show", "table", "all")
    entries = (
        Mfc(
            source=row["src"].split("/")[0],
            group=row["dst"].split("/")[0],
            iif=row["iif"] if row.get("state") == "resolved" else None,
            oifs=frozenset(hop["oif"] for hop in row.get("multipath", ())),
            packets=row.get("packets", 0),
            bytes=row.get("bytes", 0),
            wrong_if=row.get("wrong_if", 0),
            table=str(row.get("table", "default")),
        )
        for row in rows
    )
    return {(entry.source, entry.group): entry for entry in entries}


def forwards(node: Node, source: str, group: str) -> frozenset[str]:
    """The interfaces that the kernel sends (source, group) out of."""
    family = 6 if ":" in group else 4
    entry = mfc(node, family).get((source, group))
    return entry.oifs if entry is not None and entry.iif is not None else frozenset()


def vifs(node: Node, family: int) -> dict[int, str]:
    """The multicast interfaces of the default table: index -> name."""
    path = "/proc/net/ip_mr_vif" if family == 4 else "/proc/net/ip6_mr_vif"
    rows = [line.split() for line in node.run("cat", path).splitlines()[1:]]
    return {int(row[0]): row[1] for row in rows if row}
