"""Rows whole: every field of what `show` tells, typed by hand from what is said of it in core/rows.py.

Each test makes a small world in which the fields differ from one another and from what they are by default.
"""

from __future__ import annotations

from typing import Any

from asm_stand import AsmStand
from bsr_stand import BsrStand
from gmp_bench import IS_IN, TO_EX, Bench
from proxy_stand import ProxyStand
from stand import Stand
from static_stand import StaticStand

from pimpy.config.model import Config, ExpectedNeighbor, Phyint, StaticRp, Watch
from pimpy.config.routes import StaticJoin, StaticRoute
from pimpy.core.gmp import GmpSettings
from pimpy.core.views.members import group_rows, interface_row
from pimpy.core.views.rp import rp_of, rpf
from pimpy.wire.family import Family, format_address, parse_address, parse_prefix
from pimpy.wire.pim import Hello, LanPruneDelay
from pimpy.wire.record import evolve, fields


def whole(row: Any) -> dict[str, Any]:
    """All fields; times to a microsecond."""
    values = {field.name: getattr(row, field.name) for field in fields(type(row))}
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


def by(family: Family, four: str, six: str) -> str:
    return four if family.size == 4 else six


def test_a_neighbour_that_says_all_and_one_that_says_nothing(family: Family) -> None:
    stand = Stand(family, down=())
    secondary = [stand.net.address("down", number) for number in (33, 22)]
    stand.peer("down", 3).send(Hello(holdtime=0xFFFF))
    stand.run(4)
    said = Hello(105, LanPruneDelay(True, 700, 1500), 8, 0xABCD, tuple(secondary))
    stand.peer("down", 2).send(said)
    stand.run(1.5)
    stand.router.advance(stand.net.now)
    talker, silent = (row for row in stand.rows("neighbors") if row.interface == "down")
    same = {"address_family": family.name, "interface": "down"}
    assert whole(talker) == same | {
        "address": by(family, "10.0.2.2", "fe80::2"),
        "up_time": 1.5,
        "expiration": 103.5,
        "dr_priority": 8,
        "gen_id": 0xABCD,
        "lan_prune_delay": True,
        "propagation_delay": 0.7,
        "override_interval": 1.5,
        "t_bit": True,
        "is_dr": False,  # as one does not tell its priority the address alone decides, N9: ours is the highest
        "secondary_addresses": by(family, "10.0.2.22 10.0.2.33", "2001:db8:0:2::16 2001:db8:0:2::21"),
    }
    assert whole(silent) == same | {
        "address": by(family, "10.0.2.3", "fe80::3"),
        "up_time": 5.5,
        "expiration": None,
        "dr_priority": None,
        "gen_id": None,
        "lan_prune_delay": False,
        "propagation_delay": None,
        "override_interval": None,
        "t_bit": None,
        "is_dr": False,
        "secondary_addresses": "",
    }
    nine = stand.row("neighbors", interface="up")
    assert (nine.is_dr, nine.lan_prune_delay, nine.propagation_delay, nine.override_interval) == (True, True, 0.5, 2.5)


