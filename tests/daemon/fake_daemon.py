"""A daemon that answers from fixed rows, over a real Unix socket, for the tests of control socket and client."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pimpy.core.engine.effects import Notice
from pimpy.core.rows import (
    BsrRow,
    CandidateRpRow,
    ExpectedNeighborRow,
    GmpGroupRow,
    GmpInterfaceRow,
    GmpReporterRow,
    GmpSourceRow,
    InterfaceRow,
    MrouteRow,
    NeighborRow,
    OfferRow,
    OutgoingRow,
    ProxyGroupRow,
    ProxyInterfaceRow,
    ProxyRow,
    Row,
    RpChoiceRow,
    RpfRow,
    RpRow,
    RpSetRow,
    StaticRow,
    WatchRow,
)
from pimpy.core.traffic import Sum
from pimpy.daemon.backend import CounterKey
from pimpy.daemon.commands import RefusedError
from pimpy.daemon.control import DEFAULT_LIMITS, ControlServer, Limits
from pimpy.daemon.entries import Totals
from pimpy.daemon.monitor import Monitor
from pimpy.daemon.rows import StatusRow
from pimpy.wire.family import format_address


def neighbor(interface: str = "a2", address: str = "10.0.12.2", **change: object) -> NeighborRow:
    values: dict[str, object] = {
        "address_family": "ipv6" if ":" in address else "ipv4",
        "interface": interface,
        "address": address,
        "up_time": 34.2,
        "expiration": 100.71234567,
        "dr_priority": 1,
        "gen_id": 0xFEDCBA98,
        "lan_prune_delay": True,
        "propagation_delay": 0.5,
        "override_interval": 2.5,
        "t_bit": False,
        "is_dr": True,
        "secondary_addresses": "",
        **change,
    }
    return NeighborRow(**values)  # type: ignore[arg-type]


def interface(name: str = "a1", address: str | None = "10.0.1.1", **change: object) -> InterfaceRow:
    values: dict[str, object] = {
        "address_family": "ipv6" if address and ":" in address else "ipv4",
        "interface": name,
        "ifindex": 2,
        "oper_status": "up",
        "reason": None,
        "mode": "pim",
        "vif": 1,
        "address": address,
        "dr_priority": 1,
        "dr_address": address,
        "is_dr": True,
        "neighbor_count": 0,
        "hello_interval": 30.0,
        "hello_expiration": 12.5,
        "gen_id": 7,
        "propagation_delay": 0.5,
        "override_interval": 2.5,
        "suppression": True,
        "mtu": 1500,
        **change,
    }
    return InterfaceRow(**values)  # type: ignore[arg-type]


def mroute(source: str = "10.0.1.10", group: str = "232.1.1.1", **change: object) -> MrouteRow:
    values: dict[str, object] = {
        "row": "entry",
        "address_family": "ipv6" if ":" in group else "ipv4",
        "group": group,
        "source_address": source,
        "is_rpt": False,
        "mode": "pim_ssm",
        "rp_address": None,
        "upstream_state": "joined",
        "is_spt": True,
        "incoming_interface": "a2",
        "rpf_neighbor": "fe80::12:2" if ":" in group else "10.0.12.2",
        "rpf_state": "neighbor",
        "join_expiration": 41.0,
        "keepalive_expiration": None,
        "register_state": None,
        "registered_packets": None,
        "registered_bytes": None,
        "up_time": 77.25,
        "outgoing_count": 1,
        "packets": 1234,
        "bytes": 1234000,
        "wrong_if": 0,
        "last_packet": 0.02,
        "packet_rate": 500.0,
        "bit_rate": 4_000_000.0,
        **change,
    }
    return MrouteRow(**values)  # type: ignore[arg-type]


def outgoing(source: str = "10.0.1.10", group: str = "232.1.1.1", name: str = "b2", **change: object) -> OutgoingRow:
    values: dict[str, object] = {
        "row": "outgoing",
        "address_family": "ipv6" if ":" in group else "ipv4",
        "group": group,
        "source_address": source,
        "outgoing_interface": name,
        "jp_state": "no_info",
        "member": True,
        "inherited": False,
        "rpt_pruned": False,
        "assert_state": None,
        "rpt_assert_state": None,
        "forwarding": True,
        "expiration": None,
        "up_time": None,
        **change,
    }
    return OutgoingRow(**values)  # type: ignore[arg-type]


def gmp_interface(family: str = "ipv4", name: str = "b2", **change: object) -> GmpInterfaceRow:
    values: dict[str, object] = {
        "address_family": family,
        "interface": name,
        "oper_status": "up",
        "version": 3 if family == "ipv4" else 2,
        "querier": "10.0.3.2" if family == "ipv4" else "fe80::3:2",
        "is_querier": True,
        "querier_expiration": None,
        "query_expiration": 99.5,
        "query_interval": 125.0,
        "query_max_response_time": 10.0,
        "robustness_variable": 2,
        "groups_count": 2,
        "sources_count": 2,
        "max_groups": 65536,
        "queries_sent": 7,
        "queries_received": 0,
        "reports_v1_received": 0,
        "reports_v2_received": 3,
        "reports_v3_received": 4,
        "leaves_received": 1,
        "refused": 2,
        "immediate_leave": "off",
        "bridge": None,
        "bridge_querier": None,
        "bridge_router_port": None,
        "bridge_warning": None,
        **change,
    }
    return GmpInterfaceRow(**values)  # type: ignore[arg-type]


def gmp_group(group: str = "232.1.1.1", **change: object) -> GmpGroupRow:
    values: dict[str, object] = {
        "row": "group",
        "address_family": "ipv6" if ":" in group else "ipv4",
        "interface": "b2",
        "group_address": group,
        "filter_mode": "include",
        "version": 2 if ":" in group else 3,
        "up_time": 12.0,
        "expire": None,
        "last_reporter": "fe80::3:10" if ":" in group else "10.0.3.10",
        "sources_count": 1,
        "hosts_count": None,
        "static": False,
        **change,
    }
    return GmpGroupRow(**values)  # type: ignore[arg-type]


def gmp_source(group: str = "232.1.1.1", source: str = "10.0.1.10", **change: object) -> GmpSourceRow:
    values: dict[str, object] = {
        "row": "source",
        "address_family": "ipv6" if ":" in group else "ipv4",
        "interface": "b2",
        "group_address": group,
        "source_address": source,
        "forwarding": True,
        "up_time": 12.0,
        "expire": 248.0,
        "static": False,
        **change,
    }
    return GmpSourceRow(**values)  # type: ignore[arg-type]


def gmp_reporter(group: str = "232.1.1.1", host: str = "10.0.3.10", **change: object) -> GmpReporterRow:
    values: dict[str, object] = {
        "row": "reporter",
        "address_family": "ipv6" if ":" in group else "ipv4",
        "interface": "b2",
        "group_address": group,
        "reporter_address": host,
        "filter_mode": "include",
        "sources": "10.0.1.10",
        "expire": 248.0,
        **change,
    }
    return GmpReporterRow(**values)  # type: ignore[arg-type]


def network() -> dict[str, list[Row]]:
    """The rows of a router in the middle of a small network, not in order."""
    return {
        "neighbors": [neighbor("a2", "fe80::12:2", secondary_addresses="2001:db8:12::2"), neighbor()],
        "interfaces": [
            interface(
                "t5", "10.7.5.1", oper_status="down", reason="no carrier", is_dr=False, dr_address=None, vif=None
            ),
            interface("a2", "10.0.12.1", is_dr=False, dr_address="10.0.12.2", neighbor_count=1),
            interface("a2", "fe80::12:1", is_dr=False, dr_address="fe80::12:2", neighbor_count=1),
            interface(),
            interface("w0", None, oper_status="off", reason="not enabled", mode="none", dr_address=None, is_dr=False),
        ],
        "mroute": [
            outgoing("2001:db8:1::10", "ff3e::8000:1"),
            mroute("2001:db8:1::10", "ff3e::8000:1"),
            mroute("10.0.1.10", "232.1.1.10"),
            outgoing(name="a1", jp_state="join", member=False, expiration=200.0, up_time=10.0),
            outgoing(),
            mroute(outgoing_count=2),
            mroute(
                "10.9.9.9",
                "239.255.255.250",
                mode="negative",
                upstream_state="not_joined",
                rpf_state="no_route",
                is_spt=False,
                rpf_neighbor=None,
                join_expiration=None,
                outgoing_count=0,
                packets=None,
                bytes=None,
                wrong_if=None,
                last_packet=None,
                packet_rate=None,
                bit_rate=None,
            ),
        ],
        "igmp_interfaces": [
            gmp_interface(),
            gmp_interface(
                name="b1",
                querier="10.0.1.1",
                is_querier=False,
                querier_expiration=350.2,
                query_expiration=None,
                groups_count=0,
            ),
        ],
        "igmp_groups": [
            gmp_source(),
            gmp_group(),
            gmp_group("225.1.2.3", filter_mode="exclude", expire=385.0, sources_count=1, version=2),
            gmp_source("225.1.2.3", "10.0.1.66", forwarding=False, expire=None),
        ],
        "igmp_sources": [gmp_source(), gmp_source("225.1.2.3", "10.0.1.66", forwarding=False, expire=None)],
        "igmp_hosts": [gmp_group(hosts_count=1), gmp_source(), gmp_reporter()],
        "mld_interfaces": [gmp_interface("ipv6", bridge="br0", bridge_querier="fe80::3:2", bridge_router_port=True)],
        "mld_sources": [gmp_source("ff3e::8000:1", "2001:db8:1::10")],
        "mld_hosts": [gmp_group("ff3e::8000:1", hosts_count=1), gmp_reporter("ff3e::8000:1", "fe80::3:10")],
        "mld_groups": [gmp_group("ff3e::8000:1"), gmp_source("ff3e::8000:1", "2001:db8:1::10")],
        "static": [
            StaticRow("mroute", "ipv4", "a1", None, "225.1.2.3/32", "a2 a3", False, 2),
            StaticRow("join", "ipv6", "a9", "2001:db8::1/128", "ff0e::1/128", "", True, 0),
        ],
        "proxy": [
            ProxyRow("proxy", "ipv4", "tv", "mutex", 2.5, False, True, True, False, 1, 1, 3),
            ProxyRow("proxy", "ipv6", "tv", "first", None, True, False, False, True, 0, 0, 0),
            ProxyInterfaceRow("interface", "ipv4", "tv", "a1", "upstream", "up", "10.0.1.1", 2, None, None, 2, True),
            ProxyInterfaceRow(
                "interface", "ipv4", "tv", "a2", "downstream", "up", "10.0.2.1", 3, "10.0.2.1", True, 3, False
            ),
            ProxyInterfaceRow("interface", "ipv4", "tv", "a3", "downstream", "down", None, None, None, None, 0, False),
            ProxyGroupRow("group", "ipv4", "tv", "a1", "225.1.2.3", "exclude", ""),
            ProxyGroupRow("group", "ipv4", "tv", "a1", "232.1.1.1", "include", "10.0.9.1 10.0.9.2"),
        ],
        "rp": [
            RpRow("ipv4", None, "none", False, 3, None, None, None),
            RpRow("ipv4", "10.0.12.2", "bsr", False, 2, "a2", "10.0.12.2", "neighbor"),
            RpRow("ipv4", "10.0.1.1", "bsr static", True, 0, None, None, None),
        ],
        "rp of": [
            RpChoiceRow(
                "choice",
                "ipv4",
                "239.1.1.1",
                "global",
                "bsr",
                "224.0.0.0/4",
                30,
                "10.0.0.1",
                0,
                1679372561,
                True,
                False,
            ),
            RpChoiceRow(
                "choice",
                "ipv4",
                "239.1.1.1",
                "global",
                "bsr",
                "224.0.0.0/4",
                30,
                "10.0.0.2",
                0,
                694951000,
                False,
                False,
            ),
        ],
        "rpf of": [RpfRow("ipv4", "10.0.9.9", "10.0.9.0/24", "a2", "10.0.12.2", "10.0.12.2", "neighbor", 3, 20, 1)],
        "rp_set": [
            RpSetRow(
                "ipv4",
                "global",
                "225.0.0.0/8",
                "10.0.12.2",
                "bsr",
                "pim_sm",
                20,
                False,
                False,
                True,
                30,
                75.0,
                75.4,
                9.0,
            ),
            RpSetRow(
                "ipv4",
                "global",
                "224.0.0.0/4",
                "10.0.1.1",
                "static",
                "pim_sm",
                1,
                True,
                True,
                True,
                30,
                None,
                None,
                None,
            ),
        ],
        "bsr": [
            OfferRow("offer", "ipv4", "global", "10.0.1.1", 192, 150.0, "224.0.0.0/4", 12.0),
            CandidateRpRow("candidate_rp", "ipv4", "global", "225.0.0.0/8", "10.0.12.2", "pim_sm", 20, 75.0, 75.4, 9.0),
            BsrRow("zone", "ipv6", "global", "accept_any", None, None, None, None, 5.0, None, None),
            BsrRow("zone", "ipv4", "global", "elected", "10.0.1.1", 64, 30, 40.0, 100.0, "10.0.1.1", 64),
        ],
        "watches": [
            WatchRow("watch", "ipv4", "cam", "*", "239.1.1.1", "silent", 75.0, 0, 100, 10, 2500, 1_250_000, 82.5),
            WatchRow("watch", "ipv6", "six", "2001:db8::1", "ff3e::1", "pending", 3.0, None, 1, 10, 0, 0, None),
            ExpectedNeighborRow("neighbor", "ipv4", "a2", "10.0.12.9", "missing", 40.0),
        ],
    }


class FakeDaemon:
    """A Backend with fixed rows. `asked` records its commands."""

    def __init__(self, rows: dict[str, list[Row]] | None = None) -> None:
        self.tables = network() if rows is None else rows
        self.asked: list[tuple[str, ...]] = []
        self.monitor = Monitor()
        self.said: list[Notice] = []
        """What happens with the next command."""
        self.level = "notice"

    def rows(self, kind: str) -> list[Row]:
        return list(self.tables.get(kind, []))

    def entries(self) -> Iterator[list[MrouteRow]]:
        found = [row for row in self.rows("mroute") if isinstance(row, MrouteRow)]
        for first in range(0, len(found), 200):
            yield found[first : first + 200]

    def totals(self) -> list[Totals]:
        """Of the rows that there are."""
        found = []
        for af in ("ipv4", "ipv6"):
            rows = [r for r in self.rows("mroute") if isinstance(r, MrouteRow) and r.address_family == af]
            wanted = [r for r in rows if not r.is_rpt and r.mode != "negative"]
            resolved = sum(r.packets is not None for r in rows)
            sums: dict[str, Sum] = {}
            for r in rows:
                before = sums.get(r.incoming_interface or "", Sum())
                sums[r.incoming_interface or ""] = before._replace(packets=before.packets + (r.packets or 0))
            unresolved = sum(r.packets is None for r in wanted)
            found.append(Totals(af, len(wanted), sum(r.is_rpt for r in rows), resolved, unresolved, sums))
        return found

    def look_up(self, what: str, address: bytes) -> list[Row]:
        self.asked.append(("look up", what, format_address(address)))
        return list(self.tables.get(f"{what} of", []))

    def status(self) -> StatusRow:
        return StatusRow(
            version="0.1.0",
            ident="pimpyd",
            pid=4711,
            up_time=93784.5,
            table=0,
            address_families="ipv4 ipv6",
            config_file="/etc/pimpyd.conf",
            config_time=1_700_000_000.0,
            log_level=self.level,
            interface_count=3,
            neighbor_count=len(self.tables.get("neighbors", ())),
            mroute_count=sum(row.row == "entry" for row in self.tables.get("mroute", ())),  # type: ignore[union-attr]
            group_count=3,
        )

    def counters(self) -> Mapping[str, Mapping[CounterKey, int]]:
        return {
            "ipv4": {
                ("a2", "pim", "rx", "hello", ""): 17,
                ("a2", "pim", "tx", "hello", ""): 18,
                ("a2", "pim", "rx", "hello", "bad_checksum"): 2,
                ("b2", "igmp", "rx", "v3_report", ""): 4,
            },
            "ipv6": {("b2", "mld", "rx", "v2_report", "mld_no_ra"): 1, ("b2", "mld", "tx", "query", ""): 5},
        }

    def command(self, name: str, args: Sequence[str]) -> str:
        self.asked.append((name, *args))
        for notice in self.said:
            self.monitor.notice("ipv4", notice)
        if name == "log":
            if args and args[0] not in ("none", "err", "notice", "info", "debug"):
                raise RefusedError(f"no such level: {args[0]!r}; known are none, err, notice, info, debug", 2)
            self.level = args[0] if args else self.level
            return self.level
        if name == "reload":
            raise RefusedError("/etc/pimpyd.conf:3: unknown word 'phyin'; the configuration in force stays")
        if name == "restart" and args:
            raise RefusedError(f"{args[0]}: group-writable")
        return ""


@contextmanager
def serving(path: str, backend: FakeDaemon, limits: Limits = DEFAULT_LIMITS) -> Iterator[ControlServer]:
    """A control server in a thread of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    server = ControlServer(path, backend, limits)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(5)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


if __name__ == "__main__":  # a fake daemon to look at: python tests/daemon/fake_daemon.py SOCKET [ENTRIES]
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    tables = network()
    for number in range(many):
        group = f"232.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        tables["mroute"] += [mroute(group=group), outgoing(group=group)]
    with serving(sys.argv[1], FakeDaemon(tables)):
        threading.Event().wait()
