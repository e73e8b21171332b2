"""pimd's text protocol, column by column as pimd 3.0 prints it."""

from __future__ import annotations

import pytest
from fake_daemon import FakeDaemon, gmp_source, interface, mroute, neighbor, outgoing

from pimpy.core.rows import Row
from pimpy.daemon.commands import RefusedError
from pimpy.daemon.pimd_text import HELP, answer, duration


def ask(line: str, daemon: FakeDaemon | None = None) -> list[str]:
    return answer(daemon or FakeDaemon(), line).split("\n")


def test_neighbors() -> None:
    assert ask("show neighbor") == [
        "PIM Neighbor Table_",
        "Interface         Address            Priority  Mode  Uptime/Expires               =",
        "a2                10.0.12.2                 1  DR    0h0m34s/0h1m40s             ",
        "",
    ]


def test_a_neighbor_without_priority_that_never_expires() -> None:
    row = neighbor(dr_priority=None, is_dr=False, expiration=None, up_time=90061.0)
    lines = ask("show neighbor", FakeDaemon({"neighbors": [row]}))
    assert lines[2] == "a2                10.0.12.2           N        1d1h1m1s/Never              "


def test_interfaces() -> None:
    assert ask("show interface") == [
        "PIM Interface Table_",
        "Interface         State     Address            Priority  Hello  Nbr  DR Address      DR Priority =",
        "a1                Up        10.0.1.1                  1     30    0  10.0.1.1                  1",
        "a2                Up        10.0.12.1                 1     30    1  10.0.12.2                 1",
        "t5                Down      10.7.5.1                  1     30    0  0.0.0.0           N/A",
        "",
    ]


def test_mrt() -> None:
    lines = ask("show mrt")
    assert lines[:4] == [
        "Multicast Routing Table_",
        "Source            Group            RP Address       Flags =",
        "10.0.1.10         232.1.1.1        SSM              CACHE SG",
        "10.0.1.10         232.1.1.10       SSM              CACHE SG",
    ]
    assert lines[4:] == ["", "Number of Groups        : 2", "Number of Cache MIRRORs : 2", ""]


def test_mrt_flags() -> None:
    rows = [mroute("10.0.0.1", "239.1.1.1", mode="pim_asm", outgoing_count=0, packets=None)]
    assert ask("show mrt", FakeDaemon({"mroute": rows}))[2] == (
        "10.0.0.1          239.1.1.1        NULL             SPT NULL_OIF SG"
    )


def router() -> FakeDaemon:
    """The router of the reference: two interfaces, a neighbour, a shared tree and a source's."""
    rows: dict[str, list[Row]] = {
        "interfaces": [
            interface("a2", "10.0.12.2", vif=0, neighbor_count=1, subnet="10.0.12.2/24"),
            interface("b2", "10.0.3.2", vif=1, subnet="10.0.3.2/24"),
        ],
        "neighbors": [neighbor("a2", "10.0.12.1", is_dr=False)],
        "mroute": [
            mroute("*", "225.1.2.3", is_rpt=True, mode="pim_asm", rp_address="10.0.12.2", packets=None, is_spt=False),
            mroute(
                "10.0.1.10",
                "225.1.2.3",
                mode="pim_asm",
                rp_address="10.0.12.2",
                is_spt=False,
                incoming_interface="a2",
                keepalive_expiration=210.0,
                join_expiration=55.0,
            ),
            outgoing("10.0.1.10", "225.1.2.3", "b2"),
        ],
        "igmp_groups": [gmp_source("232.1.1.1", "10.0.1.10")],
    }
    return FakeDaemon(rows)


