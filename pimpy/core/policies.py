"""The policy that a configuration holds, given to those who go by it; what stands is judged anew when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.config.model import Config
from pimpy.core.gmp import Totals
from pimpy.core.interface import REGISTER_VIF
from pimpy.core.pim import data, downstream, downstream_rpt, neighbor, register
from pimpy.core.pim.filters import filter_of, join_filter_of
from pimpy.core.pim.instance import PimSettings
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.spt_threshold import threshold
from pimpy.core.pim.tib import SG
from pimpy.wire.family import Address, parse_address

if TYPE_CHECKING:
    from pimpy.core.router import Router


def follow(router: Router, config: Config) -> None:
    """Go by `config` from now on, but for what it says of single interfaces."""
    pim, family = router.pim, router.family
    defaults, limits = PimSettings(), dict(config.state_limits)
    pim.settings = PimSettings(
        triggered_hello_delay=config.triggered_hello_delay,
        max_neighbors=limits.get("neighbors", defaults.max_neighbors),
        max_sg=limits.get("sg", defaults.max_sg),
        max_groups=limits.get("groups", defaults.max_groups),
        keepalive_period=float(config.keepalive_timer),
        distance=config.route_distance,
        metric=config.route_metric,
    )
    totals, own = router.gmp_totals, Totals()
    totals.max_groups = limits.get("members", own.max_groups)
    totals.max_sources = limits.get("member-sources", own.max_sources)
    totals.max_hosts = limits.get("member-hosts", own.max_hosts)
    _limit_messages(router, {kind.replace("-", "_"): rate for kind, rate in config.message_limits})
    pim.spt_threshold = threshold(config.spt_threshold, config.spt_threshold_number, config.spt_threshold_interval)
    at_rp = config.rp_spt_threshold
    pim.rp_spt_threshold = (
        pim.spt_threshold
        if at_rp is None
        else threshold(at_rp, config.rp_spt_threshold_number, config.rp_spt_threshold_interval)
    )
    pim.registers.sources = filter_of(family, config.register_accept)
    pim.registers.routers = filter_of(family, config.register_accept_from)
    pim.registers.shares.set_rate(config.register_limit)
    choose_register_source(router)
    pim.repeats.forget_all()
    _judge_registered(router)
    _metrics_may_have_changed(router)


def _limit_messages(router: Router, rates: dict[str, int]) -> None:
    if rates == router.pim.message_rates:
        return
    router.pim.message_rates = rates
    for interface in router.pim.interfaces.values():
        interface.rates.clear()
        for one in interface.neighbors.values():
            one.rates.clear()


def follow_interface(interface: PimInterface) -> None:
    """Go by what the configuration says of an interface; who and what it refuses now goes at once (Y9)."""
    family, phyint = interface.pim.family, interface.link.phyint
    interface.neighbor_filter = filter_of(family, phyint.neighbor_filter)
    interface.join_filter = join_filter_of(family, phyint.join_filter)
    if phyint.scoped:
        interface.pim.borders[interface] = None
    else:
        interface.pim.borders.pop(interface, None)
    for one in list(interface.neighbors.values()):
        if not interface.neighbor_filter.passes(one.address):
            neighbor.remove(one, "neighbor-filter refuses it")
    groups, sources = interface.join_filter.groups, interface.join_filter.sources
    for entry, machine in list(interface.downstream.items()):
        if not groups.passes(entry.group) or (isinstance(entry, SG) and not sources.passes(entry.source)):
            downstream.close(machine)
    for sg, rpt in list(interface.downstream_rpt.items()):
        if not groups.passes(sg.group):
            downstream_rpt.close(rpt)


def choose_register_source(router: Router) -> None:
    """Of the addresses that `register-source` names, the first that is ours now; None without any."""
    found = next((a for word in router.config.register_sources for a in _addresses(router, word)), None)
    if found == router.pim.register_source:
        return
    router.pim.register_source = found
    register.source_changed(router.pim)


def _addresses(router: Router, word: str) -> list[Address]:
    """The routable addresses of the interface that is called so, or this very address, if it is ours."""
    family = router.family
    for interface in router.interfaces.values():
        if interface.name == word:
            return [a for a, _ in interface.addresses if not family.is_link_local(a) and family.is_unicast(a)]
    try:
        address = parse_address(word)
    except ValueError:
        return []
    return [address] if router.pim.is_mine(address) else []


def _judge_registered(router: Router) -> None:
    """Sources that came in Registers and may not do so any more."""
    accepted = router.pim.registers.sources
    for sg in router.pim.tib.sg.values():
        if sg.flow is not None and sg.flow.vif == REGISTER_VIF and not accepted.passes(sg.source):
            data.forget(sg)
            if sg.keepalive is not None:
                sg.keepalive.cancel()


def _metrics_may_have_changed(router: Router) -> None:
    """A loser whose own metric is better now than the winner's does not stay one (4.6.1, 4.6.2; A13)."""
    for interface in router.pim.interfaces.values():
        for state in interface.asserts:
            router.pim.touched.touch(state.entry)
