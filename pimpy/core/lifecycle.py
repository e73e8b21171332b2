"""Interfaces come, change and go; the configuration is followed; and in the end everything is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.config.model import Config, RpfRoute
from pimpy.core import borders, drift, gmp_interfaces, members, policies
from pimpy.core.engine.effects import AddVif, DelVif, JoinGroup, LeaveGroup
from pimpy.core.engine.events import AddressesChanged, LinkChanged
from pimpy.core.interface import MAXVIFS, REGISTER_VIF, USABLE_VIFS, Interface
from pimpy.core.pim import asserts, candidates, data, downstream, downstream_rpt, neighbor, register, trees
from pimpy.core.pim.bsr import BsrTimes
from pimpy.core.pim.filters import filter_of
from pimpy.core.pim.neighbor import DEFAULT_DR_PRIORITY, PimInterface
from pimpy.core.pim.rp_set import Mapping
from pimpy.core.pim.tib import SG, StarG
from pimpy.wire.family import Address
from pimpy.wire.record import evolve

if TYPE_CHECKING:
    from pimpy.core.router import Router


def configure(router: Router, config: Config) -> None:
    """Follow `config` from now on; what it does not change is not touched."""
    old, router.config = router.config, config
    router.drift_timer.no_later_than(router.heap.now + drift.INTERVAL)
    policies.follow(router, config)
    router.pim.outbox.reconfigure(config.join_prune_interval)
    ranges = config.ssm_ranges(router.family)
    ranges_changed = ranges != router.ssm.prefixes
    router.ssm.prefixes = ranges
    router.proxies.configure(config.proxies, config.igmp_robustness, router.interfaces)
    for interface in router.interfaces.values():
        _configure_interface(router, interface, thresholds=old is not config)
    _follow_rpf_routes(router)
    _configure_rps(router, config)
    router.static.configure(config.static)
    router.watches.configure(config)
    vifs_wanted(router)
    if ranges_changed:
        _ssm_ranges_changed(router)


def _follow_rpf_routes(router: Router) -> None:
    """The routes for RPF alone, or their interfaces, may be others; a subnet of `altnet` is such a route."""
    names = {interface.name: interface.ifindex for interface in router.interfaces.values()}
    for interface in router.interfaces.values():
        interface.find_altnets(router.interfaces.values())
    on_links = [RpfRoute(net, i.name) for i in router.interfaces.values() for net in i.altnets]
    of_family = [r for r in (*router.config.rpf_routes, *on_links) if len(r.prefix.network) == router.family.size]
    routes = tuple({route.prefix: route for route in reversed(of_family)}.values())
    for path in router.rpf.follow(routes, names):
        trees.touch_path(router.pim, path)


def _routes_may_have_moved(router: Router) -> None:
    """An interface came, went, or has another name or address: only where lines name interfaces there is more to do."""
    if router.config.rpf_routes or any(line.altnets for line in router.config.phyints):
        _follow_rpf_routes(router)


def _configure_rps(router: Router, config: Config) -> None:
    """Where RPs come from: lines of the file, groups themselves, Bootstrap messages."""
    router.pim.rp_set.set_embedded(config.embedded_rp)
    mappings = tuple(
        Mapping(static.prefix, static.rp, static.priority, static.override)
        for static in config.rp_addresses
        if len(static.rp) == router.family.size
    )
    if mappings != router.pim.rp_set.mappings:
        router.pim.rp_set.replace(mappings)
    trees.remap(router.pim)
    bootstrap, candidate_rp = router.pim.bootstrap, router.pim.candidate_rp
    bootstrap.times = BsrTimes(float(config.bsr_interval))
    bootstrap.unicast = config.unicast_bsm
    bootstrap.accept = filter_of(router.family, config.bsr_filter)
    candidate_rp.accept = filter_of(router.family, config.rp_candidate_filter)
    candidacies_changed(router)


def candidacies_changed(router: Router) -> None:
    """The configuration, or our addresses, may make us candidate BSR or candidate RP, or end it."""
    family, config, interfaces = router.family, router.config, router.interfaces.values()
    taking_part = router.pim.interfaces
    # A candidate RP that ends tells the BSR before that, if it is this router too, ends itself.
    router.pim.candidate_rp.configure(candidates.rp_candidacies(family, config, interfaces, taking_part))
    wishes = candidates.bsr_candidacies(family, config, interfaces, taking_part)
    router.pim.bootstrap.configure(wishes, candidates.borders(family, interfaces))
    router.pim.anycast.configure(family, config.anycast_rps)


def _ssm_ranges_changed(router: Router) -> None:
    """Groups that are or are no longer source-specific begin anew (S8): hosts' wishes and further Joins fill them."""
    changed = [sg for sg in router.pim.tib.sg.values() if router.ssm.holds(sg.group) == (sg.tree is not None)]
    changed_stars = [t.star for t in router.pim.tib.groups.values() if t.star is not None and router.ssm.holds(t.group)]
    for pim_interface in router.pim.interfaces.values():
        for sg in changed:
            _take_from(pim_interface, sg)
        for star in changed_stars:
            _take_from(pim_interface, star)
    for sg in changed:
        data.forget(sg)
        if sg.keepalive is not None:
            sg.keepalive.cancel()
    router.settle()
    for ifindex, membership in router.memberships.items():
        membership.ssm_changed()
        for group, source in membership.wishes():
            members.changed(router, router.pim.interfaces[ifindex], group, source)


