"""`explain`: every reason that the core can give, provoked in virtual time; and the verdict that follows."""

from __future__ import annotations

from typing import Any

import pytest
from asm_stand import AsmStand
from datagrams import Datagram
from proxy_stand import ProxyStand
from speakers import Channel
from stand import Stand
from static_stand import StaticStand

from pimpy.config.model import Config, Phyint
from pimpy.config.proxies import Filter, Proxy, ProxyInterface
from pimpy.core.engine.events import EffectFailed, RegisterUnreachable, RouteResolved
from pimpy.core.explain import ExplainRow, Facts, explain
from pimpy.core.explain.sentence import INFO, OK, PROBLEM, WAITING
from pimpy.core.traffic import Traffic
from pimpy.wire import pim
from pimpy.wire.family import Family, Prefix, format_address, parse_address, parse_prefix
from pimpy.wire.record import evolve

SEEN: set[str] = set()
"""The reasons that tests have provoked."""


def ask(stand: Any, channel: Channel, facts: Facts = Facts()) -> dict[str, ExplainRow]:  # noqa: B008
    """The rows by reason; the verdict under `verdict`."""
    rows = explain(stand.router, *channel, facts)
    found = {row.reason: row for row in rows if row.topic != "verdict"}
    SEEN.update(found)
    assert all(row.text and row.text[0] != " " for row in rows)
    assert all(row.remedy for row in rows if row.state == PROBLEM and row.reason != "no_group"), "a way out for each"
    return {**found, "verdict": rows[-1]}


def traffic(stand: Any, channel: Channel, **counted: Any) -> None:
    """The kernel has counted this of the entry."""
    values: dict[str, Any] = {"packets": 100, "bytes": 10_000, "wrong_if": 0, "last_packet": 0.1, **counted}
    stand.router.traffic = {channel: Traffic(**values)}


# Who asks.


def test_no_member(family: Family) -> None:
    stand = Stand(family)
    told = ask(stand, stand.channel())
    assert (told["no_member"].state, told["verdict"].reason) == (PROBLEM, "no_member")
    assert "nobody asks for it" in told["verdict"].text


