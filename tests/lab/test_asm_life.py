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

PLACES = pytest.mark.parametrize("rp", ["src_dr", "between", "last_hop"])
SOON = 2.0
"""Seconds from the report to the first datagram. It takes less than 0.2 s on a quiet machine; a busy one is slower."""


@PLACES
def test_source_first_receiver_later_and_again(lab: Lab, rp: str) -> None:
    row = Row.start(lab, rp)
    for family in (4, 6):
        source_first_receiver_later_and_again(row, family)
    assert_clean(lab, *row.routers)


def source_first_receiver_later_and_again(row: Row, family: int) -> None:
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


def test_a_source_that_was_silent_longer_than_its_entries_live(lab: Lab) -> None:
    """The routers begin anew in between, which forgets the entries as 210 s of silence do.

    In virtual time the period itself passes (tests/core/test_register_tunnel.py).
    """
    row = Row.start(lab, "between")
    receivers = {family: row.receive(family) for family in (4, 6)}
    for family, receiver in receivers.items():
        send_a_part(row, family, receiver)
    for daemon in row.daemons:
        daemon.stop()
        daemon.start()
    wait_neighbors(row.daemons)
    for family, receiver in receivers.items():
        entry = (row.src.port("r1").address(family), group(family))
        wait_until(lambda f=family, e=entry: not any(e in mfc(r, f) for r in row.routers), 20, "forgotten")  # type: ignore[misc]
        wait_until(lambda f=family: ("*", group(f)) in row.last.joined(f), 20, "the shared tree stands again")  # type: ignore[misc]
        receiver.reset()
        send_a_part(row, family, receiver)
        stream = receiver.stream()
        assert 1000 - (stream.received - stream.duplicates) <= 10 and stream.duplicates <= 10, stream


def send_a_part(row: Row, family: int, receiver: Receiver) -> None:
    """A thousand packets in two seconds, the last of which arrives."""
    Sender(row.src.port("r1"), [group(family)], rate=500, count=1000).wait_done()
    wait_until(lambda: receiver.stream().last_seq == 999, 10, "the last packet of a part arrives")


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
    receivers = [Receiver(h.port("rp"), [(None, group(family))]) for family in (4, 6)]
    senders = [Sender(src.port("lan"), [group(family)], rate=200) for family in (4, 6)]
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


def test_null_registers_alone_keep_the_source_known_at_the_rp(lab: Lab) -> None:
    """No receiver: the RP stops the DR at once, and the DR probes with Null-Registers until the source falls silent."""
    row = Row.start(lab, "between")
    dr, families = row.daemons[0], (4, 6)
    senders = {family: Sender(row.src.port("r1"), [group(family)], rate=100) for family in families}
    for family, sender in senders.items():
        dr.wait_for(lambda one, f=family, s=sender: register_state(one, s.source, group(f)) == "prune", 10, "stopped")  # type: ignore[misc]
    sent = {family: registers(dr, family, "register") for family in families}
    dr.wait_for(lambda one: all(registers(one, f, "null_register") for f in families), 95, "Null-Registers probe")
    for family, sender in senders.items():
        assert registers(dr, family, "register") - sent[family] <= 20, "no data in between"
        assert row.rp.entry(sender.source, group(family)), "the RP knows the source"
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
