"""Say good-bye for a daemon that ended without: `pimpyd --good-bye`, run by a service manager that stops for good.

The keeper that ends under a service manager leaves everything as it is, since it may be started again at once. If it
is not, the manager runs this: a Hello with holdtime 0 leaves on every interface of the table (RFC 7761 4.3.1), so that
neighbours do not wait for our Hellos to time out. The table itself goes with the sockets that the manager then closes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pimpy.core.engine.events import AddressesChanged, LinkChanged
from pimpy.kernel import _mroute
from pimpy.kernel.netlink import Netlink
from pimpy.kernel.sockets import KernelRefusal, open_pim
from pimpy.wire import pim
from pimpy.wire.family import FAMILIES, Address, Family


def say(control: str) -> int:
    """Say good-bye on all interfaces of the default tables, and remove the control socket; the exit code."""
    with suppress(OSError):
        os.unlink(control)
    for family in FAMILIES:
        with suppress(KernelRefusal, OSError):
            _say(family)
    return 0


def _say(family: Family) -> None:
    names = _interfaces(family)
    if not names:
        return
    netlink = Netlink(family)
    events = netlink.start()
    netlink.close()
    indexes = {event.ifindex for event in events if isinstance(event, LinkChanged) and event.name in names}
    own = {e.ifindex: _primary(family, e) for e in events if isinstance(e, AddressesChanged) and e.ifindex in indexes}
    fd = open_pim(family)
    try:
        _mroute.send(fd, family.number, [_hello(family, index, address) for index, address in own.items() if address])
    finally:
        os.close(fd)


def _interfaces(family: Family) -> set[str]:
    """The interfaces of the default table, the register tunnel among them."""
    path = Path("/proc/net/ip_mr_vif" if family.size == 4 else "/proc/net/ip6_mr_vif")
    lines = path.read_text(encoding="ascii").splitlines()[1:]
    return {words[1] for line in lines if len(words := line.split()) > 1}


def _primary(family: Family, event: AddressesChanged) -> Address | None:
    """The address that Hellos come from: the first one, in IPv6 the first link-local one."""
    usable = (a for a, _ in event.addresses if family.size == 4 or family.is_link_local(a))
    return next(usable, None)


def _hello(family: Family, ifindex: int, source: Address) -> tuple[int, Address, Address, bytes]:
    hello = pim.Hello(holdtime=0, lan_prune_delay=None, dr_priority=None, generation_id=0)
    data = pim.encode(family, source, family.all_pim_routers, hello)
    return ifindex, source, family.all_pim_routers, data
