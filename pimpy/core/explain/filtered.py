"""What the operator's filters keep away: members' wishes, Joins, Registers."""

from __future__ import annotations

from pimpy.core.explain.sentence import INFO, PROBLEM, Case
from pimpy.core.pim.neighbor import PimInterface
from pimpy.wire.family import format_address


def of_filters(case: Case) -> None:
    """Each filter that does not let the stream pass: in its way if somebody was turned away by it."""
    for interface in case.router.pim.interfaces.values():
        _of_members(case, interface)
        _of_joins(case, interface)
    _of_registers(case)


def _of_members(case: Case, interface: PimInterface) -> None:
    name, group = interface.name, case.router.family.host(case.group)
    if case.router.memberships[interface.ifindex].settings.allows(case.group):
        return
    text, state = _turned_away(
        case, name, "group_denied", f"on {name} hosts may not ask for {format_address(case.group)} (`groups`)"
    )
    remedy = f"allow it: phyint {name} groups {group}"
    case.say("members", "group_denied", text, state, name, remedy)


def _of_joins(case: Case, interface: PimInterface) -> None:
    name, joins = interface.name, interface.join_filter
    if not joins.groups.passes(case.group):
        what = "this group"
    elif case.source is not None and not joins.sources.passes(case.source):
        what = "this source"
    else:
        return
    text, state = _turned_away(case, name, "jp_filtered", f"Joins for {what} are not taken on {name} (`join-filter`)")
    case.say("members", "jp_filtered", text, state, name, f"widen it: phyint {name} join-filter PREFIX...")


def _of_registers(case: Case) -> None:
    """Where this router is the RP."""
    sources = case.router.pim.registers.sources
    if case.source is None or case.tree is None or not case.tree.i_am_rp or sources.passes(case.source):
        return
    base = f"Registers of {format_address(case.source)} are answered with Register-Stop (`register-accept`)"
    text, state = _turned_away(case, None, "reg_filtered", base)
    remedy = f"accept it: register-accept {case.router.family.host(case.source)}"
    case.say("register", "reg_filtered", text, state, remedy=remedy)


def _turned_away(case: Case, interface: str | None, reason: str, text: str) -> tuple[str, str]:
    """The sentence with how many were turned away, and whether that stands in the way: nobody, and it does not."""
    counters = case.router.counters.values.items()
    count = sum(n for (name, *_, why), n in counters if why == reason and interface in (None, name))
    return (f"{text}; {count} were turned away so far", PROBLEM) if count else (text, INFO)
