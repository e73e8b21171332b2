"""Routes for RPF alone (`rpf-route`, pim6sd's `static`): they hold before the kernel's."""

from __future__ import annotations

from stand import Stand

from pimpy.config.model import RpfRoute
from pimpy.core.engine.events import RouteResolved
from pimpy.core.views.rp import rpf
from pimpy.wire.family import Address, Family, Prefix
from pimpy.wire.record import evolve


def around(family: Family, source: Address, bits: int = 8) -> Prefix:
    """The range of so many free bits around a source."""
    mask = (1 << family.bits) - (1 << bits)
    return Prefix((int.from_bytes(source, "big") & mask).to_bytes(family.size, "big"), family.bits - bits)


def joins(stand: Stand, to: Address) -> set[bytes]:
    return {channel[0] for _, verb, channel in stand.said(to=to) if verb == "join"}


def test_it_decides_where_joins_go(family: Family) -> None:
    stand = Stand(family, up=(8, 9))
    (channel,) = stand.joined(1)
    eight = stand.peer("up", 8).address
    route = RpfRoute(around(family, channel[0]), "up", eight)
    stand.r1.configure(rpf_routes=(route,))
    stand.run(0.1)
    assert joins(stand, eight) == {channel[0]} and (0.0, "prune", channel) in stand.said(to=stand.nine)
    assert stand.row("mroute", row="entry").rpf_neighbor is not None
    stand.mark()
    stand.r1.configure(rpf_routes=())
    stand.run(0.1)
    assert joins(stand, stand.nine) == {channel[0]}, "the kernel's route counts again"


def test_the_longest_holds_and_others_keep_the_kernels(family: Family) -> None:
    stand = Stand(family, up=(7, 8, 9))
    one, two = stand.joined(1, 2)
    seven, eight = (stand.peer("up", number).address for number in (7, 8))
    routes = (RpfRoute(family.host(one[0]), "up", seven), RpfRoute(around(family, one[0]), "up", eight))
    stand.r1.configure(rpf_routes=routes)
    stand.run(0.1)
    assert joins(stand, seven) == {one[0]} and joins(stand, eight) == {two[0]}
    stand.mark()
    stand.r1.configure(rpf_routes=routes[:1])
    stand.run(0.1)
    assert joins(stand, stand.nine) == {two[0]} and joins(stand, seven) == set(), "what stays is not touched"


def test_where_the_kernel_has_no_route_it_makes_one(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.r1.static_route(channel[0], None)
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(1)
    assert stand.said() == []
    stand.r1.configure(rpf_routes=(RpfRoute(around(family, channel[0]), "up", stand.nine),))
    stand.run(0.1)
    assert joins(stand, stand.nine) == {channel[0]}


def test_it_waits_for_its_interface(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    late = stand.net.link("late")
    eight = stand.net.peer("late", 8)
    stand.r1.configure(rpf_routes=(RpfRoute(around(family, channel[0]), "late", eight.address),))
    stand.run(0.1)
    assert stand.said() == [], "the kernel's route goes on to count"
    stand.r1.attach(late)
    stand.run(0.1)
    eight.keep_saying_hello()
    stand.run(20)
    assert {source for _, _, (source, _) in stand.said("late", to=eight.address)} == {channel[0]}
    stand.mark()
    stand.r1.detach("late")
    stand.run(0.1)
    assert joins(stand, stand.nine) == {channel[0]}


def test_show_rpf_tells_of_it(family: Family) -> None:
    stand = Stand(family, up=(8, 9))
    source = stand.channel()[0]
    told = RouteResolved(source, stand.r1.ports["up"].ifindex, stand.nine)
    eight = stand.peer("up", 8).address
    route = RpfRoute(around(family, source), "up", eight)
    stand.r1.configure(rpf_routes=(route,))
    row = rpf(stand.router, told)
    assert (row.prefix, row.protocol, row.rpf_state) == (str(route.prefix), 4, "neighbor")
    own = evolve(told, address=stand.us(), next_hop=None, local=True)
    assert rpf(stand.router, own).rpf_state == "local", "an address of our own is never elsewhere"