def _take_from(interface: PimInterface, entry: SG | StarG) -> None:
    """Take what an interface has to do with an entry away from it."""
    if (machine := interface.downstream.get(entry)) is not None:
        downstream.close(machine)
    if isinstance(entry, SG) and (rpt := interface.downstream_rpt.get(entry)) is not None:
        downstream_rpt.close(rpt)
    for state in [state for state in interface.asserts if state.entry is entry]:
        asserts.withdraw(state)
    if entry in interface.members:
        del interface.members[entry]
        entry.members &= ~interface.mask
    interface.pim.touched.touch(entry)


def _configure_interface(router: Router, interface: Interface, *, thresholds: bool) -> None:
    """Take what the file says of an interface now; only a change of its mode restarts it."""
    old = interface.phyint
    interface.phyint = router.config.phyint(interface.name, tuple(a for a, _ in interface.addresses))
    pim_interface = router.pim.interfaces.get(interface.ifindex)
    if pim_interface is not None and pim_interface.passive != interface.phyint.passive:
        stop(router, interface, reachable=True, give_up_vif=False)
        pim_interface = None
    reconsider(router, interface)
    router.proxies.reconfigure(interface, gmp_interfaces.settings(router, interface))
    if pim_interface is None or router.pim.interfaces.get(interface.ifindex) is not pim_interface:
        return
    pim_interface.hello_interval = float(_hello_interval(router, interface))
    policies.follow_interface(pim_interface)
    if old.scoped != interface.phyint.scoped:
        borders.changed(router, pim_interface)
    priority = _dr_priority(interface)
    if priority != pim_interface.dr_priority:
        pim_interface.dr_priority = priority
        neighbor.elect_dr(pim_interface)
        if not pim_interface.passive:
            neighbor.send_hello(pim_interface)
    _configure_membership(router, interface)
    if thresholds and old.ttl_threshold != interface.phyint.ttl_threshold and interface.vif is not None:
        router.emit(AddVif(interface.vif, interface.ifindex, interface.phyint.ttl_threshold or 1))
        router.forwarding.rewrite()


def link_changed(router: Router, link: LinkChanged) -> None:
    """An interface is new, or one of its properties changed; a new name is looked up in the configuration again."""
    interface = router.interfaces.get(link.ifindex)
    if interface is None:
        interface = Interface(router.family, link, router.config.phyint(link.name))
        router.interfaces[link.ifindex] = interface
        if router.vifs.claim(interface) and interface.vif is not None:
            router.emit(AddVif(interface.vif, interface.ifindex, interface.phyint.ttl_threshold or 1))
    old, interface.link = interface.link, link
    if old.name != link.name:
        _configure_interface(router, interface, thresholds=True)
        candidacies_changed(router)
        _routes_may_have_moved(router)
    else:
        _routes_may_have_moved(router)
        reconsider(router, interface)
    if old.mtu != link.mtu and link.ifindex in router.memberships:
        router.memberships[link.ifindex].reconfigure(gmp_interfaces.settings(router, interface))


def link_gone(router: Router, ifindex: int) -> None:
    """The interface is no more."""
    interface = router.interfaces.pop(ifindex, None)
    if interface is not None:
        stop(router, interface, reachable=False, give_up_vif=True)
        router.waiting.pop(ifindex, None)
        router.static.interfaces_changed()
        router.bridges.pop(ifindex, None)
        _routes_may_have_moved(router)
        _own_addresses_changed(router)


def addresses_changed(router: Router, event: AddressesChanged) -> None:
    """The addresses of an interface are these now."""
    interface = router.interfaces.get(event.ifindex)
    if interface is None or interface.addresses == event.addresses:
        return
    before = interface.address()
    interface.take_addresses(event.addresses)
    _configure_interface(router, interface, thresholds=True)
    _routes_may_have_moved(router)
    pim_interface, address = router.pim.interfaces.get(event.ifindex), interface.address()
    if pim_interface is not None and before is not None and address is not None:
        neighbor.readdress(pim_interface, address)
        if address != before:
            router.memberships[event.ifindex].readdress(address)
    _own_addresses_changed(router)