def test_an_interface_with_pim_and_those_without(family: Family) -> None:
    phyints = (
        Phyint("down", dr_priority=7, ttl_threshold=3, hello_interval=20),
        Phyint("idle", enabled=False, dr_priority=9, ttl_threshold=4, hello_interval=40),
        Phyint("quiet", passive=True),
    )
    stand = Stand(family, down=(2, 3), config=Config(phyints=phyints))
    stand.peer("down", 3).send(Hello(105, LanPruneDelay(False, 900, 3100), 1, 5))
    for name in ("idle", "quiet"):
        stand.net.link(name, "r1", mtu=1400)
    stand.run(0)
    down = whole(stand.row("interfaces", interface="down"))
    assert 0 < down.pop("hello_expiration") <= 20 and down.pop("gen_id") > 0
    routable, bits = by(family, "10.0.2.5", "2001:db8:0:2::5"), by(family, "24", "64")
    local = by(family, "", "fe80::5/64 ")
    assert down == {
        "address_family": family.name,
        "interface": "down",
        "ifindex": 3,
        "oper_status": "up",
        "reason": None,
        "mode": "pim",
        "vif": 1,
        "address": by(family, "10.0.2.5", "fe80::5"),
        "dr_priority": 7,
        "dr_address": by(family, "10.0.2.5", "fe80::5"),
        "is_dr": True,
        "neighbor_count": 2,
        "hello_interval": 20.0,
        "propagation_delay": 0.9,
        "override_interval": 3.1,
        "suppression": True,
        "mtu": 1500,
        "subnet": by(family, "10.0.2.5/24", "fe80::5/64"),
        "ttl_threshold": 3,
        "addresses": f"{local}{routable}/{bits}",
    }
    idle = whole(stand.row("interfaces", interface="idle"))
    reason = idle.pop("reason")
    assert reason and isinstance(reason, str)
    assert idle == {
        "address_family": family.name,
        "interface": "idle",
        "ifindex": 4,
        "oper_status": "off",
        "mode": "none",
        "vif": None,
        "address": by(family, "10.0.3.5", "fe80::5"),
        "dr_priority": 9,
        "dr_address": None,
        "is_dr": False,
        "neighbor_count": 0,
        "hello_interval": 40.0,
        "hello_expiration": None,
        "gen_id": None,
        "propagation_delay": 0.5,
        "override_interval": 2.5,
        "suppression": True,
        "mtu": 1400,
        "subnet": by(family, "10.0.3.5/24", "fe80::5/64"),
        "ttl_threshold": 4,
        "addresses": by(family, "10.0.3.5/24", "fe80::5/64 2001:db8:0:3::5/64"),
    }
    loopback = stand.row("interfaces", interface="lo")
    assert (loopback.dr_priority, loopback.ttl_threshold, loopback.hello_interval) == (1, 1, 30.0)
    quiet, up = stand.row("interfaces", interface="quiet"), stand.row("interfaces", interface="up")
    assert (quiet.mode, quiet.is_dr, quiet.neighbor_count, up.mode) == ("passive", True, 0, "pim")
    assert (up.is_dr, up.dr_address, up.ttl_threshold) == (False, format_address(stand.nine), 1), "N9: 9 is higher"
    stand.net.set_link("down", up=False)
    stand.run(0)
    gone = stand.row("interfaces", interface="down")
    assert (gone.oper_status, gone.reason, gone.mode) == ("down", "no carrier", "none")


def test_an_interface_as_igmp_and_mld_see_it(family: Family) -> None:
    bench = Bench(family, GmpSettings(query_interval=100, max_groups=50))
    bench.to(5)
    bench.record(TO_EX, (1, 2))
    bench.record(IS_IN, (3,), group=bench.G2)
    leave = "rx_leave" if family.size == 4 else "rx_done"
    counts = ("tx_query", "rx_query", "rx_report_v1", "rx_report_v2", "rx_report_v3", leave, "refused")
    tally = {name: number for number, name in enumerate(counts, 11)}
    assert whole(interface_row(bench.m, "eth0", bench.now, tally)) == {
        "address_family": family.name,
        "interface": "eth0",
        "oper_status": "up",
        "version": bench.newest,
        "querier": by(family, "10.0.0.5", "fe80::5"),
        "is_querier": True,
        "querier_expiration": None,
        "query_expiration": 20.0,  # I2: the second one a quarter of the interval after the first
        "query_interval": 100.0,
        "query_max_response_time": 10.0,
        "robustness_variable": 2,
        "groups_count": 2,
        "sources_count": 3,
        "max_groups": 50,
        "queries_sent": 11,
        "queries_received": 12,
        "reports_v1_received": 13,
        "reports_v2_received": 14,
        "reports_v3_received": 15,
        "leaves_received": 16,
        "refused": 17,
        "immediate_leave": "off",
        "bridge": None,
        "bridge_querier": None,
        "bridge_router_port": None,
        "bridge_warning": None,
    }
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.to(15)
    row = interface_row(bench.m, "eth0", bench.now)
    assert (row.querier, row.is_querier, row.query_expiration) == (format_address(bench.LOW), False, None)
    assert row.querier_expiration == 3 * 60 + 5 - 10, "T28: RV·QI + QRI/2, ten seconds ago"
    assert (row.query_interval, row.robustness_variable) == (60.0, 3), "I4"
    assert (row.queries_sent, row.queries_received, row.refused, row.leaves_received) == (0, 0, 0, 0)
    assert (row.reports_v1_received, row.reports_v2_received, row.reports_v3_received) == (0, 0, 0)
    for settings, word in (({"immediate_leave": True}, "tracked"), ({"forced_leave": True}, "forced")):
        other = Bench(family, GmpSettings(**settings))
        assert interface_row(other.m, "eth0", 0.0).immediate_leave == word