def test_mrt_detail() -> None:
    assert ask("show mrt", router())[2:4] == [
        "ANY               225.1.2.3        10.0.12.2        WC RP",
        "10.0.1.10         225.1.2.3        10.0.12.2        CACHE SG",
    ]
    lines = ask("sh m d", router())
    start = lines.index("10.0.1.10         225.1.2.3        10.0.12.2        CACHE SG") - 1
    assert lines[start : start + 14] == [
        "Source            Group            RP Address       Flags =",
        "10.0.1.10         225.1.2.3        10.0.12.2        CACHE SG",
        "Joined   oifs: ...                 ",
        "Pruned   oifs: ...                 ",
        "Leaves   oifs: ..l                 ",
        "Asserted oifs: ...                 ",
        "Outgoing oifs: ..o                 ",
        "Incoming     : .I.                 ",
        "",
        "TIMERS       :  Entry    JP    RS  Assert  VIFS:  0  1  2",
        "                  210    55     0       0         0  0  0",
        "",
        "Number of Groups        : 1",
        "Number of Cache MIRRORs : 1",
    ]


def test_compat() -> None:
    lines = ask("show compat", router())
    assert lines[:7] == [
        "VIF  Local Address    Subnet              Thresh  Flags      Neighbors=",
        "  0  10.0.12.2        pimreg                   1 ",
        "  1  10.0.12.2        10.0.12.0/24             1  DR PIM     10.0.12.1      ",
        "  2  10.0.3.2         10.0.3.0/24              1  DR NO-NBR",
        "",
        " VIF  SSM Group        Sources             =",
        "   2  232.1.1.1       10.0.1.10 ",
    ]
    assert "TIMERS:  Entry    JP    RS  Assert VIFS:  0  1  2" in lines
    assert "           210    55     0       0        0  0  0" in lines
    assert lines[-3:] == ["", "Current BSR address: 0.0.0.0", ""]
    detailed = ask("show compat detail", router())
    assert [line for line in detailed if line.endswith(("Table", "Set"))] == [
        *("Virtual Interface Table", "Multicast Routing Table", "Rendezvous-Point Set")
    ]


def test_dump_of_2_3_2() -> None:
    lines = ask("show dump", router())
    assert lines[:9] == [
        "Virtual Interface Table ======================================================",
        "Vif  Local Address    Subnet              Thresh  Flags      Neighbors",
        "---  ---------------  ------------------  ------  ---------  -----------------",
        "  0  10.0.12.2        10.0.12/24               1  DR PIM     10.0.12.1      ",
        "  1  10.0.3.2         10.0.3/24                1  DR NO-NBR",
        "  2  10.0.12.2        register_vif0            1 ",
        "",
        " Vif  SSM Group        Sources             ",
        "   1  232.1.1.1       10.0.1.10 ",
    ]
    assert "----------------------------------- (*,G) ------------------------------------" in lines
    assert "INADDR_ANY       225.1.2.3        10.0.12.2        WC RP" in lines
    assert lines[-6:-2] == [
        "--------------------------------- (*,*,G) ------------------------------------",
        "Number of Groups: 1",
        "Number of Cache MIRRORs: 1",
        "-" * 78,
    ]


def test_debug() -> None:
    daemon = FakeDaemon()
    assert answer(daemon, "debug ?").startswith("all, asserts, bsr, ")
    answer(daemon, "debug igmp,rpf")
    assert daemon.asked[-1] == ("debug", "igmp,rpf")


def test_igmp() -> None:
    assert ask("show igmp") == [
        "IGMP Interface Table_",
        "Interface         State     Querier          Timeout Version  Groups=",
        "b1                Up        10.0.1.1             350       3       0",
        "b2                Up        Local               None       3       2",
        "IGMP Group Membership Table_",
        "Interface         Group            Source           Last Reported    Timeout=",
        "b2                225.1.2.3        ANY              10.0.3.10            385",
        "b2                232.1.1.1        10.0.1.10        10.0.3.10            248",
        "",
    ]


def test_a_source_whose_group_is_not_told() -> None:
    lines = ask("show igmp", FakeDaemon({"igmp_groups": [gmp_source()]}))
    assert lines[-2] == "b2                232.1.1.1        10.0.1.10        N/A                  248"


def test_status() -> None:
    lines = ask("show status")
    assert lines[0] == "PIM Daemon Status="
    assert lines[-7:] == [
        "Join/Prune Interval  : 60 sec",
        "Hello Interval       : 30 sec",
        "Hello Holdtime       : 105 sec",
        "IGMP query interval  : 125 sec",
        "IGMP querier timeout : 255 sec",
        "SPT Threshold        : Disabled",
        "",
    ]


