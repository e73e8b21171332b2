"""Entries come, are settled when something touched them, and go again when nothing stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.interface import REGISTER_VIF
from pimpy.core.pim import asserts, data, macros, register, upstream, upstream_rpt
from pimpy.core.pim.tib import SG, Group, SGRpt, StarG
from pimpy.wire.family import Address
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

if TYPE_CHECKING:
    from pimpy.core.pim.instance import Pim
    from pimpy.core.rpf import Path


def obtain(pim: Pim, source: Address, group: Address) -> SG:
    """The (S,G) entry, made if it is not there; whoever gives it no state must touch it."""
    key = source + group
    sg = pim.tib.sg.get(key)
    if sg is None:
        tree = None if pim.ssm.holds(group) else obtain_tree(pim, group)
        sg = pim.tib.sg[key] = SG(pim, key, source, group, tree, pim.now)
        sg.path = pim.rpf.track(source, sg)
        if tree is not None:
            tree.sources[sg] = None
            if excludes := pim.excludes(source, group):
                sg.rpt = SGRpt(excludes=excludes)
            vif = pim.forwarding.stream(source, group)
            if vif is not None and _may_come_by(pim, tree, source, vif):
                data.arrives(sg, vif)  # the kernel has an entry, and will not tell of it
            pim.touched.touch(sg)
        if pim.turned_away:
            pim.look_for_members(sg)
    return sg


@frozen
class Asker(Value):
    """For whom an entry is to be made: how a refusal is counted."""

    interface: str
    kind: str
    """The type of message."""
    reason: str
    protocol: str = "pim"


DATA = Asker("-", "data", "sg_limit")


def obtain_limited(pim: Pim, source: Address, group: Address, asker: Asker) -> SG | None:
    """The (S,G) entry for somebody who may not make more than the limit; None is counted."""
    sg = pim.tib.sg.get(source + group)
    if sg is None and len(pim.tib.sg) >= pim.settings.max_sg:
        _refuse(pim, asker, f"{pim.settings.max_sg} (S,G) entries")
        return None
    return sg or obtain(pim, source, group)


def obtain_star_limited(pim: Pim, group: Address, asker: Asker) -> StarG | None:
    """The (*,G) entry for somebody who may not make more than the limit; None is counted."""
    tree = pim.tib.groups.get(group)
    if (tree is None or tree.star is None) and len(pim.tib.groups) >= pim.settings.max_groups:
        _refuse(pim, asker, f"{pim.settings.max_groups} groups")
        return None
    return obtain_star(pim, group)


def _refuse(pim: Pim, asker: Asker, limit: str) -> None:
    pim.counters.add(asker.interface, asker.protocol, "rx", asker.kind, asker.reason)
    pim.warn(asker.interface, asker.reason, f"{limit}, no more are taken")


def _may_come_by(pim: Pim, tree: Group, source: Address, vif: int) -> bool:
    """Whether a stream may be used that the kernel knows, and that comes in by `vif`: by no border of its scope; out of
    the tunnel only at the RP, and if an earlier run had it, for otherwise its Register was refused."""
    if pim.is_barred(vif, tree.group):
        return False
    if vif != REGISTER_VIF:
        return True
    known = pim.forwarding.held.get(source + tree.group) is not None
    return known and tree.i_am_rp and pim.registers.sources.passes(source)


def obtain_star(pim: Pim, group: Address) -> StarG:
    """The (*,G) entry, made if it is not there."""
    tree = obtain_tree(pim, group)
    if tree.star is None:
        tree.star = StarG(pim, tree, pim.now)
        for source, vif in pim.forwarding.streams_of(group):
            if _may_come_by(pim, tree, source, vif):
                sg = obtain_limited(pim, source, group, DATA)
                if sg is not None and sg.flow is None:  # an entry that was made for it has one
                    data.arrives(sg, vif)
        pim.touched.touch(tree.star)
        if pim.turned_away:
            pim.look_for_members(tree.star)
    return tree.star


def obtain_tree(pim: Pim, group: Address) -> Group:
    """The group's shared tree, with its RP."""
    tree = pim.tib.groups.get(group)
    if tree is None:
        tree = Group(group)
        pim.tib.add_group(tree)
        _map(pim, tree)
    return tree


