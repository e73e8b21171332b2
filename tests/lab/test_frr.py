"""FRR 10.3 as the router above ours, below ours, between two of ours, and beside ours on a LAN: both say the same."""

from __future__ import annotations

import pytest

from .capture import assert_clean
from .frr import DAEMONS, Frr
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
    reconfigure,
    start_flow,
    wait_gone,
)
from .pimpyd import QUICK, Pimpyd
from .topology import Lab, Node, Port
from .traffic import Watcher

pytestmark = pytest.mark.usefixtures("frr", "pimpyd", "captures")
FAMILIES = (4, 6)
IP = {4: "ip", 6: "ipv6"}
GMP = {4: "ip igmp", 6: "ipv6 mld"}


def hasty_frr(node: Node, members: bool = False) -> Frr:
    """FRR with a Hello each second: its first one comes too early for its own socket and is lost.

    It repeats Joins every 5 s, because after a neighbour's restart it sends none before its time. With `members` it
    asks for reports often, because it looks at who is the DR only when one comes, and its MLD waits a whole response
    time for a last listener. The order of lines matters: an interval below the response time is refused, and MLD takes
    both over when it begins.
    """
    lines, settings = {}, {}
    for family, gmp in GMP.items():
        asking = [f"{gmp} query-max-response-time 10", f"{gmp} query-interval 2", gmp] if members else []
        lines[family] = [f"{IP[family]} pim hello 1 4", *asking]
        settings[family] = [f"router pim{'' if family == 4 else '6'}", " join-prune-interval 5", "exit"]
    return Frr(node, lines=lines, settings=settings)


def wait_adjacent(daemon: Pimpyd, frr: Frr) -> None:
    """Until both know each other, and tell the same of each other."""
    for family in FAMILIES:
        ours, theirs = daemon.node.port(frr.node), frr.node.port(daemon.node)
        us, them = ours.pim_address(family), theirs.pim_address(family)
        eventually(daemon, lambda f=family, a=them: a in daemon.neighbors(f), f"{them} is a neighbour")  # type: ignore[misc]
        eventually(daemon, lambda f=family, a=us: a in frr.neighbors(f), f"{us} is FRR's neighbour")  # type: ignore[misc]
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


def start_flows(sending: Port, receiving: Port, number: int = 1) -> list[Flow]:
    """A stream of each family."""
    return [start_flow(sending, receiving, family, number=number) for family in FAMILIES]


def assert_end_with_the_receivers(flows: list[Flow], watched: Port, *routers: Pimpyd | Frr) -> None:
    """That nobody forwards the streams any more once their receivers have left, and nothing passes at a port."""
    watchers = [Watcher(watched, family) for family in FAMILIES]
    for flow in flows:
        flow.receiver.leave()
    for flow in flows:
        wait_gone(flow, *routers)
    for watcher in watchers:
        watcher.wait_silent(0.5)
    for flow in flows:
        flow.sender.stop()


def test_frr_above_ours(lab: Lab) -> None:
    """src - f - r - h: FRR is the first hop and takes our Join and our Prune."""
    src, f, r, h = in_a_row(lab, "src", "f", "r", "h")
    lab.capture_all()
    frr, daemon = hasty_frr(f).start(), Pimpyd(r).start()
    wait_adjacent(daemon, frr)
    flows = start_flows(src.port(f), h.port(r))
    for family, flow in zip(FAMILIES, flows, strict=True):
        assert our_route(daemon, *flow.key) == Route("f", f.port(r).pim_address(family), frozenset({"h"}))
        assert frr_route(frr, *flow.key) == Route("src", None, frozenset({"r"}))
        assert kernel_forwards(f, *flow.key) == ("src", {"r"})
        flow.assert_arrived(hops=2)
    assert_end_with_the_receivers(flows, r.port(f), daemon, frr)
    assert_clean(lab, r)


