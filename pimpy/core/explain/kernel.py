"""What the kernel does with the stream: its entry, its counters, and what can drop packets before it."""

from __future__ import annotations

from pimpy.config.route_printer import print_route
from pimpy.core.explain.sentence import INFO, OK, PROBLEM, WAITING, Case, seconds
from pimpy.core.interface import REGISTER_MASK
from pimpy.core.pim import macros
from pimpy.core.traffic import NOTHING, Traffic
from pimpy.wire.family import format_address

LIVELY = 5.0
"""Seconds since the last packet within which a stream counts as flowing."""


def of_static(case: Case) -> None:
    """A static route is in charge."""
    assert case.source is not None, "a static route has streams, each with a source"
    flow = case.router.static.flows.get(case.source + case.group)
    rule = "a static rule" if flow is None else f"the static rule `{print_route(flow.rule.route)}`"
    case.say("upstream", "static_rule", f"{rule} routes it; PIM and proxies have no say: see pimctl show static")


def of_entry(case: Case) -> None:
    """The entry, and what was counted there."""
    if case.source is None:
        return
    router = case.router
    standing = router.forwarding.standing(case.source, case.group)
    if standing is None:
        _no_entry(case)
        return
    traffic = router.traffic.get((case.source, case.group), NOTHING)
    incoming, outgoing = _names(case, 1 << standing[0]), _names(case, standing[1])
    text = f"the kernel takes it from {', '.join(incoming) or 'nowhere'} to {', '.join(outgoing) or 'nowhere'}"
    case.say("kernel", "entry", text, INFO, next(iter(incoming), None))
    refused = router.forwarding.refused.get(case.source + case.group)
    if refused is not None:
        remedy = "see the log; the kernel's table may be full (sysctl net.core.optmem_max), or another daemon's"
        case.say("kernel", "kernel_refused", f"the kernel refused the entry: {refused}", PROBLEM, remedy=remedy)
    _differs(case, incoming, outgoing)
    _counted(case, traffic, next(iter(incoming), ""), outgoing)


def _names(case: Case, vifs: int) -> list[str]:
    names = list(case.router.vifs.names(vifs & ~REGISTER_MASK))
    return [*names, "register"] if vifs & REGISTER_MASK else names


def _differs(case: Case, incoming: list[str], outgoing: list[str]) -> None:
    facts = case.facts
    if not facts.kernel_read:
        return
    if facts.kernel != (next(iter(incoming), None), frozenset(outgoing)):
        found = "no entry"
        if facts.kernel is not None:
            found = f"{facts.kernel[0]} to {', '.join(sorted(facts.kernel[1])) or 'nowhere'}"
        remedy = "somebody else writes into this table: see who with ip monitor mroute, and pimctl doctor"
        case.say("kernel", "kernel_differs", f"the kernel's table has {found} instead", PROBLEM, remedy=remedy)


def _no_entry(case: Case) -> None:
    unwanted = None if case.source is None else case.router.forwarding.stream(case.source, case.group)
    if unwanted is not None:
        where = ", ".join(case.router.vifs.names(1 << unwanted)) or "the register tunnel"
        text = f"it arrives on {where} and is dropped there, as nobody wants it from here"
        case.say("kernel", "unwanted", text, INFO, where)
    else:
        text = "the kernel has no entry: no packet of it has come in, or it is not joined"
        state = WAITING if case.sg is not None or case.star is not None else INFO
        case.say("kernel", "no_entry", text, state)
        _dropped_before(case)


def _counted(case: Case, traffic: Traffic, incoming: str, outgoing: list[str]) -> None:
    packets, wrong = traffic.packets, traffic.wrong_if
    if packets is None or wrong is None:
        return
    right = packets - wrong
    if wrong and not right:
        text = f"all {wrong} packets came in by another interface than {incoming}, and were dropped"
        remedy = f"the route to the source must lead where the stream comes from: ip route get {_source(case)}"
        case.say("kernel", "wrong_interface", text, PROBLEM, incoming, remedy)
        return
    if wrong:
        text = f"{wrong} of {packets} packets came in by another interface than {incoming}, and were dropped"
        case.say("kernel", "wrong_interface", text, INFO, incoming)
    if not right:
        _nothing_came(case, incoming)
        return
    rate = f", {traffic.packet_rate:.4g} a second" if traffic.packet_rate is not None else ""
    last = seconds(traffic.last_packet)
    case.say("kernel", "counted", f"{right} packets came in{rate}, the last {last} ago", INFO, incoming)
    if traffic.last_packet is not None and traffic.last_packet > LIVELY:
        text = f"nothing has come in for {last}"
        case.say("kernel", "source_silent", text, WAITING, incoming, "is the sender running? look there, or upstream")
        return
    _leaves(case, incoming, outgoing)


def _leaves(case: Case, incoming: str, outgoing: list[str]) -> None:
    if case.facts.ttl is not None and case.facts.ttl <= 1:
        text = f"its packets come in with TTL {case.facts.ttl}: they may not leave {incoming}, whatever the tables say"
        remedy = "let the sender use a larger TTL; until then: pimctl doctor prints an nftables rule that raises it"
        case.say("kernel", "ttl_1", text, PROBLEM, incoming, remedy)
    elif outgoing:
        case.say("kernel", "flows", f"it goes out to {', '.join(outgoing)}", OK)


def _nothing_came(case: Case, incoming: str) -> None:
    sg = case.sg
    if sg is not None and sg.rpf is not None and sg.joined:
        who = format_address(sg.rpf.address)
        text = f"{who} was asked for it, and nothing has come yet"
        remedy = f"look there: pimctl explain at {who}; is the sender running?"
        case.say("kernel", "waiting_for_data", text, WAITING, incoming, remedy)
    else:
        text = f"no packet of it has come in on {incoming}: the source is silent, or its packets are lost before here"
        remedy = "is the sender running, on the right interface? pimctl doctor looks at firewall and rp_filter"
        case.say("kernel", "source_silent", text, WAITING, incoming, remedy)
    _dropped_before(case)


def _dropped_before(case: Case) -> None:
    """rp_filter drops before multicast routing sees a packet, and no counter but one of the whole host tells."""
    sg = case.sg
    route = sg.path.route if sg is not None else None
    for name, mode in sorted(case.facts.rp_filter.items()):
        interface = macros.rpf_interface(case.router.pim, sg.path) if sg is not None else None
        unreachable = route is not None and route.ifindex is None
        elsewhere = mode == 1 and interface is not None and interface.name != name
        if mode and (unreachable or elsewhere):
            why = "there is no route to it" if unreachable else f"the route to it leads elsewhere than {name}"
            text = f"rp_filter is {mode} on {name}: packets of the source that come in there vanish, as {why}"
            remedy = f"sysctl -w net.ipv4.conf.{name}.rp_filter=0 net.ipv4.conf.all.rp_filter=0, or lay the route"
            case.say("kernel", "rp_filter", text, INFO, name, remedy)


def _source(case: Case) -> str:
    return "-" if case.source is None else format_address(case.source)
