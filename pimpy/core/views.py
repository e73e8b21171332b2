"""The one read model: rows that tables, JSON, metrics and the demo only format.

Field names are the YANG leaves of RFC 9128 and RFC 8652 in snake case. Times are seconds (numbers) from
now, `up_time` since then; addresses are text; enums lower case; what does not apply is None, never absent.
Rows are flat; what belongs to an entry and an outgoing interface is a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from pimpy.core.interface import Interface
from pimpy.core.pim import macros
from pimpy.core.pim.tib import SG
from pimpy.wire.family import format_address

if TYPE_CHECKING:
    from pimpy.core.forwarding import Negative
    from pimpy.core.pim.neighbor import PimInterface
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
    """An (S,G) entry, `show mroute`."""

    row: str
    """Always `entry`."""
    address_family: str
    group: str
    source_address: str
    mode: str
    """`pim_ssm`, `pim_asm` outside the SSM range, or `negative` for a stream that nobody wants."""
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


def _rpf_state(router: Router, sg: SG) -> str:
    route = sg.path.route
    if route is None:
        return "pending"
    if route.ifindex is None:
        return "no_route"
    if macros.rpf_interface(router.pim, sg.path) is None:
        return "no_interface"
    if route.local:
        return "local"
    if macros.rpf_prime(sg) is not None:
        return "neighbor"
    return "connected" if sg.path.connected else "no_neighbor"


def _mroute(router: Router) -> Iterator[MrouteRow | OutgoingRow]:
    for sg in sorted(router.pim.tib.sg.values(), key=lambda sg: (sg.group, sg.source)):
        yield _entry(router, sg)
        yield from _outgoing(router, sg)
    for negative in sorted(router.forwarding.negatives(), key=lambda n: (n.group, n.source)):
        yield _negative(router, negative)


def _entry(router: Router, sg: SG) -> MrouteRow:
    interface = macros.rpf_interface(router.pim, sg.path)
    installed = router.forwarding.entry(sg.source, sg.group)
    rpf_prime = macros.rpf_prime(sg)
    traffic = router.traffic.get((sg.source, sg.group), _NO_TRAFFIC)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(sg.group),
        source_address=format_address(sg.source),
        mode="pim_ssm" if router.ssm.holds(sg.group) else "pim_asm",
        upstream_state="joined" if sg.joined else "not_joined",
        is_spt=installed is not None,
        incoming_interface=None if interface is None else interface.name,
        rpf_neighbor=None if rpf_prime is None else format_address(rpf_prime.address),
        rpf_state=_rpf_state(router, sg),
        join_expiration=None if sg.join_timer is None else sg.join_timer.left(router.heap.now),
        up_time=router.heap.now - sg.created,
        outgoing_count=0 if installed is None else installed[1].bit_count(),
        packets=traffic[0],
        bytes=traffic[1],
        wrong_if=traffic[2],
    )


_NO_TRAFFIC = (None, None, None)


def _outgoing(router: Router, sg: SG) -> Iterator[OutgoingRow]:
    installed = router.forwarding.entry(sg.source, sg.group)
    oifs = 0 if installed is None else installed[1]
    served = macros.pim_include(sg)
    for interface in router.pim.interfaces.values():
        if not interface.mask & (sg.joins | sg.members):
            continue
        machine = interface.downstream.get(sg)
        yield OutgoingRow(
            row="outgoing",
            address_family=router.family.name,
            group=format_address(sg.group),
            source_address=format_address(sg.source),
            outgoing_interface=interface.name,
            jp_state="no_info" if machine is None else machine.state.value,
            member=bool(served & interface.mask),
            forwarding=bool(oifs & interface.mask),
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
        mode="negative",
        upstream_state="not_joined",
        is_spt=False,
        incoming_interface=names[0] if names else None,
        rpf_neighbor=None,
        rpf_state="pending",
        join_expiration=None,
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
