"""LANs with three routers: who serves the hosts, who asks them, and who speaks for whom upstream.

    src - r1 --+-- core (a LAN) --+-- r1, r2, r3
                                  |
    h2 - r2    h3 - r3            |
                    edge (a LAN) -+-- r1, r2, r3, and the hosts one, two

The way to the source leads over core.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from .scenes import (
    AT_ONCE,
    FAMILIES,
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

pytestmark = FAMILIES

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
def flow(lans: Lans, family: int) -> Iterator[Flow]:
    lans.configure(TEXT)
    one = Flow(lans.net, family, lans.src, next(lans.groups))
    yield one
    one.stop()


def assert_goes_on(receiver: Receiver, outage: float, what: str, duplicates: int = 0) -> None:
    """That the stream arrives, and was away for less than `outage` seconds. Counts from the last reset on."""
    receiver.wait_for(RATE // 2)
    stream = receiver.stream()
    print(f"{what}: {stream.outage:.3f} s without the stream, {stream.duplicates} packets twice")
    assert stream.outage < outage and stream.duplicates <= duplicates, (what, stream)
    receiver.reset()


def test_one_router_serves_the_hosts_and_another_takes_over(lans: Lans, flow: Flow) -> None:
    r2, r3, family = lans.r2, lans.r3, flow.family
    daemon, both_serve = lans.net.daemons[r3], int(RATE * AT_ONCE)
    one, two = flow.join(lans.one), flow.join(lans.two)
    flow.wait_tree(lans.edge_by(r3))
    assert lans.drs(family) == {r3.port("edge").pim_address(family)}, "the highest address"
    flow.send(RATE)
    assert_goes_on(two, 0.001, "one router serves")
    one.reset()
    ends = ((daemon.stop, AT_ONCE, "the DR says good-bye"), (daemon.kill, NEIGHBOR_TIMES_OUT + AT_ONCE, "it is killed"))
    for end, outage, what in ends:
        end()
        flow.wait_tree(lans.edge_by(r2))
        assert_goes_on(one, outage, f"IPv{family}: {what}")
        daemon.start()
        flow.wait_tree(lans.edge_by(r3))
        # It serves when it has heard of members; the other one does until it has heard of it.
        assert_goes_on(one, HOST_ANSWERS + AT_ONCE, f"IPv{family}: it is back", both_serve)
    assert lans.drs(family) == {r3.port("edge").pim_address(family)}
    one.wait_for(RATE // 2)
    assert_whole(one)


def test_the_priority_decides_who_serves_the_hosts(lans: Lans, flow: Flow) -> None:
    r1, r3 = lans.r1, lans.r3
    daemon = lans.net.daemons[r1]
    receiver = flow.join(lans.one)
    flow.wait_tree(lans.edge_by(r3))
    flow.send(RATE)
    receiver.wait_for(RATE // 2)
    for words, dr, tree in (("phyint edge dr-priority 2\n", r1, {r1: ("src", {"edge"})}), ("", r3, lans.edge_by(r3))):
        receiver.reset()
        won = any(row.get("assert_state") == "winner" for row in daemon.show("mroute", flow.family))
        daemon.config.write_text(TEXT + words)
        daemon.pimctl("reload")
        # Who won an Assert while both forwarded goes on, as pim_include(S,G) has it (4.1.5), whoever is the DR.
        flow.wait_tree({r1: ("src", {"edge"})} if won else tree)
        assert lans.drs(flow.family) == {dr.port("edge").pim_address(flow.family)}
        assert_goes_on(receiver, AT_ONCE, f"IPv{flow.family}: {dr} is the DR now", int(RATE * AT_ONCE))


def test_the_lowest_address_asks_alone(lans: Lans, flow: Flow, family: int) -> None:
    r1, r2 = lans.r1, lans.r2
    low, next_one = (router.port("edge").pim_address(family) for router in (r1, r2))
    wait_until(lambda: lans.queriers(family) == {low}, 20, "the lowest address queries")
    capture, begun = lans.edge.capture(), time.time()
    heard = queries_heard(lans, family)
    wait_until(lambda: queries_heard(lans, family) >= heard + 3, 10 * QUERY_INTERVAL, "three queries")
    killed = time.time()
    daemon = lans.net.daemons[r1]
    daemon.kill()
    wait_until(lambda: lans.queriers(family) == {next_one}, 10 * QUERIER_TIMES_OUT, "the next one takes over")
    daemon.start()
    wait_until(lambda: lans.queriers(family) == {low}, 20, "the lowest address queries again")
    lans.net.wait_neighbors()
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


def test_a_prune_is_overridden(lans: Lans, flow: Flow) -> None:
    """Two routers on the core want the stream; the one that leaves takes nothing from the other."""
    r1, r2, r3 = lans.r1, lans.r2, lans.r3
    capture, core_link = lans.core.capture(), flow.watch(r2, "core")
    leaving, staying = flow.join(lans.h2), flow.join(lans.h3)
    both = {r1: ("src", {"core"}), r2: ("core", {"h2"}), r3: ("core", {"h3"})}
    flow.wait_tree(both)
    sender = flow.send(RATE)
    leaving.leave()
    flow.wait_tree({r1: both[r1], r3: both[r3]})
    pruned = time.time()
    staying.wait_for(int(RATE * (PRUNE_PENDS + AT_ONCE)))
    sent = sender.stop().sent
    wait_until(lambda: staying.stream().last_seq == sent - 1, 10, "the last packet has arrived")
    assert_whole(staying, packets=sent)
    flow.send(RATE)
    left = staying.leave()
    assert_ends(core_link, left, LAST_LISTENER + PRUNE_PENDS + AT_ONCE)
    flow.wait_tree({})
    messages = join_prunes(capture, flow.family)
    assert_overridden(lans, messages, pruned)
    assert messages[-1].sender is r1 and messages[-1].prunes, "PruneEcho: the last word before it ends (4.5.2)"


def assert_overridden(lans: Lans, messages: list[JoinPrune], before: float) -> None:
    prune = next(one for one in messages if one.sender is lans.r2 and one.prunes)
    join = next(one for one in messages if one.sender is lans.r3 and one.joins and one.time > prune.time)
    assert prune.time < before and join.upstream == prune.upstream
    assert join.time - prune.time < T_OVERRIDE + AT_ONCE, "it waits no longer than the override interval"
    echoes = [one for one in messages if one.sender is lans.r1 and one.prunes and one.time < join.time + PRUNE_PENDS]
    assert not echoes, "a Prune that is overridden is not echoed"


def test_one_join_serves_all_on_the_lan(lans: Lans, flow: Flow) -> None:
    """The Joins of one router suppress those of the other (4.5.5): not twice as many as one alone would send."""
    interval, rounds = 2.0, 4
    lans.configure(f"{TEXT}join-prune-interval {interval:.0f}\n")
    receivers = [flow.join(host) for host in (lans.h2, lans.h3)]
    flow.wait_tree({lans.r1: ("src", {"core"}), lans.r2: ("core", {"h2"}), lans.r3: ("core", {"h3"})})
    sender = flow.send(RATE // 10)
    capture, began = lans.core.capture(), time.time()
    receivers[0].wait_for(int(RATE // 10 * interval * rounds), 60)
    alone = (time.time() - began) / interval
    joins = [one for one in join_prunes(capture, flow.family) if one.joins]
    sent = sender.stop().sent
    for receiver in receivers:
        wait_until(lambda one=receiver: one.stream().last_seq == sent - 1, 10, "the last")  # type: ignore[misc]
        assert_whole(receiver, packets=sent)
    print(f"IPv{flow.family}: {len(joins)} Joins of two routers in {alone:.1f} intervals")
    assert alone - 1.5 <= len(joins) <= 1.5 * alone + 1
