"""Conformance 3b: the life of an any-source stream: who comes first, who leaves and comes back, who falls silent."""

from __future__ import annotations

import time

import pytest

from .capture import assert_clean
from .kernel import forwards, mfc
from .pimpyd import Pimpyd, wait_neighbors
from .shell import wait_until
from .test_register import Row, group, reason
from .topology import Lab
from .traffic import Receiver, Sender

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PLACES = pytest.mark.parametrize("rp", ["src_dr", "between", "last_hop"])
SOON = 2.0
"""Seconds from the report to the first datagram. It takes less than 0.2 s on a quiet machine; a busy one is slower."""


@FAMILIES
@PLACES
def test_source_first_receiver_later_and_again(lab: Lab, family: int, rp: str) -> None:
    row = Row.start(lab, rp)
    sender = Sender(row.src.port("r1"), [group(family)], rate=200)
    row.rp.wait_for(lambda one: one.entry(sender.source, group(family)), 10, "the RP has heard of the source")
    receiver = Receiver(row.h.port("r3"), [(None, group(family))])
    receiver.wait_for(200)
    assert receiver.stream().first_time - receiver.joined_at < SOON
    receiver.reset()
    receiver.wait_for(200)
    assert (receiver.stream().lost, receiver.stream().duplicates) == (0, 0)
    for _ in range(2):
        receiver.leave()
        wait_until(lambda: not forwards(row.routers[2], sender.source, group(family)), 20, "it stops at the last hop")
        receiver.reset()
        joined = receiver.join((None, group(family)))
        receiver.wait_for(200)
        assert receiver.stream().first_time - joined < SOON, "coming back is as quick as coming"
        assert receiver.stream().lost <= 5
    sender.stop()
    assert_clean(lab, *row.routers)


@FAMILIES
def test_a_source_that_was_silent_longer_than_its_entries_live(lab: Lab, family: int) -> None:
    """The routers begin anew in between, which forgets the entries as 210 s of silence do.

    In virtual time the period itself passes (tests/core/test_register_tunnel.py).
    """
    row = Row.start(lab, "between")
    receiver = row.receive(family)
    Sender(row.src.port("r1"), [group(family)], rate=500, count=1000).wait_done()
    wait_until(lambda: receiver.stream().last_seq == 999, 10, "the first part arrives")
    source = row.src.port("r1").address(family)
    for daemon in row.daemons:
        daemon.stop()
        daemon.start()
    wait_neighbors(row.daemons)
    entry = (source, group(family))
    wait_until(lambda: not any(entry in mfc(router, family) for router in row.routers), 20, "forgotten")
    wait_until(lambda: ("*", group(family)) in row.last.joined(family), 20, "the shared tree stands again")
    receiver.reset()
    Sender(row.src.port("r1"), [group(family)], rate=500, count=1000).wait_done()
    wait_until(lambda: receiver.stream().last_seq == 999, 10, "the second part arrives")
    stream = receiver.stream()
    assert 1000 - (stream.received - stream.duplicates) <= 10 and stream.duplicates <= 10


@FAMILIES
def test_the_dr_of_the_source_dies_and_returns(lab: Lab, family: int) -> None:
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
    receiver = Receiver(h.port("rp"), [(None, group(family))])
    sender = Sender(src.port("lan"), [group(family)], rate=200)
    receiver.wait_for(400)
    second.kill()
    high.port("lan").set_up(False)
    way.set_up(False)
    lab.reroute(low, rp, src)
    first.wait_for(lambda one: one.entry(sender.source, group(family)) is not None, 30, "the other one is the DR")
    receiver.wait_for(400, 40)
    high.port("lan").set_up(True)
    way.set_up(True)
    lab.reroute()
    second.start()
    wait_neighbors([first, second, third])
    receiver.wait_for(400, 40)
    time.sleep(5)
    receiver.reset()
    receiver.wait_for(600, 40)
    assert (receiver.stream().lost, receiver.stream().duplicates) == (0, 0), "one way, and one only"
    sender.stop()
    assert_clean(lab, low, high, rp)


@FAMILIES
def test_null_registers_alone_keep_the_source_known_at_the_rp(lab: Lab, family: int) -> None:
    """No receiver: the RP stops the DR at once, and the DR probes with Null-Registers until the source falls silent."""
    row = Row.start(lab, "between")
    sender = Sender(row.src.port("r1"), [group(family)], rate=100)
    dr = row.daemons[0]
    dr.wait_for(lambda one: register_state(one, sender.source, group(family)) == "prune", 10, "stopped")
    sent = registers(dr, family, "register")
    dr.wait_for(lambda one: registers(one, family, "null_register") >= 1, 95, "a Null-Register probes")
    assert registers(dr, family, "register") - sent <= 20, "no data in between"
    row.rp.wait_for(lambda one: one.entry(sender.source, group(family)), 10, "the RP knows the source")
    assert not forwards(row.routers[1], sender.source, group(family))
    assert reason(row.rp, family, "reg_not_rp") == 0
    sender.stop()
    assert_clean(lab, *row.routers)


def register_state(daemon: Pimpyd, source: str, to: str) -> str | None:
    """The state of the Register machine."""
    entry = daemon.entry(source, to)
    return None if entry is None else entry["register_state"]


def registers(daemon: Pimpyd, family: int, kind: str) -> int:
    """How many of a kind a router has sent."""
    found = daemon.show("counters", family)
    return sum(
        int(row["count"])
        for row in found
        if (row["type"], row["direction"], row["reason"]) == (kind, "tx", None) and row["protocol"] == "pim"
    )
