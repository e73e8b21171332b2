"""IGMP and MLD of a router's interfaces: what each is made of and told, and what is asked of all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pimpy.core import members
from pimpy.core.engine.effects import SendPacket
from pimpy.core.gmp import GmpSettings, Membership
from pimpy.core.gmp.bridge import Bridge
from pimpy.core.gmp.settings import MAX_GROUPS, MAX_SOURCES
from pimpy.core.interface import Interface
from pimpy.core.pim.neighbor import PimInterface
from pimpy.wire.family import Address, family_of

if TYPE_CHECKING:
    from pimpy.core.engine.events import BridgeChanged, ClearMembership
    from pimpy.core.router import Router


def bound(router: Router, interface: Interface, pim_interface: PimInterface) -> Membership:
    """IGMP or MLD for an interface of PIM."""
    return _bound(router, interface, partial(members.changed, router, pim_interface), pim_interface.owns)


def of_proxy(
    router: Router, interface: Interface, address: Address, changed: Callable[[Address, Address | None], None]
) -> Membership:
    """IGMP or MLD for a downstream interface of a proxy."""

    def owns(other: Address) -> bool:
        return any(other == own for own, _ in interface.addresses)

    return _bound(router, interface, changed, owns)


def _bound(
    router: Router,
    interface: Interface,
    changed: Callable[[Address, Address | None], None],
    owns: Callable[[Address], bool],
) -> Membership:
    """IGMP or MLD for an interface, its ways out bound to the router."""

    def send(destination: Address, data: bytes) -> None:
        source = made.querier.address
        router.emit(SendPacket(router.family.gmp, interface.ifindex, source, destination, data))
        router.counters.add(interface.name, router.family.gmp, "tx", made.link.traits.codec.sent_name(data))

    def count(kind: str, reason: str) -> None:
        router.counters.add(interface.name, router.family.gmp, "rx", kind, reason)

    made = Membership(
        router.family,
        router.heap,
        router.pim.random,
        settings(router, interface),
        send,
        changed,
        router.ssm.holds,
        lambda level, reason, text: router.notice(level, reason, f"{interface.name}: {text}"),
        count,
        on_link=interface.holds,
        is_own=owns,
        usable=router.ssm.usable,
        totals=router.gmp_totals,
    )
    made.set_bridge(router.bridges.get(interface.ifindex))
    return made


def settings(router: Router, interface: Interface) -> GmpSettings:
    """What the configuration says of the protocol on an interface."""
    phyint, config = interface.phyint, router.config
    igmp = router.family.gmp == "igmp"
    version = (phyint.igmp_version or 3) if igmp else (phyint.mld_version or 2)
    everywhere = None if igmp else config.mld_query_interval
    interval = float(phyint.query_interval or everywhere or config.igmp_query_interval)
    everywhere = None if igmp else config.mld_robustness
    robustness = phyint.robustness or everywhere or config.igmp_robustness
    response = (phyint.query_response_interval or 10_000) / 1000
    names = {interface.name, *interface.texts()}
    proxy = router.proxies.names(interface.name)
    quick = phyint.immediate_leave == "tracked" or (proxy is not None and proxy.quick_leave)
    of_family = [address for address in phyint.querier_addresses if len(address) == router.family.size]
    return GmpSettings(
        listener=not phyint.nolistener,
        version=version,
        query_interval=interval,
        query_response_interval=response if interval > response else interval / 2,  # as RFC 9776 8.3 demands
        robustness=robustness,
        last_member_query_interval=(phyint.last_member_interval or 1000) / 1000,
        querier_timeout=None if config.igmp_querier_timeout is None else float(config.igmp_querier_timeout),
        mtu=interface.link.mtu,
        max_groups=phyint.max_groups or MAX_GROUPS,
        max_sources=phyint.max_sources or MAX_SOURCES,
        on_link_only=phyint.on_link_reports_only,
        require_router_alert=phyint.require_router_alert,
        oldest_version=(phyint.oldest_igmp if igmp else phyint.oldest_mld) or 1,
        tracking=phyint.explicit_tracking or quick,
        immediate_leave=quick,
        forced_leave=phyint.immediate_leave == "forced",
        allowed=tuple(prefix for prefix in phyint.groups if family_of(prefix.network) is router.family),
        static=tuple(
            (static.group, static.source)
            for static in config.static_members
            if static.interface in names and len(static.group) == router.family.size
        ),
        ssm_map=tuple((m.prefix, m.source) for m in config.ssm_map if len(m.source) == router.family.size),
        querier_address=of_family[-1] if of_family else None,
        mrdisc=phyint.mrdisc,
        mrdisc_interval=float(config.mrdisc_interval),
    )


def clear(router: Router, event: ClearMembership) -> None:
    """Forget what the members of a group said, on every interface."""
    for found in router.memberships.values():
        found.clear(event.group)


def holding(router: Router, group: Address) -> list[str]:
    """The names of the interfaces that have a record of `group`."""
    found = [ifindex for ifindex, one in router.memberships.items() if group in one.link.groups]
    return sorted(router.pim.interfaces[ifindex].name for ifindex in found)


def bridge_changed(router: Router, event: BridgeChanged) -> None:
    """The bridge below an interface is like this now; nameless: there is none that snoops."""
    bridge = None
    if event.name:
        heard = (event.querier, event.asks, event.router_port, event.is_router_port)
        bridge = Bridge(event.name, event.itself, *heard)
    if bridge is None:
        router.bridges.pop(event.ifindex, None)
    else:
        router.bridges[event.ifindex] = bridge
    if (found := router.memberships.get(event.ifindex)) is not None:
        found.set_bridge(bridge)
