"""Why a stream flows or does not: `pimctl explain S G`, from the live state, without a change to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.explain import demand, filtered, kernel, proxied, upstream, ways_out
from pimpy.core.explain.sentence import INFO, OK, PROBLEM, WAITING, Case, ExplainRow, Facts
from pimpy.core.forwarding import STATIC
from pimpy.wire.family import Address, format_address

if TYPE_CHECKING:
    from pimpy.core.router import Router

__all__ = ["ExplainRow", "Facts", "explain"]


def explain(router: Router, source: Address | None, group: Address, facts: Facts = Facts()) -> list[ExplainRow]:  # noqa: B008
    """Sentences on (source, group), the verdict last. `source` None asks of the shared tree alone."""
    case = Case(router, source, group, facts)
    if not router.ssm.usable(group):
        _never_routed(case)
    elif source is not None and router.forwarding.owner(source, group) == STATIC:
        kernel.of_static(case)
        kernel.of_entry(case)
    elif proxied.concerns(case):
        proxied.of_proxies(case)
        kernel.of_entry(case)
    else:
        filtered.of_filters(case)
        demand.of_members(case)
        demand.of_limits(case)
        upstream.of_rp(case)
        upstream.of_source(case)
        upstream.of_join(case)
        upstream.of_register(case)
        ways_out.of_interfaces(case)
        kernel.of_entry(case)
    _verdict(case)
    return case.rows


def _never_routed(case: Case) -> None:
    group = format_address(case.group)
    if case.router.family.is_multicast(case.group):
        text = f"{group} is of the link-local scope, or reserved: no router may ever forward it"
        remedy = "let the sender use a group of 239.0.0.0/8 or 232.0.0.0/8 (ff08::/16, ff3e::/32), or bridge the links"
        case.say("group", "link_scope", text, PROBLEM, remedy=remedy)
    else:
        case.say("group", "no_group", f"{group} is no multicast group", PROBLEM)


def _verdict(case: Case) -> None:
    """The last word: the first thing that stands in the way, else what is waited for, else that it flows."""
    for state, words in ((PROBLEM, "does not flow"), (WAITING, "does not flow yet")):
        found = next((row for row in case.rows if row.state == state), None)
        if found is not None:
            case.say("verdict", found.reason, f"{case.name} {words}: {found.text}", state, remedy=found.remedy)
            return
    if any(row.state == OK and row.reason == "flows" for row in case.rows):
        case.say("verdict", "flows", f"{case.name} flows through this router", OK)
    else:
        case.say("verdict", "nothing_wrong", f"nothing stands in the way of {case.name} here", INFO)
