"""The one place where privileged sockets are opened.

Nothing here needs the rest of pimpy to be running: a small process can open the sockets, keep them, and hand
their descriptors to the one that works with them. The kernel keeps the forwarding table as long as any copy of
the descriptor `Sockets.mroute` is open.

Capabilities: CAP_NET_RAW opens the sockets and owns the table. CAP_NET_ADMIN makes the receive buffers larger
than `net.core.rmem_max`. Joining a group needs neither.

Sysctls: none is set here, so none has to be restored. The kernel itself sets `mc_forwarding` while a table is
held. `advice()` tells of those that somebody else may want to set.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from socket import (
    AF_INET,
    AF_NETLINK,
    IP_ADD_MEMBERSHIP,
    IP_DROP_MEMBERSHIP,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IP_OPTIONS,
    IP_TOS,
    IPPROTO_ICMPV6,
    IPPROTO_IGMP,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_PIM,
    IPPROTO_RAW,
    IPV6_HOPOPTS,
    IPV6_JOIN_GROUP,
    IPV6_LEAVE_GROUP,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_LOOP,
    IPV6_RECVHOPLIMIT,
    IPV6_RECVHOPOPTS,
    IPV6_RECVPKTINFO,
    IPV6_TCLASS,
    SO_RCVBUF,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_RAW,
    SOL_SOCKET,
    socket,
)

from pimpy.kernel import _mroute
from pimpy.wire.family import Address, Family
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

EXIT_FAILED = 1
EXIT_HELD = 69
EXIT_CAPABILITY = 77

OWNER = "mroute"
"""How the names of the descriptors begin that own a table."""

RECEIVE_BUFFER = 32 << 20
"""Bytes: a burst of Joins may wait; or the packets of 75,000/s that are to be registered, for a third of a second."""
UPCALL_BUFFER = 2 << 20
"""Bytes of the socket that owns a table without a register tunnel: some 5,000 upcalls may wait, or 1,800 full reports.

The kernel goes through all streams that wait for an answer whenever an entry is written, and for each packet of one:
50,000 of them keep a processor busy with nothing else. A stream that finds no room is asked for again with its next
packet.
"""

_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
IP_PKTINFO = 8
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
ICMP6_FILTER = 1
_INTERNETWORK_CONTROL = 0xC0
_ROUTER_ALERT4 = bytes((148, 4, 0, 0))
_ROUTER_ALERT6 = bytes((0, 0, 5, 2, 0, 0, 1, 0))
_MLD_TYPES = (130, 131, 132, 143, 152)
_WITH_PACKET = 4
"""MRT_PIM's value that brings up, beside the notice of a wrong interface, the packet itself."""


