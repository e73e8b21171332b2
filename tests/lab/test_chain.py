"""Three routers in a row: a stream follows its receivers, and only them.

    src --- r1 --- r2 --- r3 --- edge (a LAN): far, other
             |      |
           side    near

One network stands for all tests of this file; each test has a group of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from .scenes import (
    AT_ONCE,
    FAMILIES,
    LAST_LISTENER,
    Flow,
    Net,
    assert_ends,
    assert_joins_at_once,
    assert_whole,
    queries,
    rows_by_pimctl,
    rows_by_socket,
    upcalls,
)
from .shell import wait_until
from .topology import Lab

pytestmark = FAMILIES

RATE = 500
STOPS = LAST_LISTENER + AT_ONCE
"""A stream has ended by then after the leave of the last listener."""


class Chain:
    def __init__(self, lab: Lab) -> None:
        self.src, self.side, self.near = lab.host("src"), lab.host("side"), lab.host("near")
        self.far, self.other = lab.host("far"), lab.host("other")
        self.r1, self.r2, self.r3 = (lab.router(f"r{number}") for number in (1, 2, 3))
        for one, another in itertools.pairwise((self.src, self.r1, self.r2, self.r3)):
            lab.link(one, another)
        lab.link(self.r1, self.side)
        lab.link(self.r2, self.near)
        self.edge = lab.lan("edge", self.r3, self.far, self.other)
        self.net = Net(lab)
        self.to_far = {self.r1: ("src", {"r2"}), self.r2: ("r1", {"r3"}), self.r3: ("r2", {"edge"})}
        self.groups = itertools.count(1)


@pytest.fixture(scope="module")
def chain(standing_lab: Lab) -> Iterator[Chain]:
    scene = Chain(standing_lab)
    yield scene
    scene.net.assert_clean()


@pytest.fixture
def flow(chain: Chain, family: int) -> Iterator[Flow]:
    one = Flow(chain.net, family, chain.src, next(chain.groups))
    yield one
    one.stop()


def test_the_stream_follows_its_receivers(chain: Chain, flow: Flow) -> None:
    r1, r2, r3 = chain.r1, chain.r2, chain.r3
    near_link, far_link, core_link = flow.watch(chain.near, "r2"), flow.watch(chain.other, "edge"), flow.watch(r3, "r2")
    flow.send(RATE)
    flow.wait_tree({})
    far = flow.join(chain.far)
    assert_joins_at_once(far)
    flow.wait_tree(chain.to_far)
    assert near_link.received() == 0, "nobody asked for it there"
    near = flow.join(chain.near)
    assert_joins_at_once(near)
    flow.rows = rows_by_pimctl
    flow.wait_tree({**chain.to_far, r2: ("r1", {"near", "r3"})})
    flow.rows = rows_by_socket
    assert (near.stream().ttls, far.stream().ttls) == ((14,), (13,)), "each router takes one off"
    left = far.leave()
    assert_ends(far_link, left, STOPS)
    assert_ends(core_link, left, STOPS)
    flow.wait_tree({r1: ("src", {"r2"}), r2: ("r1", {"near"})})
    assert_whole(near)
    first_link, left = flow.watch(r2, "r1"), near.leave()
    assert_ends(near_link, left, STOPS)
    assert_ends(first_link, left, STOPS)
    flow.wait_tree({})
    for daemon in chain.net.daemons.values():
        assert flow.key not in daemon.joined(flow.family)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_the_first_packet_arrives_where_the_tree_stands(chain: Chain, flow: Flow, known: bool) -> None:
    """Whether the source was heard of before the join or not."""
    if known:
        flow.send(count=5).wait_done()
        assert flow.unwanted(chain.r1) == "src"
    far = flow.join(chain.far)
    flow.wait_tree(chain.to_far)
    flow.send(count=50).wait_done()
    assert_whole(far, packets=50)


def test_an_unwanted_stream_causes_no_storm(chain: Chain, flow: Flow) -> None:
    daemons, far_link = chain.net.daemons, flow.watch(chain.other, "edge")
    before = {node: upcalls(daemon, flow.family) for node, daemon in daemons.items()}
    sender = flow.send(2000)
    wait_until(lambda: sender.sent().sent > 3000, 20, "3,000 packets are sent")
    assert flow.unwanted(chain.r1) == "src"
    assert 1 <= upcalls(daemons[chain.r1], flow.family) - before[chain.r1] <= 3
    far = flow.join(chain.far)
    assert_joins_at_once(far)
    flow.wait_tree(chain.to_far)
    assert_ends(far_link, far.leave(), STOPS)
    flow.wait_tree({})
    assert flow.unwanted(chain.r1) == "src", "and again"
    far.reset()
    assert_joins_at_once(far, far.join(flow.key))
    flow.wait_tree(chain.to_far)
    counts = {node: upcalls(daemon, flow.family) - before[node] for node, daemon in daemons.items()}
    assert all(count <= 5 for count in counts.values()), counts


def test_source_and_receiver_at_one_router(chain: Chain, flow: Flow) -> None:
    core_link, last_link = flow.watch(chain.r2, "r1"), flow.watch(chain.r3, "r2")
    side = flow.join(chain.side)
    flow.wait_tree({chain.r1: ("src", {"side"})})
    flow.send(count=50).wait_done()
    assert_whole(side, packets=50)
    assert side.stream().ttls == (15,)
    assert core_link.received() == 0
    assert chain.net.daemons[chain.r2].entry(*flow.key) is None, "no other router hears of it"

    far = flow.join(chain.far)
    flow.wait_tree({**chain.to_far, chain.r1: ("src", {"r2", "side"})})
    side.reset()
    flow.send(count=50, ttl=2).wait_done()
    assert_whole(side, packets=50)
    assert (core_link.stream().received, core_link.stream().ttls) == (50, (1,))
    assert (last_link.received(), far.received()) == (0, 0), "what has a TTL of 1 is not forwarded"


def test_one_of_two_receivers_on_a_link_leaves(chain: Chain, flow: Flow) -> None:
    capture = chain.edge.capture()
    far, other = flow.join(chain.far), flow.join(chain.other)
    flow.wait_tree(chain.to_far)
    sender = flow.send(RATE)
    far.leave()
    other.wait_for(int(RATE * STOPS))
    flow.wait_tree(chain.to_far)
    sent = sender.stop().sent
    wait_until(lambda: other.stream().last_seq == sent - 1, 10, "the last packet has arrived")
    assert_whole(other, packets=sent)
    asked = [address for _, _, address in queries(capture, flow.family) if address == flow.group]
    assert 1 <= len(asked) <= 4, f"the router asked {len(asked)} times who is left"