def rp(pim: Pim, group: Address) -> Address | None:
    """RP(G), None if there is none: that of the group's tree, if it has one."""
    tree = pim.tib.groups.get(group)
    return pim.rp_set.rp(group) if tree is None else tree.rp


def _map(pim: Pim, tree: Group) -> None:
    """RP(G), and the way there; the kernel's tunnel where it is ourselves.

    The old way serves until the new one is known, so that nothing is pruned that is joined again at once (U8).
    """
    old, tree.path = tree.path, None
    if tree.coming is not None:
        pim.rpf.release(tree.coming, tree)
        tree.coming = None
    choice = pim.rp_set.choose(tree.group)
    pim.rp_set.uses(tree, choice)
    tree.rp = choice.rp
    tree.i_am_rp = pim.is_mine(tree.rp)
    if tree.i_am_rp:
        pim.need_register_vif()
    elif tree.rp is not None:
        tree.path = pim.rpf.track(tree.rp, tree)
        if old is not None and tree.path.route is None:
            tree.path, tree.coming = old, tree.path
            return
    if old is not None and old is not tree.path:
        pim.rpf.release(old, tree)


def _way_is_known(pim: Pim, tree: Group) -> None:
    """The kernel told of the way to the new RP: the old one has served."""
    assert tree.path is not None and tree.coming is not None
    pim.rpf.release(tree.path, tree)
    tree.path, tree.coming = tree.coming, None


def remap(pim: Pim) -> None:
    """The RP set changed: the groups whose RP is another one now follow (P6); no others are looked at."""
    dirty = pim.rp_set.take_dirty()
    for prefix, rp in dirty:
        for tree in pim.tib.groups_in(prefix) if rp is None else pim.rp_set.users(prefix, rp):
            _map_again(pim, tree)
    if dirty:
        pim.forwarding.forget_negatives([prefix for prefix, rp in dirty if rp is None])  # they may have an RP now
        pim.expect_sources()


def remap_own(pim: Pim, changed: set[Address]) -> None:
    """These addresses are ours now, or no more: the groups whose RP they are follow (P14)."""
    for tree in list(pim.tib.groups.values()):
        if tree.rp in changed:
            _map_again(pim, tree)


def _map_again(pim: Pim, tree: Group) -> None:
    choice = pim.rp_set.choose(tree.group)
    if choice.rp != tree.rp or tree.i_am_rp != pim.is_mine(choice.rp):
        _map(pim, tree)
        pim.tell("rp_changed", tree.group, None, None, choice.rp)
        touch_tree(pim, tree)
    else:
        pim.rp_set.uses(tree, choice)


def touch_tree(pim: Pim, tree: Group) -> None:
    """All entries of a group have to be looked at again."""
    if tree.star is not None:
        pim.touched.touch(tree.star)
    _touch_sources(pim, tree)


def _touch_sources(pim: Pim, tree: Group) -> None:
    for sg in tree.sources:
        pim.touched.touch(sg)


def touch_path(pim: Pim, path: Path) -> None:
    """Whoever needs this path has to look at it again."""
    for entry in _entries_by(pim, path):
        pim.touched.touch(entry)


def path_moved(pim: Pim, path: Path) -> None:
    """The same where nothing else hangs on it: entries need not follow all at once, there may be many thousands."""
    pim.touched.queue(_entries_by(pim, path))


def _entries_by(pim: Pim, path: Path) -> Iterator[SG | StarG]:
    """The entries that need a path; what else does is told on the way."""
    for user in list(path.users):
        if isinstance(user, SG):
            yield user
        elif isinstance(user, Group):
            if user.coming is path and path.route is not None:
                _way_is_known(pim, user)
            if user.star is not None:
                yield user.star
            yield from user.sources
        elif user in path.users:
            user.path_changed()  # what finds the RP


def settle(entry: SG | StarG) -> None:
    """Work out what follows from what was changed in an entry."""
    if isinstance(entry, SG):
        if entry.pim.tib.sg.get(entry.key) is entry:
            _settle_sg(entry)
    elif entry.tree.star is entry:
        _settle_star(entry)


