"""LANs with three routers: who serves the hosts, who asks them, and who speaks for whom upstream.

    src - r1 --+-- core (a LAN) --+-- r1, r2, r3
                                  |
    h2 - r2    h3 - r3            |
                    edge (a LAN) -+-- r1, r2, r3, and the hosts one, two

The way to the source leads over core. A test plays a stream of each family at once.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from .helpers import reconfigure
from .scenes import (
    AT_ONCE,
    LAST_LISTENER,
    Flow,
    JoinPrune,
    Net,
    assert_ends,
    assert_whole,
    join_prunes,
    queries,
)
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver

RATE = 1000
TEXT = "hello-interval 1\ntriggered-hello-delay 0\nigmp-query-interval 2\n"
NEIGHBOR_TIMES_OUT = 3.5
"""3.5 times the hello interval (RFC 7761 4.11)."""
QUERY_INTERVAL = 2.0
HOST_ANSWERS = 1.0
"""The Query Response Interval: half of so short a query interval."""
QUERIER_TIMES_OUT = 2 * QUERY_INTERVAL + HOST_ANSWERS / 2
"""The Other Querier Present Interval (RFC 9776 8.5)."""
PRUNE_PENDS = 3.0
"""J/P_Override_Interval: half a second of propagation, 2.5 s to override (RFC 7761 4.11)."""
T_OVERRIDE = 2.5


class Lans:
    def __init__(self, lab: Lab) -> None:
        self.src, self.h2, self.h3 = lab.host("src"), lab.host("h2"), lab.host("h3")
        self.one, self.two = lab.host("one"), lab.host("two")
        self.r1, self.r2, self.r3 = (lab.router(f"r{number}") for number in (1, 2, 3))
        lab.link(self.src, self.r1)
        self.core = lab.lan("core", self.r1, self.r2, self.r3)
        self.edge = lab.lan("edge", self.r1, self.r2, self.r3, self.one, self.two)
        lab.link(self.r2, self.h2)
        lab.link(self.r3, self.h3)
        self.net = Net(lab, dict.fromkeys((self.r1, self.r2, self.r3), TEXT))
        self.groups = itertools.count(1)

    def edge_by(self, router: Node) -> dict[Node, tuple[str, set[str]]]:
        """The tree when r2 or r3 serves the edge."""
        return {self.r1: ("src", {"core"}), router: ("core", {"edge"})}

    def drs(self, family: int) -> set[str | None]:
        """Whom the routers hold to be the DR of the edge."""
        rows = (row for daemon in self.net.living() for row in daemon.show("interfaces", family))
        return {row["dr_address"] for row in rows if row["interface"] == "edge"}

    def queriers(self, family: int) -> set[str | None]:
        """Whom the routers hold to be the querier of the edge."""
        what = "igmp interfaces" if family == 4 else "mld interfaces"
        rows = (row for daemon in self.net.living() for row in daemon.show(what))
        return {row["querier"] for row in rows if row["interface"] == "edge"}

    def configure(self, text: str) -> None:
        """All routers run, and with this configuration; those that had another one read it."""
        self.net.mend()
        for daemon in self.net.daemons.values():
            if daemon.config.read_text() != text:
                daemon.config.write_text(text)
                daemon.ask("reload")


@pytest.fixture(scope="module")
def lans(standing_lab: Lab) -> Iterator[Lans]:
    scene = Lans(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def flows(lans: Lans) -> Iterator[list[Flow]]:
    """One of each family."""
    lans.configure(TEXT)
    number = next(lans.groups)
    both = [Flow(lans.net, family, lans.src, number) for family in (4, 6)]
    yield both
    for flow in both:
        flow.stop()


def assert_goes_on(receiver: Receiver, outage: float, what: str, duplicates: int = 0) -> None:
    """That the stream arrives, and was away for less than `outage` seconds. Counts from the last reset on."""
    receiver.wait_for(RATE // 2)
    stream = receiver.stream()
    print(f"{what}: {stream.outage:.3f} s without the stream, {stream.duplicates} packets twice")
    assert stream.outage < outage and stream.duplicates <= duplicates, (what, stream)
    receiver.reset()


def test_one_router_serves_the_hosts_and_another_takes_over(lans: Lans, flows: list[Flow]) -> None:
    r2, r3 = lans.r2, lans.r3
    daemon, both_serve = lans.net.daemons[r3], int(RATE * AT_ONCE)
    ones, twos = ([flow.join(host) for flow in flows] for host in (lans.one, lans.two))
    for flow in flows:
        flow.wait_tree(lans.edge_by(r3))
        assert lans.drs(flow.family) == {r3.port("edge").pim_address(flow.family)}, "the highest address"
    for flow in flows:
        flow.send(RATE)
    for two in twos:
        assert_goes_on(two, 0.001, "one router serves")
    for one in ones:
        one.reset()
    ends = ((daemon.stop, AT_ONCE, "the DR says good-bye"), (daemon.kill, NEIGHBOR_TIMES_OUT + AT_ONCE, "it is killed"))
    for end, outage, what in ends:
        end()
        for flow, one in zip(flows, ones, strict=True):
            flow.wait_tree(lans.edge_by(r2))
            assert_goes_on(one, outage, f"IPv{flow.family}: {what}")
        daemon.start()
        for flow, one in zip(flows, ones, strict=True):
            flow.wait_tree(lans.edge_by(r3))
            # It serves when it has heard of members; the other one does until it has heard of it.
            assert_goes_on(one, HOST_ANSWERS + AT_ONCE, f"IPv{flow.family}: it is back", both_serve)
    for flow, one in zip(flows, ones, strict=True):
        assert lans.drs(flow.family) == {r3.port("edge").pim_address(flow.family)}
        one.wait_for(RATE // 2)
        assert_whole(one)


def test_the_priority_decides_who_serves_the_hosts(lans: Lans, flows: list[Flow]) -> None:
    r1, r3 = lans.r1, lans.r3
    daemon = lans.net.daemons[r1]
    receivers = {flow: flow.join(lans.one) for flow in flows}
    for flow in flows:
        flow.wait_tree(lans.edge_by(r3))
        flow.send(RATE)
    for receiver in receivers.values():
        receiver.wait_for(RATE // 2)
    for words, dr, tree in (("phyint edge dr-priority 2\n", r1, {r1: ("src", {"edge"})}), ("", r3, lans.edge_by(r3))):
        for receiver in receivers.values():
            receiver.reset()
        won = {
            flow: any(row.get("assert_state") == "winner" for row in daemon.show("mroute", flow.family))
            for flow in flows
        }
        reconfigure(daemon, TEXT + words)
        for flow, receiver in receivers.items():
            # Who won an Assert while both forwarded goes on, as pim_include(S,G) has it (4.1.5), whoever is the DR.
            flow.wait_tree({r1: ("src", {"edge"})} if won[flow] else tree)
            assert lans.drs(flow.family) == {dr.port("edge").pim_address(flow.family)}
            assert_goes_on(receiver, AT_ONCE, f"IPv{flow.family}: {dr} is the DR now", int(RATE * AT_ONCE))


@pytest.mark.usefixtures("flows")
def test_the_lowest_address_asks_alone(lans: Lans) -> None:
    r1, r2 = lans.r1, lans.r2

    def wait_queried_by(router: Node, timeout: float, what: str) -> None:
        for family in (4, 6):
            address = {router.port("edge").pim_address(family)}
            wait_until(lambda f=family, a=address: lans.queriers(f) == a, timeout, what)  # type: ignore[misc]

    wait_queried_by(r1, 20, "the lowest address queries")
    capture, begun = lans.edge.capture(), time.time()
    for family, heard in {family: queries_heard(lans, family) for family in (4, 6)}.items():
        wait_until(lambda f=family, h=heard: queries_heard(lans, f) >= h + 3, 10 * QUERY_INTERVAL, "three queries")  # type: ignore[misc]
    killed = time.time()
    daemon = lans.net.daemons[r1]
    daemon.kill()
    wait_queried_by(r2, 10 * QUERIER_TIMES_OUT, "the next one takes over")
    daemon.start()
    wait_queried_by(r1, 20, "the lowest address queries again")
    lans.net.wait_neighbors()
    for family in (4, 6):
        general = [(when, sender) for when, sender, group in queries(capture, family) if group in ("0.0.0.0", "::")]
        assert {sender for when, sender in general if begun < when < killed} == {r1}
        took_over = next(when for when, sender in general if when > killed and sender is r2)
        assert took_over - killed < QUERIER_TIMES_OUT + AT_ONCE


def queries_heard(lans: Lans, family: int) -> int:
    """By r3 on the edge."""
    rows = lans.net.daemons[lans.r3].show("counters", family)
    wanted = ("edge", "rx", "query", None)
    return sum(
        row["count"] for row in rows if (row["interface"], row["direction"], row["type"], row["reason"]) == wanted
    )


def test_a_prune_is_overridden(lans: Lans, flows: list[Flow]) -> None:
    """Two routers on the core want the stream; the one that leaves takes nothing from the other."""
    r1, r2, r3 = lans.r1, lans.r2, lans.r3
    capture = lans.core.capture()
    core_links = {flow: flow.watch(r2, "core") for flow in flows}
    leaving, staying = ({flow: flow.join(host) for flow in flows} for host in (lans.h2, lans.h3))
    both = {r1: ("src", {"core"}), r2: ("core", {"h2"}), r3: ("core", {"h3"})}
    for flow in flows:
        flow.wait_tree(both)
    senders = {flow: flow.send(RATE) for flow in flows}
    for receiver in leaving.values():
        receiver.leave()
    pruned = {}
    for flow in flows:
        flow.wait_tree({r1: both[r1], r3: both[r3]})
        pruned[flow] = time.time()
    for receiver in staying.values():
        receiver.wait_for(int(RATE * (PRUNE_PENDS + AT_ONCE)))
    for flow, receiver in staying.items():
        sent = senders[flow].stop().sent
        wait_until(lambda r=receiver, s=sent: r.stream().last_seq == s - 1, 10, "the last packet has arrived")  # type: ignore[misc]
        assert_whole(receiver, packets=sent)
    for flow in flows:
        flow.send(RATE)
    left = {flow: receiver.leave() for flow, receiver in staying.items()}
    for flow in flows:
        assert_ends(core_links[flow], left[flow], LAST_LISTENER + PRUNE_PENDS + AT_ONCE)
        flow.wait_tree({})
    messages = join_prunes(capture)
    for flow in flows:
        said = [one for one in messages if flow.group in one.groups]
        assert_overridden(lans, said, pruned[flow])
        assert said[-1].sender is r1 and said[-1].prunes, "PruneEcho: the last word before it ends (4.5.2)"


def assert_overridden(lans: Lans, messages: list[JoinPrune], before: float) -> None:
    prune = next(one for one in messages if one.sender is lans.r2 and one.prunes)
    join = next(one for one in messages if one.sender is lans.r3 and one.joins and one.time > prune.time)
    assert prune.time < before and join.upstream == prune.upstream
    assert join.time - prune.time < T_OVERRIDE + AT_ONCE, "it waits no longer than the override interval"
    echoes = [one for one in messages if one.sender is lans.r1 and one.prunes and one.time < join.time + PRUNE_PENDS]
    assert not echoes, "a Prune that is overridden is not echoed"


def test_one_join_serves_all_on_the_lan(lans: Lans, flows: list[Flow]) -> None:
    """The Joins of one router suppress those of the other (4.5.5): not twice as many as one alone would send."""
    interval, rounds = 2.0, 4
    lans.configure(f"{TEXT}join-prune-interval {interval:.0f}\n")
    receivers = {flow: [flow.join(host) for host in (lans.h2, lans.h3)] for flow in flows}
    for flow in flows:
        flow.wait_tree({lans.r1: ("src", {"core"}), lans.r2: ("core", {"h2"}), lans.r3: ("core", {"h3"})})
    senders = {flow: flow.send(RATE // 10) for flow in flows}
    capture, began = lans.core.capture(), time.time()
    receivers[flows[0]][0].wait_for(int(RATE // 10 * interval * rounds), 60)
    alone = (time.time() - began) / interval
    messages = join_prunes(capture)
    for flow in flows:
        joins = [one for one in messages if one.joins and flow.group in one.groups]
        sent = senders[flow].stop().sent
        for receiver in receivers[flow]:
            wait_until(lambda one=receiver, s=sent: one.stream().last_seq == s - 1, 10, "the last")  # type: ignore[misc]
            assert_whole(receiver, packets=sent)
        print(f"IPv{flow.family}: {len(joins)} Joins of two routers in {alone:.1f} intervals")
        assert alone - 1.5 <= len(joins) <= 1.5 * alone + 1
