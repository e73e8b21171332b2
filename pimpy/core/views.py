"""The one read model: rows that tables, JSON, metrics and the demo only format.

Field names are the YANG leaves of RFC 9128 and RFC 8652 in snake case. Times are seconds (numbers) from
now, `up_time` since then; addresses are text; enums lower case; what does not apply is None, never absent.
Rows are flat; what belongs to an entry and an outgoing interface is a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from pimpy.core.engine.timers import Timer
from pimpy.core.interface import REGISTER_VIF, Interface
from pimpy.core.pim import macros
from pimpy.core.pim.tib import SG, StarG
from pimpy.core.rpf import Path
from pimpy.wire.family import Address, format_address

if TYPE_CHECKING:
    from pimpy.core.forwarding import Negative
    from pimpy.core.pim.neighbor import Neighbor, PimInterface
    from pimpy.core.router import Router


@frozen
class NeighborRow:
    """A PIM neighbour (RFC 7761 4.3.2), `show neighbors`."""

    address_family: str
    interface: str
    address: str
    up_time: float
    expiration: float | None
    """Seconds until it is given up; None if never (holdtime 0xffff)."""
    dr_priority: int | None
    """None if its Hello did not tell."""
    gen_id: int | None
    lan_prune_delay: bool
    """Whether its Hello carried the option of the next three."""
    propagation_delay: float | None
    override_interval: float | None
    t_bit: bool | None
    is_dr: bool
    secondary_addresses: str
    """Blank-separated, sorted; empty if none."""


@frozen
class InterfaceRow:
    """An interface as PIM sees it, `show interfaces`."""

    address_family: str
    interface: str
    ifindex: int
    oper_status: str
    """`up`, `down` (no carrier or no usable address) or `off` (not enabled, or refused: see `reason`)."""
    reason: str | None
    """Why it is not up, in words; None if it is."""
    mode: str
    """`pim`, `passive` or `none`."""
    vif: int | None
    address: str | None
    """The address that our Hellos carry."""
    dr_priority: int
    dr_address: str | None
    is_dr: bool
    neighbor_count: int
    hello_interval: float
    hello_expiration: float | None
    """Seconds until our next Hello."""
    gen_id: int | None
    propagation_delay: float
    """The effective one, seconds."""
    override_interval: float
    """The effective one, seconds."""
    suppression: bool
    """Whether join suppression is on."""
    mtu: int


@frozen
class MrouteRow:
    """A (*,G) or (S,G) entry, `show mroute`."""

    row: str
    """Always `entry`."""
    address_family: str
    group: str
    source_address: str
    """`*` for (*,G)."""
    is_rpt: bool
    """Whether the entry is of the shared tree, (*,G)."""
    mode: str
    """`pim_ssm`, `pim_asm` outside the SSM range, or `negative` for a stream that nobody wants."""
    rp_address: str | None
    """RP(G); None in the SSM range, and while no RP is known."""
    upstream_state: str
    """`joined` or `not_joined`."""
    is_spt: bool
    incoming_interface: str | None
    rpf_neighbor: str | None
    """None if the source is on the link, or there is no route, or its next hop is no neighbour: see `rpf_state`."""
    rpf_state: str
    """`neighbor`, `connected`, `local`, `no_route`, `no_neighbor`, `no_interface` or `pending`."""
    join_expiration: float | None
    """Seconds until the next Join."""
    keepalive_expiration: float | None
    """Seconds until the source counts as silent (RFC 7761 4.1.3); None if no data keeps the entry."""
    register_state: str | None
    """`join`, `join_pending` or `prune` (RFC 7761 4.4.1); None where this router registers nothing."""
    up_time: float
    outgoing_count: int
    packets: int | None
    """From the kernel: packets that matched the entry, those from a wrong interface too. None if it has none."""
    bytes: int | None
    wrong_if: int | None


@frozen
class OutgoingRow:
    """An outgoing interface of an (S,G) entry: the second kind of row of `show mroute`."""

    row: str
    """Always `outgoing`."""
    address_family: str
    group: str
    source_address: str
    outgoing_interface: str
    jp_state: str
    """`no_info`, `join` or `prune_pending` (RFC 7761 4.5.2)."""
    member: bool
    """Whether a member on that link is served by us."""
    inherited: bool
    """Whether the (*,G) entry brings it in (RFC 7761 4.1.5)."""
    rpt_pruned: bool
    """Whether somebody there pruned the source off the shared tree (RFC 7761 4.5.3)."""
    assert_state: str | None
    """`winner` or `loser` (RFC 7761 4.6); None if nobody else forwards there."""
    forwarding: bool
    """Whether it stands in the kernel's entry."""
    expiration: float | None
    """Seconds until the downstream join state ends; None if there is none, or it never ends."""
    up_time: float | None
    """Of the downstream join state."""


