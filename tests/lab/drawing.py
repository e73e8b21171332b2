"""The path of a stream as a drawing in text, from what the routers say of themselves."""

from __future__ import annotations

from collections.abc import Iterable

from .pimpyd import Pimpyd
from .topology import Node


def draw_path(source_node: Node, daemons: Iterable[Pimpyd], source: str, group: str) -> str:
    """The tree from the source on: `src ==> r1 ==> r2 =+=> ...`, following each router's outgoing interfaces."""
    known = {daemon.node: daemon for daemon in daemons}
    (first,) = (port.link for port in source_node.ports.values() if source in (port.ipv4, port.ipv6))
    lines = [f"  ({source}, {group})"]
    roots = [node for node in first.ports if node in known and _takes(known[node], source, group)]
    branches = [line for root in roots for line in _tree(root, known, source, group, set())] or ["goes nowhere"]
    start = f"  {source_node.name} ==> "
    lines += [(start if number == 0 else " " * len(start)) + line for number, line in enumerate(branches)]
    return "\n".join(lines) + "\n"


def _takes(daemon: Pimpyd, source: str, group: str) -> bool:
    return bool(daemon.outgoing(source, group))


def _tree(node: Node, known: dict[Node, Pimpyd], source: str, group: str, seen: set[Node]) -> list[str]:
    """The lines of the tree below `node`, which begins the first of them."""
    if node in seen:
        return [f"{node.name} (a loop!)"]
    if node not in known:
        return [node.name]
    below: list[list[str]] = []
    for name in sorted(known[node].outgoing(source, group)):
        for other in _receivers(node, name, known, source, group):
            below.append(_tree(other, known, source, group, seen | {node}))
    indent = " " * len(node.name)
    lines = []
    for number, block in enumerate(below):
        last = number == len(below) - 1
        fork = " ==> " if len(below) == 1 else " =+=> " if number == 0 else "  +=> "
        rest = "     " if len(below) == 1 else "      " if last else "  |   "
        lines.append((node.name if number == 0 else indent) + fork + block[0])
        lines += [indent + rest + line for line in block[1:]]
    return lines or [node.name]


def _receivers(node: Node, name: str, known: dict[Node, Pimpyd], source: str, group: str) -> list[Node]:
    """Who takes the stream from that interface: the routers that joined there, and the hosts."""
    port = node.ports[name]
    taking = []
    for other, far in port.link.ports.items():
        if other is node:
            continue
        if other not in known:
            taking.append(other)
            continue
        entry = known[other].entry(source, group)
        if entry and entry["incoming_interface"] == far.name and entry["upstream_state"] == "joined":
            taking.append(other)
    return taking