def test_frr_below_ours(lab: Lab) -> None:
    """src - r - f - h: FRR is the last hop; we take its Join and its Prune, and after a crash its Joins again."""
    src, r, f, h = in_a_row(lab, "src", "r", "f", "h")
    lab.capture_all()
    frr, daemon = hasty_frr(f, members=True).start(), Pimpyd(r).start()
    wait_adjacent(daemon, frr)
    flows = start_flows(src.port(r), h.port(f))
    for family, flow in zip(FAMILIES, flows, strict=True):
        assert our_route(daemon, *flow.key) == Route("src", None, frozenset({"f"}))
        assert frr_route(frr, *flow.key) == Route("r", r.port(f).pim_address(family), frozenset({"h"}))
        assert ("h", flow.group) in frr.members_of(family)
        (outgoing,) = (row for row in daemon.show("mroute", family) if row["row"] == "outgoing")
        assert (outgoing["jp_state"], outgoing["member"]) == ("join", False)
        assert kernel_forwards(r, *flow.key) == ("src", {"f"})
        flow.assert_arrived(hops=2)
    daemon.kill()
    for flow in flows:
        flow.receiver.wait_silent(0.2)
    daemon.start()
    for flow in flows:
        flow.receiver.wait_for(100, 60)
        assert our_route(daemon, *flow.key) == Route("src", None, frozenset({"f"}))
    assert_end_with_the_receivers(flows, f.port(r), frr, daemon)
    assert_clean(lab, r)


def test_frr_between_ours(lab: Lab) -> None:
    """src - r1 - f - r2 - h: FRR passes on what we ask for, and tells us when it restarts."""
    src, r1, f, r2, h = in_a_row(lab, "src", "r1", "f", "r2", "h")
    lab.capture_all()
    frr, ours = hasty_frr(f).start(), [Pimpyd(r1).start(), Pimpyd(r2).start()]
    for daemon in ours:
        wait_adjacent(daemon, frr)
    flows = start_flows(src.port(r1), h.port(r2))
    for family, flow in zip(FAMILIES, flows, strict=True):
        assert our_route(ours[0], *flow.key) == Route("src", None, frozenset({"f"}))
        assert frr_route(frr, *flow.key) == Route("r1", r1.port(f).pim_address(family), frozenset({"r2"}))
        assert our_route(ours[1], *flow.key) == Route("f", f.port(r2).pim_address(family), frozenset({"h"}))
        flow.assert_arrived(hops=3)
    frr.stop()
    frr = hasty_frr(f).start()
    for family, flow in zip(FAMILIES, flows, strict=True):
        flow.receiver.wait_for(100, 60)
        assert frr_route(frr, *flow.key) == Route("r1", r1.port(f).pim_address(family), frozenset({"r2"}))
    assert_clean(lab, r1, r2)


class SharedLan:
    """Ours and FRR between two LANs. `low` has the lower addresses, so it queries; `high` is the DR by its address."""

    def __init__(self, lab: Lab, ours_low: bool) -> None:
        self.src = lab.host("src")
        self.low, self.high = (lab.router(name) for name in ("rf" if ours_low else "fr"))
        self.h = lab.host("h")
        self.r, self.f = (self.low, self.high) if ours_low else (self.high, self.low)
        lab.lan("up", self.src, self.low, self.high)
        lab.lan("lan", self.low, self.high, self.h)
        lab.start()
        lab.capture_all()
        self.frr = hasty_frr(self.f, members=True)
        self.daemon = Pimpyd(self.r, TEXT)
        for one in (self.daemon, self.frr) if self.r is self.high else (self.frr, self.daemon):
            one.start()  # the querier last, so that the other hears its first query

    def wait_dr(self, node: Node) -> None:
        """Until both hold `node` for the DR."""
        for family in FAMILIES:
            address = node.port("lan").pim_address(family)
            what = f"both hold {address} for the DR"
            eventually(self.daemon, lambda f=family, a=address: self.drs(f) == {a}, what)  # type: ignore[misc]

    def drs(self, family: int) -> set[str | None]:
        """Whom they hold for it."""
        frr = self.frr.show(family, "pim interface detail").get("lan", {})
        return {frr.get("drAddress"), interface_row(self.daemon, family, "lan").get("dr_address")}

    def wait_querier(self, node: Node) -> None:
        """Until both hold `node` for the querier."""
        for family in FAMILIES:
            address = node.port("lan").pim_address(family)
            what = f"both hold {address} for the querier"
            eventually(self.daemon, lambda f=family, a=address: self.queriers(f) == {a}, what)  # type: ignore[misc]

    def queriers(self, family: int) -> set[str | None]:
        """Whom they hold for it."""
        frr = (
            self.frr.show(4, "igmp interface") if family == 4 else self.frr.show(6, "mld interface").get("default", {})
        )
        return {frr.get("lan", {}).get("querierIp"), querier(self.daemon, family, "lan")}

    def flows(self, number: int) -> list[Flow]:
        return start_flows(self.src.port("up"), self.h.port("lan"), number)

    def assert_alone(self, node: Node, flow: Flow) -> None:
        """That `node` forwards to the LAN and the other does not, in its own words and in its kernel."""
        flow.assert_arrived(hops=1)
        routes = {self.r: our_route(self.daemon, *flow.key), self.f: frr_route(self.frr, *flow.key)}
        for one, route in routes.items():
            outgoing = frozenset({"lan"}) if one is node else frozenset()
            assert (route.outgoing if route is not None else frozenset()) == outgoing, (one, flow.key)
            assert kernel_forwards(one, *flow.key)[1] == outgoing, (one, flow.key)

    def serves(self, flow: Flow) -> bool:
        """Whether ours forwards the stream to the LAN."""
        return our_route(self.daemon, *flow.key) == Route("up", None, frozenset({"lan"}))


