"""What streams, routes, queriers and the wire tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address

from pimpy.cli.doctor.case import Case, Finding, is_link_scope

PROTOCOLS = frozenset((2, 58, 89, 88, 103, 112))
"""IGMP, ICMPv6, OSPF, EIGRP, PIM, VRRP: they speak to their link only, and mean to."""
RESERVED = frozenset(("224.0.0.251", "224.0.0.252", "ff02::fb", "ff02::1:3", "ff02::1:2", "224.0.0.1", "ff02::1"))
"""mDNS, LLMNR, DHCPv6 and all hosts: the same."""
REGISTER_OVERHEAD = {"ipv4": 28, "ipv6": 48}
"""Bytes of IP and PIM header around a Register's packet."""


def ttl_1(case: Case) -> Iterator[Finding]:
    """Streams that may not leave their link, as encoders send them by default."""
    if case.blind and case.rows is not None:
        return
    for heard in case.heard:
        if heard.protocol in PROTOCOLS or is_link_scope(heard.group) or heard.ttl > 1:
            continue
        v4 = ip_address(heard.group).version == 4
        what = "TTL" if v4 else "hop limit"
        text = (
            f"({heard.source},{heard.group}) arrives on {heard.interface} with {what} {heard.ttl}: it may go no further"
        )
        evidence = f"{heard.count} packets in {case.seconds:g} s"
        rule = f"ip daddr {heard.group} ip ttl set 16" if v4 else f"ip6 daddr {heard.group} ip6 hoplimit set 16"
        chain = "nft add chain inet pimpy_ttl pre '{ type filter hook prerouting priority -300; }'"
        here = f"nft add table inet pimpy_ttl; {chain}; nft add rule inet pimpy_ttl pre {rule}"
        remedy = f"set {what} to 16 or more at the sender; or here: {here}"
        yield Finding("ttl_1", "error", heard.group, text, evidence, remedy)


def link_scope(case: Case) -> Iterator[Finding]:
    """Streams to groups that no router may ever forward."""
    for heard in case.heard:
        if heard.protocol not in PROTOCOLS and is_link_scope(heard.group) and heard.group not in RESERVED:
            text = f"{heard.source} sends to {heard.group}, a group that routers never forward"
            evidence = f"{heard.count} packets on {heard.interface} in {case.seconds:g} s"
            remedy = (
                "let the sender use a group of 239.0.0.0/8 or ff08::/16: 224.0.0.0/24 and ff02::/16 stay on their link"
            )
            yield Finding("link_scope_group", "warning", heard.group, text, evidence, remedy)


SSDP = "239.255.255.250"
LATELY = 5.0
"""Seconds within which a stream that flows has had a packet, whatever became of it."""


def discovery(case: Case) -> Iterator[Finding]:
    """mDNS and SSDP: the one stays on its link whatever is configured, the other needs a route each way and a TTL."""
    for row in case.table("static"):
        group = row["group_prefix"].partition("/")[0]
        if is_link_scope(group):
            text = f"a static {row['kind']} names {group}, which no router may forward"
            remedy = "let a reflector repeat it on the other links (avahi-daemon with enable-reflector=yes for mDNS)"
            yield Finding("discovery", "warning", group, text, f"show static: {row['interface']}", remedy)
    for row in case.entries():
        if row["group"] == SSDP and row["mode"] == "negative":
            subject = f"({row['source_address']},{SSDP})"
            text = f"SSDP of {row['source_address']} goes no further than {row['incoming_interface']}"
            remedy = (
                f"a route each way: mroute from {row['incoming_interface']} group {SSDP} to IF, and one back;"
                " its answers are unicast and need a route too"
            )
            yield Finding("discovery", "warning", subject, text, "show mroute: nobody wants it", remedy)


def no_rp(case: Case) -> Iterator[Finding]:
    """Groups with members and without an RP."""
    wanted = {row["group"] for row in case.entries() if row["mode"] == "pim_asm" and row["rp_address"] is None}
    for group in sorted(wanted):
        length = 32 if ip_address(group).version == 4 else 128
        text = f"{group} has members, and no RP: they cannot find its sources"
        remedy = f"on all routers the same line: rp-address ADDR {group}/{length}; or let receivers name their source"
        yield Finding("no_rp", "error", group, text, "show mroute: RP none", remedy)


