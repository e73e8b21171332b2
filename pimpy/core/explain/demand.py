"""Who asks for the stream: hosts by IGMP or MLD, routers by PIM; and whom we do not hear."""

from __future__ import annotations

from pimpy.core.explain.sentence import INFO, OK, PROBLEM, Case, seconds
from pimpy.core.gmp import Membership
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.register import State
from pimpy.wire.family import format_address


def of_members(case: Case) -> None:
    """Each link on which somebody asks, or excludes the source."""
    found = 0
    for interface in case.router.pim.interfaces.values():
        membership = case.router.memberships[interface.ifindex]
        found += _of_hosts(case, interface, membership)
        found += _of_routers(case, interface)
    if not found:
        _nobody(case)


def _of_hosts(case: Case, interface: PimInterface, membership: Membership) -> int:
    record = membership.link.groups.get(case.group)
    if record is None:
        return 0
    protocol = case.router.family.gmp.upper()
    who = "a host" if record.reporter is None else f"a host ({format_address(record.reporter)} was the last to say so)"
    if case.source is not None and membership.wants(case.group, case.source):
        text = f"on {interface.name} {who} asks for this source, by {protocol}v{record.version()}"
        case.say("members", "member", text, OK, interface.name)
        return 1
    if case.source is not None and membership.excludes(case.group, case.source):
        text = f"on {interface.name} all hosts that want the group exclude this source"
        remedy = "let a receiver there join the group without the exclusion, or the source by name"
        case.say("members", "excluded", text, INFO, interface.name, remedy)
        return 0
    if membership.wants_any(case.group):
        text = f"on {interface.name} {who} asks for the group, whatever its source, by {protocol}v{record.version()}"
        case.say("members", "member_any", text, OK, interface.name)
        return 1
    if case.source is not None:
        names = ", ".join(format_address(address) for address in list(record.sources)[:3])
        text = f"on {interface.name} hosts ask for the group from other sources only: {names}"
        case.say("members", "other_sources", text, INFO, interface.name)
    return 0


def _of_routers(case: Case, interface: PimInterface) -> int:
    found = 0
    for entry, what in ((case.sg, "this source's tree"), (case.star, "the group's shared tree")):
        machine = interface.downstream.get(entry) if entry is not None else None
        if machine is not None:
            left = seconds(machine.expiry.left(case.router.heap.now))
            text = f"on {interface.name} a router has joined {what}; without another Join that ends in {left}"
            case.say("members", "joined_by_router", text, OK, interface.name)
            found += 1
    return found


def _nobody(case: Case) -> None:
    """No demand: and whether somebody asked in a way that does not count."""
    excluded = next((row for row in case.rows if row.reason == "excluded"), None)
    if excluded is not None:
        case.say("members", "only_excluded", "nobody else asks for it", PROBLEM, excluded.interface, excluded.remedy)
        return
    if case.ssm and (bad := _ssm_without_source(case)):
        text = f"nobody asks for it; {bad} reports for groups of the SSM range named no source: they do not count there"
        remedy = "receivers must name the source (IGMPv3 or MLDv2), or `ssm-map` names it for them"
        case.say("members", "ssm_without_source", text, PROBLEM, remedy=remedy)
        return
    if case.ssm and case.source is None:
        _of_no_source(case)
        return
    text = "nobody asks for it: no host on a link of this router, no router downstream"
    wanted = format_address(case.group)
    if case.ssm and case.source is not None:
        wanted += f" {format_address(case.source)}"
    remedy = f"at a receiver: pimctl join {wanted}; here: pimctl show {case.router.family.gmp} groups"
    sends = case.sg is not None and case.sg.register is not None and case.sg.register.state is State.JOIN
    case.say("members", "no_member", text, INFO if sends else PROBLEM, remedy=remedy)


def _of_no_source(case: Case) -> None:
    """There is no shared tree in the SSM range: a stream is a source and its group."""
    group = format_address(case.group)
    wanted = {s for m in case.router.memberships.values() if (r := m.link.groups.get(case.group)) for s in r.sources}
    joined = {sg.source for sg in case.router.pim.tib.sg.values() if sg.group == case.group}
    sources = [format_address(source) for source in sorted(wanted | joined)]
    text = f"{group} is in the SSM range, where nobody can ask for a group alone: each source is a stream of its own"
    if sources:
        more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
        text += f"; known here are {', '.join(sources[:3])}{more}"
    remedy = f"name the source: pimctl explain {sources[0] if sources else 'SOURCE'} {group}"
    case.say("members", "ssm_names_a_source", text, PROBLEM, remedy=remedy)


def _ssm_without_source(case: Case) -> int:
    counters = case.router.counters.values.items()
    return sum(count for (*_, reason), count in counters if reason == "ssm_bad_record")


def of_limits(case: Case) -> None:
    """Tables that are full, where the stream has no entry."""
    router = case.router
    if case.sg is None and len(router.pim.tib.sg) >= router.pim.settings.max_sg:
        text = f"the table of (S,G) entries is full ({router.pim.settings.max_sg}): no new stream is taken"
        case.say("members", "sg_limit", text, PROBLEM, remedy="find who fills it: pimctl show mroute")
    for interface in router.pim.interfaces.values():
        membership = router.memberships[interface.ifindex]
        full = len(membership.link.groups) >= membership.settings.max_groups
        if full and case.group not in membership.link.groups:
            limit = membership.settings.max_groups
            text = f"on {interface.name} hosts ask for {limit} groups already: no more are taken"
            remedy = f"raise it: phyint {interface.name} max-groups N"
            case.say("members", "group_limit", text, PROBLEM, interface.name, remedy)