TEXT = f"{QUICK}igmp-query-interval 2\n"


def test_frr_is_the_dr_until_ours_has_the_higher_priority(lab: Lab) -> None:
    """The highest address is the DR and forwards alone, by priority the other; the lowest is the querier.

    It asks when a host leaves. Then the priorities are changed: ours is raised by a reload, FRR's after that.
    """
    lan = SharedLan(lab, ours_low=True)
    lan.wait_dr(lan.f)
    lan.wait_querier(lan.r)
    for family in FAMILIES:
        assert_same_neighbors(lan.daemon, lan.frr, family, lan.r.port("lan"), lan.f.port("lan"))
    assert_served_by(lan, lan.f)
    reconfigure(lan.daemon, f"{TEXT}phyint lan dr-priority 10\n")
    lan.wait_dr(lan.r)
    flows = lan.flows(2)
    for flow in flows:
        lan.assert_alone(lan.r, flow)
    for family in FAMILIES:
        lines = ("configure terminal", "interface lan", f"{IP[family]} pim drpriority 20", "end")
        lan.frr.ask(DAEMONS[family], *lines)
    lan.wait_dr(lan.f)
    for flow in flows:
        eventually(lan.daemon, lambda one=flow: not our_route(lan.daemon, *one.key), f"ours ends {flow.key}")  # type: ignore[misc]
        flow.receiver.wait_for(1)
        lan.assert_alone(lan.f, flow)
    assert_clean(lab, lan.r)


def assert_served_by(lan: SharedLan, node: Node) -> None:
    """That it forwards streams alone, and that they end when the hosts leave."""
    flows = lan.flows(1)
    for family, flow in zip(FAMILIES, flows, strict=True):
        lan.assert_alone(node, flow)
        assert ("lan", flow.group) in lan.frr.members_of(family)
    assert_end_with_the_receivers(flows, lan.h.port("lan"), lan.daemon, lan.frr)


def test_ours_is_the_dr_and_one_takes_over_from_the_other(lab: Lab) -> None:
    """Ours, the DR, takes leave and FRR takes over; ours comes back, FRR ends, and ours takes over."""
    lan = SharedLan(lab, ours_low=False)
    lan.wait_dr(lan.r)
    lan.wait_querier(lan.f)
    for family in FAMILIES:
        assert_same_neighbors(lan.daemon, lan.frr, family, lan.r.port("lan"), lan.f.port("lan"))
    assert_served_by(lan, lan.r)
    flows = lan.flows(2)
    assert lan.daemon.stop() == 0
    for flow in flows:
        flow.receiver.wait_for(200, 60)
        assert frr_route(lan.frr, *flow.key) == Route("up", None, frozenset({"lan"}))
    lan.daemon.start()
    lan.wait_dr(lan.r)
    lan.frr.stop()
    for flow in flows:
        eventually(lan.daemon, lambda one=flow: lan.serves(one), f"ours serves {flow.key}")  # type: ignore[misc]
        flow.receiver.wait_for(1, 60)
        flow.assert_arrived(hops=1)
    assert_clean(lab, lan.r)