@frozen
class GmpInterfaceRow:
    """An interface as IGMP or MLD sees it, `show igmp interfaces`."""

    address_family: str
    interface: str
    oper_status: str
    version: int
    querier: str | None
    is_querier: bool
    querier_expiration: float | None
    """Seconds until we take over; None if we are the querier."""
    query_expiration: float | None
    """Seconds until our next General Query; None if another one queries."""
    query_interval: float
    query_max_response_time: float
    robustness_variable: int
    groups_count: int


@frozen
class GmpGroupRow:
    """A group record of an interface, `show igmp groups`."""

    row: str
    """Always `group`."""
    address_family: str
    interface: str
    group_address: str
    filter_mode: str
    """`include` or `exclude`."""
    version: int
    """The compatibility mode of the group: 1, 2 or 3 for IGMP, 1 or 2 for MLD."""
    up_time: float
    expire: float | None
    """Of the group timer; None in mode include."""
    last_reporter: str | None
    sources_count: int


@frozen
class GmpSourceRow:
    """A source of a group record."""

    row: str
    """Always `source`."""
    address_family: str
    interface: str
    group_address: str
    source_address: str
    forwarding: bool
    """False for a source that all members exclude."""
    up_time: float
    expire: float | None


Row = NeighborRow | InterfaceRow | MrouteRow | OutgoingRow | GmpInterfaceRow | GmpGroupRow | GmpSourceRow


def _neighbors(router: Router) -> Iterator[NeighborRow]:
    for interface in sorted(router.pim.interfaces.values(), key=_by_name):
        for _, neighbor in sorted(interface.neighbors.items()):
            delay = neighbor.hello.lan_prune_delay
            yield NeighborRow(
                address_family=router.family.name,
                interface=interface.name,
                address=format_address(neighbor.address),
                up_time=router.heap.now - neighbor.since,
                expiration=neighbor.liveness.left(router.heap.now),
                dr_priority=neighbor.hello.dr_priority,
                gen_id=neighbor.hello.generation_id,
                lan_prune_delay=delay is not None,
                propagation_delay=None if delay is None else delay.propagation_delay / 1000,
                override_interval=None if delay is None else delay.override_interval / 1000,
                t_bit=None if delay is None else delay.t_bit,
                is_dr=interface.dr is neighbor,
                secondary_addresses=" ".join(format_address(a) for a in sorted(neighbor.addresses[1:])),
            )


def _interfaces(router: Router) -> Iterator[InterfaceRow]:
    for link in sorted(router.interfaces.values(), key=_by_name):
        pim = router.pim.interfaces.get(link.ifindex)
        yield _pim_interface(router, link, pim) if pim is not None else _idle_interface(router, link)


def _idle_interface(router: Router, link: Interface) -> InterfaceRow:
    reason = link.why_not(router.config) or ("no carrier" if not link.link.running else "no free virtual interface")
    address = link.address()
    return InterfaceRow(
        address_family=router.family.name,
        interface=link.name,
        ifindex=link.ifindex,
        oper_status="off" if link.why_never(router.config) is not None else "down",
        reason=reason,
        mode="none",
        vif=link.vif,
        address=None if address is None else format_address(address),
        dr_priority=1 if link.phyint.dr_priority is None else link.phyint.dr_priority,
        dr_address=None,
        is_dr=False,
        neighbor_count=0,
        hello_interval=float(link.phyint.hello_interval or router.config.hello_interval),
        hello_expiration=None,
        gen_id=None,
        propagation_delay=router.pim.settings.propagation_delay,
        override_interval=router.pim.settings.override_interval,
        suppression=True,
        mtu=link.link.mtu,
    )


