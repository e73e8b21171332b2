"""pim6sd's dump, column for column as pim6sd 2.1 wrote it in the network that these rows describe."""

from __future__ import annotations

from typing import Any

from pimpy.cli import pim6sd_dump
from pimpy.cli.pim6sd_dump import State

US, THEM, RP = "fe80::24d4:feff:fef8:d8d9", "fe80::90f0:ebff:feb9:a7b7", "2001:db8:12::2"


def link(name: str, vif: int | None, addresses: str, **change: Any) -> dict[str, Any]:
    values = {
        "interface": name,
        "vif": vif,
        "ifindex": 1 if vif is None else vif + 2,
        "oper_status": "up",
        "addresses": addresses,
        "neighbor_count": 1,
        "is_dr": False,
        "gen_id": 0x1A96CC1F,
        "hello_expiration": 30.2,
    }
    return {**values, **change}


def mld(name: str, **change: Any) -> dict[str, Any]:
    values = {
        "interface": name,
        "is_querier": True,
        "querier": US,
        "querier_expiration": None,
        "query_expiration": 125.0,
        "query_interval": 125.0,
        "robustness_variable": 2,
        "query_max_response_time": 10.0,
        "version": 2,
    }
    return {**values, **change}


def entry(group: str, source: str, rp: str | None, **change: Any) -> dict[str, Any]:
    values = {
        "row": "entry",
        "group": group,
        "source_address": source,
        "is_rpt": source == "*",
        "mode": "pim_asm" if rp else "pim_ssm",
        "rp_address": rp,
        "is_spt": False,
        "register_state": None,
        "outgoing_count": 1,
        "packets": 7,
        "incoming_interface": "b1",
        "rpf_neighbor": None,
        "keepalive_expiration": 160.0,
        "join_expiration": 15.0,
    }
    return {**values, **change}


def outgoing(group: str, source: str, name: str, **change: Any) -> dict[str, Any]:
    values = {
        "row": "outgoing",
        "group": group,
        "source_address": source,
        "outgoing_interface": name,
        "jp_state": "join",
        "rpt_pruned": False,
        "member": False,
        "assert_state": None,
        "forwarding": True,
        "expiration": 160.0,
    }
    return {**values, **change}


def rp_row(prefix: str, **change: Any) -> dict[str, Any]:
    values = {"group_prefix": prefix, "rp_address": RP, "is_local": True, "priority": 0}
    return {**values, "holdtime": 150.0, "expiration": 115.0, **change}


STATE = State(
    interfaces=[
        link("b1", 0, f"2001:db8:12::2/64 {US}/64"),
        link("b2", 1, "fe80::1/64", neighbor_count=0, is_dr=True),
        link("lo", None, "::1/128", oper_status="off", gen_id=None, hello_expiration=None, neighbor_count=0),
    ],
    neighbors=[
        {
            "interface": "b1",
            "address": THEM,
            "expiration": 100.4,
            "dr_priority": 1,
            "gen_id": 0x6454C43E,
            "is_dr": True,
            "secondary_addresses": "2001:db8:12::1",
        }
    ],
    mld=[mld("b1"), mld("b2", querier="fe80::2", is_querier=False, querier_expiration=200.0, query_expiration=None)],
    groups=[
        {"row": "group", "interface": "b2", "group_address": "ff35::123", "filter_mode": "include", "expire": None,
         "version": 2, "sources_count": 1},
        {"row": "source", "interface": "b2", "source_address": "2001:db8:1::10", "expire": 38.0},
        {"row": "group", "interface": "b2", "group_address": "ff0e::123", "filter_mode": "exclude", "expire": 4.0,
         "version": 2, "sources_count": 0},
    ],
    mroutes=[
        entry("ff0e::123", "*", RP, incoming_interface="register"),
        outgoing("ff0e::123", "*", "b1"),
        outgoing("ff0e::123", "*", "b2", jp_state="no_info", member=True, expiration=None),
        entry("ff35::123", "2001:db8:1::10", None, rpf_neighbor=THEM),
        outgoing("ff35::123", "2001:db8:1::10", "b2", jp_state="no_info", member=True, expiration=None),
    ],
    rp_set=[rp_row("ff00::/8"), rp_row("ff1e::/16", rp_address="2001:db8::9", is_local=False, holdtime=None,
                                       expiration=None, priority=3)],
    rps=[{"rp_address": "2001:db8::9", "rpf_neighbor": THEM, "rpf_interface": "a2"}],
    bsr=[{"row": "zone", "zone": "global", "bsr_address": RP, "bsr_priority": 0, "bootstrap_expiration": 60.0}],
    up_time=34.5,
)  # fmt: skip


