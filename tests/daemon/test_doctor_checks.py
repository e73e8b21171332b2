"""The doctor's checks on made-up facts: what the lab cannot bring about, and that health has no symptoms."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import Any

import pytest
from fake_daemon import FakeDaemon, gmp_interface, interface, mroute, serving
from lab import needs

from pimpy.cli.client import Client
from pimpy.cli.doctor import findings, gather
from pimpy.cli.doctor.case import Case
from pimpy.cli.render import Style
from pimpy.cli.sentences import diagnosis
from pimpy.core.rows import StaticRow
from pimpy.daemon.rows import AnyRow, as_json
from pimpy.kernel.firewall import Probe, drops
from pimpy.kernel.host import BridgeFacts, HostFacts, LinkFacts
from pimpy.kernel.sample import Heard
from pimpy.wire.record import evolve


def link(name: str = "a1", **change: Any) -> LinkFacts:
    values = {
        "name": name,
        "ifindex": 2,
        "up": True,
        "running": True,
        "multicast": True,
        "loopback": False,
        "kind": "",
        "mtu": 1500,
        "wireless": False,
        "master": None,
        "bridge": None,
        "addresses": ("10.0.1.1/24",),
        **change,
    }
    return LinkFacts(**values)  # type: ignore[arg-type]


def case(host: HostFacts | None = None, heard: tuple[Heard, ...] = (), **tables: list[AnyRow]) -> Case:
    """A router with one interface, `a1`, and what else is said."""
    daemon = FakeDaemon()
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("interfaces", "neighbors", "mroute", "igmp", "mld", "counters")
    }
    rows["status"] = objects([daemon.status()])
    rows["interfaces"] = objects([interface()])
    rows |= {name: objects(given) for name, given in tables.items()}
    return Case(rows, "", host or HostFacts((link(),)), [], heard, "", 0, 1.0)


def objects(rows: list[Any]) -> list[dict[str, Any]]:
    return list(json.loads(f"[{as_json(rows)}]"))


def checks(found: Case) -> set[str]:
    return {one.check for one in findings(found)}


def test_health() -> None:
    assert checks(case()) == set()
    assert checks(case(mroute=[mroute()], igmp=[gmp_interface()])) == set()
    assert diagnosis([], "", Style()) == "nothing found\n"


def test_an_interface_that_the_kernel_does_not_route() -> None:
    assert checks(case(HostFacts((link(),), {"ipv4/conf/a1/mc_forwarding": 0}))) == {"mc_forwarding"}
    assert checks(case(HostFacts((link(),), {"ipv4/conf/a1/mc_forwarding": 1}))) == set()


def test_all_packets_from_a_wrong_interface() -> None:
    assert checks(case(mroute=[mroute(packets=9, wrong_if=9)])) == {"wrong_interface"}
    unwanted_before = {"packets": 99, "wrong_if": 60, "packet_rate": 0.0}
    assert checks(case(mroute=[mroute(**unwanted_before, last_packet=0.1)])) == {"wrong_interface"}
    assert checks(case(mroute=[mroute(**unwanted_before, last_packet=60.0)])) == set(), "all of it is over"
    assert checks(case(mroute=[mroute(packets=99, wrong_if=60, packet_rate=7.0, last_packet=0.1)])) == set()
    assert checks(case(mroute=[mroute(packets=9, wrong_if=8)])) == set()


def test_wifi_and_what_makes_it_bearable() -> None:
    assert checks(case(HostFacts((link(wireless=True),)))) == {"wifi"}
    bridge = link("br0", kind="bridge", bridge=BridgeFacts(True, True, True), addresses=())
    assert "wifi" not in checks(case(HostFacts((link(wireless=True, master="br0"), bridge))))


def test_bridges() -> None:
    def bridge(**said: bool) -> LinkFacts:
        facts = evolve(BridgeFacts(True, False, False), **said)
        return link("br0", kind="bridge", bridge=facts, addresses=())

    assert checks(case(HostFacts((link(), bridge())))) == {"snooping_without_querier"}
    assert checks(case(HostFacts((link(), bridge(querier=True))))) == set()
    assert checks(case(HostFacts((link(), bridge(snooping=False))))) == set()
    ours = gmp_interface(name="br0")
    assert checks(case(HostFacts((link(), bridge())), igmp=[ours])) == set(), "we ask there"
    warned = gmp_interface(name="a1", bridge="br0", bridge_warning="nobody asks")
    assert checks(case(igmp=[warned])) == {"snooping"}
    unheard = gmp_interface(name="a1", bridge="br0", bridge_warning="no router", bridge_router_port=False)
    assert [found.remedy for found in findings(case(igmp=[unheard]))] == ["phyint a1 mrdisc"]


def test_strict_rp_filter_on_the_register_tunnel() -> None:
    host = HostFacts((link(), link("pimreg", multicast=False, addresses=())), {"ipv4/conf/pimreg/rp_filter": 1})
    found = findings(case(host))
    assert [(one.check, one.subject) for one in found] == [("rp_filter", "pimreg")]


def test_streams_on_the_wire() -> None:
    def heard(group: str, ttl: int, protocol: int = 17, query: bool = False, source: str = "10.0.1.9") -> Heard:
        return Heard("a1", source, group, protocol, ttl, 5, query)

    assert checks(case(heard=(heard("239.1.1.1", 16),))) == set()
    assert checks(case(heard=(heard("239.1.1.1", 1),))) == {"ttl_1"}
    assert checks(case(heard=(heard("ff3e::8000:1", 1, source="2001:db8::9"),))) == {"ttl_1"}
    assert checks(case(heard=(heard("224.0.0.13", 1, 103), heard("224.0.0.251", 1), heard("ff02::fb", 255)))) == set()
    assert checks(case(heard=(heard("224.0.0.77", 1),))) == {"link_scope_group"}
    assert checks(case(heard=(heard("224.0.0.1", 1, 2, True, "0.0.0.0"),))) == {"querier_address"}


def test_without_a_daemon(tmp_path: Any) -> None:
    found = gather(Client(str(tmp_path / "none.sock")), seconds=0.05)
    assert {"daemon"} <= checks(found)
    path = str(tmp_path / "p.sock")
    with serving(path, FakeDaemon()):
        assert "daemon" not in checks(gather(Client(path), seconds=0.05))


PROBES = {
    "igmp": Probe("IGMP", "input", "ip", "igmp", 2, "224.0.0.22", "a1"),
    "pim": Probe("PIM", "input", "ip", "pim", 103, "224.0.0.13", "a1"),
    "data": Probe("streams", "forward", "ip", "udp", 17, "239.1.1.1", "a1"),
    "mld": Probe("MLD", "input", "ip6", "ipv6-icmp", 58, "ff02::16", "a1"),
    "out": Probe("PIM", "output", "ip", "pim", 103, "224.0.0.13", "a1"),
}


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("", ""),
        ("chain i { type filter hook input priority 0; policy drop; }", "igmp pim mld"),
        ("chain i { type filter hook input priority 0; policy drop; ip protocol { igmp, pim } accept; }", "mld"),
        ("chain i { type filter hook input priority 0; policy drop; meta l4proto { 2, 103, 58 } accept; }", ""),
        ("chain i { type filter hook input priority 0; policy drop; iifname a1 accept; }", ""),
        ("chain i { type filter hook input priority 0; policy drop; iifname b2 accept; }", "igmp pim mld"),
        ("chain i { type filter hook input priority 0; ip daddr 224.0.0.0/4 drop; }", "igmp pim"),
        ("chain i { type filter hook input priority 0; ip daddr 224.0.0.13 ip ttl != 1 drop; }", ""),
        ("chain i { type filter hook input priority 0; ct state established accept; ip protocol pim drop; }", "pim"),
        ("chain x { ip protocol igmp drop; }\n chain i { type filter hook input priority 0; jump x; }", "igmp"),
        (
            "chain x { ip protocol igmp return; drop; }\n chain i { type filter hook input priority 0; jump x; }",
            "pim mld",
        ),
        ("chain f { type filter hook forward priority 0; policy drop; ct state new accept; }", ""),
        ("chain f { type filter hook forward priority 0; policy drop; ip daddr 239.0.0.0/8 accept; }", ""),
        ("chain f { type filter hook forward priority 0; policy drop; tcp dport 22 accept; }", "data"),
        ("chain p { type filter hook prerouting priority -300; ip daddr 239.1.0.0/16 drop; }", "data"),
        ("chain o { type filter hook output priority 0; meta l4proto pim drop; }", "out"),
        ("chain i { type filter hook input priority 0; limit rate 1/second drop; }", ""),
    ],
)
def test_rules_are_followed(text: str, dropped: str) -> None:
    needs.need_root()
    assert shutil.which("nft"), "nftables is not installed"
    rules = listed(f"table inet t {{\n{text}\n}}\n")
    found = {verdict.probe for verdict in drops(rules, PROBES.values())}
    assert {name for name, probe in PROBES.items() if probe in found} == set(dropped.split())


def listed(ruleset: str) -> list[dict[str, object]]:
    """The rules as nft lists them. A kernel that is taking down other namespaces may refuse a new one for a moment."""
    for _ in range(5):
        done = subprocess.run(
            ["unshare", "-n", "sh", "-ec", "nft -f - && nft -j list ruleset"],
            input=ruleset,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            found: list[dict[str, object]] = json.loads(done.stdout)["nftables"]
            return found
        time.sleep(0.5)
    raise AssertionError(done.stderr)


def test_mdns_cannot_be_routed_and_ssdp_needs_a_route_each_way() -> None:
    def static(group: str) -> StaticRow:
        return StaticRow("mroute", "ipv4", "a1", None, group, "a2", False, 0)

    assert checks(case(static=[static("224.0.0.251/32")])) == {"discovery"}
    assert checks(case(static=[static("239.255.255.250/32")])) == set()
    unwanted = mroute(group="239.255.255.250", mode="negative", incoming_interface="a1")
    (finding,) = findings(case(mroute=[unwanted]))
    assert finding.check == "discovery"
    assert "mroute from a1 group 239.255.255.250 to IF, and one back" in finding.remedy