def _pim_interface(router: Router, link: Interface, pim: PimInterface) -> InterfaceRow:
    return InterfaceRow(
        address_family=router.family.name,
        interface=link.name,
        ifindex=link.ifindex,
        oper_status="up",
        reason=None,
        mode="passive" if pim.passive else "pim",
        vif=link.vif,
        address=format_address(pim.address),
        dr_priority=pim.dr_priority,
        dr_address=format_address(pim.address if pim.dr is None else pim.dr.address),
        is_dr=pim.dr is None,
        neighbor_count=len(pim.neighbors),
        hello_interval=pim.hello_interval,
        hello_expiration=pim.hello_timer.left(router.heap.now),
        gen_id=pim.generation_id,
        propagation_delay=pim.effective_propagation_delay(),
        override_interval=pim.effective_override_interval(),
        suppression=pim.suppression_enabled(),
        mtu=link.link.mtu,
    )


def _rpf_state(router: Router, path: Path | None, rpf_prime: Neighbor | None) -> str:
    route = path.route if path is not None else None
    if path is None or route is None:
        return "pending"
    if route.ifindex is None:
        return "no_route"
    if macros.rpf_interface(router.pim, path) is None:
        return "no_interface"
    if route.local:
        return "local"
    if rpf_prime is not None:
        return "neighbor"
    return "connected" if path.connected else "no_neighbor"


def _mroute(router: Router) -> Iterator[MrouteRow | OutgoingRow]:
    trees = [tree.star for tree in router.pim.tib.groups.values() if tree.star is not None]
    for star in sorted(trees, key=lambda star: star.group):
        yield _star_entry(router, star)
        yield from _star_outgoing(router, star)
    for sg in sorted(router.pim.tib.sg.values(), key=lambda sg: (sg.group, sg.source)):
        yield _entry(router, sg)
        yield from _outgoing(router, sg)
    for negative in sorted(router.forwarding.negatives(), key=lambda n: (n.group, n.source)):
        yield _negative(router, negative)


def _star_entry(router: Router, star: StarG) -> MrouteRow:
    tree = star.tree
    interface = macros.rpf_interface(router.pim, tree.path)
    rpf_prime = macros.rpf_prime_star(star)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(star.group),
        source_address="*",
        is_rpt=True,
        mode="pim_asm",
        rp_address=_text(tree.rp),
        upstream_state="joined" if star.joined else "not_joined",
        is_spt=False,
        incoming_interface="register" if tree.i_am_rp else _name(interface),
        rpf_neighbor=_text(rpf_prime.address if rpf_prime is not None else None),
        rpf_state="local" if tree.i_am_rp else _rpf_state(router, tree.path, rpf_prime),
        join_expiration=_left(star.join_timer, router),
        keepalive_expiration=None,
        register_state=None,
        up_time=router.heap.now - star.created,
        outgoing_count=macros.immediate_olist_star(star).bit_count(),
        packets=None,
        bytes=None,
        wrong_if=None,
    )


def _entry(router: Router, sg: SG) -> MrouteRow:
    interface = macros.rpf_interface(router.pim, sg.path)
    installed = router.forwarding.entry(sg.source, sg.group)
    rpf_prime = macros.rpf_prime(sg)
    tree = sg.tree
    traffic = router.traffic.get((sg.source, sg.group), _NO_TRAFFIC)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(sg.group),
        source_address=format_address(sg.source),
        is_rpt=False,
        mode="pim_ssm" if tree is None else "pim_asm",
        rp_address=_text(tree.rp if tree is not None else None),
        upstream_state="joined" if sg.joined else "not_joined",
        is_spt=installed is not None if tree is None else sg.spt_bit,
        incoming_interface=_incoming(router, sg, installed) or _name(interface),
        rpf_neighbor=_text(rpf_prime.address if rpf_prime is not None else None),
        rpf_state=_rpf_state(router, sg.path, rpf_prime),
        join_expiration=_left(sg.join_timer, router),
        keepalive_expiration=_left(sg.keepalive, router),
        register_state=sg.register.state.value if sg.register is not None else None,
        up_time=router.heap.now - sg.created,
        outgoing_count=0 if installed is None else installed[1].bit_count(),
        packets=traffic[0],
        bytes=traffic[1],
        wrong_if=traffic[2],
    )


_NO_TRAFFIC = (None, None, None)


