"""One directive after another changes under two streams: what it does not concern keeps its entries, its neighbours
and its timers, and no packet is lost. tests/lab/test_reload.py counts packets of the real thing.

    9 - up - r1 - down - 2      7 (towards the RP) - rpt - r1 - side
"""

from __future__ import annotations

from typing import Any

import pytest
from asm_stand import AsmStand

from pimpy.config.model import (
    AnycastRp,
    BsrCandidate,
    Config,
    ExpectedNeighbor,
    Phyint,
    Proxy,
    ProxyInterface,
    RpCandidate,
    RpfRoute,
    SsmMapping,
    Static,
    StaticMember,
    StaticRoute,
    StaticRp,
    Watch,
)
from pimpy.wire.family import FAMILIES, Family, Prefix, parse_address, parse_prefix
from pimpy.wire.record import fields


def pick(family: Family, four: str, six: str) -> Prefix:
    return parse_prefix(four if family.size == 4 else six)


def host(family: Family, number: int) -> bytes:
    return parse_address(f"10.200.0.{number}" if family.size == 4 else f"2001:db8:200::{number}")


def changes(family: Family, base: Config) -> dict[str, dict[str, Any]]:
    """For each field of Config another value, which does not concern the streams."""
    everybody, all_groups = Prefix(family.any, 0), family.multicast
    others = pick(family, "239.200.0.0/16", "ff15:200::/32")
    group = others.network[:-1] + b"\x01"
    other_rp = StaticRp(host(family, 1), others)
    single: dict[str, Any] = {
        "hello_interval": 7,
        "triggered_hello_delay": 1.0,
        "join_prune_interval": 10,
        "keepalive_timer": 300,
        "igmp_query_interval": 20,
        "igmp_robustness": 3,
        "igmp_querier_timeout": 300,
        "mld_query_interval": 30,
        "mld_robustness": 4,
        "mrdisc_interval": 30,
        "ssm_ranges4": (*base.ssm_ranges4, parse_prefix("239.232.0.0/16")),
        "ssm_ranges6": (*base.ssm_ranges6, parse_prefix("ff15:232::/32")),
        "static_members": (StaticMember("side", group),),
        "ssm_map": (SsmMapping(pick(family, "232.200.0.0/16", "ff3e:200::/32"), host(family, 2)),),
        "rp_addresses": (*base.rp_addresses, other_rp),
        "bsr_candidates": (BsrCandidate(priority=5),),
        "rp_candidates": (RpCandidate(priority=5),),
        "group_prefixes": (others,),
        "anycast_rps": (AnycastRp(host(family, 3), (host(family, 4), host(family, 5))),),
        "bsr_interval": 70,
        "bsr_filter": (everybody,),
        "rp_candidate_filter": (everybody,),
        "embedded_rp": False,
        "unicast_bsm": True,
        "spt_threshold": "infinity",
        "rp_spt_threshold": "infinity",
        "route_distance": 90,
        "route_metric": 7,
        "neighbor_filter": (everybody,),
        "join_filter": (all_groups,),
        "register_sources": ("src",),
        "register_accept": (everybody,),
        "register_accept_from": (everybody,),
        "register_guard": True,
        "register_limit": 100,
        "state_limits": (("sg", 1000),),
        "message_limits": (("hello", 1000),),
        "metrics": ("127.0.0.1", 9353),
        "rpf_routes": (RpfRoute(Prefix(host(family, 6), family.bits), "side"),),
        "static": Static((StaticRoute("side", None, others, ("up",)),)),
        "proxies": (Proxy("p", (ProxyInterface("ppp0"),), (ProxyInterface("ppp1"),)),),
        "watches": (Watch("w", group),),
        "expected_neighbors": (ExpectedNeighbor(host(family, 7), "side"),),
        "families": (family.name,),
    }
    found = {name: {name: value} for name, value in single.items()}
    packets = {"spt_threshold": "packets", "spt_threshold_number": 2, "spt_threshold_interval": 10}
    found["spt_threshold_number"] = found["spt_threshold_interval"] = packets
    of_rp = {f"rp_{name}": value for name, value in packets.items()}
    found["rp_spt_threshold_number"] = found["rp_spt_threshold_interval"] = of_rp
    found["phyints"] = {"phyints": (Phyint("side", enabled=False),)}
    named = tuple(Phyint(name, enabled=True) for name in ("up", "down", "rpt", "src"))
    found["phyints_enabled"] = {"phyints_enabled": False, "phyints": named}
    return found