def test_a_group_its_sources_and_its_hosts(family: Family) -> None:
    bench = Bench(family, GmpSettings(tracking=True))
    bench.record(IS_IN, (1, 2))
    bench.to(30)
    bench.record(TO_EX, (2, 3), by=bench.host(9))
    bench.to(31)
    group, *more = group_rows(bench.m, "eth0", bench.now, hosts=True)
    same = {"address_family": family.name, "interface": "eth0", "group_address": format_address(bench.G)}
    assert whole(group) == same | {
        "row": "group",
        "filter_mode": "exclude",
        "version": bench.newest,
        "up_time": 31.0,
        "expire": 269.0,
        "last_reporter": format_address(bench.host(9)),
        "sources_count": 2,  # I5: the first goes, as the new list does not name it
        "hosts_count": 2,
        "static": False,
    }
    sources = {row.source_address: whole(row) for row in more if row.row == "source"}
    wanted, excluded = sources[format_address(bench.S(2))], sources[format_address(bench.S(3))]
    assert wanted == same | {
        "row": "source",
        "source_address": format_address(bench.S(2)),
        "forwarding": True,
        "up_time": 31.0,
        "expire": 1.0,  # I5, I10: A∩B is queried, and lowered to LMQT
        "static": False,
    }
    assert (excluded["forwarding"], excluded["up_time"], excluded["expire"]) == (False, 1.0, None)
    hosts = {row.reporter_address: whole(row) for row in more if row.row == "reporter"}
    assert hosts[format_address(bench.host(9))] == same | {
        "row": "reporter",
        "reporter_address": format_address(bench.host(9)),
        "filter_mode": "exclude",
        "sources": f"{format_address(bench.S(2))} {format_address(bench.S(3))}",
        "expire": 269.0,
    }
    first = hosts[format_address(bench.HOST)]
    assert (first["filter_mode"], first["expire"]) == ("include", 239.0)
    assert not [row for row in group_rows(bench.m, "eth0", bench.now) if row.row == "reporter"]


