"""Embedded RP (RFC 3956): nothing is configured, the group names its RP; FRR's pim6d in each of the three places."""

from __future__ import annotations

import pytest

from .capture import assert_clean
from .frr import Frr
from .helpers import in_a_row
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import wait_until
from .topology import Lab, Port
from .traffic import Receiver, Sender


def group_of(port: Port) -> str:
    """A group with the port's address as RP: fd00:0:0:N::K, K being the RIID."""
    network, _, number = port.ipv6.partition("::")
    return f"ff7e:{int(number, 16):x}40:{network}:0:1"


def delivered(src: Port, host: Port, group: str, packets: int = 150) -> None:
    """A stream comes to a receiver that was there before it, and all of it once it flows."""
    receiver = Receiver(host, [(None, group)])
    sender = Sender(src, [group], rate=200)
    receiver.wait_for(packets, 40)
    receiver.reset()
    receiver.wait_for(packets, 40)
    stream = receiver.stream(sender.source, group)
    assert (stream.lost, stream.duplicates) == (0, 0), stream
    sender.stop()
    receiver.leave()


def test_a_stream_over_three_routers_with_the_rp_anywhere(lab: Lab) -> None:
    src, *routers, h = in_a_row(lab, "src", "r1", "r2", "r3", "h")
    lab.capture_all()
    daemons = [Pimpyd(router, QUICK).launch() for router in routers]
    for daemon in daemons:
        daemon.wait_ready()
    wait_neighbors(daemons)
    for rp in (routers[0].port("r2"), routers[1].port("r1"), routers[2].port("r2")):
        group = group_of(rp)
        (row,) = daemons[2].show(f"rp {group}", 6)
        assert (row["rp_address"], row["rule"], row["is_local"]) == (rp.ipv6, "embedded", rp.node is routers[2])
        delivered(src.port("r1"), h.port("r3"), group)
    assert_clean(lab, *routers)


def test_with_the_option_off_a_group_has_no_rp(lab: Lab) -> None:
    src, r1, h = in_a_row(lab, "src", "r1", "h")
    daemon = Pimpyd(r1, QUICK + "embedded-rp off\n").start()
    group = group_of(r1.port("src"))
    receiver = Receiver(h.port("r1"), [(None, group)])
    sender = Sender(src.port("r1"), [group], rate=200, count=400)
    sender.wait_done()
    (row,) = daemon.show(f"rp {group}", 6)
    assert (row["rp_address"], row["rule"]) == (None, "none")
    assert receiver.stream(sender.source, group).received == 0


@pytest.mark.usefixtures("frr")
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first_hop", "rp", "last_hop"])
def test_frr_in_each_place(lab: Lab, place: int) -> None:
    src, *routers, h = in_a_row(lab, "src", "r1", "r2", "r3", "h")
    members = ["h"] if place == 2 else []
    frr = Frr(routers[place], members, families=(6,), settings={6: ["router pim6", " embedded-rp", "exit"]})
    daemons = [Pimpyd(router, QUICK).launch() for number, router in enumerate(routers) if number != place]
    frr.start()
    for daemon in daemons:
        daemon.wait_ready()
    neighbors = 2 if place == 1 else 1
    wait_until(lambda: frr.has_neighbors(6, neighbors), 60, "FRR has its neighbours")
    wait_until(lambda: all(known(daemon) for daemon in daemons), 60, "and ours theirs")
    delivered(src.port("r1"), h.port("r3"), group_of(routers[1].port("r1")))


def known(daemon: Pimpyd) -> bool:
    """Whether it has a neighbour on each link to a router."""
    towards = [port for port in daemon.node.ports.values() if port.name.startswith("r")]
    rows = daemon.show("neighbors", 6)
    return {row["interface"] for row in rows} >= {port.name for port in towards}
