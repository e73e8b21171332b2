"""Settings, links and other programs of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from pimpy.cli.doctor.case import Case, Finding, subnets

VIF_LIMIT = 31
NEARLY = 28
"""Interfaces in use from which on the limit is near."""


def daemon(case: Case) -> Iterator[Finding]:
    """The daemon answers, and runs with the configuration that is in its file."""
    if case.rows is None:
        remedy = "systemctl start pimpyd; journalctl -u pimpyd"
        yield Finding("daemon", "error", "pimpyd", "the daemon does not answer", case.missing, remedy)
    for row in case.table("status"):
        if not row["config_ok"]:
            evidence = f"{row['config_file']} has an error; what was read before it is in force"
            remedy = f"pimpyd --check {row['config_file']}, then pimctl reload"
            yield Finding("config", "warning", str(row["config_file"]), "the last reload failed", evidence, remedy)


def other_daemon(case: Case) -> Iterator[Finding]:
    """Only one program can have a table."""
    ours = {row["pid"] for row in case.table("status")}
    known = ("pimd", "mrouted", "smcroute", "igmpproxy", "mcproxy", "pim6d", "pim6sd", "mcast", "xorp", "dvmrp")
    for pid, name in case.host.holders:
        if pid not in ours and any(name.startswith(word) for word in known):
            text = f"another multicast daemon runs here: {name}"
            remedy = f"stop one of them (systemctl disable --now {name}), or give them tables of their own (-t)"
            yield Finding("other_daemon", "error", name, text, f"process {pid} has a raw IGMP or ICMPv6 socket", remedy)


def forwarding(case: Case) -> Iterator[Finding]:
    """The host forwards."""
    families = {word for row in case.table("status") for word in row["address_families"].split()}
    for family, key in (("ipv4", "ipv4/ip_forward"), ("ipv6", "ipv6/conf/all/forwarding")):
        if family in families and case.host.sysctls.get(key) == 0:
            name = "net." + key.replace("/", ".")
            text = f"this host does not forward {family.replace('ip', 'IP')}"
            yield Finding("forwarding_off", "error", name, text, f"{name} = 0", f"sysctl -w {name}=1")


def mc_forwarding(case: Case) -> Iterator[Finding]:
    """The kernel knows of each interface that takes part."""
    for row in case.routing():
        key = f"{row['address_family']}/conf/{row['interface']}/mc_forwarding"
        main = any(status["table"] in (0, 253, 254) for status in case.table("status"))
        if main and case.host.sysctls.get(key) == 0:
            text = f"the kernel does not route multicast on {row['interface']}, though the daemon has it"
            remedy = "systemctl restart pimpyd: another program took the table away, or the interface was replaced"
            yield Finding("mc_forwarding", "error", row["interface"], text, f"{key} = 0", remedy)


def rp_filter(case: Case) -> Iterator[Finding]:
    """Reverse path filtering drops before multicast routing sees a packet."""
    names = [row["interface"] for row in case.routing("ipv4")]
    if case.host.link("pimreg") is not None and names:
        names.append("pimreg")
    for name in names:
        if case.host.effective(name, "rp_filter") == 1:
            text = f"rp_filter is strict on {name}: packets of a source whose route leads elsewhere vanish"
            evidence = f"max(conf/all, conf/{name})/rp_filter = 1"
            remedy = f"sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=2"
            yield Finding("rp_filter", "warning", name, text, evidence, remedy)
    if case.rp_filter_drops:
        modes = {name: case.host.effective(name, "rp_filter") for name in names}
        where = ", ".join(f"{name}={mode}" for name, mode in modes.items() if mode) or "elsewhere"
        evidence = f"IPReversePathFilter rose by {case.rp_filter_drops} in {case.seconds:g} s; rp_filter: {where}"
        remedy = "lay a route to the source (ip route get SOURCE), or sysctl -w net.ipv4.conf.all.rp_filter=0"
        yield Finding("rp_filter_drops", "error", "IPv4", "rp_filter is dropping packets now", evidence, remedy)


def forced_version(case: Case) -> Iterator[Finding]:
    """Hosts of this machine that are forced to an old version cannot name sources."""
    for link in case.links():
        for family, key, newest in (("ipv4", "force_igmp_version", 3), ("ipv6", "force_mld_version", 2)):
            value = case.host.effective(link.name, key, family)
            if 0 < value < newest:
                text = f"{key} is {value} on {link.name}: programs here cannot join a source by name (SSM)"
                remedy = f"sysctl -w net.{family}.conf.all.{key}=0 net.{family}.conf.{link.name}.{key}=0"
                yield Finding(key, "warning", link.name, text, f"max(conf/all, conf/{link.name}) = {value}", remedy)


def limits(case: Case) -> Iterator[Finding]:
    """Tables of the kernel that are full, or nearly."""
    for family in ("ipv4", "ipv6"):
        used = sum(row["vif"] is not None for row in case.table("interfaces") if row["address_family"] == family)
        refused = [
            row["interface"]
            for row in case.table("interfaces")
            if row["address_family"] == family and "virtual interface" in (row["reason"] or "")
        ]
        if used >= NEARLY or refused:
            text = f"{used} of {VIF_LIMIT} virtual interfaces are in use ({family})"
            evidence = f"not used: {', '.join(refused)}" if refused else "the kernel has no more"
            remedy = "`no phyint` and phyint lines for those that are needed, or a second daemon with a table (-t)"
            yield Finding("vif_limit", "error" if refused else "warning", family, text, evidence, remedy)
    if failed := case.counted(protocol="kernel", type="JoinGroup", reason="ENOBUFS"):
        text = "the kernel refuses further group memberships"
        remedy = "sysctl -w net.ipv4.igmp_max_memberships=1000 net.core.optmem_max=1048576"
        yield Finding("membership_limit", "error", "JoinGroup", text, f"refused with ENOBUFS: {failed}", remedy)
    least = case.host.sysctls.get("ipv4/igmp_max_memberships")
    if least is not None and least < 20:
        text = f"programs here may join {least} groups with a socket"
        remedy = "sysctl -w net.ipv4.igmp_max_memberships=100"
        yield Finding("membership_limit", "warning", "igmp_max_memberships", text, f"= {least}", remedy)


def no_multicast_flag(case: Case) -> Iterator[Finding]:
    """An interface with an address that cannot do multicast, as tunnels are made."""
    for link in case.host.links:
        if link.multicast or link.loopback or not link.up or not link.addresses or link.name.startswith("pim"):
            continue
        kind = link.kind or "interface"
        text = f"{link.name} ({kind}) has no multicast flag, so it takes no part"
        remedy = f"ip link set dev {link.name} multicast on"
        if link.kind == "wireguard":
            remedy += "; and allowed-ips with 224.0.0.0/4 and ff00::/8 for one peer"
        yield Finding("no_multicast_flag", "warning", link.name, text, f"addresses {' '.join(link.addresses)}", remedy)


def duplicate_subnets(case: Case) -> Iterator[Finding]:
    """The same subnet twice: which link a source is on cannot be told by routes."""
    links = [link for link in case.links() if link.up]
    for one, other in combinations(links, 2):
        shared = {str(a.network) for a in subnets(one) for b in subnets(other) if a.network == b.network}
        shared = {text for text in shared if not text.endswith(("/32", "/128"))}
        for text in sorted(shared):
            words = f"{one.name} and {other.name} are in the same subnet"
            remedy = "bond or bridge them, take the address off one of them, or `phyint IF disable` one"
            yield Finding("duplicate_subnet", "warning", f"{one.name} {other.name}", words, text, remedy)


def snooping(case: Case) -> Iterator[Finding]:
    """A bridge that snoops needs somebody who asks, or it cuts members off."""
    ours = {row["interface"] for row in (*case.table("igmp"), *case.table("mld")) if row["row"] == "interface"}
    for link in case.host.links:
        if link.bridge is None or not link.up or not link.bridge.snooping:
            continue
        ports = [port.name for port in case.host.links if port.master == link.name]
        if not link.bridge.querier and link.name not in ours and not set(ports) & ours:
            text = f"{link.name} snoops on IGMP and MLD, and nobody asks there: groups are cut off after 260 s"
            remedy = f"ip link set dev {link.name} type bridge mcast_querier 1 mcast_query_use_ifaddr 1"
            evidence = f"mcast_snooping 1, mcast_querier 0, ports {' '.join(ports) or 'none'}"
            yield Finding("snooping_without_querier", "warning", link.name, text, evidence, remedy)
        for port in sorted(set(ports) & ours):
            text = f"the daemon runs on {port}, a port of the bridge {link.name}, which takes its packets away"
            remedy = f"let it run on {link.name}: phyint {port} disable"
            yield Finding("bridge_port", "error", port, text, f"master {link.name}", remedy)
    for row in (*case.table("igmp"), *case.table("mld")):
        if row["row"] == "interface" and row.get("bridge_warning"):
            text = f"the bridge {row['bridge']} below {row['interface']}: {row['bridge_warning']}"
            remedy = f"ip link set dev {row['bridge']} type bridge mcast_querier 1 mcast_query_use_ifaddr 1"
            if row["bridge_router_port"] is False:
                remedy = f"phyint {row['interface']} mrdisc"
            yield Finding("snooping", "warning", row["interface"], text, row["address_family"], remedy)


def wifi(case: Case) -> Iterator[Finding]:
    """Multicast over Wi-Fi goes at the lowest rate, to everybody, unless a bridge turns it into unicast."""
    for link in case.links():
        if not link.wireless:
            continue
        bridge = case.host.link(link.master) if link.master else None
        if bridge is not None and bridge.bridge is not None and bridge.bridge.snooping:
            continue
        text = f"{link.name} is Wi-Fi: streams there go to all stations at the lowest rate, and take the air from them"
        evidence = "a wireless interface with multicast routing, and no snooping bridge above it"
        remedy = (
            f"put it into a bridge: ip link set dev {link.name} master BRIDGE; bridge link set dev {link.name} "
            f"mcast_to_unicast on; or: phyint {link.name} disable"
        )
        yield Finding("wifi", "warning", link.name, text, evidence, remedy)


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    daemon,
    other_daemon,
    forwarding,
    mc_forwarding,
    rp_filter,
    forced_version,
    limits,
    no_multicast_flag,
    duplicate_subnets,
    snooping,
    wifi,
)
