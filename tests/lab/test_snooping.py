"""Bridges that snoop on IGMP and MLD: between hosts and router, and as the router's own interface."""

from __future__ import annotations

import time
from collections.abc import Callable

from .helpers import eventually
from .pimpyd import Pimpyd, Row
from .shell import run
from .topology import Lab
from .traffic import Receiver, Sender, Watcher, ssm_group

QUERY_INTERVAL = 5
INTERVALS = 8
RATE = 100
TEXT = f"triggered-hello-delay 0\nigmp-query-interval {QUERY_INTERVAL}\n"


def test_members_behind_a_snooping_bridge_survive_eight_query_intervals(lab: Lab) -> None:
    """The bridge forgets a port that it heard no report from for little more than two intervals (both families)."""
    src, r = lab.host("src"), lab.router("r")
    member, other = lab.host("member"), lab.host("other")
    lab.link(src, r)
    edge = lab.lan("edge", r, member, other)
    lab.start()
    strict = ["mcast_snooping", "1", "mcast_membership_interval", str(int(2.2 * QUERY_INTERVAL * 100))]
    run(["ip", "-n", str(edge.namespace), "link", "set", "dev", "br0", "type", "bridge", *strict])
    Pimpyd(r, TEXT).start()
    streams = {}
    for family in (4, 6):
        group, source = ssm_group(family), src.port(r).address(family)
        receiver = Receiver(member.port("edge"), [(source, group)])
        streams[family] = receiver, Watcher(other.port("edge"), family), source, group
        Sender(src.port(r), [group], rate=RATE)
    for receiver, _, _, _ in streams.values():
        receiver.wait_for(RATE // 2, 60)
    time.sleep(2 * QUERY_INTERVAL)  # the bridge has heard a query by now, and restricts
    for receiver, watcher, _, _ in streams.values():
        receiver.reset()
        watcher.reset()
    time.sleep(INTERVALS * QUERY_INTERVAL)
    for receiver, watcher, source, group in streams.values():
        stream = receiver.stream(source, group)
        assert stream.received > RATE * QUERY_INTERVAL * INTERVALS // 2
        assert (stream.lost, stream.duplicates) == (0, 0)
        assert watcher.stream(source, group).received == 0, "the bridge snoops: who did not ask gets nothing"


def _row(daemon: Pimpyd, what: str, interface: str = "br5") -> Row:
    return next((row for row in daemon.show(f"{what} interfaces") if row["interface"] == interface), {})


def test_the_bridge_below_an_interface_is_told(lab: Lab) -> None:
    r, h = lab.router("r"), lab.host("h")
    lab.link(r, h)
    lab.start()
    port = r.port(h)
    lines = ["link add br5 type bridge mcast_snooping 1", f"address flush dev {port.name}"]
    lines += [f"link set dev {port.name} master br5", "link set dev br5 up", f"address add {port.ipv4}/24 dev br5"]
    lines += [f"address add {port.link_local}/64 dev br5 nodad"]
    r.run("sh", "-ec", "ip -batch - <<EOF\n" + "\n".join(lines) + "\nEOF")
    daemon = Pimpyd(r, f"{TEXT}phyint {port.name} disable\n").start()
    own = {"igmp": port.ipv4, "mld": port.link_local}

    def wait(look: Callable[[Row], object], what: str) -> None:
        eventually(daemon, lambda: all(look(_row(daemon, protocol)) for protocol in own), what, 60)

    for protocol, address in own.items():
        eventually(daemon, lambda p=protocol, a=address: _row(daemon, p).get("bridge_querier") == a, "heard", 60)  # type: ignore[misc]
        row = _row(daemon, protocol)
        assert (row["bridge"], row["bridge_warning"]) == ("br5", None)
    r.ip("link", "set", "dev", "br5", "type", "bridge", "mcast_router", "0")
    wait(lambda row: "multicast_router 0" in (row.get("bridge_warning") or ""), "the warning")
    assert "multicast_router 0" in daemon.log()
    r.ip("link", "set", "dev", "br5", "type", "bridge", "mcast_router", "1", "mcast_snooping", "0")
    wait(lambda row: row.get("bridge") is None, "it snoops no more")


def test_a_bridge_takes_our_port_for_a_routers(lab: Lab) -> None:
    """`ours` leads to the bridge by a pair of interfaces, one of which is the bridge's port."""
    r, h = lab.router("r"), lab.host("h")
    lab.link(r, h)
    lab.start()
    port = r.port(h)
    lines = ["link add br5 type bridge mcast_snooping 1", "link add ours type veth peer name theirs"]
    lines += [
        f"address flush dev {port.name}",
        f"link set dev {port.name} master br5",
        "link set dev theirs master br5",
    ]
    lines += [f"link set dev {name} up" for name in ("br5", "theirs", "ours")]
    lines += [f"address add {port.ipv4}/24 dev ours", f"address add {port.link_local}/64 dev ours nodad"]
    r.run("sh", "-ec", "ip -batch - <<EOF\n" + "\n".join(lines) + "\nEOF")
    off = "".join(f"phyint {name} disable\n" for name in (port.name, "br5", "theirs"))
    daemon = Pimpyd(r, f"{TEXT}{off}").start()

    def told(protocol: str) -> tuple[object, ...]:
        row = _row(daemon, protocol, "ours")
        return row.get("bridge"), row.get("bridge_router_port"), row.get("bridge_warning")

    for protocol in ("igmp", "mld"):
        eventually(daemon, lambda p=protocol: told(p) == ("br5", True, None), "our queries made it one", 60)  # type: ignore[misc]
    assert "br5, querier" in daemon.pimctl("show", "igmp", "interfaces")
    assert "router port" in daemon.pimctl("show", "igmp", "interfaces")
