"""What this host is set to and has: links, addresses, sysctls, counters, holders of multicast routing sockets.

For `pimctl doctor`, which runs in a process of its own beside the daemon. Nothing is changed here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pimpy.wire.record import field, frozen
from pimpy.wire.value import Value

IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_RUNNING, IFF_MULTICAST = 0x1, 0x8, 0x10, 0x40, 0x1000


@frozen
class BridgeFacts(Value):
    """The multicast side of a bridge."""

    snooping: bool
    querier: bool
    """Whether it asks by itself."""
    use_ifaddr: bool
    """Whether its queries carry an address; else they come from 0.0.0.0."""


@frozen(kw_only=True)
class LinkFacts(Value):
    """One interface of this host."""

    name: str
    ifindex: int
    up: bool
    running: bool
    multicast: bool
    loopback: bool
    kind: str
    """`bridge`, `wireguard`, ...; empty for hardware."""
    mtu: int
    wireless: bool
    master: str | None
    """The bridge or bond that it is a port of."""
    bridge: BridgeFacts | None
    addresses: tuple[str, ...]
    """With prefix lengths: `10.0.0.1/24`."""


@frozen
class HostFacts(Value):
    """This host."""

    links: tuple[LinkFacts, ...] = ()
    sysctls: Mapping[str, int] = field(factory=dict)
    """Below /proc/sys/net, with slashes: `ipv4/conf/eth0/rp_filter`."""
    rp_filter_drops: int | None = None
    """TcpExt IPReversePathFilter, since the host's start."""
    holders: tuple[tuple[int, str], ...] = ()
    """(pid, name) of the processes that have a raw IGMP or ICMPv6 socket."""

    def link(self, name: str) -> LinkFacts | None:
        """The interface of that name."""
        return next((link for link in self.links if link.name == name), None)

    def effective(self, name: str, key: str, family: str = "ipv4") -> int:
        """The larger of conf/all/KEY and conf/NAME/KEY; 0 where there is neither."""
        values = (self.sysctls.get(f"{family}/conf/{where}/{key}", 0) for where in ("all", name))
        return max(values)


_CONF = {
    "ipv4": ("rp_filter", "forwarding", "mc_forwarding", "force_igmp_version"),
    "ipv6": ("forwarding", "mc_forwarding", "force_mld_version"),
}
_PLAIN = (
    *("ipv4/ip_forward", "ipv4/igmp_max_memberships", "ipv4/igmp_max_msf", "ipv6/mld_max_msf"),
    *("core/optmem_max", "core/rmem_max"),
)


def gather(links: Iterable[LinkFacts] | None = None) -> HostFacts:
    """Look around; `links` takes the place of the kernel's own table."""
    found = tuple(read_links() if links is None else links)
    names = [*(link.name for link in found), "all", "default"]
    return HostFacts(found, read_sysctls(names), rp_filter_drops(), tuple(holders()))


def read_links() -> list[LinkFacts]:
    """The kernel's links with their addresses."""
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        links = list(ip.get_links())
        addresses: dict[int, list[str]] = {}
        for message in ip.get_addr():
            address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if address is not None:
                addresses.setdefault(message["index"], []).append(f"{address}/{message['prefixlen']}")
    names = {message["index"]: message.get_attr("IFLA_IFNAME") for message in links}
    return [_link(message, names, addresses.get(message["index"], [])) for message in links]


def _link(message: Any, names: Mapping[int, str], addresses: Iterable[str]) -> LinkFacts:
    flags, name = message["flags"], message.get_attr("IFLA_IFNAME")
    info = message.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info is not None else None) or ""
    data = info.get_attr("IFLA_INFO_DATA") if info is not None and kind == "bridge" else None
    bridge = None
    if data is not None:
        values = [data.get_attr(f"IFLA_BR_MCAST_{key}") for key in ("SNOOPING", "QUERIER", "QUERY_USE_IFADDR")]
        bridge = BridgeFacts(*(bool(value) for value in values))
    return LinkFacts(
        name=name,
        ifindex=message["index"],
        up=bool(flags & IFF_UP),
        running=bool(flags & IFF_RUNNING),
        multicast=bool(flags & IFF_MULTICAST),
        loopback=bool(flags & IFF_LOOPBACK),
        kind=kind,
        mtu=message.get_attr("IFLA_MTU") or 0,
        wireless=any(Path("/sys/class/net", name, entry).exists() for entry in ("phy80211", "wireless")),
        master=names.get(message.get_attr("IFLA_MASTER") or 0),
        bridge=bridge,
        addresses=tuple(addresses),
    )


def read_sysctls(names: Iterable[str]) -> dict[str, int]:
    """What of /proc/sys/net concerns multicast; what the kernel does not have is left out."""
    keys = list(_PLAIN)
    for name in names:
        keys += [f"{family}/conf/{name}/{key}" for family, words in _CONF.items() for key in words]
    found = {}
    for key in keys:
        with suppress(OSError, ValueError):
            found[key] = int(Path("/proc/sys/net", key).read_text(encoding="ascii").split()[0])
    return found


def rp_filter_drops() -> int | None:
    """How many packets rp_filter has dropped; None if the kernel does not tell."""
    try:
        lines = Path("/proc/net/netstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for heads, values in zip(lines[::2], lines[1::2], strict=False):
        table = dict(zip(heads.split(), values.split(), strict=False))
        if "IPReversePathFilter" in table:
            return int(table["IPReversePathFilter"])
    return None


def holders() -> list[tuple[int, str]]:
    """Processes with a raw IGMP or ICMPv6 socket of this network namespace: who could hold its multicast routing."""
    wanted = _raw_sockets("/proc/net/raw", 2) | _raw_sockets("/proc/net/raw6", 58)
    found = []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            if any(os.readlink(link) in wanted for link in (process / "fd").iterdir()):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append((int(process.name), name))
    return found


def _raw_sockets(path: str, protocol: int) -> set[str]:
    try:
        rows = [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return set()
    return {f"socket:[{row[9]}]" for row in rows if len(row) > 9 and re.fullmatch(f".*:{protocol:04X}", row[1])}
