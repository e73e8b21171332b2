"""The kernel's multicast routing table of one family, as far as this process fills it."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from contextlib import suppress
from fcntl import ioctl
from socket import AF_INET, AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket

from pimpy.kernel import _mroute
from pimpy.kernel.sockets import Sockets
from pimpy.wire.family import Address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

VIFS = _mroute.VIFS
"""Virtual interfaces of a table, the register tunnel included."""

Change = tuple[Address, Address] | tuple[Address, Address, int, int]
"""(source, group, iif, oifs) sets an entry, (source, group) deletes it."""

REGISTER = VIFS - 1
"""The index of the register tunnel, if there is one: no interface gets it."""

_NETLINK_ROUTE = 0
_SIOCGETVIFCNT = 0x89E0
"""SIOCGETMIFCNT_IN6 is the same number, and its request has the same form."""
_COUNT_REQUEST = struct.Struct("@HLLLL")
_SOL_NETLINK = 270
_NETLINK_GET_STRICT_CHK = 12


@frozen
class Vif(Value):
    """A virtual interface that this process made."""

    ifindex: int
    threshold: int


@frozen
class Entry(Value):
    """An entry as the kernel has it; interfaces are ifindexes.

    `iif` is 0 where the interface is gone, and -1 where the entry is unresolved: packets wait for an answer.
    """

    source: Address
    group: Address
    iif: int
    oifs: tuple[int, ...]
    packets: int
    bytes: int
    wrong_if: int


class Table:
    """Virtual interfaces and forwarding entries. It belongs to the owner of `sockets.mroute`."""

    def __init__(self, sockets: Sockets) -> None:
        self._fd = sockets.mroute
        self._family = sockets.family.number
        self._number = sockets.kernel_table
        self._thresholds = b"\x01" * VIFS
        self._netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _NETLINK_ROUTE)
        with suppress(OSError):  # then the kernel itself leaves out other tables; older ones send all
            self._netlink.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self.vifs: dict[int, Vif] = {}

    @property
    def thresholds(self) -> bytes:
        """The TTL that packets must have, at least, as they leave by each virtual interface; IPv6 heeds none."""
        return self._thresholds if self._family == AF_INET else b"\x01" * VIFS

    def add_vif(self, vif: int, ifindex: int, threshold: int) -> None:
        """Make `ifindex` the virtual interface `vif`, in place of what was there; nothing if it is.

        A changed threshold holds for the entries that are set from now on.
        """
        wanted, held = Vif(ifindex, threshold), self.vifs.get(vif)
        if held is None or held.ifindex != ifindex:
            if held is not None:
                self.del_vif(vif)
            _mroute.add_vif(self._fd, self._family, vif, ifindex, threshold, False)
        self.vifs[vif] = wanted
        self._thresholds = b"".join((self._thresholds[:vif], bytes((threshold,)), self._thresholds[vif + 1 :]))

    def add_register_vif(self, vif: int) -> None:
        """Make the register tunnel (`pimreg`) the virtual interface `vif`; nothing if it is."""
        if vif not in self.vifs:
            _mroute.add_vif(self._fd, self._family, vif, 0, 1, True)
            self.vifs[vif] = Vif(0, 1)

    def del_vif(self, vif: int) -> None:
        """Remove a virtual interface; nothing if there is none."""
        self.vifs.pop(vif, None)
        try:
            _mroute.del_vif(self._fd, self._family, vif)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise

    def forget_device(self, ifindex: int) -> list[int]:
        """The device is gone, and the kernel has removed its virtual interfaces: which ones those were."""
        gone = [vif for vif, held in self.vifs.items() if held.ifindex == ifindex]
        for vif in gone:
            del self.vifs[vif]
        return gone

    def change(self, changes: list[Change]) -> list[int]:
        """Write entries in one call; an errno for each change, 0 where it was made.

        To delete what is not there is no error.
        """
        errors = _mroute.change_mfc(self._fd, self._family, changes, self._thresholds)
        if errno.ENOENT in errors:
            for i, change in enumerate(changes):
                if errors[i] == errno.ENOENT and len(change) == 2:
                    errors[i] = 0
        return errors

    def find(self) -> list[_mroute._Entry]:
        """What an earlier process left, as `_mroute.dump_mfc` tells it; its virtual interfaces are in `vifs` then.

        The kernel tells of interfaces where entries name virtual ones. So one entry is made for each index, of a
        group that is never forwarded, and taken away again.
        """
        size = 4 if self._family == AF_INET else 16
        source = bytes(size - 1) + b"\x01"
        groups = [self._probe(size, vif) for vif in range(VIFS)]
        self.change([(source, group, 0, 1 << vif) for vif, group in enumerate(groups)])
        rows = _mroute.dump_mfc(self._netlink.fileno(), self._family, self._number)
        self.change([(source, group) for group in groups])
        found = []
        for row in rows:
            if row[0] == source and row[1] in groups:
                for ifindex in row[3]:
                    vif = groups.index(row[1])
                    self.vifs[vif] = Vif(0 if vif == REGISTER else ifindex, 1)
            else:
                found.append(row)
        return found

    @staticmethod
    def _probe(size: int, vif: int) -> bytes:
        return bytes((224, 0, 0, 128 + vif)) if size == 4 else b"\xff\x01" + bytes(13) + bytes((128 + vif,))

    def check_vifs(self) -> int:
        """The mask of the virtual interfaces that are still there; those that are not are forgotten."""
        there = 0
        for vif in list(self.vifs):
            try:
                ioctl(self._fd, _SIOCGETVIFCNT, _COUNT_REQUEST.pack(vif, 0, 0, 0, 0))
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):  # EINVAL: beyond the last one that is there
                    del self.vifs[vif]
                    continue
            there |= 1 << vif
        return there

    def rows(self) -> list[tuple[Address, Address, int | None, int]]:
        """(source, group, incoming vif, mask of outgoing vifs) of each resolved entry."""
        rows = _mroute.dump_mfc(self._netlink.fileno(), self._family, self._number)
        return self.by_vif(rows)

    def by_vif(self, rows: Iterable[_mroute._Entry]) -> list[tuple[Address, Address, int | None, int]]:
        """Dumped entries in terms of virtual interfaces; unresolved ones are left out."""
        vifs = {held.ifindex: vif for vif, held in self.vifs.items() if held.ifindex}
        register = REGISTER if REGISTER in self.vifs else None
        found = []
        for source, group, iif, oifs, *_ in rows:
            if iif < 0:
                continue
            mask = 0
            for ifindex in oifs:
                vif = vifs.get(ifindex, register)
                if vif is not None:
                    mask |= 1 << vif
            found.append((source, group, vifs.get(iif, register) if iif else None, mask))
        return found

    def entries(self) -> list[Entry]:
        """All entries, unresolved ones included."""
        return [Entry(*row) for row in _mroute.dump_mfc(self._netlink.fileno(), self._family, self._number)]

    def counters(self) -> dict[tuple[Address, Address], tuple[int, int, int, int]]:
        """Packets, bytes, wrong-interface packets, 1/100 s since the last one: of resolved entries, in one dump."""
        return _mroute.count_mfc(self._netlink.fileno(), self._family, self._number)

    def close(self) -> None:
        """Remove what this process put into the table, and give it back. Static entries of others stay."""
        self.vifs.clear()
        with suppress(OSError):  # kernels before 5.0 know no flush: giving the table back empties it as well
            _mroute.flush(self._fd, self._family, _mroute.FLUSH_MFC | _mroute.FLUSH_VIFS)
        with suppress(OSError):
            _mroute.done(self._fd, self._family)
        self._netlink.close()