def _incoming(router: Router, sg: SG, installed: tuple[int, int] | None) -> str | None:
    """The name of the interface by which the kernel takes the stream in; None if it has no entry."""
    if installed is None or sg.tree is None:
        return None
    if installed[0] == REGISTER_VIF:
        return "register"
    return next(iter(router.vifs.names(1 << installed[0])), None)


def _name(interface: PimInterface | None) -> str | None:
    return None if interface is None else interface.name


def _text(address: Address | None) -> str | None:
    return None if address is None else format_address(address)


def _left(timer: Timer | None, router: Router) -> float | None:
    return None if timer is None else timer.left(router.heap.now)


def _star_outgoing(router: Router, star: StarG) -> Iterator[OutgoingRow]:
    served, olist = macros.pim_include_star(star), macros.immediate_olist_star(star)
    told = star.joins | star.members | macros.assert_won(star) | macros.assert_lost(star)
    for interface in router.pim.interfaces.values():
        if interface.mask & told:
            yield _outgoing_row(router, star, interface, served, olist, inherited=0, pruned=0)


def _outgoing(router: Router, sg: SG) -> Iterator[OutgoingRow]:
    installed = router.forwarding.entry(sg.source, sg.group)
    oifs = 0 if installed is None else installed[1]
    served, inherited = macros.pim_include(sg), macros.inherited_olist_rpt(sg)
    pruned = macros.prunes_rpt(sg)
    told = sg.joins | sg.members | oifs | pruned | macros.assert_won(sg) | macros.assert_lost(sg)
    for interface in router.pim.interfaces.values():
        if interface.mask & told:
            yield _outgoing_row(router, sg, interface, served, oifs, inherited, pruned)


def _outgoing_row(
    router: Router, entry: SG | StarG, interface: PimInterface, served: int, oifs: int, inherited: int, pruned: int
) -> OutgoingRow:
    mask, machine = interface.mask, interface.downstream.get(entry)
    state = entry.asserts.get(interface) if entry.asserts else None
    return OutgoingRow(
        row="outgoing",
        address_family=router.family.name,
        group=format_address(entry.group),
        source_address=format_address(entry.source) if isinstance(entry, SG) else "*",
        outgoing_interface=interface.name,
        jp_state="no_info" if machine is None else machine.state.value,
        member=bool(served & mask),
        inherited=bool(inherited & mask),
        rpt_pruned=bool(pruned & mask),
        assert_state=None if state is None else ("winner" if state.won else "loser"),
        forwarding=bool(oifs & mask),
        expiration=None if machine is None else machine.expiry.left(router.heap.now),
        up_time=None if machine is None else router.heap.now - machine.since,
    )


def _negative(router: Router, negative: Negative) -> MrouteRow:
    names = router.vifs.names(1 << negative.vif)
    traffic = router.traffic.get((negative.source, negative.group), _NO_TRAFFIC)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(negative.group),
        source_address=format_address(negative.source),
        is_rpt=False,
        mode="negative",
        rp_address=None,
        upstream_state="not_joined",
        is_spt=False,
        incoming_interface=names[0] if names else None,
        rpf_neighbor=None,
        rpf_state="pending",
        join_expiration=None,
        keepalive_expiration=None,
        register_state=None,
        up_time=0.0,
        outgoing_count=0,
        packets=traffic[0],
        bytes=traffic[1],
        wrong_if=traffic[2],
    )


def _gmp_interfaces(router: Router) -> Iterator[GmpInterfaceRow]:
    for interface in sorted(router.pim.interfaces.values(), key=_by_name):
        yield router.memberships[interface.ifindex].interface_row(interface.name, router.heap.now)


def _gmp_groups(router: Router) -> Iterator[GmpGroupRow | GmpSourceRow]:
    for interface in sorted(router.pim.interfaces.values(), key=_by_name):
        yield from router.memberships[interface.ifindex].group_rows(interface.name, router.heap.now)


def _by_name(interface: Interface | PimInterface) -> str:
    return interface.name


KINDS: dict[str, Callable[[Router], Iterator[Row]]] = {
    "neighbors": _neighbors,
    "interfaces": _interfaces,
    "mroute": _mroute,
    "gmp_interfaces": _gmp_interfaces,
    "gmp_groups": _gmp_groups,
}
"""What `Router.rows` can tell, each sorted."""