class KernelRefusal(Exception):
    """The kernel cannot give what the daemon needs: why, what helps, and the status to exit with."""

    def __init__(self, cause: str, remedy: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause = cause
        self.remedy = remedy
        self.exit_code = exit_code


@frozen
class Sockets(Value):
    """The descriptors of one family and table. Whoever made them closes them."""

    family: Family
    table: int
    """0 for the kernel's default table."""
    mroute: int
    """Owns the table; receives upcalls, and sends and receives IGMP or MLD."""
    pim: int
    raw: int
    """Sends whole IP packets of others."""

    def names(self) -> dict[str, int]:
        """The descriptors by the names under which they are kept."""
        end = place(self.family.name, self.table)
        return {f"{OWNER}{end}": self.mroute, f"pim{end}": self.pim, f"raw{end}": self.raw}

    @property
    def owner_name(self) -> str:
        """That of `mroute`."""
        return f"{OWNER}{place(self.family.name, self.table)}"

    @property
    def kernel_table(self) -> int:
        """The number by which the kernel itself knows the table."""
        return self.table or (253 if self.family.size == 4 else 254)

    def lost(self) -> int:
        """Messages that the kernel dropped because a receive buffer was full, since the sockets were opened."""
        return sum(_drops(fd) for fd in (self.mroute, self.pim))

    def close(self) -> None:
        """Close them; with the last copy of `mroute` the kernel empties the table."""
        for fd in (self.mroute, self.pim, self.raw):
            os.close(fd)


def place(family: str, table: int) -> str:
    """The end of the names of a table's descriptors, `family` being `ipv4` or `ipv6`."""
    return f"{family.removeprefix('ipv')}-{table}"


def kept_sockets(family: Family, table: int, kept: Mapping[str, int]) -> Sockets | None:
    """The sockets of a family and table among the kept descriptors; None unless all are there."""
    end = place(family.name, table)
    found = [kept.get(role + end) for role in (OWNER, "pim", "raw")]
    if None in found:
        return None
    mroute, pim, raw = (fd for fd in found if fd is not None)
    return Sockets(family, table, mroute, pim, raw)


def open_sockets(family: Family, table: int = 0) -> Sockets:
    """Open the sockets of a family, take its table and turn on PIM; KernelRefusal if that cannot be."""
    mroute = open_raw(family, IPPROTO_IGMP if family.size == 4 else IPPROTO_ICMPV6)
    try:
        pim = open_raw(family, IPPROTO_PIM)
        try:
            _prepare(mroute, family, membership=True)
            _prepare(pim, family, membership=False)
            raw = open_raw(family, IPPROTO_RAW)
            try:
                _turn_loop_off(raw, family)
                _take_table(mroute, family, table)
            except BaseException:
                raw.close()
                raise
        except BaseException:
            pim.close()
            raise
    except BaseException:
        mroute.close()
        raise
    return Sockets(family, table, mroute.detach(), pim.detach(), raw.detach())


def open_pim(family: Family) -> int:
    """A socket that only sends PIM messages; KernelRefusal if there can be none."""
    pim = open_raw(family, IPPROTO_PIM)
    _prepare(pim, family, membership=False)
    return pim.detach()


def open_raw(family: Family, protocol: int) -> socket:
    """A raw socket of `protocol` that does not block; KernelRefusal if there can be none."""
    try:
        return socket(family.number, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise KernelRefusal(
                f"no permission for the raw {family.name} sockets of a multicast router",
                "start as root, or give the capability CAP_NET_RAW",
                EXIT_CAPABILITY,
            ) from error
        if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            raise KernelRefusal(f"this kernel has no {family.name}", f"turn {family.name} off") from error
        raise KernelRefusal(f"a raw {family.name} socket failed: {error.strerror}", "see the kernel's log") from error


def _take_table(mroute: socket, family: Family, table: int) -> None:
    name = f"{family.name} multicast routing table {table or 'default'}"
    try:
        _mroute.init(mroute.fileno(), family.number, table)
        _mroute.set_pim(mroute.fileno(), family.number, _WITH_PACKET)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EBUSY):
            raise KernelRefusal(
                f"the {name} is held by {_holders(family) or 'another program'}",
                "stop that program, or choose another table with -t",
                EXIT_HELD,
            ) from error
        if error.errno in (errno.EPERM, errno.EACCES):
            raise KernelRefusal(
                f"no permission for the {name}", "start as root, or give the capability CAP_NET_RAW", EXIT_CAPABILITY
            ) from error
        if error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
            raise KernelRefusal(f"this kernel cannot give the {name}", _kernel_options(family, table)) from error
        if error.errno == errno.EINVAL:
            raise KernelRefusal(f"there can be no {name}", "choose a number below 100000000") from error
        raise KernelRefusal(f"the {name} was refused: {error.strerror}", "see the kernel's log") from error


def _kernel_options(family: Family, table: int) -> str:
    four = family.size == 4
    options = ["CONFIG_IP_MROUTE", "CONFIG_IP_PIMSM_V2"] if four else ["CONFIG_IPV6_MROUTE", "CONFIG_IPV6_PIMSM_V2"]
    if table:
        options.append("CONFIG_IP_MROUTE_MULTIPLE_TABLES" if four else "CONFIG_IPV6_MROUTE_MULTIPLE_TABLES")
    return f"a kernel with {', '.join(options)} is needed"


def _prepare(opened: socket, family: Family, membership: bool) -> None:
    """Options of sending and receiving; some need a capability, so they are set here once and for all."""
    enlarge(opened, UPCALL_BUFFER if membership else RECEIVE_BUFFER)
    # This host hears our queries too: its own memberships, those of a router among them, have to answer (RFC 9776 6).
    loop = int(membership)
    if family.size == 4:
        opened.setsockopt(IPPROTO_IP, IP_PKTINFO, 1)
        opened.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, loop)
        opened.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, 1)
        opened.setsockopt(IPPROTO_IP, IP_TOS, _INTERNETWORK_CONTROL)
        transparent = (IPPROTO_IP, _IP_TRANSPARENT)
        if membership:
            opened.setsockopt(IPPROTO_IP, IP_OPTIONS, _ROUTER_ALERT4)
    else:
        for option in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS, IPV6_MULTICAST_HOPS):
            opened.setsockopt(IPPROTO_IPV6, option, 1)
        opened.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loop)
        opened.setsockopt(IPPROTO_IPV6, IPV6_TCLASS, _INTERNETWORK_CONTROL)
        transparent = (IPPROTO_IPV6, _IPV6_TRANSPARENT)
        if membership:
            opened.setsockopt(IPPROTO_IPV6, IPV6_HOPOPTS, _ROUTER_ALERT6)
            opened.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, icmp6_filter(_MLD_TYPES))
    # So that a Hello that takes leave can still come from an address that has just been removed (RFC 7761 4.3.1).
    with suppress(OSError):
        opened.setsockopt(*transparent, 1)


