"""Where the stream should come from: its RP, the way to the RP and to the source, our Joins, our Registers."""

from __future__ import annotations

from pimpy.core.explain.sentence import INFO, OK, PROBLEM, WAITING, Case, past_border, seconds
from pimpy.core.pim import macros
from pimpy.core.pim.register import State
from pimpy.core.rpf import Path
from pimpy.wire.family import Address, Prefix, format_address

_RULES = {
    "embedded": "the group's address names it (RFC 3956)",
    "static": "an rp-address line names it",
    "override": "an rp-address line with override names it",
    "bsr": "the bootstrap router told of it",
}


def of_rp(case: Case) -> None:
    """RP(G), the rule that gave it, and the way there."""
    if case.ssm:
        return
    choice = case.router.pim.rp_set.choose(case.group)
    if choice.rp is None:
        group = format_address(case.group)
        text = f"no RP is known for {group}, so receivers and sources cannot find each other"
        remedy = f"the same line on all routers: rp-address ADDR {group}/{8 * len(case.group)} (or a whole range)"
        state = INFO if case.sg is not None and case.sg.joined else PROBLEM
        case.say("rp", "no_rp", text, state, remedy=remedy)
        return
    rule = _RULES.get(choice.rule, choice.rule)
    where = f", for {_prefix(choice.prefix)}" if choice.prefix is not None else ""
    mine = case.router.pim.is_mine(choice.rp)
    who = "this router itself" if mine else format_address(choice.rp)
    case.say("rp", "rp_self" if mine else "rp", f"the RP is {who}: {rule}{where}")
    if not mine and case.tree is not None:
        _of_path(case, "rp", "RP", choice.rp, case.tree.path)


def of_source(case: Case) -> None:
    """The way to the source, once there is an entry that needs it."""
    if case.source is not None and case.sg is not None:
        _of_path(case, "upstream", "source", case.source, case.sg.path)


def _of_path(case: Case, topic: str, what: str, address: Address, path: Path | None) -> None:
    name, word = f"the {what} {format_address(address)}", what.lower()
    route = path.route if path is not None else None
    if path is None or route is None:
        case.say(topic, f"{word}_pending", f"the kernel has not told of the route to {name} yet", WAITING)
        return
    if route.ifindex is None:
        text = f"there is no unicast route to {name}, so packets from there fail the RPF check"
        remedy = f"ip route get {format_address(address)}; let the routing protocol have one, or add a route"
        case.say(topic, f"{word}_unreachable", text, PROBLEM, remedy=remedy)
        return
    known = case.router.interfaces.get(route.ifindex)
    device = known.name if known is not None else f"interface {route.ifindex}"
    interface = macros.rpf_interface(case.router.pim, path)
    if interface is None:
        _no_interface(case, topic, name, word, device)
        return
    if interface.bars(case.group):
        text = f"the route to {name} leads over {interface.name}, a border of the group's scope: nothing of it passes"
        case.say(topic, "scope_border", text, PROBLEM, interface.name, past_border(interface.name))
        return
    matched = f" ({_prefix(route.prefix)}, metric {route.metric})" if route.prefix is not None else ""
    if path.connected:
        text = f"{name} is on {interface.name} itself{matched}"
        case.say(topic, f"{word}_connected", text, INFO, interface.name)
        return
    hop = format_address(route.next_hop) if route.next_hop is not None else "-"
    if route.next_hop is not None and not interface.neighbor_filter.passes(route.next_hop):
        text = f"the route to {name}{matched} leads by {hop} on {interface.name}, which `neighbor-filter` refuses"
        remedy = f"allow it: phyint {interface.name} neighbor-filter {case.router.family.host(route.next_hop)}"
        case.say(topic, "neighbor_filtered", text, PROBLEM, interface.name, remedy)
        return
    if macros.nbr(interface, route.next_hop) is None:
        text = f"the route to {name}{matched} leads by {hop} on {interface.name}, which is no PIM neighbour"
        remedy = f"run PIM on {hop}, or lay a route by one of `pimctl show neighbors {interface.name}`"
        case.say(topic, "next_hop_not_neighbor", text, PROBLEM, interface.name, remedy)
        return
    text = f"the route to {name}{matched} leads by the PIM neighbour {hop} on {interface.name}"
    case.say(topic, f"{word}_route", text, OK, interface.name)


def _no_interface(case: Case, topic: str, name: str, word: str, device: str) -> None:
    known = next((one for one in case.router.interfaces.values() if one.name == device), None)
    why = (known.why_not(case.router.config) or "no carrier") if known is not None else "unknown"
    text = f"the route to {name} leads over {device}, which takes no part in multicast routing: {why}"
    remedy = f"enable it (phyint {device} enable), or lay the route over another interface"
    case.say(topic, f"{word}_no_interface", text, PROBLEM, device, remedy)


def of_join(case: Case) -> None:
    """What the upstream machine of the entry waits for."""
    sg, star = case.sg, case.star
    entry = sg if sg is not None and (sg.joined or star is None) else star
    if entry is None or not entry.joined or (entry is star and star.tree.i_am_rp):
        return
    tree = "this source's tree" if entry is sg else "the group's shared tree"
    if entry.rpf is None:
        return  # connected, or what is missing was said above
    left = entry.join_timer.left(case.router.heap.now) if entry.join_timer is not None else None
    who, where = format_address(entry.rpf.address), entry.rpf.interface.name
    by = ", which won an Assert there" if entry.rpf_by_assert else ""
    text = f"we join {tree} at {who} on {where}{by}; the next Join goes in {seconds(left)}"
    case.say("upstream", "joined", text, OK, where)


def of_register(case: Case) -> None:
    """The Register machine of a source on one of our links."""
    sg = case.sg
    if sg is None or sg.register is None:
        return
    rp = format_address(sg.register.rp)
    state = sg.register.state
    if hold := case.router.pim.unreachable.get(sg.register.rp):
        what = "there is no PIM on it" if hold.why == "protocol" else "the way there ends before it"
        left = seconds(hold.timer.left(case.router.heap.now))
        text = f"ICMP says of the RP {rp} that {what}: our Registers to it wait, and are tried again in {left}"
        remedy = f"see whether PIM runs on {rp}, and that it is what the routers agree on: pimctl show rp"
        case.say("register", "rp_refuses", text, PROBLEM, remedy=remedy)
    elif state is State.JOIN:
        text = f"its data goes to the RP {rp} in Registers; the RP has not told us to stop"
        case.say("register", "registering", text)
    elif state is State.PRUNE:
        left = seconds(sg.register.timer.left(case.router.heap.now))
        text = f"the RP {rp} stopped our Registers: it has the data by a tree, or nobody wants it; asked in {left}"
        case.say("register", "register_stopped", text)
    else:
        case.say("register", "register_probing", f"we are asking the RP {rp} whether it wants Registers again", INFO)


def _prefix(prefix: Prefix) -> str:
    return f"{format_address(prefix.network)}/{prefix.length}"
