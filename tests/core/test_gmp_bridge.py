"""What is said of a snooping bridge below an interface."""

from __future__ import annotations

import pytest
from gmp_bench import Bench
from stand import Stand

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.events import BridgeChanged
from pimpy.core.gmp.bridge import Bridge
from pimpy.core.rows import GmpInterfaceRow
from pimpy.core.views.members import interface_row
from pimpy.wire.family import FAMILIES, Family, format_address, parse_address

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
ASKS = parse_address("10.0.0.2")


@pytest.mark.parametrize(
    ("bridge", "words"),
    [
        (Bridge("br0", False, ASKS, False, 1, True), None),
        (Bridge("br0", False, ASKS, False, 2, True), None),
        (Bridge("br0", True, ASKS, False, 1, None), None),
        (Bridge("br0", False, None, True, 1, True), None),
        (Bridge("br0", False, ASKS, False, 0, False), "never takes this port for a router's"),
        (Bridge("br0", True, ASKS, False, 0, False), "never takes this host for a router's"),
        (Bridge("br0", False, ASKS, False, 1, False), "does not take our port for a router's"),
        (Bridge("br0", False, None, True, 1, False), "does not take our port for a router's"),
        (Bridge("br0", False, None, False, 1, True), "what works now will stop after some minutes"),
        (Bridge("br0", False, None, False, 1, False), "what works now will stop after some minutes"),
    ],
)
def test_what_will_go_wrong(bridge: Bridge, words: str | None) -> None:
    warning = bridge.warning()
    assert warning is None if words is None else warning is not None and words in warning


@both
def test_a_warning_is_given_once_and_again_when_it_is_another(family: Family) -> None:
    bench = Bench(family)
    unheard = Bridge("br0", False, bench.LOW, False, 1, False)
    for bridge in (unheard, unheard, Bridge("br0", False, bench.LOW, False, 1, True), unheard):
        bench.m.set_bridge(bridge)
        bench.to(bench.now + 100.0)
    told = [text for _, reason, text in bench.notices if reason == "bridge_snooping"]
    assert len(told) == 2 and told[0] == told[1]
    row = interface_row(bench.m, "eth0", bench.now)
    assert (row.bridge, row.bridge_router_port, row.bridge_warning) == ("br0", False, told[0])


@both
def test_what_the_kernel_tells_is_followed(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", mrdisc=True),)))
    ifindex = stand.r1.ports["down"].ifindex
    others = stand.peer("down", 2).address

    def row() -> GmpInterfaceRow:
        found = [row for row in stand.router.rows("gmp_interfaces") if isinstance(row, GmpInterfaceRow)]
        return next(row for row in found if row.interface == "down")

    assert (row().bridge, row().bridge_router_port) == (None, None)
    stand.r1.handle(BridgeChanged(ifindex, "br0", False, others, False, 1, False))
    assert (row().bridge, row().bridge_querier) == ("br0", format_address(others))
    assert row().bridge_router_port is False and "not take our port" in (row().bridge_warning or "")
    stand.r1.handle(BridgeChanged(ifindex, "br0", False, others, False, 1, True))
    assert (row().bridge_router_port, row().bridge_warning) == (True, None)
    stand.r1.handle(BridgeChanged(ifindex, ""))
    assert (row().bridge, row().bridge_router_port) == (None, None)