def open_notices() -> socket:
    """A route netlink socket with room for many notices, which hears of no group yet."""
    notices = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
    enlarge(notices)
    return notices


def _turn_loop_off(raw: socket, family: Family) -> None:
    """What we forward by hand must not come back to us."""
    if family.size == 4:
        raw.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, 0)
    else:
        raw.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0)


def icmp6_filter(types: tuple[int, ...]) -> bytes:
    """A struct icmp6_filter that lets these types through: a bit that is set blocks."""
    blocked = (1 << 256) - 1
    for icmp_type in types:
        blocked &= ~(1 << icmp_type)
    return struct.pack("=8I", *(blocked >> shift & 0xFFFFFFFF for shift in range(0, 256, 32)))


def enlarge(opened: socket, size: int = RECEIVE_BUFFER) -> None:
    """Make the receive buffer `size` bytes large, or without CAP_NET_ADMIN as large as the system allows."""
    try:
        opened.setsockopt(SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        opened.setsockopt(SOL_SOCKET, SO_RCVBUF, size)


def _drops(fd: int) -> int:
    """The kernel's count of messages that found the receive buffer full."""
    borrowed = socket(fileno=os.dup(fd))
    try:
        numbers = borrowed.getsockopt(SOL_SOCKET, _SO_MEMINFO, 64)
    finally:
        borrowed.close()
    return int(struct.unpack_from("=I", numbers, 4 * _MEMINFO_DROPS)[0])


class Memberships:
    """The groups that this host has joined, so that link-scope messages to them are received.

    Each interface has sockets of its own: the kernel allows 20 IPv4 groups a socket
    (`igmp_max_memberships`), and what a vanished interface leaves behind goes with its sockets. `keep` and `drop`
    are told of each socket by its name, for whoever keeps a copy: without one, the messages that come while this
    process is away are not received. `kept` are the sockets that an earlier process left.
    """

    def __init__(
        self,
        family: Family,
        table: int = 0,
        kept: Mapping[str, int] | None = None,
        keep: Callable[[str, int], None] = lambda name, fd: None,
        drop: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._family = family
        self._prefix = f"member{place(family.name, table)}."
        self._keep = keep
        self._drop = drop
        self._sockets: dict[int, dict[str, socket]] = {}
        self._joined: dict[tuple[int, Address], socket] = {}
        for name, fd in (kept or {}).items():
            ifindex, _, number = name.removeprefix(self._prefix).partition(".")
            if name.startswith(self._prefix) and ifindex.isdigit() and number.isdigit():
                self._sockets.setdefault(int(ifindex), {})[name] = socket(fileno=fd)

    def join(self, ifindex: int, group: Address) -> None:
        """Join `group` on an interface; nothing if it is joined."""
        if (ifindex, group) in self._joined:
            return
        own = self._sockets.setdefault(ifindex, {})
        for member in own.values():
            if self._joins(member, ifindex, group):
                return
        member = socket(self._family.number, SOCK_DGRAM | SOCK_CLOEXEC)
        try:
            self._change(member, ifindex, group, join=True)
        except OSError:
            member.close()
            raise
        name = next(name for n in range(len(own) + 1) if (name := f"{self._prefix}{ifindex}.{n}") not in own)
        own[name] = self._joined[ifindex, group] = member
        self._keep(name, member.fileno())

    def _joins(self, member: socket, ifindex: int, group: Address) -> bool:
        """Join by a socket that there is; whether that went. An earlier process may have done so."""
        try:
            self._change(member, ifindex, group, join=True)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return False
        self._joined[ifindex, group] = member
        return True

    def leave(self, ifindex: int, group: Address) -> None:
        """Leave `group` on an interface; nothing if it is not joined."""
        member = self._joined.pop((ifindex, group), None)
        if member is not None:
            self._change(member, ifindex, group, join=False)

    def forget(self, ifindex: int) -> None:
        """The interface is gone, and with it what was joined there."""
        for name, member in self._sockets.pop(ifindex, {}).items():
            member.close()
            self._drop(name)
        self._joined = {key: member for key, member in self._joined.items() if key[0] != ifindex}

    def forget_others(self, ifindexes: Iterable[int]) -> None:
        """Only these interfaces are there: what an earlier process joined on others has gone with them."""
        for ifindex in self._sockets.keys() - set(ifindexes):
            self.forget(ifindex)

    def close(self) -> None:
        """Leave every group."""
        for ifindex in list(self._sockets):
            self.forget(ifindex)

    def _change(self, member: socket, ifindex: int, group: Address, join: bool) -> None:
        if self._family.number == AF_INET:
            request = group + bytes(4) + struct.pack("=i", ifindex)
            member.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP if join else IP_DROP_MEMBERSHIP, request)
        else:
            request = group + struct.pack("=i", ifindex)
            member.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP if join else IPV6_LEAVE_GROUP, request)