def _own_addresses_changed(router: Router) -> None:
    """Which interface holds a local source may have changed."""
    for interface in router.interfaces.values():
        if interface.link.loopback:
            for path in router.rpf.by_interface(interface.ifindex):
                trees.touch_path(router.pim, path)
    before = router.pim.own
    router.pim.own = {address for interface in router.interfaces.values() for address, _ in interface.addresses}
    trees.remap_own(router.pim, before ^ router.pim.own)
    policies.choose_register_source(router)
    if before - router.pim.own:
        register.source_changed(router.pim)
    candidacies_changed(router)


def reconsider(router: Router, interface: Interface) -> None:
    """Start or stop multicast routing on an interface, as its state and the configuration want it."""
    interface.proxy = _proxy_of(router, interface)
    why_not = interface.why_not(router.config)
    running = interface.ifindex in router.pim.interfaces
    if why_not is None and interface.link.running:
        if not running:
            _start(router, interface)
    elif running or interface.vif is not None:
        give_up_vif = interface.why_never(router.config) is not None and not _named(router, interface)
        stop(router, interface, reachable=interface.link.running, give_up_vif=give_up_vif)
    if _named(router, interface):
        _obtain_vif(router, interface)
    _follow_proxy(router, interface)
    router.announcements.follow(interface)
    router.static.interfaces_changed()


def _proxy_of(router: Router, interface: Interface) -> str | None:
    """The proxy that an interface belongs to, in words; with its table, if that is another one."""
    proxy = router.proxies.names(interface.name)
    if proxy is not None:
        return proxy.name
    other = router.proxies.elsewhere_at(interface.name)
    return None if other is None else f"{other.name} in table {other.table}"


def _follow_proxy(router: Router, interface: Interface) -> None:
    """Start or stop a proxy's work on an interface."""
    address, link = interface.address(), interface.link
    proxied = router.proxies.names(interface.name) is not None
    if proxied and address is not None and link.running and interface.vif is not None:
        router.proxies.start(interface, address)
    else:
        router.proxies.stop(interface, reachable=link.running)


def vifs_wanted(router: Router) -> None:
    """Static routes came or went: interfaces that they name have a vif, others only if they take part otherwise."""
    for interface in list(router.interfaces.values()):
        if (interface.vif is None) == _named(router, interface):
            reconsider(router, interface)


def _named(router: Router, interface: Interface) -> bool:
    """Whether a static route or a proxy names an interface that can have a vif."""
    if interface.refusal is not None or router.family.name not in router.config.families:
        return False
    proxied = router.proxies.names(interface.name) is not None
    if proxied and interface.link.multicast and not interface.link.loopback:
        return True
    return router.static.names(interface.name)


def _start(router: Router, interface: Interface) -> None:
    """PIM and the membership protocol begin on an interface."""
    if not _obtain_vif(router, interface):
        return
    address = interface.address()
    assert address is not None, "an interface without address has a reason not to start"
    for group in _groups(router, interface.phyint.passive, not interface.phyint.nolistener):
        router.emit(JoinGroup(interface.ifindex, group))
    pim_interface = PimInterface(
        router.pim,
        interface,
        address,
        interface.phyint.passive,
        _dr_priority(interface),
        float(_hello_interval(router, interface)),
    )
    policies.follow_interface(pim_interface)
    router.pim.interfaces[interface.ifindex] = pim_interface
    membership = gmp_interfaces.bound(router, interface, pim_interface)
    router.memberships[interface.ifindex] = membership
    neighbor.start(pim_interface)
    membership.start(address)
    _paths_changed(router, interface)
    candidacies_changed(router)
    router.notice("info", "interface_up", f"{interface.name}: up as vif {interface.vif}")


def _obtain_vif(router: Router, interface: Interface) -> bool:
    if interface.vif is not None:
        return True
    vif = router.vifs.take(interface)
    if vif is None:
        router.waiting[interface.ifindex] = interface
        if not router.vifs.resting:
            text = f"the kernel's table has {MAXVIFS} virtual interfaces, {USABLE_VIFS} of them for interfaces"
            remedy = "name those you need with phyint lines after `no phyint`, or run a second table (-t)"
            router.notice("error", "vif_limit", f"{interface.name}: not used: {text}; {remedy}")
        return False
    router.waiting.pop(interface.ifindex, None)
    router.emit(AddVif(vif, interface.ifindex, interface.phyint.ttl_threshold or 1))
    return True


