"""`show neighbors` and `show interfaces`: who speaks PIM with us, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.interface import Interface
from pimpy.core.rows import InterfaceRow, NeighborRow
from pimpy.wire.family import format_address

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.router import Router


def neighbors(router: Router) -> Iterator[NeighborRow]:
    for interface in sorted(router.pim.interfaces.values(), key=by_name):
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


def interfaces(router: Router) -> Iterator[InterfaceRow]:
    for link in sorted(router.interfaces.values(), key=by_name):
        pim = router.pim.interfaces.get(link.ifindex)
        yield _pim_interface(router, link, pim) if pim is not None else _idle_interface(router, link)


def _idle_interface(router: Router, link: Interface) -> InterfaceRow:
    reason = link.why_not(router.config) or ("no carrier" if not link.link.running else "no free virtual interface")
    address, proxied = link.address(), link.ifindex in router.proxies.ports
    return InterfaceRow(
        address_family=router.family.name,
        interface=link.name,
        ifindex=link.ifindex,
        oper_status="up" if proxied else "off" if link.why_never(router.config) is not None else "down",
        reason=None if proxied else reason,
        mode="proxy" if proxied else "none",
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
        subnet=_subnet(link),
        ttl_threshold=link.phyint.ttl_threshold or 1,
        addresses=_addresses(link),
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
        subnet=_subnet(link),
        ttl_threshold=link.phyint.ttl_threshold or 1,
        addresses=_addresses(link),
    )


def _addresses(link: Interface) -> str:
    return " ".join(f"{format_address(address)}/{length}" for address, length in link.addresses)


def _subnet(link: Interface) -> str | None:
    own = link.address()
    return next((f"{format_address(a)}/{length}" for a, length in link.addresses if a == own), None)


def by_name(interface: Interface | PimInterface) -> str:
    """The order in which interfaces are told."""
    return interface.name
