"""`show igmp` and `show mld`: what hosts asked for, by interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.rows import GmpGroupRow, GmpInterfaceRow, GmpSourceRow
from pimpy.core.views.neighbors import by_name

if TYPE_CHECKING:
    from pimpy.core.router import Router


def gmp_interfaces(router: Router) -> Iterator[GmpInterfaceRow]:
    for interface in sorted(router.pim.interfaces.values(), key=by_name):
        yield router.memberships[interface.ifindex].interface_row(interface.name, router.heap.now)


def gmp_groups(router: Router) -> Iterator[GmpGroupRow | GmpSourceRow]:
    for interface in sorted(router.pim.interfaces.values(), key=by_name):
        yield from router.memberships[interface.ifindex].group_rows(interface.name, router.heap.now)