def test_tables_are_titled_when_empty() -> None:
    titles = [line for line in ask("show pim", FakeDaemon({})) if line.endswith("_")]
    assert titles == [
        "PIM Interface Table_",
        "PIM Neighbor Table_",
        "Multicast Routing Table_",
        "PIM Candidate Rendez-Vous Point Table_",
        "PIM Rendez-Vous Point Set Table_",
    ]


def test_ipv6_where_it_is_asked_for() -> None:
    assert ask("show neighbor ipv6")[2].startswith("a2                fe80::12:2 ")
    assert len(ask("show neighbor all")) == len(ask("show neighbor")) + 1
    assert ask("show igmp ipv6")[5].startswith("b2                ff3e::8000:1     2001:db8:1::10 ")
    row = interface("a1", "fe80::1", dr_address=None, is_dr=False)
    assert ask("show interface ipv6", FakeDaemon({"interfaces": [row]}))[2].split()[-2:] == ["::", "N/A"]


@pytest.mark.parametrize("line", ["show", "show pim", "SHOW PIM", "sh pi"])
def test_words_may_be_short_and_in_any_case(line: str) -> None:
    assert ask(line) == ask("show pim")
    assert ask("sh m") == ask("show mrt")
    assert ask("show neighbors") == ask("show neighbor")


@pytest.mark.parametrize(
    "line", ["", " ", "bogus", "show bogus", "show i", "show igmp detail", "show mrt ipv6 x", "\0"]
)
def test_unknown_commands_are_refused(line: str) -> None:
    with pytest.raises(RefusedError, match="No such command, see 'help'"):
        answer(FakeDaemon(), line)


def test_help_names_commands_that_exist() -> None:
    lines = ask("help")
    assert lines[:-1] == [f"{command}\t{text}" for command, text in HELP]
    for command, _ in HELP:
        if not command.startswith(("reload", "restart", "help")):
            answer(FakeDaemon(), command.partition(" [")[0])


def test_log() -> None:
    daemon = FakeDaemon()
    assert answer(daemon, "log") == "notice"
    assert answer(daemon, "log debug") == "debug"
    assert answer(daemon, "log") == "debug"
    assert answer(daemon, "log ?").startswith("alert, crit, debug, ")
    assert answer(daemon, "version") == "pimpyd version 0.1.0"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0h0m0s"), (59.9, "0h0m59s"), (3661, "1h1m1s"), (86400, "1d0h0m0s"), (172805, "2d0h0m5s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_status_of_bsr_and_candidates() -> None:
    lines = ask("show status")
    assert lines[1:15] == [
        "Elected BSR",
        "    Address          : 10.0.1.1",
        "    Expiry Time      : 0h0m40s",
        "    Priority         : 64",
        "    Hash Mask Length : 30",
        "Candidate BSR",
        "    State            : Enabled",
        "    Address          : 10.0.1.1",
        "    Priority         : 64",
        "Candidate RP",
        "    State            : Enabled",
        "    Address          : 10.0.1.1",
        "    Priority         : 192",
        "    Holdtime         : 150 sec",
    ]
    empty = ask("show status", FakeDaemon({}))
    assert empty[2:5] == ["    Address          : 0.0.0.0", "    Expiry Time      : N/A", "    Priority         : N/A"]


def test_crp_and_rp() -> None:
    assert [line.rstrip() for line in ask("show crp")] == [
        "PIM Candidate Rendez-Vous Point Table_",
        "Group Address     RP Address       Prio  Holdtime  Expires =",
        "225.0.0.0/8       10.0.12.2          20        75  0h1m15s",
        "",
        "Current BSR address: 10.0.1.1",
        "",
    ]
    assert [line.rstrip() for line in ask("show rp")][2:] == [
        "224.0.0.0/4       10.0.1.1            1   Forever  Static",
        "225.0.0.0/8       10.0.12.2          20        75  Dynamic",
        "",
    ]
