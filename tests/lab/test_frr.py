"""FRR 10.3 as the router above ours, below ours, between two of ours, and beside ours on a LAN: both say the same."""

from __future__ import annotations

import pytest

from .capture import assert_clean
from .frr import Frr
from .helpers import (
    Flow,
    Route,
    eventually,
    frr_route,
    in_a_row,
    interface_row,
    kernel_forwards,
    our_route,
    querier,
    start_flow,
    wait_gone,
)
from .pimpyd import QUICK, Pimpyd
from .topology import Lab, Node, Port
from .traffic import Watcher

FAMILIES = pytest.mark.parametrize("family", [4, 6])
pytestmark = pytest.mark.usefixtures("frr", "pimpyd", "captures")
IP = {4: "ip", 6: "ipv6"}
GMP = {4: "ip igmp", 6: "ipv6 mld"}


def hasty_frr(node: Node, family: int, members: bool = False) -> Frr:
    """FRR with a Hello each second: its first one comes too early for its own socket and is lost.

    It repeats Joins every 5 s, because after a neighbour's restart it sends none before its time. With `members` it
    asks for reports often, because it looks at who is the DR only when one comes, and its MLD waits a whole response
    time for a last listener. The order of lines matters: an interval below the response time is refused, and MLD takes
    both over when it begins.
    """
    gmp = GMP[family]
    asking = [f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2", gmp] if members else []
    lines = {family: [f"{IP[family]} pim hello 1 4", *asking]}
    settings = {family: [f"router pim{'' if family == 4 else '6'}", " join-prune-interval 5", "exit"]}
    return Frr(node, [], [family], lines, settings)


def wait_adjacent(daemon: Pimpyd, frr: Frr, family: int) -> None:
    """Until both know each other, and tell the same of each other."""
    ours, theirs = daemon.node.port(frr.node), frr.node.port(daemon.node)
    eventually(daemon, lambda: theirs.pim_address(family) in daemon.neighbors(family), "FRR is a neighbour")
    eventually(daemon, lambda: ours.pim_address(family) in frr.neighbors(family), "FRR has a neighbour")
    assert_same_neighbors(daemon, frr, family, ours, theirs)


def assert_same_neighbors(daemon: Pimpyd, frr: Frr, family: int, ours: Port, theirs: Port) -> None:
    """What each holds of the other is what the other holds of itself."""
    us, them = ours.pim_address(family), theirs.pim_address(family)
    interface = interface_row(daemon, family, ours.name)
    (neighbor,) = (row for row in daemon.show("neighbors", family) if row["address"] == them)
    frr_interface = frr.show(family, "pim interface detail")[theirs.name]
    frr_neighbor = frr.show(family, "pim neighbor detail")[theirs.name][us]
    assert neighbor["interface"] == ours.name and frr_neighbor["interface"] == theirs.name
    assert frr_neighbor["generationId"] == interface["gen_id"]
    assert neighbor["gen_id"] == frr_interface["helloGenerationId"]
    assert frr_neighbor["drPriority"] == interface["dr_priority"]
    assert neighbor["dr_priority"] == frr_interface["drPriority"]
    assert frr_interface["drAddress"] == interface["dr_address"]
    assert neighbor["lan_prune_delay"] and frr_neighbor["helloOptionLanPruneDelay"]
    assert frr_interface["effectiveOverrideInterval"] == interface["override_interval"] * 1000
    assert neighbor["secondary_addresses"].split() == frr_interface["secondaryAddressList"]


@FAMILIES
def test_frr_above_ours(lab: Lab, family: int) -> None:
    """src - f - r - h: FRR is the first hop and takes our Join and our Prune."""
    src, f, r, h = in_a_row(lab, "src", "f", "r", "h")
    lab.capture_all()
    frr, daemon = hasty_frr(f, family).start(), Pimpyd(r).start()
    wait_adjacent(daemon, frr, family)
    flow = start_flow(src.port(f), h.port(r), family)
    assert our_route(daemon, *flow.key) == Route("f", f.port(r).pim_address(family), frozenset({"h"}))
    assert frr_route(frr, *flow.key) == Route("src", None, frozenset({"r"}))
    assert frr.show(family, "pim join")["r"][flow.group][flow.source]["channelJoinName"] == "JOIN"
    assert kernel_forwards(r, *flow.key) == ("f", {"h"})
    assert kernel_forwards(f, *flow.key) == ("src", {"r"})
    flow.assert_arrived(hops=2)
    watcher = Watcher(r.port(f), family)
    flow.receiver.leave()
    wait_gone(flow, daemon, frr)
    watcher.wait_silent(0.5)
    assert_clean(lab, r)


@FAMILIES
def test_frr_below_ours(lab: Lab, family: int) -> None:
    """src - r - f - h: FRR is the last hop; we take its Join and its Prune, and after a crash its Joins again."""
    src, r, f, h = in_a_row(lab, "src", "r", "f", "h")
    lab.capture_all()
    frr, daemon = hasty_frr(f, family, members=True).start(), Pimpyd(r).start()
    wait_adjacent(daemon, frr, family)
    flow = start_flow(src.port(r), h.port(f), family)
    assert our_route(daemon, *flow.key) == Route("src", None, frozenset({"f"}))
    assert frr_route(frr, *flow.key) == Route("r", r.port(f).pim_address(family), frozenset({"h"}))
    assert ("h", flow.group) in frr.members_of(family)
    (outgoing,) = (row for row in daemon.show("mroute", family) if row["row"] == "outgoing")
    assert (outgoing["jp_state"], outgoing["member"]) == ("join", False)
    assert kernel_forwards(r, *flow.key) == ("src", {"f"})
    flow.assert_arrived(hops=2)
    daemon.kill()
    flow.receiver.wait_silent(0.2)
    daemon.start()
    flow.receiver.wait_for(100, 60)
    assert our_route(daemon, *flow.key) == Route("src", None, frozenset({"f"}))
    watcher = Watcher(f.port(r), family)
    flow.receiver.leave()
    wait_gone(flow, frr, daemon)
    watcher.wait_silent(0.5)
    assert_clean(lab, r)


@FAMILIES
def test_frr_between_ours(lab: Lab, family: int) -> None:
    """src - r1 - f - r2 - h: FRR passes on what we ask for, and tells us when it restarts."""
    src, r1, f, r2, h = in_a_row(lab, "src", "r1", "f", "r2", "h")
    lab.capture_all()
    frr, ours = hasty_frr(f, family).start(), [Pimpyd(r1).start(), Pimpyd(r2).start()]
    for daemon in ours:
        wait_adjacent(daemon, frr, family)
    flow = start_flow(src.port(r1), h.port(r2), family)
    assert our_route(ours[0], *flow.key) == Route("src", None, frozenset({"f"}))
    assert frr_route(frr, *flow.key) == Route("r1", r1.port(f).pim_address(family), frozenset({"r2"}))
    assert our_route(ours[1], *flow.key) == Route("f", f.port(r2).pim_address(family), frozenset({"h"}))
    flow.assert_arrived(hops=3)
    frr.stop()
    frr = hasty_frr(f, family).start()
    flow.receiver.wait_for(100, 60)
    assert frr_route(frr, *flow.key) == Route("r1", r1.port(f).pim_address(family), frozenset({"r2"}))
    assert_clean(lab, r1, r2)


class SharedLan:
    """Ours and FRR between two LANs. `low` has the lower addresses, so it queries; `high` is the DR by its address."""

    def __init__(self, lab: Lab, family: int, ours_low: bool, text: str = "") -> None:
        self.family = family
        self.src = lab.host("src")
        self.low, self.high = (lab.router(name) for name in ("rf" if ours_low else "fr"))
        self.h = lab.host("h")
        self.r, self.f = (self.low, self.high) if ours_low else (self.high, self.low)
        lab.lan("up", self.src, self.low, self.high)
        lab.lan("lan", self.low, self.high, self.h)
        lab.start()
        lab.capture_all()
        self.frr = hasty_frr(self.f, family, members=True)
        self.daemon = Pimpyd(self.r, f"{QUICK}igmp-query-interval 2\n{text}")
        for one in (self.daemon, self.frr) if self.r is self.high else (self.frr, self.daemon):
            one.start()  # the querier last, so that the other hears its first query

    def wait_dr(self, node: Node) -> None:
        """Until both hold `node` for the DR."""
        address = node.port("lan").pim_address(self.family)

        def look() -> bool:
            frr = self.frr.show(self.family, "pim interface detail").get("lan", {})
            ours = interface_row(self.daemon, self.family, "lan")
            return bool(frr.get("drAddress") == ours.get("dr_address") == address)

        eventually(self.daemon, look, f"both hold {node} for the DR")

    def wait_querier(self, node: Node) -> None:
        """Until both hold `node` for the querier."""
        address = node.port("lan").pim_address(self.family)

        def look() -> bool:
            four = self.family == 4
            answer = (
                self.frr.show(4, "igmp interface") if four else self.frr.show(6, "mld interface").get("default", {})
            )
            return bool(answer.get("lan", {}).get("querierIp") == querier(self.daemon, self.family, "lan") == address)

        eventually(self.daemon, look, f"both hold {node} for the querier")

    def flow(self) -> Flow:
        return start_flow(self.src.port("up"), self.h.port("lan"), self.family)

    def assert_alone(self, node: Node, flow: Flow) -> None:
        """That `node` forwards to the LAN and the other does not, in its own words and in its kernel."""
        flow.assert_arrived(hops=1)
        routes = {self.r: our_route(self.daemon, *flow.key), self.f: frr_route(self.frr, *flow.key)}
        for one, route in routes.items():
            outgoing = frozenset({"lan"}) if one is node else frozenset()
            assert (route.outgoing if route is not None else frozenset()) == outgoing, one
            assert kernel_forwards(one, *flow.key)[1] == outgoing, one


@FAMILIES
@pytest.mark.parametrize("ours_low", [True, False], ids=["frr-dr", "ours-dr"])
def test_frr_beside_ours(lab: Lab, family: int, ours_low: bool) -> None:
    """The highest address is the DR and forwards alone; the lowest is the querier, and asks when a host leaves."""
    lan = SharedLan(lab, family, ours_low)
    lan.wait_dr(lan.high)
    lan.wait_querier(lan.low)
    assert_same_neighbors(lan.daemon, lan.frr, family, lan.r.port("lan"), lan.f.port("lan"))
    flow = lan.flow()
    lan.assert_alone(lan.high, flow)
    assert ("lan", flow.group) in lan.frr.members_of(family)
    watcher = Watcher(lan.h.port("lan"), family)
    flow.receiver.leave()
    wait_gone(flow, lan.daemon, lan.frr)
    watcher.wait_silent(0.5)
    assert_clean(lab, lan.r)


@FAMILIES
def test_the_dr_by_priority(lab: Lab, family: int) -> None:
    """Ours has the lower address and the higher priority, so it is the DR; then FRR's is raised."""
    lan = SharedLan(lab, family, ours_low=True, text="phyint lan dr-priority 10\n")
    lan.wait_dr(lan.r)
    flow = lan.flow()
    lan.assert_alone(lan.r, flow)
    lan.frr.vtysh(f"configure terminal\ninterface lan\n{IP[family]} pim drpriority 20\nend")
    lan.wait_dr(lan.f)
    eventually(lan.daemon, lambda: not our_route(lan.daemon, *flow.key), "ours does not forward")
    flow.receiver.wait_for(1)
    lan.assert_alone(lan.f, flow)
    assert_clean(lab, lan.r)


@FAMILIES
def test_one_takes_over_from_the_other(lab: Lab, family: int) -> None:
    """Ours, the DR, takes leave and FRR takes over; ours comes back, FRR ends, and ours takes over."""
    lan = SharedLan(lab, family, ours_low=False)
    lan.wait_dr(lan.r)
    flow = lan.flow()
    assert lan.daemon.stop() == 0
    flow.receiver.wait_for(200, 60)
    assert frr_route(lan.frr, *flow.key) == Route("up", None, frozenset({"lan"}))
    lan.daemon.start()
    lan.wait_dr(lan.r)
    lan.frr.stop()
    eventually(lan.daemon, lambda: our_route(lan.daemon, *flow.key) == Route("up", None, frozenset({"lan"})), "ours")
    flow.receiver.wait_for(1, 60)
    flow.assert_arrived(hops=1)
    assert_clean(lab, lan.r)