def test_groups_hosts_and_sources_of_all_interfaces(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", immediate_leave="tracked"),)))
    source, group = stand.channel()
    stand.host("down").join(group, source)
    stand.host("up").join(group, source)
    stand.run(2)
    kinds = {kind: [(row.interface, row.row) for row in stand.rows(kind)] for kind in ("gmp_groups", "gmp_sources")}
    assert kinds["gmp_groups"] == [(name, row) for name in ("down", "up") for row in ("group", "source")]
    assert kinds["gmp_sources"] == [("down", "source"), ("up", "source")]
    hosts = [(row.interface, row.reporter_address) for row in stand.rows("gmp_hosts") if row.row == "reporter"]
    assert hosts == [("down", format_address(stand.host("down").address))], "tracked where the leave is immediate"
    rows = {row.interface: row for row in stand.rows("gmp_interfaces")}
    assert sorted(rows) == ["down", "up"]
    assert (rows["down"].groups_count, rows["down"].queries_sent >= 1, rows["down"].refused) == (1, True, 0)
    received = rows["down"].reports_v3_received if family.size == 4 else rows["down"].reports_v2_received
    assert received >= 2


def test_static_routes_joins_and_their_entries(family: Family) -> None:
    stand = StaticStand(family)
    s, g = stand.source(), stand.group()
    route = StaticRoute("a", stand.sources(), stand.groups(), ("b", "c"))
    absent = StaticRoute("absent", None, stand.one(stand.group(7)), ("d",))
    joins = (StaticJoin("b", stand.one(s), stand.one(g)), StaticJoin("absent", None, stand.one(g)))
    stand.follow(route, absent, joins=joins)
    for number in (1, 2):
        stand.send(stand.source(number), g)
    texts = [str(stand.sources()), str(stand.groups()), str(stand.one(s)), str(stand.one(g))]
    same = {"address_family": family.name}
    first, second, third, fourth = (whole(row) for row in stand.router.rows("static"))
    assert first == same | {
        "kind": "mroute",
        "interface": "a",
        "source_prefix": texts[0],
        "group_prefix": texts[1],
        "outgoing_interfaces": "b c",
        "pending": False,
        "entries": 2,
    }
    assert (second["source_prefix"], second["pending"], second["entries"]) == (None, True, 0)
    assert third == same | {
        "kind": "join",
        "interface": "b",
        "source_prefix": texts[2],
        "group_prefix": texts[3],
        "outgoing_interfaces": "",
        "pending": False,
        "entries": 1,
    }
    assert (fourth["source_prefix"], fourth["pending"], fourth["entries"]) == (None, True, 0)
    entry, *ways = (row for row in stand.router.rows("mroute") if row.source_address == format_address(s))
    assert whole(entry) | {"packets": 0, "bytes": 0, "wrong_if": 0, "last_packet": 0} == same | {
        "row": "entry",
        "group": format_address(g),
        "source_address": format_address(s),
        "is_rpt": False,
        "mode": "static",
        "rp_address": None,
        "upstream_state": "not_joined",
        "is_spt": False,
        "incoming_interface": "a",
        "rpf_neighbor": None,
        "rpf_state": "local",
        "join_expiration": None,
        "keepalive_expiration": None,
        "register_state": None,
        "registered_packets": None,
        "registered_bytes": None,
        "up_time": 0.0,
        "outgoing_count": 2,
        "packets": 0,
        "bytes": 0,
        "wrong_if": 0,
        "last_packet": 0,
        "packet_rate": None,
        "bit_rate": None,
        "table": 0,
    }
    assert [way.outgoing_interface for way in ways] == ["b", "c"]
    assert whole(ways[0]) == same | {
        "row": "outgoing",
        "group": format_address(g),
        "source_address": format_address(s),
        "outgoing_interface": "b",
        "jp_state": "no_info",
        "member": False,
        "inherited": False,
        "rpt_pruned": False,
        "assert_state": None,
        "rpt_assert_state": None,
        "forwarding": True,
        "expiration": None,
        "up_time": None,
        "table": 0,
    }


def test_a_shared_tree_and_a_source_of_ours_on_it(family: Family) -> None:
    stand = AsmStand(family)
    stand.say("Join(*,G)")
    stand.run(2)
    source = stand.near()
    stand.data(source)
    stand.run(5)
    stand.router.advance(stand.net.now)
    nothing = dict.fromkeys(("packets", "bytes", "wrong_if", "last_packet", "packet_rate", "bit_rate"))
    same: dict[str, Any] = {"address_family": family.name, "group": format_address(source[1]), "table": 0} | nothing
    assert whole(stand.row("mroute", row="entry", source_address="*")) == same | {
        "row": "entry",
        "source_address": "*",
        "is_rpt": True,
        "mode": "pim_asm",
        "rp_address": format_address(stand.rp),
        "upstream_state": "joined",
        "is_spt": False,
        "incoming_interface": "rpt",
        "rpf_neighbor": format_address(stand.seven),
        "rpf_state": "neighbor",
        "join_expiration": 53.0,
        "keepalive_expiration": None,
        "register_state": None,
        "registered_packets": None,
        "registered_bytes": None,
        "up_time": 7.0,
        "outgoing_count": 1,
    }
    entry = whole(stand.row("mroute", row="entry", source_address=format_address(source[0])))
    assert entry == same | {
        "row": "entry",
        "source_address": format_address(source[0]),
        "is_rpt": False,
        "mode": "pim_asm",
        "rp_address": format_address(stand.rp),
        "upstream_state": "joined",
        "is_spt": True,  # F4, case (a)
        "incoming_interface": "src",
        "rpf_neighbor": None,
        "rpf_state": "connected",
        "join_expiration": entry["join_expiration"],
        "keepalive_expiration": 205.0,
        "register_state": "join",
        "registered_packets": None,
        "registered_bytes": None,
        "up_time": 5.0,
        "outgoing_count": 2,  # down, and the register tunnel
    }
    way = whole(stand.row("mroute", row="outgoing", source_address="*"))
    assert way == {
        "row": "outgoing",
        "address_family": family.name,
        "group": format_address(source[1]),
        "source_address": "*",
        "outgoing_interface": "down",
        "jp_state": "join",
        "member": False,
        "inherited": False,
        "rpt_pruned": False,
        "assert_state": None,
        "rpt_assert_state": None,
        "forwarding": True,
        "expiration": 203.0,
        "up_time": 7.0,
        "table": 0,
    }


def test_an_entry_that_the_kernel_has_not_has_no_way_out(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(S,G)")
    entry = stand.row("mroute", row="entry", source_address=format_address(source[0]))
    assert (entry.outgoing_count, entry.is_spt, entry.keepalive_expiration) == (0, False, None), "no data came yet"
    stand.data(source)
    entry = stand.row("mroute", row="entry", source_address=format_address(source[0]))
    assert (entry.outgoing_count, entry.is_spt) == (1, True)


def test_entries_are_those_of_mroute_without_their_interfaces(family: Family) -> None:
    stand = AsmStand(family)
    stand.say("Join(*,G)")
    stand.data(stand.near())
    stranger = stand.far(7)
    stand.data((stranger[0], stand.group(9)))
    stand.router.advance(stand.net.now)
    wanted = [row for row in stand.rows("mroute") if row.row == "entry"]
    assert {row.mode for row in wanted} == {"pim_asm", "negative"} and len(wanted) == 3
    assert sorted(stand.rows("entries"), key=repr) == sorted(wanted, key=repr)
    static = StaticStand(family)
    static.follow(static.exact(static.source(), static.group(), "b"))
    assert [row.mode for row in static.router.rows("entries")] == ["static"]


def test_an_rp_its_range_and_its_choice(family: Family) -> None:
    stand = AsmStand(family)
    other, narrow = stand.net.address("down", 2), parse_prefix(by(family, "239.1.0.0/16", "ff1e::/16"))
    wide = family.multicast
    stand.r1.configure(rp_addresses=(StaticRp(stand.rp, narrow, priority=3), StaticRp(other, wide, override=True)))
    stand.say("Join(*,G)")
    same, rp = {"address_family": family.name}, format_address(stand.rp)
    assert whole(stand.row("rp", rp_address=rp)) == same | {
        "rp_address": rp,
        "info_source": "static",
        "is_local": False,
        "group_count": 1,
        "rpf_interface": "rpt",
        "rpf_neighbor": format_address(stand.seven),
        "rpf_state": "neighbor",
    }
    assert stand.row("rp", rp_address=format_address(other)).group_count == 0
    mapping = whole(stand.row("rp_set", rp_address=rp))
    assert mapping == same | {
        "zone": "global",
        "group_prefix": str(narrow),
        "rp_address": rp,
        "info_source": "static",
        "mode": "pim_sm",
        "priority": 3,
        "override": False,
        "is_local": False,
        "usable": True,
        "hash_mask_length": family.bits - 2,  # T23
        "holdtime": None,
        "expiration": None,
        "up_time": None,
    }
    assert stand.row("rp_set", rp_address=format_address(other)).override is True
    (choice,) = rp_of(stand.router, stand.group())
    told = whole(choice)
    assert told.pop("hash_value") is not None
    assert told == same | {
        "row": "choice",
        "group": format_address(stand.group()),
        "zone": "global",
        "rule": told["rule"],
        "group_prefix": told["group_prefix"],
        "hash_mask_length": mapping["hash_mask_length"],
        "rp_address": told["rp_address"],
        "priority": told["priority"],
        "is_selected": True,
        "is_local": False,
    }
    assert (told["rule"], told["rp_address"], told["priority"], told["group_prefix"]) == ("static", rp, 3, str(narrow))
    ssm = parse_address(by(family, "232.1.1.1", "ff3e::8000:1"))
    (nobody,) = rp_of(stand.router, ssm)
    assert (nobody.rule, nobody.rp_address, nobody.hash_value, nobody.is_selected) == ("ssm", None, None, False)


def test_P2_who_stood_for_choice_and_with_which_hash_value(family: Family) -> None:
    four = {"10.0.0.1": 1679372561, "10.0.0.2": 694951000, "192.168.7.1": 1269164561}
    six = {"2001:db8::1": 1119349325, "2001:db8::2": 134927764, "2001:db8:0:7::9": 254021448}
    values = four if family.size == 4 else six
    stand = AsmStand(family, rp="none")
    for text in values:
        stand.r1.static_route(parse_address(text), "up", stand.nine)
    said = tuple(StaticRp(parse_address(text), family.multicast, priority=4) for text in values)
    stand.r1.configure(rp_addresses=said)
    stand.run(1)
    group = parse_address(by(family, "239.1.1.1", "ff0e::1234"))
    rows = {row.rp_address: row for row in rp_of(stand.router, group)}
    assert {text: row.hash_value for text, row in rows.items()} == values
    best = by(family, "10.0.0.1", "2001:db8::1")
    assert {text for text, row in rows.items() if row.is_selected} == {best}
    assert {(row.priority, row.hash_mask_length) for row in rows.values()} == {(4, family.bits - 2)}


def test_the_way_to_an_address(family: Family) -> None:
    stand = AsmStand(family)
    stand.say("Join(*,G)")
    route = evolve(stand.r1.route(stand.rp), protocol=17, metric=23, prefix=family.host(stand.rp))
    assert whole(rpf(stand.router, route)) == {
        "address_family": family.name,
        "address": format_address(stand.rp),
        "prefix": str(family.host(stand.rp)),
        "rpf_interface": "rpt",
        "next_hop": format_address(stand.seven),
        "rpf_neighbor": format_address(stand.seven),
        "rpf_state": "neighbor",
        "protocol": 17,
        "metric": 23,
        "users": 1,
    }
    nowhere = rpf(stand.router, evolve(stand.r1.route(stand.dr), ifindex=None, next_hop=None))
    assert (nowhere.rpf_interface, nowhere.next_hop, nowhere.rpf_neighbor) == (None, None, None)
    assert (nowhere.rpf_state, nowhere.users, nowhere.prefix) == ("no_route", 0, None)


def test_the_bsr_and_what_it_learnt(family: Family) -> None:
    stand = BsrStand(family)
    bsr, rp = stand.behind(1), stand.behind(2)
    stand.hear(bsr, stand.listed(stand.everything, (rp, 5, 120)), priority=70)
    stand.run(20)
    stand.router.advance(stand.net.now)
    same = {"address_family": family.name, "zone": "global"}
    assert whole(stand.row("bsr", row="zone")) == same | {
        "row": "zone",
        "state": "accept_preferred",
        "bsr_address": format_address(bsr),
        "bsr_priority": 70,
        "hash_mask_length": family.bits - 2,
        "bootstrap_expiration": 110.0,  # T18
        "up_time": 20.0,
        "candidate_address": None,
        "candidate_priority": None,
    }
    assert whole(stand.row("rp_set")) == same | {
        "group_prefix": str(stand.everything),
        "rp_address": format_address(rp),
        "info_source": "bsr",
        "mode": "pim_sm",
        "priority": 5,
        "override": False,
        "is_local": False,
        "usable": True,
        "hash_mask_length": family.bits - 2,
        "holdtime": 120.0,
        "expiration": 100.0,
        "up_time": 20.0,
    }


def test_a_candidate_that_is_elected_and_what_it_is_offered(family: Family) -> None:
    stand = BsrStand(family)
    stand.elected(80)
    stand.offer_ourselves(9)
    stand.run(20)
    stand.router.advance(stand.net.now)
    same = {"address_family": family.name, "zone": "global"}
    zone, found, offer = (stand.row("bsr", row=kind) for kind in ("zone", "candidate_rp", "offer"))
    me = format_address(stand.me)
    assert (zone.state, zone.bsr_address, zone.bsr_priority) == ("elected", me, 80)
    assert (zone.candidate_address, zone.candidate_priority) == (me, 80)
    told = whole(found)
    age, left = told.pop("up_time"), told.pop("expiration")
    assert 0 < age < 20 and 130 < left < 150
    assert told == same | {
        "row": "candidate_rp",
        "group_prefix": str(stand.everything),
        "rp_address": offer.rp_address,
        "mode": "pim_sm",
        "priority": 9,
        "holdtime": 150.0,
    }
    told = whole(offer)
    assert 0 < told.pop("advertisement_expiration") <= 60
    assert told == same | {
        "row": "offer",
        "rp_address": me,
        "priority": 9,
        "holdtime": 150.0,
        "group_prefixes": str(stand.everything),
    }


def test_a_proxy_its_interfaces_and_its_groups(family: Family) -> None:
    stand = ProxyStand(family, said={"send_first": True})
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.host("d2").join(stand.group(2), s)
    stand.run(1)
    stand.data(s, g)
    same = {"address_family": family.name, "proxy": "tv"}
    proxy, *rest = stand.router.rows("proxy")
    assert whole(proxy) == same | {
        "row": "proxy",
        "matching": proxy.matching,
        "mutex_time": None,
        "send_first": True,
        "check_sources": proxy.check_sources,
        "quick_leave": False,
        "always_forward": False,
        "upstream_count": 1,
        "downstream_count": 2,
        "stream_count": 1,
        "table": 0,
    }
    interfaces = {row.interface: whole(row) for row in rest if row.row == "interface"}
    assert interfaces["d1"] == same | {
        "row": "interface",
        "interface": "d1",
        "role": "downstream",
        "oper_status": "up",
        "address": format_address(stand.net.link_local("d1", 5)),
        "version": 3 if family.size == 4 else 2,
        "querier": format_address(stand.net.link_local("d1", 5)),
        "is_querier": True,
        "groups_count": 1,
        "filtered": False,
    }
    up = interfaces["up"]
    assert (up["role"], up["querier"], up["is_querier"], up["groups_count"]) == ("upstream", None, None, 2)
    groups = {row.group_address: whole(row) for row in rest if row.row == "group"}
    assert groups[format_address(g)] == same | {
        "row": "group",
        "interface": "up",
        "group_address": format_address(g),
        "filter_mode": "exclude",
        "sources": "",
    }
    other = groups[format_address(stand.group(2))]
    assert (other["filter_mode"], other["sources"]) == ("include", format_address(s))


def test_a_watch_and_an_expected_neighbour(family: Family) -> None:
    stand = Stand(family)
    source, group = channel = stand.channel()
    stand.host().join(group, source)
    stand.run(5)
    nine = ExpectedNeighbor(stand.nine, "up")
    stand.r1.configure(
        watches=(Watch("cam", group, source=source, min_packets=2, interval=20),), expected_neighbors=(nine,)
    )
    stand.run(0)
    for _ in range(4):
        stand.data(channel)
        stand.run(2.5)
    stand.run(13)
    stand.router.advance(stand.net.now)
    watch, neighbor = stand.router.rows("watches")
    assert whole(watch) == {
        "row": "watch",
        "address_family": family.name,
        "watch": "cam",
        "source_address": format_address(source),
        "group": format_address(group),
        "state": "flowing",
        "since": 3.0,
        "recent_packets": 4,
        "min_packets": 2,
        "interval": 20,
        "packets": 4,
        "bytes": 4000,  # a packet of the fake kernel's has 1000
        "last_packet": 3.0,  # the look at the counters that saw it
    }
    assert whole(neighbor) == {
        "row": "neighbor",
        "address_family": family.name,
        "interface": "up",
        "address": format_address(stand.nine),
        "state": "up",
        "since": neighbor.since,
    }