def test_member_by_name_and_flowing(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.host().join(channel[1], channel[0])
    stand.run(1)
    stand.data(channel)
    traffic(stand, channel, packet_rate=50.0)
    told = ask(stand, channel)
    assert told["member"].interface == "down"
    assert told["source_route"].interface == "up"
    assert told["joined"].state == told["flows"].state == OK
    assert "50 a second" in told["counted"].text
    assert told["verdict"].reason == "flows"


def test_joined_by_a_router(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    assert ask(stand, channel)["joined_by_router"].interface == "down"


def test_member_of_any_source_and_the_shared_tree(family: Family) -> None:
    stand = AsmStand(family)
    stand.member()
    told = ask(stand, (None, stand.group()))  # type: ignore[arg-type]
    assert told["member_any"].state == OK
    assert "an rp-address line names it" in told["rp"].text
    assert told["rp_route"].interface == "rpt"
    assert told["verdict"].reason == "nothing_wrong"


def test_excluded(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.far()
    stand.member(excluding=(channel[0],))
    told = ask(stand, channel)
    assert told["excluded"].interface == "down"
    assert told["verdict"].reason == "only_excluded"


def test_other_sources(family: Family) -> None:
    stand = Stand(family)
    one, other = stand.channel(1), stand.channel(2, group=1)
    stand.host().join(one[1], one[0])
    stand.run(1)
    assert ask(stand, other)["other_sources"].interface == "down"


def test_ssm_without_source(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.host().want_any(channel[1])
    stand.run(1)
    assert ask(stand, channel)["verdict"].reason == "ssm_without_source"


def test_a_group_of_the_ssm_range_has_its_sources_named(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    asked = (None, channel[1])
    assert ask(stand, asked)["verdict"].reason == "ssm_names_a_source"  # type: ignore[arg-type]
    stand.host().join(channel[1], channel[0])
    stand.run(1)
    told = ask(stand, asked)["ssm_names_a_source"]  # type: ignore[arg-type]
    assert told.text.endswith(f"known here are {format_address(channel[0])}")
    assert told.remedy == f"name the source: pimctl explain {format_address(channel[0])} {format_address(channel[1])}"


def test_groups_that_hosts_may_not_ask_for(family: Family) -> None:
    other = parse_prefix("239.9.0.0/16" if family.size == 4 else "ff1e:9::/32")
    stand = Stand(family, config=Config(phyints=(Phyint("down", groups=(other,)),)))
    channel = stand.channel()
    told = ask(stand, channel)
    assert (told["group_denied"].state, told["group_denied"].interface) == (INFO, "down")
    assert told["verdict"].reason == "no_member", "nobody was turned away"
    stand.host().join(channel[1], channel[0])
    stand.run(2)
    told = ask(stand, channel)
    assert (told["group_denied"].state, told["verdict"].reason) == (PROBLEM, "group_denied")
    assert "phyint down groups" in (told["verdict"].remedy or "")


@pytest.mark.parametrize("what", ["group", "source"])
def test_joins_that_are_filtered(family: Family, what: str) -> None:
    texts = {"group": ("232.9.0.0/16", "ff3e::9:0:0/96"), "source": ("10.8.0.0/16", "2001:db8:8::/48")}
    passing = parse_prefix(texts[what][family.size == 16])
    stand = Stand(family, config=Config(phyints=(Phyint("down", join_filter=(passing,)),)))
    channel = stand.channel()
    assert ask(stand, channel)["jp_filtered"].state == INFO
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    told = ask(stand, channel)
    assert (told["jp_filtered"].state, told["verdict"].reason) == (PROBLEM, "jp_filtered")
    assert f"this {what}" in told["jp_filtered"].text


def test_registers_that_are_filtered(family: Family) -> None:
    stand = AsmStand(family, rp="me", down=(2,))
    source = stand.far()
    other = parse_prefix("10.200.0.0/16" if family.size == 4 else "2001:db8:200::/48")
    stand.configure(register_accept=(other,))
    stand.say("Join(*,G)")
    assert ask(stand, source)["reg_filtered"].state == INFO
    stand.register(source)
    told = ask(stand, source)
    assert (told["reg_filtered"].state, told["verdict"].reason) == (PROBLEM, "reg_filtered")


def test_next_hop_that_the_filter_refuses(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    other = Prefix(stand.net.address("up", 3), family.bits)
    stand.r1.configure(phyints=(Phyint("up", neighbor_filter=(other,)),))
    stand.run(0)
    told = ask(stand, channel)
    assert told["neighbor_filtered"].interface == "up"
    assert told["verdict"].reason == "neighbor_filtered"


def test_sg_limit(family: Family) -> None:
    stand = Stand(family)
    stand.joined(1)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=1)
    channel = stand.channel(2)
    stand.host().join(channel[1], channel[0])
    stand.run(1)
    assert ask(stand, channel)["sg_limit"].state == PROBLEM


def test_group_limit(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", max_groups=1),)))
    for number in (1, 2):
        channel = stand.channel(number)
        stand.host().join(channel[1], channel[0])
        stand.run(1)
    told = ask(stand, channel)
    assert (told["group_limit"].interface, told["group_limit"].state) == ("down", PROBLEM)


def test_link_scope_and_no_group(family: Family) -> None:
    stand = Stand(family)
    source = stand.channel()[0]
    assert ask(stand, (source, family.all_hosts))["verdict"].reason == "link_scope"
    assert ask(stand, (source, source))["verdict"].reason == "no_group"


# Where it should come from.


def test_no_rp(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    stand.member()
    told = ask(stand, (None, stand.group()))  # type: ignore[arg-type]
    assert told["verdict"].reason == "no_rp"
    assert "rp-address" in (told["verdict"].remedy or "")


def test_rp_is_this_router(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    stand.member()
    assert "this router itself" in ask(stand, stand.far())["rp_self"].text


def route(stand: Any, address: bytes, ifindex: int | None, next_hop: bytes | None) -> None:
    """The kernel tells of another route."""
    stand.router.handle(RouteResolved(address, ifindex, next_hop), stand.net.now)


def test_rp_unreachable(family: Family) -> None:
    stand = AsmStand(family)
    stand.member()
    route(stand, stand.rp, None, None)
    assert ask(stand, (None, stand.group()))["verdict"].reason == "rp_unreachable"  # type: ignore[arg-type]


def test_source_unreachable_and_rp_filter(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    route(stand, channel[0], None, None)
    told = ask(stand, channel, Facts(rp_filter={"up": 2, "down": 0}))
    assert told["verdict"].reason == "source_unreachable"
    assert told["rp_filter"].interface == "up"
    assert "rp_filter" not in ask(stand, channel, Facts(rp_filter={"up": 0}))


def test_strict_rp_filter_where_the_route_leads_elsewhere(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    traffic(stand, channel, packets=0)
    assert ask(stand, channel, Facts(rp_filter={"down": 1, "up": 1}))["rp_filter"].interface == "down"


def test_border_of_the_scope(family: Family) -> None:
    group = AsmStand(family).group()
    border = Prefix(group, 32) if family.size == 4 else parse_prefix("ff0e::/16")
    for link, topic in (("down", "interface"), ("rpt", "rp")):
        stand = AsmStand(family, config=Config(phyints=(Phyint(link, scoped=(border,)),)))
        stand.member()
        stand.run(1)
        told = ask(stand, stand.far())
        found = told["scope_border"]
        assert (found.topic, found.state, found.interface) == (topic, PROBLEM, link)
        assert told["verdict"].reason == "scope_border"


def test_next_hop_that_is_no_neighbor(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    stranger = stand.net.address("up", 77)
    route(stand, channel[0], stand.r1.ports["up"].ifindex, stranger)
    told = ask(stand, channel)
    assert told["next_hop_not_neighbor"].interface == "up"
    assert told["verdict"].reason == "next_hop_not_neighbor"


def test_route_over_an_interface_that_takes_no_part(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    stand.r1.configure(phyints=(Phyint("up", enabled=False),))
    stand.run(0)
    told = ask(stand, channel)
    assert told["source_no_interface"].interface == "up"
    assert "disabled by the configuration" in told["verdict"].text
    assert told["interface_off"].interface == "up"


def test_pending_route(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    sg = stand.entry(channel)
    assert sg is not None
    sg.path.route = None
    assert ask(stand, channel)["source_pending"].state == WAITING


def test_waiting_for_data(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    traffic(stand, channel, packets=0, bytes=0, last_packet=None)
    told = ask(stand, channel)
    assert (told["verdict"].reason, told["verdict"].state) == ("waiting_for_data", WAITING)
    stand.router.traffic = {}


def test_connected_source_that_is_silent(family: Family) -> None:
    stand = Stand(family)
    source = stand.net.source("up", 200)
    channel = source, stand.group()
    stand.host().join(channel[1], source)
    stand.run(1)
    traffic(stand, channel, packets=0, bytes=0, last_packet=None)
    told = ask(stand, channel)
    assert told["source_connected"].interface == "up"
    assert told["verdict"].reason == "source_silent"
    traffic(stand, channel, last_packet=30.0)
    assert "nothing has come in for 30 s" in ask(stand, channel)["verdict"].text


# Registers.


def test_registering_and_stopped_and_probing(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.near()
    stand.data(channel)
    told = ask(stand, channel)
    assert told["registering"].state == INFO
    assert told["no_member"].state == INFO, "the RP gets it"
    stand.register_stop(channel)
    assert "asked in" in ask(stand, channel)["register_stopped"].text
    for _ in range(90):
        stand.run(1)
        register = stand.sg(channel).register
        if register is not None and register.state.value == "join_pending":
            break
    assert "register_probing" in ask(stand, channel)


def test_the_rp_refuses(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.near()
    stand.data(channel)
    register = pim.Register(False, False, Datagram(*channel).to_bytes())
    quoted = pim.encode(family, stand.net.address("src", 5), stand.rp, register)
    for why, said in (("host", "ends before it"), ("protocol", "no PIM on it")):
        stand.r1.handle(RegisterUnreachable(stand.rp, why, quoted))
        told = ask(stand, channel)["rp_refuses"]
        assert said in told.text and "tried again in 5.0 s" in told.text and told.state == PROBLEM
        stand.run(5)
    assert "registering" in ask(stand, channel)


# Where it should go.


def test_not_dr(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.host().join(channel[1], channel[0])
    stand.peer("down", 2).hello(dr_priority=100)
    stand.run(1)
    told = ask(stand, channel)
    assert (told["not_dr"].interface, told["verdict"].reason) == ("down", "not_dr")


def test_assert_lost(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.far()
    stand.say("Join(*,G)")
    stand.say("Join(S,G)")
    stand.data(channel)
    stand.hear_assert(channel[0], (False, 0, 0))
    assert stand.assert_state(channel) == "loser"
    assert ask(stand, channel)["assert_lost"].interface == "down"


def test_pruned_off_the_shared_tree(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.far()
    stand.say("Join(*,G)")
    stand.data(channel, "rpt")
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    stand.run(5)
    assert ask(stand, channel)["pruned"].interface == "down"


def test_ttl_threshold(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", ttl_threshold=32),)))
    (channel,) = stand.joined(1)
    stand.data(channel)
    assert ask(stand, channel)["ttl_threshold"].state == INFO
    told = ask(stand, channel, Facts(ttl=16))
    assert (told["verdict"].reason, told["verdict"].interface) == ("ttl_threshold", None)
    assert "they come in with 16" in told["verdict"].text


def test_who_is_where_the_stream_comes_in_has_it_already(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("up", dr_priority=9),)))
    (channel,) = stand.joined(1)
    stand.host("up").join(channel[1], channel[0])
    stand.run(1)
    assert ask(stand, channel)["is_incoming"].interface == "up"


# The kernel.


def test_ttl_1(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    traffic(stand, channel)
    told = ask(stand, channel, Facts(ttl=1))
    assert told["verdict"].reason == "ttl_1"
    assert "flows" not in told


def test_wrong_incoming_interface(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    traffic(stand, channel, packets=7, wrong_if=7)
    assert ask(stand, channel)["verdict"].reason == "wrong_interface"
    traffic(stand, channel, packets=100, wrong_if=7)
    told = ask(stand, channel)
    assert (told["wrong_interface"].state, told["verdict"].reason) == (INFO, "flows")


def test_unwanted_and_no_entry(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.data(channel)
    assert ask(stand, channel)["unwanted"].interface == "up"
    stand = AsmStand(family)
    stand.member()
    told = ask(stand, stand.far())
    assert (told["no_entry"].state, told["verdict"].reason) == (WAITING, "no_entry")


def test_kernel_refused(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    stand.router.handle(EffectFailed("SetMfc", "ENOBUFS", source=channel[0], group=channel[1]), stand.net.now)
    assert "ENOBUFS" in ask(stand, channel)["verdict"].text
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(10)
    stand.joined(1)
    assert "kernel_refused" not in ask(stand, channel), "it was told again"


def test_kernel_differs(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    same = Facts(kernel_read=True, kernel=("up", frozenset({"down"})))
    assert "kernel_differs" not in ask(stand, channel, same)
    for other in (None, ("down", frozenset({"up"})), ("up", frozenset[str]())):
        told = ask(stand, channel, Facts(kernel_read=True, kernel=other))
        assert told["verdict"].reason == "kernel_differs"


def test_static_rule_in_charge(family: Family) -> None:
    stand = StaticStand(family)
    source, group = stand.source(), stand.group()
    stand.r1.configure(static=evolve(stand.r1.config.static, routes=(stand.exact(source, group, "b"),)))
    stand.net.run(0)
    told = ask(stand, (source, group))
    assert "static rule" in told["static_rule"].text
    assert "no_member" not in told, "PIM has no say"


def test_static_rule_is_named(family: Family) -> None:
    stand = StaticStand(family)
    source, group = stand.source(), stand.group()
    stand.r1.configure(static=evolve(stand.r1.config.static, routes=(stand.exact(source, group, "b"),)))
    stand.net.run(0)
    told = ask(stand, (source, group))["static_rule"].text
    line = f"mroute from a source {format_address(source)} group {format_address(group)} to b"
    assert told.partition("`")[2].partition("`")[0] == line, "as pimctl config shows it"


def test_proxy_in_charge(family: Family) -> None:
    stand = ProxyStand(family, ups=("up", "up2"))
    source, group = stand.source(), stand.group()
    stand.host("d1").want_any(group)
    stand.run(1)
    told = ask(stand, (source, group))
    assert told["proxy_member"].interface == "d1" and told["proxy_asks"].interface == "up"
    assert told["verdict"].reason == "proxy_waits"
    stand.data(source, group)
    traffic(stand, (source, group))
    told = ask(stand, (source, group))
    assert "the proxy tv routes it" in told["proxy_rule"].text and "upstream" in told["proxy_rule"].text
    assert told["verdict"].reason == "flows"
    stand.data(stand.net.address("d1", 77), group, "d1")
    told = ask(stand, (stand.net.address("d1", 77), group))
    assert told["proxy_rule"].interface == "d1" and "downstream" in told["proxy_rule"].text


def test_proxy_asked_by_a_link_that_is_another_queriers(family: Family) -> None:
    stand = ProxyStand(family)
    stand.host("d1").want_any(stand.group())
    stand.asker("d1", 1).query()
    stand.run(1)
    assert ask(stand, (stand.source(), stand.group()))["proxy_not_querier"].interface == "d1"


def test_proxy_asked_for_other_sources(family: Family) -> None:
    stand = ProxyStand(family)
    stand.host("d1").join(stand.group(), stand.source(1))
    stand.run(1)
    assert "proxy_other_sources" in ask(stand, (stand.source(2), stand.group()))


def test_proxy_without_an_upstream(family: Family) -> None:
    stand = ProxyStand(family, ups=("ppp0",))
    stand.host("d1").want_any(stand.group())
    stand.run(1)
    assert ask(stand, (stand.source(), stand.group()))["verdict"].reason == "proxy_no_upstream"
    nothing = Filter((), False)
    proxy = Proxy("tv", (ProxyInterface("up", nothing),), (ProxyInterface("d1"),))
    stand = ProxyStand(family, proxies=(proxy,))
    stand.host("d1").want_any(stand.group())
    stand.run(1)
    assert ask(stand, (stand.source(), stand.group()))["verdict"].reason == "proxy_filtered"


def test_every_reason_of_the_code_was_provoked(request: pytest.FixtureRequest) -> None:
    """What `say` is called with is what the tests of this file see, which run once more for that, here."""
    import ast
    import inspect
    from pathlib import Path

    import pimpy.core.explain as package

    others = [item for item in request.session.items if item.path == request.path and item is not request.node]
    if {item.originalname for item in others} != {name for name in globals() if name.startswith("test_")} - {
        request.node.originalname
    }:
        pytest.skip("not all tests of this file were asked for")
    SEEN.clear()
    for item in others:
        item.obj(**{name: item.callspec.params[name] for name in inspect.signature(item.obj).parameters})
    said: set[str] = set()
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say":
                topic, reason = node.args[0], node.args[1]
                verdict = isinstance(topic, ast.Constant) and topic.value == "verdict"
                if isinstance(reason, ast.Constant) and not verdict:
                    said.add(str(reason.value))
    assert said <= SEEN, f"never provoked: {sorted(said - SEEN)}"
    assert {"static_rule", "source_unreachable", "rp_unreachable", "source_pending", "source_route"} <= SEEN


def test_an_address_that_is_not_asked_for_changes_nothing(family: Family) -> None:
    stand = Stand(family)
    before = [repr(row) for kind in ("mroute", "neighbors") for row in stand.rows(kind)]
    explain(stand.router, parse_address("10.99.0.1" if family.size == 4 else "2001:db8:99::1"), stand.group(9))
    assert stand.router.drain() == []
    assert [repr(row) for kind in ("mroute", "neighbors") for row in stand.rows(kind)] == before
