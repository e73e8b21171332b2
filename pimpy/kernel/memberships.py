"""Memberships of this host in routable groups: static joins, spread over as many sockets as the kernel's limits need.

The kernel allows a socket 20 IPv4 groups (`igmp_max_memberships`), and 10 sources of a group (`igmp_max_msf`); IPv6
has the like. A socket that is full is left alone, and the next one is opened.
"""

from __future__ import annotations

import errno
import resource
import struct
from contextlib import suppress
from socket import AF_INET6, IPPROTO_IP, IPPROTO_IPV6, SOCK_CLOEXEC, SOCK_DGRAM, socket

from pimpy.wire.family import Address, Family

_MCAST_JOIN_GROUP = 42
_MCAST_LEAVE_GROUP = 45
_MCAST_JOIN_SOURCE_GROUP = 46
_MCAST_LEAVE_SOURCE_GROUP = 47


class StaticMemberships:
    """The memberships of one family."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._open: dict[int, list[socket]] = {}
        """By interface, the sockets of which the last one may have room."""
        self._joined: dict[tuple[int, Address, Address], socket] = {}
        self._groups: dict[tuple[int, Address], list[socket]] = {}
        """The sockets that are members of a group by its sources."""

    def join(self, ifindex: int, group: Address, source: Address) -> None:
        """Be a member (of `source` alone, if it is not unspecified); nothing if we are. OSError if it cannot be."""
        key = ifindex, group, source
        if key in self._joined:
            return
        member = self._join_somewhere(ifindex, group, source)
        self._joined[key] = member
        if source != self._family.any:
            known = self._groups.setdefault((ifindex, group), [])
            if member not in known:
                known.append(member)

    def leave(self, ifindex: int, group: Address, source: Address) -> None:
        """Be a member no more; nothing if we are none."""
        member = self._joined.pop((ifindex, group, source), None)
        if member is None:
            return
        with suppress(OSError):  # the address or the interface may be gone
            self._change(member, ifindex, group, source, join=False)
        members = self._open.get(ifindex, [])
        if members and member is not members[-1]:
            members.remove(member)
            members.append(member)  # it has room now

    def forget(self, ifindex: int) -> None:
        """The interface is gone, and with it what was joined there."""
        for member in self._open.pop(ifindex, ()):
            member.close()
        self._joined = {key: member for key, member in self._joined.items() if key[0] != ifindex}
        self._groups = {key: members for key, members in self._groups.items() if key[0] != ifindex}

    def close(self) -> None:
        """Leave everything."""
        for ifindex in list(self._open):
            self.forget(ifindex)

    def _join_somewhere(self, ifindex: int, group: Address, source: Address) -> socket:
        """Join with a socket that has room: one that has the group already, the last one, or a new one."""
        candidates: list[socket] = [*self._groups.get((ifindex, group), ())[-1:], *self._open.get(ifindex, ())[-1:]]
        for member in candidates:
            try:
                self._change(member, ifindex, group, source, join=True)
                return member
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.EADDRINUSE, errno.EINVAL, errno.ENOMEM):
                    raise
        member = self._new()
        try:
            self._change(member, ifindex, group, source, join=True)
        except OSError:
            member.close()
            raise
        self._open.setdefault(ifindex, []).append(member)
        return member

    def _new(self) -> socket:
        try:
            member = socket(self._family.number, SOCK_DGRAM | SOCK_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            member = socket(self._family.number, SOCK_DGRAM | SOCK_CLOEXEC)
        return member

    def _change(self, member: socket, ifindex: int, group: Address, source: Address, *, join: bool) -> None:
        level = IPPROTO_IPV6 if self._family.number == AF_INET6 else IPPROTO_IP
        if source == self._family.any:
            option = _MCAST_JOIN_GROUP if join else _MCAST_LEAVE_GROUP
            request = struct.pack("=I4x", ifindex) + self._storage(group)
        else:
            option = _MCAST_JOIN_SOURCE_GROUP if join else _MCAST_LEAVE_SOURCE_GROUP
            request = struct.pack("=I4x", ifindex) + self._storage(group) + self._storage(source)
        member.setsockopt(level, option, request)

    def _storage(self, address: Address) -> bytes:
        """A struct sockaddr_storage of an address."""
        filler = bytes(4 if self._family.size == 16 else 0)  # sin6_flowinfo
        return (struct.pack("=HH", self._family.number, 0) + filler + address).ljust(128, b"\0")
