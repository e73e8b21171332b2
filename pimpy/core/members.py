"""What the members of a link want, given to PIM: local_receiver_include and _exclude (RFC 7761 4.1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.core.pim import trees
from pimpy.core.pim.neighbor import PimInterface
from pimpy.core.pim.tib import SG, SGRpt, StarG
from pimpy.wire.family import Address

if TYPE_CHECKING:
    from pimpy.core.router import Router


def changed(router: Router, interface: PimInterface, group: Address, source: Address | None) -> None:
    """local_receiver_include or local_receiver_exclude may have changed on an interface (4.1.5)."""
    membership = router.memberships[interface.ifindex]
    if source is None:
        _star_changed(router, interface, group, wanted=membership.wants_any(group) and not interface.bars(group))
        return
    wanted = membership.wants(group, source) and not interface.bars(group)
    sg = router.pim.tib.sg.get(source + group)
    if sg is None and wanted and router.ssm.usable(group) and router.family.is_unicast(source):
        sg = trees.obtain_limited(router.pim, source, group, _asker(router, interface, "sg_limit"))
        router.pim.turned_away |= sg is None
    if sg is None:
        return
    _set_member(interface, sg, wanted)
    _exclude_changed(router, interface, sg, membership.excludes(group, source))


def _star_changed(router: Router, interface: PimInterface, group: Address, *, wanted: bool) -> None:
    tree = router.pim.tib.groups.get(group)
    star = tree.star if tree is not None else None
    if star is None:
        if not wanted or not router.ssm.usable(group) or router.ssm.holds(group):
            return
        star = trees.obtain_star_limited(router.pim, group, _asker(router, interface, "star_limit"))
        if star is None:
            router.pim.turned_away = True
            return
    _set_member(interface, star, wanted)
    for sg in star.tree.sources:
        _exclude_changed(router, interface, sg, router.memberships[interface.ifindex].excludes(group, sg.source))


def _exclude_changed(router: Router, interface: PimInterface, sg: SG, excluded: bool) -> None:
    """Keep local_receiver_exclude(S,G,I) true to what the members say."""
    if sg.tree is None or bool(sg.rpt is not None and sg.rpt.excludes & interface.mask) == excluded:
        return
    if sg.rpt is None:
        sg.rpt = SGRpt()
    sg.rpt.excludes ^= interface.mask
    router.pim.touched.touch(sg)


def excluding(router: Router, source: Address, group: Address) -> int:
    """{ I: local_receiver_exclude(S,G,I) }"""
    mask = 0
    for ifindex, membership in router.memberships.items():
        if membership.excludes(group, source):
            mask |= router.pim.interfaces[ifindex].mask
    return mask


def look_for(router: Router, entry: SG | StarG) -> None:
    """Give a new entry the members that found no room for it when they asked."""
    for ifindex, membership in router.memberships.items():
        if router.pim.interfaces[ifindex].bars(entry.group):
            continue
        if isinstance(entry, SG):
            wanted = membership.wants(entry.group, entry.source)
        else:
            wanted = membership.wants_any(entry.group)
        if wanted:
            _set_member(router.pim.interfaces[ifindex], entry, True)


def _asker(router: Router, interface: PimInterface, reason: str) -> trees.Asker:
    return trees.Asker(interface.name, "report", reason, router.family.gmp)


def _set_member(interface: PimInterface, entry: SG | StarG, wanted: bool) -> None:
    """Keep local_receiver_include of an entry true to what the members say."""
    if (entry in interface.members) == wanted:
        interface.pim.touched.touch(entry)
        return
    if wanted:
        interface.members[entry] = None
    else:
        del interface.members[entry]
    source = entry.source if isinstance(entry, SG) else None
    interface.pim.tell("member_joined" if wanted else "member_left", entry.group, source, interface.name)
    entry.members ^= interface.mask
    interface.pim.touched.touch(entry)