def phyints(family: Family) -> dict[str, Phyint]:
    """For each field of Phyint a line, of the interface that the streams leave by wherever they may."""
    everybody = Prefix(family.any, 0)
    values: dict[str, Any] = {
        "enabled": True,
        "igmp_version": 2,
        "mld_version": 1,
        "dr_priority": 9,
        "ttl_threshold": 3,
        "hello_interval": 9,
        "distance": 5,
        "metric": 5,
        "oldest_igmp": 2,
        "oldest_mld": 2,
        "max_groups": 100,
        "max_sources": 100,
        "query_interval": 60,
        "robustness": 3,
        "query_response_interval": 5000,
        "last_member_interval": 500,
        "immediate_leave": "tracked",
        "explicit_tracking": True,
        "on_link_reports_only": True,
        "require_router_alert": True,
        "mrdisc": True,
        "groups": (family.multicast,),
        "querier_addresses": (parse_address("10.0.0.1" if family.size == 4 else "fe80::1"),),
        "neighbor_filter": (everybody,),
        "join_filter": (family.multicast,),
        "bsr_border": True,
        "hello_optional": True,
        "require_ttl_1": True,
        "scoped": (pick(family, "239.200.0.0/16", "ff05::/16"),),
        "altnets": (pick(family, "10.201.0.0/16", "2001:db8:201::/48"),),
    }
    lines = {name: Phyint("down", **{name: value}) for name, value in values.items()}
    there = {name: Phyint("side", **{name: True}) for name in ("passive", "nolistener")}
    return lines | there


class Running:
    """Two streams, one of a channel and one of the shared tree and its source's own, wanted by number 2 on `down`."""

    def __init__(self, family: Family) -> None:
        self.stand = AsmStand(family, down=(2,))
        self.stand.net.link("side", "r1")
        self.asm = self.stand.far()
        self.ssm = self.stand.channel(1)[0], parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:9")
        self.stand.say("Join(*,G)", "Join(S,G)", holdtime=0xFFFF)
        self.stand.peer("down", 2).join(self.stand.us(), self.ssm, holdtime=0xFFFF)
        self.stand.run(20)
        for _ in range(3):
            self.packets()
            self.stand.run(1)
        self.base = self.stand.r1.config
        self.towards = {"up": self.stand.nine, "rpt": self.stand.seven}

    def packets(self) -> None:
        """One of each stream comes in where it should, and leaves by `down`."""
        for stream in (self.asm, self.ssm):
            self.stand.data(stream, "up")
            assert self.stand.forwards(stream) == {"down"}

    def facts(self) -> tuple[object, ...]:
        """What a reload must not touch: entries, neighbours, and when the next Joins and Hellos are due."""
        router = self.stand.router
        entries = {key: self.stand.r1.kernel.mfc.get(key) for key in (self.asm, self.ssm)}
        neighbors = {(i.name, n.address): (id(n), n.liveness.deadline) for i in router.pim.interfaces.values()
                     for n in i.neighbors.values() if i.name != "side"}  # fmt: skip
        genids = {i.name: i.generation_id for i in router.pim.interfaces.values() if i.name != "side"}
        joins = [sg.join_timer.deadline if sg.join_timer is not None else None for sg in router.pim.tib.sg.values()]
        hellos = [i.hello_timer.deadline for i in router.pim.interfaces.values() if i.name != "side"]
        return entries, neighbors, genids, joins, hellos

    def reload(self, **changed: Any) -> None:
        """Follow another configuration, and then the first again."""
        for values in (changed, {name: getattr(self.base, name) for name in changed}):
            before = self.facts()
            self.stand.mark()
            self.stand.r1.configure(**values)
            self.stand.run(0)
            assert self.facts() == before, f"after {values}"
            self.packets()
            said = [words for link in ("up", "rpt") for _, words in self.stand.told(link, self.towards[link])]
            own = {"Prune(*,G)"} if "static_members" in changed else set()  # of the group that is wanted no more
            assert not {words for words in said if words.startswith(("Prune(S,G)", "Prune(*,G)"))} - own, (
                f"after {values}"
            )
            self.stand.run(0.5)


def test_every_field_has_an_example() -> None:
    """A new directive has to say here what a reload of it does to what it does not concern."""
    for family in FAMILIES:
        assert {field.name for field in fields(Config)} == changes(family, Config()).keys()
        assert {field.name for field in fields(Phyint)} - {"name"} == phyints(family).keys()


def test_what_concerns_the_streams_is_seen(family: Family) -> None:
    """The control: this test would notice a directive that does too much."""
    for word in ("enabled", "passive"):
        with pytest.raises(AssertionError):
            Running(family).reload(phyints=(Phyint("down", **{word: word == "passive"}),))  # type: ignore[arg-type]


def test_one_directive_after_another(family: Family) -> None:
    running = Running(family)
    for values in changes(family, running.base).values():
        running.reload(**values)
    running.stand.run(200)
    running.packets()


def test_one_word_of_a_phyint_line_after_another(family: Family) -> None:
    running = Running(family)
    for line in phyints(family).values():
        running.reload(phyints=(line,))
    running.stand.run(200)
    running.packets()
