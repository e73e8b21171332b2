"""Two RPs that share an address (RFC 4610), with a source and a receiver at each.

src1, h1 - a - x - y - b - h2, src2      x and y are the RPs
"""

from __future__ import annotations

import time

import pytest

from .capture import assert_clean
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SHARED = {4: "10.99.0.1", 6: "fd00:99::1"}
BITS = {4: 32, 6: 128}
GROUPS = {4: "239.1.1.1", 6: "ff1e::1234"}


def start(lab: Lab) -> tuple[dict[str, Node], dict[str, Pimpyd]]:
    """The network above with its daemons."""
    names = ("src1", "h1", "a", "x", "y", "b", "h2", "src2")
    nodes = {name: lab.router(name) if len(name) == 1 else lab.host(name) for name in names}
    for left, right in (("src1", "a"), ("h1", "a"), ("a", "x"), ("x", "y"), ("y", "b"), ("b", "h2"), ("b", "src2")):
        lab.link(nodes[left], nodes[right])
    lab.start()
    lines = ""
    for family, address in SHARED.items():
        prefix = f"{address}/{BITS[family]}"
        for name in "xy":
            nodes[name].ip("addr", "add", prefix, "dev", "lo")
        for name, via in (("a", "x"), ("b", "y"), ("x", "y"), ("y", "x")):
            nodes[name].route(family, prefix, nodes[via].port(name))
        members = " ".join(nodes[one].port(other).address(family) for one, other in ("xy", "yx"))
        lines += f"rp-address {address}\nanycast-rp {address} member {members}\n"
    daemons = {name: Pimpyd(nodes[name], QUICK + lines).launch() for name in "axyb"}
    for daemon in daemons.values():
        daemon.wait_ready()
    wait_neighbors(list(daemons.values()))
    return nodes, daemons


def whole(receiver: Receiver, senders: list[Sender], group: str) -> None:
    """From now on everything arrives once."""
    receiver.reset()
    receiver.wait_for(600, 30)
    for sender in senders:
        stream = receiver.stream(sender.source, group)
        assert stream.received > 100 and (stream.lost, stream.duplicates) == (0, 0), stream


@FAMILIES
def test_everyone_gets_everything_once_and_one_rp_carries_on_alone(lab: Lab, family: int) -> None:
    nodes, daemons = start(lab)
    lab.capture_all()
    group = GROUPS[family]
    receivers = [Receiver(nodes[host].port(router), [(None, group)]) for host, router in (("h1", "a"), ("h2", "b"))]
    for name in "xy":
        wait_until(lambda n=name: ("*", group) in tree(daemons[n], family), 15, f"{name} has the shared tree")  # type: ignore[misc]
    senders = [Sender(nodes[src].port(router), [group], rate=200) for src, router in (("src1", "a"), ("src2", "b"))]
    for receiver in receivers:
        receiver.wait_for(600, 30)
        whole(receiver, senders, group)
    for receiver in receivers:
        receiver.reset()
    gone = time.monotonic()
    nodes["y"].ip("addr", "del", f"{SHARED[family]}/{BITS[family]}", "dev", "lo")
    wait_until(lambda: ("*", group) in daemons["y"].joined(family), 30, "y is a router like others, and joins x")
    for receiver in receivers:
        receiver.wait_for(600, 30)
        lost = max(receiver.stream(sender.source, group).lost for sender in senders)
        outage = lost / 200
        print(
            f"outage: {outage:.3f} s ({lost} packets of 200 a second), {time.monotonic() - gone:.1f} s after the loss"
        )
        assert outage < 10
        whole(receiver, senders, group)
    for sender in senders:
        sender.stop()
    again = Sender(nodes["src2"].port("b"), [group], rate=200)
    receivers[0].reset()
    receivers[0].wait_for(400, 40)
    again.stop()
    assert_clean(lab, *(nodes[name] for name in "axyb"))


def tree(daemon: Pimpyd, family: int) -> set[tuple[str, str]]:
    """The entries of a daemon: (source or *, group)."""
    return {(row["source_address"], row["group"]) for row in daemon.show("mroute", family) if row["row"] == "entry"}
