"""Conformance 3b, in the life of an any-source stream: the DR of its source dies, and comes back."""

from __future__ import annotations

import time

from .capture import assert_clean
from .pimpyd import Pimpyd, wait_neighbors
from .topology import Lab
from .traffic import Receiver, Sender

GROUPS = {4: "239.1.1.1", 6: "ff0e::1"}


def test_the_dr_of_the_source_dies_and_returns(lab: Lab) -> None:
    """src and two routers on a LAN; the RP behind both. The higher one is the DR, and on the shorter way."""
    src, h = lab.host("src"), lab.host("h")
    low, high, rp = (lab.router(name) for name in ("low", "high", "rp"))
    lab.lan("lan", src, low, high)
    lab.link(low, rp, cost=2), lab.link(rp, h)
    way = lab.link(high, rp)
    lab.start()
    lab.capture_all()
    address = rp.port("h")
    text = "hello-interval 2\ntriggered-hello-delay 0\n" + f"rp-address {address.ipv4}\nrp-address {address.ipv6}\n"
    first, second, third = (Pimpyd(router, text).start() for router in (low, high, rp))
    wait_neighbors([first, second, third])
    receivers = [Receiver(h.port("rp"), [(None, GROUPS[family])]) for family in (4, 6)]
    senders = [Sender(src.port("lan"), [GROUPS[family]], rate=200) for family in (4, 6)]
    wait_all(receivers)
    second.kill()
    high.port("lan").set_up(False)
    way.set_up(False)
    lab.reroute(low, rp, src)
    for sender in senders:
        first.wait_for(lambda one, s=sender: one.entry(s.source, s.groups[0]), 30, "the other one is the DR")  # type: ignore[misc]
    wait_all(receivers)
    high.port("lan").set_up(True)
    way.set_up(True)
    lab.reroute()
    second.start()
    wait_neighbors([first, second, third])
    wait_all(receivers)
    time.sleep(5)
    for receiver in receivers:
        receiver.reset()
    wait_all(receivers, 600)
    for receiver in receivers:
        stream = receiver.stream()
        assert (stream.lost, stream.duplicates) == (0, 0), f"one way, and one only: {stream}"
    for sender in senders:
        sender.stop()
    assert_clean(lab, low, high, rp)


def wait_all(receivers: list[Receiver], packets: int = 400) -> None:
    for receiver in receivers:
        receiver.wait_for(packets, 40)