def test_interfaces() -> None:
    assert pim6sd_dump.interfaces(STATE) == (
        "\nMulticast Interface Table\n"
        " Mif   PhyIF Local-Address/Prefixlen                     Scope GenID    Flags         \n"
        "  0       b1 fe80::24d4:feff:fef8:d8d9/64                2     1a96cc1f PIM QRY\n"
        "             2001:db8:12::2/64                           0    \n"
        "             Timers: PIM hello = 0:30, MLD query = 2:05\n"
        "             possible MLD version = 1 2 \n"
        "  1       b2 fe80::1/64                                  3     1a96cc1f NO-NBR DR\n"
        "             Timers: PIM hello = 0:30, MLD query = 0:00\n"
        "             possible MLD version = 1 2 \n"
        "  2       lo ::1/128                                     0     0        DISABLED\n"
        "             Timers: PIM hello = 0:00, MLD query = 0:00\n"
        "             possible MLD version = 1 2 \n"
        "  3   regist fe80::24d4:feff:fef8:d8d9/64                0     0        REGISTER\n"
        "             Timers: PIM hello = 0:00, MLD query = 0:00\n"
        "             possible MLD version = 1 2 \n\n"
    )


def test_neighbors_and_queriers() -> None:
    assert pim6sd_dump.neighbors(STATE) == (
        "PIM Neighbor List\n"
        " Mif  PhyIF Address                                  Timer Prio GenID    Flags\n"
        " 0       b1 fe80::90f0:ebff:feb9:a7b7                100   1    6454c43e D\n"
        "                2001:db8:12::1\n\n"
    )
    assert pim6sd_dump.queriers(STATE) == (
        "MLD Querier List\n"
        " Mif  PhyIF Address                                  Timer            Last\n"
        " 0       b1 fe80::24d4:feff:fef8:d8d9                  255             34s\n"
        " 1       b2 fe80::2                                    200             34s\n\n"
    )


def test_groups() -> None:
    assert pim6sd_dump.groups(STATE) == (
        "Reported MLD Group\n"
        " Mif  PhyIF Group(Group-Timer,MLD-ver(Filter-Mode,Compat-Timer))/Source(TimerID)\n"
        " 1       b2 ff35::123 (#0 (v2 IN #0))\n"
        "              2001:db8:1::10 (#38)\n"
        " 1       b2 ff0e::123 (#4 (v2 EX #0))\n"
        "              (any source) (-)\n\n"
    )


def test_routes() -> None:
    assert pim6sd_dump.routes(STATE) == (
        "Multicast Routing Table\n"
        " Source          Group           RP-addr         Flags\n"
        "---------------------------(*,G)----------------------------\n"
        " IN6ADDR_ANY     ff0e::123       2001:db8:12::2  WC RP CACHE\n"
        "Joined   oifs: j...                \n"
        "Pruned   oifs: ....                \n"
        "Leaves   oifs: .l..                \n"
        "Asserted oifs: ....                \n"
        "Outgoing oifs: oo..                \n"
        "Incoming     : ...I                \n"
        "Upstream nbr: NONE\n"
        "\n"
        "TIMERS: Entry=160 JP=15 RS=0 Assert=0\n"
        "  MIF   0   1   2   3   4   5   6   7   8   9\n"
        "    0 160   0   0   0\n"
        "---------------------------(S,G)----------------------------\n"
        " 2001:db8:1::10  ff35::123       NULL            CACHE SG\n"
        "Joined   oifs: ....                \n"
        "Pruned   oifs: ....                \n"
        "Leaves   oifs: .l..                \n"
        "Asserted oifs: ....                \n"
        "Outgoing oifs: .o..                \n"
        "Incoming     : I...                \n"
        "Upstream nbr: fe80::90f0:ebff:feb9:a7b7\n"
        "\n"
        "TIMERS: Entry=160 JP=15 RS=0 Assert=0\n"
        "  MIF   0   1   2   3   4   5   6   7   8   9\n"
        "    0   0   0   0   0\n"
        "--------------------------(*,*,RP)--------------------------\n"
        "Number of Groups: 2\n"
        "Number of Cache MIRRORs: 2\n\n"
    )


def test_rp_set() -> None:
    assert pim6sd_dump.rp_set(STATE) == (
        "---------------------------RP-Set----------------------------\n"
        "Current BSR address: 2001:db8:12::2 Prio: 0 Timeout: 60\n"
        "RP-address(Upstream)/Group prefix             Prio Hold Age\n"
        "2001:db8:12::2(myself)\n"
        "     ff00::/8                                 0    150  115\n"
        "2001:db8::9(fe80::90f0:ebff:feb9:a7b7%a2)\n"
        "     ff1e::/16                                3    65535 65535\n\n"
    )
