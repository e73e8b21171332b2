"""The links that could have the stream: each that has a reason to get it or to miss it."""

from __future__ import annotations

from pimpy.core.explain.sentence import INFO, PROBLEM, Case, past_border
from pimpy.core.pim import macros
from pimpy.core.pim.neighbor import PimInterface
from pimpy.wire.family import format_address


def of_interfaces(case: Case) -> None:
    """Where it should go and does not, and why; and where packets are too old to leave."""
    for interface in case.router.pim.interfaces.values():
        if interface.bars(case.group):
            _border(case, interface)
            continue
        _not_dr(case, interface)
        _asserts(case, interface)
        _pruned(case, interface)
        _threshold(case, interface)
        _incoming(case, interface)
    _not_routing(case)


def _members(case: Case, interface: PimInterface) -> bool:
    membership = case.router.memberships[interface.ifindex]
    if case.source is not None and membership.wants(case.group, case.source):
        return True
    excluded = case.source is not None and membership.excludes(case.group, case.source)
    return membership.wants_any(case.group) and not excluded and not case.ssm


def _border(case: Case, interface: PimInterface) -> None:
    """Nothing of the group leaves there, whoever asks."""
    if not _members(case, interface):
        return
    text = f"the members on {interface.name} get nothing: it is a border of the group's scope, which no packet crosses"
    others = [one for one in case.router.pim.interfaces.values() if not one.bars(case.group) and _wanted(case, one)]
    state = INFO if others else PROBLEM
    case.say("interface", "scope_border", text, state, interface.name, past_border(interface.name))


def _not_dr(case: Case, interface: PimInterface) -> None:
    if interface.dr is None or not _members(case, interface):
        return
    entries = [entry for entry in (case.sg, case.star) if entry is not None]
    if any(macros.assert_won(entry) & interface.mask for entry in entries):
        return
    dr = format_address(interface.dr.address)
    text = f"the members on {interface.name} are served by {dr}, the designated router there, not by us"
    others = [one for one in case.router.pim.interfaces.values() if one is not interface and _wanted(case, one)]
    remedy = f"look there: pimctl explain at {dr}; or make this router the DR: phyint {interface.name} dr-priority N"
    case.say("interface", "not_dr", text, INFO if others else PROBLEM, interface.name, remedy)


def _wanted(case: Case, interface: PimInterface) -> bool:
    joined = any(entry is not None and entry in interface.downstream for entry in (case.sg, case.star))
    return joined or (interface.dr is None and _members(case, interface))


def _asserts(case: Case, interface: PimInterface) -> None:
    for entry in (case.sg, case.star):
        state = entry.asserts.get(interface) if entry is not None and entry.asserts else None
        if state is None or state.won:
            continue
        if interface.mask & _incoming_mask(case):
            continue  # there an Assert decides whom we join, which is told as RPF'
        winner = format_address(state.winner)
        text = f"on {interface.name} {winner} won an Assert and forwards, so we do not: members there are served by it"
        case.say("interface", "assert_lost", text, INFO, interface.name, f"look there: pimctl explain at {winner}")
        return


def _pruned(case: Case, interface: PimInterface) -> None:
    if case.sg is not None and macros.prunes_rpt(case.sg) & interface.mask:
        text = f"on {interface.name} the routers have pruned this source off the shared tree: they have it otherwise"
        case.say("interface", "pruned", text, INFO, interface.name)


def _threshold(case: Case, interface: PimInterface) -> None:
    threshold = interface.link.phyint.ttl_threshold or 1
    if threshold <= 1 or not _wanted(case, interface):
        return
    text = f"packets leave by {interface.name} with a TTL above {threshold} only"
    if case.facts.ttl is not None and case.facts.ttl <= threshold:
        text += f"; they come in with {case.facts.ttl}"
        remedy = f"let the sender use a larger TTL, or lower it: phyint {interface.name} ttl-threshold 1"
        case.say("interface", "ttl_threshold", text, PROBLEM, interface.name, remedy)
    else:
        case.say("interface", "ttl_threshold", text, INFO, interface.name)


def _incoming_mask(case: Case) -> int:
    if case.sg is not None and (case.ssm or case.sg.spt_bit):
        return macros.rpf_mask(case.sg)
    return macros.rp_mask(case.router.pim, case.tree) if case.tree is not None else 0


def _incoming(case: Case, interface: PimInterface) -> None:
    if interface.mask & _incoming_mask(case) and _wanted(case, interface):
        text = f"{interface.name} is where the stream comes in: whoever is there has it already"
        case.say("interface", "is_incoming", text, INFO, interface.name)


def _not_routing(case: Case) -> None:
    """Interfaces that take no part: nobody there can ask."""
    for link in case.router.interfaces.values():
        if link.ifindex in case.router.pim.interfaces or link.link.loopback:
            continue
        idle = "no carrier" if not link.link.running else "no free virtual interface"
        text = f"{link.name} takes no part in multicast routing: {link.why_not(case.router.config) or idle}"
        case.say("interface", "interface_off", text, INFO, link.name)
