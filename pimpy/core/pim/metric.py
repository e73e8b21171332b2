"""Assert metrics (RFC 7761 4.6.3), and what they are made of on Linux."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pimpy.core.rpf import Path
from pimpy.wire.family import Address

if TYPE_CHECKING:
    from pimpy.core.pim.neighbor import PimInterface
    from pimpy.core.pim.tib import SG, StarG

PREFERENCES = {
    2: 0,  # RTPROT_KERNEL: the link itself
    3: 1,  # RTPROT_BOOT
    4: 1,  # RTPROT_STATIC
    186: 20,  # RTPROT_BGP
    187: 115,  # RTPROT_ISIS
    188: 110,  # RTPROT_OSPF
    189: 120,  # RTPROT_RIP
    192: 90,  # RTPROT_EIGRP
    196: 1,  # RTPROT_ZSTATIC
}
"""MRIB.pref by the protocol that made the kernel's route (linux/rtnetlink.h), lower is better: the usual
administrative distances."""
DEFAULT_PREFERENCE = 101
"""MRIB.pref of any other protocol; pimd's default distance."""
INFINITE_PREFERENCE = 0x7FFFFFFF
INFINITE_METRIC = 0xFFFFFFFF


class Metric(NamedTuple):
    """struct assert_metric; of two the one with the first lower field wins, but the higher address."""

    rpt: bool
    preference: int
    metric: int
    address: Address


INFINITE = Metric(True, INFINITE_PREFERENCE, INFINITE_METRIC, b"")
"""infinite_assert_metric()"""


def is_infinite(metric: Metric) -> bool:
    """Whether no route stands behind it, an AssertCancel's metric that is (4.6.4)."""
    return metric[:3] == INFINITE[:3]


def better(a: Metric, b: Metric) -> bool:
    """Whether `a` is better than `b`."""
    return a[:3] < b[:3] or (a[:3] == b[:3] and a.address > b.address)


def spt_assert_metric(sg: SG, interface: PimInterface) -> Metric:
    """spt_assert_metric(S,I) = {0,MRIB.pref(S),MRIB.metric(S),my_ip_address(I)}"""
    return _metric(False, sg.path, interface)


def rpt_assert_metric(star: StarG, interface: PimInterface) -> Metric:
    """rpt_assert_metric(G,I) = {1,MRIB.pref(RP(G)),MRIB.metric(RP(G)),my_ip_address(I)}; the RP itself has 0 and 0"""
    if star.tree.i_am_rp:
        return Metric(True, 0, 0, interface.address)
    return _metric(True, star.tree.path, interface)


def _metric(rpt: bool, path: Path | None, interface: PimInterface) -> Metric:
    """What we say of a path on `interface`: what the configuration has for the interface that the path leads over, or
    for all, or else what the kernel has."""
    route = path.route if path is not None else None
    if route is None or route.ifindex is None:
        return Metric(rpt, INFINITE_PREFERENCE, INFINITE_METRIC, interface.address)
    if route.next_hop is None:
        return Metric(rpt, 0, 0, interface.address)
    settings, rpf = interface.pim.settings, interface.pim.interfaces.get(route.ifindex)
    preference, metric = (None, None) if rpf is None else (rpf.link.phyint.distance, rpf.link.phyint.metric)
    preference = settings.distance if preference is None else preference
    metric = settings.metric if metric is None else metric
    if preference is None:
        preference = PREFERENCES.get(route.protocol, DEFAULT_PREFERENCE)
    return Metric(rpt, preference, route.metric if metric is None else metric, interface.address)
