"""Makes what a `Lab` declares: a few batches of commands, so that it stands in well under a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .namespace import end_offload, inside, write_sysctls
from .shell import run
from .topology import FORWARDING, SYSCTLS

if TYPE_CHECKING:
    from .topology import Lab, Link, Node, Port

SILENCE = {f"ipv6/conf/{name}/disable_ipv6": 1 for name in ("all", "default", "lo")}
"""For a bridge: it says nothing of itself."""


def build(lab: Lab) -> None:
    for link in lab.links:
        link.namespace = lab.claim.namespace(f"{link.name}-lan") if link.lan else None
    bridges = [link.namespace for link in lab.links if link.namespace]
    names = [node.namespace for node in lab.nodes] + bridges
    _batch([], [f"netns add {name}" for name in names])
    for node in lab.nodes:  # before it has links, which take some of this over when they are made
        node.set_sysctls(SYSCTLS | (FORWARDING if node.forwards else {}))
    _batch([], [_pair(link) for link in lab.links if not link.lan])
    for link in lab.links:
        if link.lan:
            _make_lan(link)
    paths = lab.shortest_paths()
    for node in lab.nodes:
        _address(node, paths[node])


def _batch(options: list[str], lines: list[str]) -> None:
    run(["ip", *options, "-batch", "-"], text_in="".join(line + "\n" for line in lines))


def _half(port: Port) -> str:
    return f"name {port.name} address {port.mac} netns {port.node.namespace}"


def _pair(link: Link) -> str:
    a, b = link.ports.values()
    return f"link add {_half(a)} type veth peer {_half(b)}"


def _make_lan(link: Link) -> None:
    namespace = str(link.namespace)
    inside(namespace, lambda: write_sysctls(SILENCE))
    _batch(
        ["-n", namespace],
        ["link add name br0 up type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
        + [
            line
            for node, port in link.ports.items()
            for line in (
                f"link add name {node.name} type veth peer {_half(port)}",
                f"link set dev {node.name} master br0 up",
            )
        ],
    )


def _address(node: Node, paths: dict[Link, Port]) -> None:
    """Addresses first, then routes, which need them."""
    inside(node.namespace, lambda: end_offload(node.ports))
    lines = ["link set dev lo up"]
    for port in node.ports.values():
        lines.append(f"link set dev {port.name} up")
        lines.append(f"address add {port.ipv4}/24 dev {port.name}")
        lines += [f"address add {address}/64 dev {port.name} nodad" for address in (port.ipv6, port.link_local)]
    lines += _routes("add", node, paths)
    _batch(["-n", node.namespace], lines)


def _routes(verb: str, node: Node, paths: dict[Link, Port]) -> list[str]:
    return [
        f"route {verb} {link.prefix(family)} via {hop.pim_address(family)} dev {hop.link.ports[node].name}"
        for link, hop in paths.items()
        for family in (4, 6)
    ]


def lay_routes(node: Node, paths: dict[Link, Port]) -> None:
    """Replaces the routes of a node by these; those that stay the same are not touched."""
    wanted = {tuple(line.split()[2:]) for line in _routes("add", node, paths)}
    there = {
        (route["dst"], "via", route["gateway"], "dev", route["dev"])
        for family in (4, 6)
        for route in node.ip_json(f"-{family}", "route", "show")
        if "gateway" in route
    }
    kept = {words[0] for words in wanted}
    lines = [f"route replace {' '.join(words)}" for words in wanted - there]
    lines += [f"route delete {' '.join(words)}" for words in there - wanted if words[0] not in kept]
    run(["ip", "-n", node.namespace, "-force", "-batch", "-"], text_in="".join(f"{line}\n" for line in lines))