def routes(case: Case) -> Iterator[Finding]:
    """Sources and RPs that cannot be reached, or only by routers or interfaces without PIM."""
    for row in case.entries():
        if row["mode"] not in ("pim_asm", "pim_ssm"):
            continue
        what = f"the RP {row['rp_address']}" if row["is_rpt"] else f"the source {row['source_address']}"
        target = row["rp_address"] if row["is_rpt"] else row["source_address"]
        if target is None:
            continue
        subject = f"({row['source_address']},{row['group']})"
        evidence = f"show mroute: RPF {row['rpf_state']}"
        look = f"ip route get {target}"
        if row["rpf_state"] == "no_route":
            text = f"there is no route to {what}"
            yield Finding("no_route", "error", subject, text, evidence, f"{look}; let routing have one, or add it")
        elif row["rpf_state"] == "no_interface":
            text = f"the route to {what} leads over an interface without multicast routing"
            yield Finding("route_without_pim", "error", subject, text, evidence, f"{look}; phyint IF enable")
        elif row["rpf_state"] == "no_neighbor":
            text = f"the next hop to {what} is no PIM neighbour"
            remedy = f"{look}; run PIM there; pimctl show neighbors {row['incoming_interface'] or ''}".rstrip()
            yield Finding("route_without_pim", "error", subject, text, evidence, remedy)


def wrong_interface(case: Case) -> Iterator[Finding]:
    """Streams that come in where the route to their source does not lead."""
    for row in case.entries():
        wrong, all_packets = row["wrong_if"] or 0, row["packets"] or 0
        now = row["packet_rate"] == 0 and (row["last_packet"] or 0) < LATELY and 2 * wrong > all_packets
        if wrong and (wrong == all_packets or now) and row["incoming_interface"]:
            subject = f"({row['source_address']},{row['group']})"
            text = f"all packets come in by another interface than {row['incoming_interface']}"
            remedy = f"ip route get {row['source_address']}: the route must lead where the stream comes from"
            yield Finding("wrong_interface", "error", subject, text, f"{row['wrong_if']} packets dropped", remedy)


def queriers(case: Case) -> Iterator[Finding]:
    """Queries from an address that no election can weigh, or from another subnet."""
    for heard in case.heard:
        if heard.query and heard.source in ("0.0.0.0", "::"):
            yield _zero(heard.interface, f"a query from {heard.source} was heard on {heard.interface}")
    told = {heard.interface for heard in case.heard if heard.query and heard.source in ("0.0.0.0", "::")}
    for row in case.table("counters"):
        if row["reason"] == "query_src_zero" and row["interface"] not in told:
            yield _zero(row["interface"], f"{row['count']} queries from 0.0.0.0 since the start")
            told.add(row["interface"])
    for row in case.table("counters"):
        if row["type"] == "query" and row["reason"] in ("igmp_src_subnet", "mld_src"):
            text = f"somebody on {row['interface']} asks from an address that is not of its subnets: it is not heard"
            evidence = f"{row['count']} queries dropped as {row['reason']} since the start"
            remedy = (
                f"give that querier an address of the subnet, or switch it off: tcpdump -ni {row['interface']} igmp"
            )
            yield Finding("querier_address", "warning", row["interface"], text, evidence, remedy)


def _zero(name: str, evidence: str) -> Finding:
    text = f"somebody on {name} asks from 0.0.0.0, as snooping switches do: no election, and hosts may not answer"
    remedy = "switch the querier of the switch off, or give it an address (mcast_query_use_ifaddr 1 on a Linux bridge)"
    return Finding("querier_address", "warning", name, text, evidence, remedy)


def register_mtu(case: Case) -> Iterator[Finding]:
    """Packets that do not fit into a Register."""
    for row in case.entries():
        if row["register_state"] is None or not row["packets"]:
            continue
        size = row["bytes"] / row["packets"]
        mtu = min((link.mtu for link in case.links() if link.mtu), default=0)
        room = mtu - REGISTER_OVERHEAD[row["address_family"]]
        if mtu and size > room:
            subject = f"({row['source_address']},{row['group']})"
            text = (
                f"its packets are too large for Registers to the RP {row['rp_address']}: those are fragmented, or lost"
            )
            evidence = f"{size:.0f} bytes a packet, {room} fit (the smallest MTU here is {mtu})"
            remedy = "send smaller packets, raise the MTU towards the RP, or use SSM, which needs no Registers"
            yield Finding("register_mtu", "warning", subject, text, evidence, remedy)


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    ttl_1,
    link_scope,
    discovery,
    no_rp,
    routes,
    wrong_interface,
    queriers,
    register_mtu,
)
