"""The one read model: from the live state to rows, without a change to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pimpy.core.rows import Row
from pimpy.core.views.members import gmp_groups, gmp_hosts, gmp_interfaces, gmp_sources
from pimpy.core.views.mroute import entries, mroute
from pimpy.core.views.neighbors import interfaces, neighbors
from pimpy.core.views.proxies import proxies
from pimpy.core.views.rp import bsr, rp, rp_set
from pimpy.core.views.static import static
from pimpy.core.views.watches import watches

if TYPE_CHECKING:
    from pimpy.core.router import Router

KINDS: dict[str, Callable[[Router], Iterator[Row]]] = {
    "neighbors": neighbors,
    "interfaces": interfaces,
    "mroute": mroute,
    "entries": entries,
    "gmp_interfaces": gmp_interfaces,
    "gmp_groups": gmp_groups,
    "static": static,
    "proxy": proxies,
    "rp": rp,
    "rp_set": rp_set,
    "bsr": bsr,
    "gmp_hosts": gmp_hosts,
    "gmp_sources": gmp_sources,
    "watches": watches,
}
"""What `Router.rows` can tell, each sorted; `entries` are those of `mroute`."""