@frozen
class Advice(Value):
    """A setting of this host that may be in the way: a stable word, and a text that names the remedy."""

    reason: str
    text: str


def advice(family: Family, interfaces: Iterable[str]) -> list[Advice]:
    """What an operator may want to set; nothing is set here.

    Multicast itself is forwarded whatever `ip_forward` says, but the Registers and the joined sources of others
    do not pass a host that forwards no unicast. Strict reverse path filtering drops packets of a source before
    they reach multicast routing if the route back to it leads elsewhere, without a trace but a counter.
    """
    found = []
    key = "net.ipv4.ip_forward" if family.size == 4 else "net.ipv6.conf.all.forwarding"
    if _sysctl(key) == 0:
        found.append(Advice("unicast_forwarding_off", f"this host forwards no unicast: sysctl -w {key}=1"))
    if family.size == 4:
        everywhere = _sysctl("net.ipv4.conf.all.rp_filter") or 0
        for name in interfaces:
            if max(everywhere, _sysctl("net.ipv4.conf", name, "rp_filter") or 0) == 1:
                text = f"{name} drops sources whose route leads elsewhere: sysctl -w net.ipv4.conf.{name}.rp_filter=2"
                found.append(Advice("rp_filter_strict", text))
    return found


def _sysctl(key: str, *more: str) -> int | None:
    """A number below /proc/sys, None if it cannot be read. `more` is for interface names, which may have dots."""
    try:
        return int(_read("/".join(("/proc/sys", *key.split("."), *more))))
    except (OSError, ValueError):
        return None


def _holders(family: Family) -> str:
    """The programs that have a raw IGMP or ICMPv6 socket, as far as /proc tells: `pimd (pid 12)`."""
    inodes = _raw_inodes(family)
    found: dict[int, str] = {}
    for process in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if process == os.getpid():
            continue
        with suppress(OSError):
            folder = f"/proc/{process}"
            links = {os.readlink(f"{folder}/fd/{number}") for number in os.listdir(f"{folder}/fd")}
            parent = int(_read(f"{folder}/stat").rpartition(")")[2].split()[1])
            if not links.isdisjoint(inodes) and parent not in found:  # a parent speaks for its children
                found[process] = f"{_read(f'{folder}/comm').strip()} (pid {process})"
    return " or ".join(found.values())


def _raw_inodes(family: Family) -> set[str]:
    """The raw sockets of the protocol whose sockets own tables, as the targets of their links in /proc."""
    path, protocol = ("/proc/net/raw", IPPROTO_IGMP) if family.size == 4 else ("/proc/net/raw6", IPPROTO_ICMPV6)
    try:
        lines = _read(path).splitlines()[1:]
    except OSError:
        return set()
    rows = (line.split() for line in lines)
    return {f"socket:[{row[9]}]" for row in rows if len(row) > 9 and int(row[1].rpartition(":")[2], 16) == protocol}


def _read(path: str) -> str:
    """The text of a file of /proc; OSError if it cannot be read."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