def _settle_star(star: StarG) -> None:
    tree = star.tree
    upstream.settle(star, desired=macros.join_desired_star(star), rpf_prime=macros.rpf_prime_star(star))
    if tree.coming is None:
        if star.joined and star.rp_told != tree.rp:
            upstream.tell_new_rp(star)
        star.rp_told = tree.rp
    asserts.settle(star)
    seen = (
        star.joins,
        macros.pim_include_star(star),
        macros.lost_assert_star(star),
        star.joined,
        star.rpf,
        macros.rp_mask(star.pim, tree),
        macros.assert_won(star),
    )
    if seen != star.seen:
        star.seen = seen
        _touch_sources(star.pim, tree)
    if not star.joins and not star.members and not star.asserts and not star.joined:
        tree.star = None
        if star.join_timer is not None:
            star.join_timer.close()
        _touch_sources(star.pim, tree)
        _discard_tree(star.pim, tree)


def _settle_sg(sg: SG) -> None:
    sg.touched = True  # what is touched by what begins here, the rest of it looks at anyway
    unread = sg.flow is not None and sg.flow.unread and sg.path.route is not None
    if sg.tree is not None:
        data.look_at_found(sg)
        if unread and sg.flow is not None:
            data.restart_keepalive(sg, sg.flow.arrived)
        sg.pim.anycast.end_unwanted(sg)
        register.settle(sg)
        sg.pim.anycast.settle(sg)
    sg.touched = False
    was_joined = sg.joined
    upstream.settle(sg, desired=macros.join_desired(sg), rpf_prime=macros.rpf_prime(sg))
    if sg.joined and not was_joined:
        sg.pim.forwarding.expect_wrong_vif(sg.key)
    if sg.tree is not None:
        if unread and sg.flow is not None:
            sg.flow.unread = False
            data.apply_rules(sg)
        data.expect_next_packet(sg)
        upstream_rpt.settle(sg)
        if sg.pim.repeats.said:
            sg.pim.repeats.settle(sg)
    asserts.settle(sg)
    _forward(sg)
    if not _has_state(sg):
        discard(sg)


def _forward(sg: SG) -> None:
    """What the kernel is to do with packets of (S,G): the last part of the rules of 4.2."""
    pim = sg.pim
    if sg.tree is None:
        iif, oifs = macros.rpf_mask(sg) if sg.joined else 0, macros.inherited_olist(sg)
    elif sg.flow is None:
        iif, oifs = 0, 0
    elif sg.spt_bit:
        iif, oifs = macros.rpf_mask(sg), macros.inherited_olist(sg)
    else:
        iif, oifs = macros.rp_mask(pim, sg.tree), macros.inherited_olist_rpt(sg)
    if sg.flow is not None and (not iif or not oifs & ~iif):
        iif, oifs = 1 << sg.flow.vif, 0  # nobody wants it, or nobody knows where it should come from
    if sg.flow is not None and sg.path.route is None and (not oifs or iif != 1 << sg.flow.arrived):
        iif = 0  # the first packet waits in the kernel until it is known how S is reached (F1)
    if iif:
        behind = register.leaves_behind(sg, oifs)
        pim.forwarding.set(sg.key, iif.bit_length() - 1, oifs, behind)
    else:
        pim.forwarding.remove(sg.key)


def _has_state(sg: SG) -> bool:
    """Whether anybody or anything still stands behind the entry."""
    if sg.joins or sg.members or sg.joined or sg.asserts or sg.register is not None or sg.flow is not None:
        return True
    if macros.keepalive_running(sg):
        return True
    return sg.rpt is not None and bool(sg.rpt.prunes or sg.rpt.pending)


def discard(sg: SG) -> None:
    """Nothing stands in the entry any more."""
    pim = sg.pim
    pim.anycast.forget(sg)
    pim.repeats.forget(sg)
    del pim.tib.sg[sg.key]
    pim.forwarding.remove(sg.key)
    for timer in (sg.join_timer, sg.keepalive, sg.rpt.override_timer if sg.rpt is not None else None):
        if timer is not None:
            timer.close()
    pim.rpf.release(sg.path, sg)
    if sg.tree is not None:
        sg.tree.sources.pop(sg, None)
        _discard_tree(pim, sg.tree)


def _discard_tree(pim: Pim, tree: Group) -> None:
    if tree.star is None and not tree.sources and pim.tib.groups.get(tree.group) is tree:
        pim.tib.remove_group(tree)
        pim.rp_set.leaves(tree)
        for path in (tree.path, tree.coming):
            if path is not None:
                pim.rpf.release(path, tree)
