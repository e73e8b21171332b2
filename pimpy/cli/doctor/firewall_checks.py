"""Firewalls that drop what multicast routing lives on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pimpy.cli.doctor.case import Case, Finding
from pimpy.kernel.firewall import Probe, drops

ALLOW = {
    "IGMP": "nft insert rule {where} ip protocol igmp accept",
    "PIM": "nft insert rule {where} meta l4proto pim accept",
    "MLD": "nft insert rule {where} meta l4proto ipv6-icmp accept",
    "streams": "nft insert rule {where} {daddr} accept",
}
_DATA = {"ip": "239.1.1.1", "ip6": "ff3e::8000:1"}
_RANGE = {"ip": "ip daddr 224.0.0.0/4", "ip6": "ip6 daddr ff00::/8"}

BLOCKED = {"IGMP": "igmp_blocked", "MLD": "mld_blocked", "PIM": "pim_blocked", "streams": "data_blocked"}
"""The finding for each kind of packet that is dropped."""


def probes(case: Case) -> Iterator[tuple[str, Probe]]:
    """The packets that have to pass on each interface that takes part."""
    for row in case.routing():
        name = row["interface"]
        family = "ip" if row["address_family"] == "ipv4" else "ip6"
        members, number, reports = ("igmp", 2, "224.0.0.22") if family == "ip" else ("ipv6-icmp", 58, "ff02::16")
        asked = "IGMP" if family == "ip" else "MLD"
        routers = "224.0.0.13" if family == "ip" else "ff02::d"
        hosts = "224.0.0.1" if family == "ip" else "ff02::1"
        yield asked, Probe(f"{asked} reports", "input", family, members, number, reports, name)
        yield asked, Probe(f"{asked} queries", "output", family, members, number, hosts, name)
        yield "streams", Probe("streams", "forward", family, "udp", 17, _DATA[family], name)
        if row["mode"] == "pim":
            yield "PIM", Probe("PIM", "input", family, "pim", 103, routers, name)
            yield "PIM", Probe("PIM", "output", family, "pim", 103, routers, name)


def firewall(case: Case) -> Iterator[Finding]:
    """Each kind of packet, followed through the rules."""
    kinds = {probe: kind for kind, probe in probes(case)}
    for verdict in drops(case.rules or (), kinds):
        probe, kind = verdict.probe, kinds[verdict.probe]
        way = {"input": "coming in by", "output": "going out by", "forward": "coming in by"}[probe.hook]
        text = f"the firewall drops {probe.name} {way} {probe.interface}"
        evidence = f"chain {verdict.where}: {verdict.text}"
        remedy = ALLOW[kind].format(where=verdict.where, daddr=_RANGE[probe.family])
        check = BLOCKED[kind]
        yield Finding(check, "error", probe.interface, text, evidence, remedy)


def refused_to_send(case: Case) -> Iterator[Finding]:
    """The kernel would not send our own messages: a firewall's word too."""
    if refused := case.counted(protocol="kernel", type="SendPacket", reason="EPERM"):
        text = "the kernel refuses to send the daemon's messages"
        remedy = "allow protocols 2 (IGMP), 58 (ICMPv6) and 103 (PIM) in the output chain: nft list ruleset"
        yield Finding("send_refused", "error", "output", text, f"refused with EPERM: {refused}", remedy)


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (firewall, refused_to_send)