def stop(router: Router, interface: Interface, *, reachable: bool, give_up_vif: bool) -> None:
    """PIM and the membership protocol end on an interface; all state that came from there goes at once (J21)."""
    pim_interface = router.pim.interfaces.get(interface.ifindex)
    if pim_interface is not None:
        membership = router.memberships[interface.ifindex]
        membership.stop(reachable=reachable)
        close_machines(pim_interface, reachable=reachable)
        neighbor.stop(pim_interface, reachable=reachable)
        for group in _groups(router, pim_interface.passive, membership.settings.listener):
            router.emit(LeaveGroup(interface.ifindex, group))
        del router.pim.interfaces[interface.ifindex], router.memberships[interface.ifindex]
        router.pim.borders.pop(pim_interface, None)
        router.pim.bootstrap.accepted_lately.pop(interface.ifindex, None)
        _paths_changed(router, interface)
        for held in router.forwarding.held.all():
            router.forwarding.held.give_up(held, interface.mask)
        candidacies_changed(router)
        router.notice("info", "interface_down", f"{interface.name}: down")
    if give_up_vif:
        router.announcements.stop(interface, reachable=reachable)
        router.proxies.stop(interface, reachable=reachable)
    if give_up_vif and interface.vif is not None:
        router.forwarding.forget_vif(interface.vif)
        for sg in router.pim.tib.sg.values():
            if sg.flow is not None and interface.vif in (sg.flow.vif, sg.flow.arrived):
                data.forget(sg)
        router.vifs.free(interface)
        router.static.interfaces_changed()


def close_machines(interface: PimInterface, *, reachable: bool) -> None:
    """All downstream and Assert state of an interface goes; where we won, others are told (A16)."""
    asserts.cancel_all(interface, reachable=reachable)
    for machine in list(interface.downstream.values()):
        downstream.close(machine)
    for rpt in list(interface.downstream_rpt.values()):
        downstream_rpt.close(rpt)


def refused(router: Router, interface: Interface, why: str) -> None:
    """The kernel will not have this interface: the others go on without it."""
    interface.refusal = why
    router.notice("error", "interface_refused", f"{interface.name}: not used: {why}")
    stop(router, interface, reachable=True, give_up_vif=True)


def _paths_changed(router: Router, interface: Interface) -> None:
    """Whether RPF goes over this interface has to be looked at again."""
    for path in router.rpf.by_interface(interface.ifindex):
        trees.touch_path(router.pim, path)


def shutdown(router: Router) -> None:
    """Prune what we joined, say good-bye on every interface, and take everything back from the kernel (N19)."""
    router.config = evolve(router.config, bsr_candidates=(), rp_candidates=())
    router.watches.stop()
    router.pim.candidate_rp.shutdown()
    router.pim.bootstrap.shutdown()
    for pim_interface in router.pim.interfaces.values():
        router.memberships[pim_interface.ifindex].stop()
        close_machines(pim_interface, reachable=True)
    for sg in router.pim.tib.sg.values():
        data.forget(sg)
        if sg.keepalive is not None:
            sg.keepalive.cancel()
        router.pim.touched.touch(sg)
    router.settle()
    router.pim.outbox.flush()
    router.static.clear()
    router.pim.bootstrap.close()
    for interface in list(router.interfaces.values()):
        stop(router, interface, reachable=True, give_up_vif=True)
    router.interfaces.clear()
    router.waiting.clear()
    router.forwarding.clear()
    router.forwarding.flush()
    if router.pim.register_vif:
        router.pim.register_vif = False
        router.emit(DelVif(REGISTER_VIF))


def _groups(router: Router, passive: bool, listener: bool) -> tuple[Address, ...]:
    """The link-scope groups that a router listens to (4.3.1; conformance I23, M8)."""
    family = router.family
    reports = (family.all_reports, family.all_routers) if listener else ()
    return reports if passive else (family.all_pim_routers, *reports)


def _configure_membership(router: Router, interface: Interface) -> None:
    membership = router.memberships[interface.ifindex]
    listened = membership.settings.listener
    membership.reconfigure(gmp_interfaces.settings(router, interface))
    listens = membership.settings.listener
    if listens != listened:
        for group in _groups(router, passive=True, listener=True):
            router.emit((JoinGroup if listens else LeaveGroup)(interface.ifindex, group))


def _dr_priority(interface: Interface) -> int:
    priority = interface.phyint.dr_priority
    return DEFAULT_DR_PRIORITY if priority is None else priority


def _hello_interval(router: Router, interface: Interface) -> int:
    return interface.phyint.hello_interval or router.config.hello_interval
