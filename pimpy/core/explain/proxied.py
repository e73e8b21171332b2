"""Streams that a proxy routes: who wants them of it, and where it asks for them."""

from __future__ import annotations

from pimpy.core.explain.sentence import INFO, OK, PROBLEM, WAITING, Case
from pimpy.core.forwarding import PROXY
from pimpy.core.gmp.host import NOTHING
from pimpy.core.proxy.instance import Instance
from pimpy.core.proxy.ports import Port
from pimpy.wire.family import format_address


def concerns(case: Case) -> bool:
    """Whether a proxy has the stream's entry, or members that want what PIM has no state of."""
    source = case.source
    if source is not None and (owner := case.router.forwarding.owner(source, case.group)) is not None:
        return owner == PROXY
    if case.sg is not None or case.star is not None:
        return False
    return any(_asked(case, port) for one in case.router.proxies.instances for port, _ in one.downstreams)


def of_proxies(case: Case) -> None:
    """What each proxy has to do with it."""
    for instance in case.router.proxies.instances:
        wanted = [port for port, _ in instance.downstreams if _asked(case, port)]
        for port in wanted:
            _of_members(case, instance, port)
        if wanted:
            _of_upstreams(case, instance)
    _of_stream(case)


def _asked(case: Case, port: Port) -> bool:
    """Whether a member on a downstream link has said something of the group."""
    return port.membership is not None and case.group in port.membership.link.groups


def _of_members(case: Case, instance: Instance, port: Port) -> None:
    name, membership = f"the proxy {instance.said.name}", port.membership
    assert membership is not None, "a member was heard there"
    if not (membership.link.is_querier or instance.said.always_forward):
        other = membership.querier.other
        who = "another router" if other is None else format_address(other)
        text = f"on {port.name} a host asks for the group; {who} queries there, and forwards, not {name}"
        case.say("members", "proxy_not_querier", text, INFO, port.name, "`always-forward` if the other one does not")
    elif case.source is not None and not port.wants(case.group, case.source):
        text = f"on {port.name} hosts ask {name} for the group, but not from this source"
        case.say("members", "proxy_other_sources", text, INFO, port.name)
    else:
        case.say("members", "proxy_member", f"on {port.name} a host asks {name} for it", OK, port.name)


def _of_upstreams(case: Case, instance: Instance) -> None:
    asking = [port.name for port, _ in instance.upstreams if instance.wish(port, case.group) != NOTHING]
    name = f"the proxy {instance.said.name}"
    if asking:
        case.say("upstream", "proxy_asks", f"{name} asks for it on {', '.join(asking)}", OK, asking[0])
    elif not instance.upstreams:
        text = f"no upstream interface of {name} is up"
        case.say("upstream", "proxy_no_upstream", text, PROBLEM, remedy="pimctl show proxy; ip link show")
    else:
        text = f"the filters of {name} let no upstream interface bring it"
        case.say("upstream", "proxy_filtered", text, PROBLEM, remedy="see the proxy-filter lines of the configuration")


def _of_stream(case: Case) -> None:
    """Where it comes in, and by whose entry."""
    if case.source is None:
        return
    stream = case.router.proxies.streams.by_key.get(case.source + case.group)
    if stream is None:
        text = "the kernel has told of no packet of it that a proxy may take"
        case.say("kernel", "proxy_waits", text, WAITING, remedy="is the sender running, behind an upstream interface?")
        return
    side = "upstream" if stream.instance.said.is_upstream(stream.port.name) else "downstream"
    text = f"the proxy {stream.instance.said.name} routes it: it comes in by {stream.port.name}, {side} of it"
    case.say("upstream", "proxy_rule", text, INFO, stream.port.name)
