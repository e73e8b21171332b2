"""`show mroute`: the trees, and what the kernel does with their streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pimpy.core.engine.timers import Timer
from pimpy.core.interface import REGISTER_VIF
from pimpy.core.pim import macros
from pimpy.core.pim.tib import SG, StarG
from pimpy.core.rows import MrouteRow, OutgoingRow, RptOutgoingRow, RptRow
from pimpy.core.rpf import Path
from pimpy.core.traffic import NOTHING
from pimpy.core.views.rpt import rpt_rows
from pimpy.core.views.static import claimed, entry_without_state
from pimpy.wire.family import Address, format_address

if TYPE_CHECKING:
    from pimpy.core.forwarding import Negative
    from pimpy.core.pim.neighbor import Neighbor, PimInterface
    from pimpy.core.router import Router


def rpf_state(router: Router, path: Path | None, rpf_prime: Neighbor | None, group: Address | None = None) -> str:
    """The upstream side in a word, as MrouteRow has it."""
    route = path.route if path is not None else None
    if path is None or route is None:
        return "pending"
    if route.ifindex is None:
        return "no_route"
    if macros.rpf_interface(router.pim, path, group) is None:
        return "no_interface" if macros.rpf_interface(router.pim, path) is None else "border"
    if route.local:
        return "local"
    if rpf_prime is not None:
        return "neighbor"
    return "connected" if path.connected else "no_neighbor"


def mroute(router: Router) -> Iterator[MrouteRow | OutgoingRow | RptRow | RptOutgoingRow]:
    trees = [tree.star for tree in router.pim.tib.groups.values() if tree.star is not None]
    for star in sorted(trees, key=lambda star: star.group):
        yield _star_entry(router, star)
        yield from _star_outgoing(router, star)
    for sg in sorted(router.pim.tib.sg.values(), key=lambda sg: (sg.group, sg.source)):
        if router.forwarding.owner(sg.source, sg.group) is not None:
            continue  # the entry is another's, and told of below
        yield _entry(router, sg)
        yield from _outgoing(router, sg)
        yield from rpt_rows(router, sg)
    for negative in sorted(router.forwarding.negatives(), key=lambda n: (n.group, n.source)):
        yield _negative(router, negative)
    yield from claimed(router)


def entries(router: Router) -> Iterator[MrouteRow]:
    """The entries without their interfaces. Time may pass between two of them: what went meanwhile is left out."""
    tib = router.pim.tib
    for group in sorted(tib.groups):
        if (tree := tib.groups.get(group)) is not None and tree.star is not None:
            yield _star_entry(router, tree.star)
    for key in sorted(tib.sg):
        sg = tib.sg.get(key)
        if sg is not None and router.forwarding.owner(sg.source, sg.group) is None:
            yield _entry(router, sg)
    for negative in list(router.forwarding.negatives()):
        yield _negative(router, negative)
    yield from [row for row in claimed(router) if isinstance(row, MrouteRow)]


def _star_entry(router: Router, star: StarG) -> MrouteRow:
    tree = star.tree
    interface = macros.rpf_interface(router.pim, tree.path)
    rpf_prime = macros.rpf_prime_star(star)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(star.group),
        source_address="*",
        is_rpt=True,
        mode="pim_asm",
        rp_address=_text(tree.rp),
        upstream_state="joined" if star.joined else "not_joined",
        is_spt=False,
        incoming_interface="register" if tree.i_am_rp else _name(interface),
        rpf_neighbor=_text(rpf_prime.address if rpf_prime is not None else None),
        rpf_state="local" if tree.i_am_rp else rpf_state(router, tree.path, rpf_prime, tree.group),
        join_expiration=_left(star.join_timer, router),
        keepalive_expiration=None,
        register_state=None,
        registered_packets=None,
        registered_bytes=None,
        up_time=router.heap.now - star.created,
        outgoing_count=macros.immediate_olist_star(star).bit_count(),
        **NOTHING._asdict(),
    )


def _entry(router: Router, sg: SG) -> MrouteRow:
    interface = macros.rpf_interface(router.pim, sg.path)
    installed = router.forwarding.entry(sg.key)
    rpf_prime = macros.rpf_prime(sg)
    tree = sg.tree
    traffic = router.traffic.get((sg.source, sg.group), NOTHING)
    registered = router.registered.get((sg.source, sg.group), _NOT_REGISTERED)
    return MrouteRow(
        row="entry",
        address_family=router.family.name,
        group=format_address(sg.group),
        source_address=format_address(sg.source),
        is_rpt=False,
        mode="pim_ssm" if tree is None else "pim_asm",
        rp_address=_text(tree.rp if tree is not None else None),
        upstream_state="joined" if sg.joined else "not_joined",
        is_spt=installed is not None if tree is None else sg.spt_bit,
        incoming_interface=_incoming(router, sg, installed) or _name(interface),
        rpf_neighbor=_text(rpf_prime.address if rpf_prime is not None else None),
        rpf_state=rpf_state(router, sg.path, rpf_prime, sg.group),
        join_expiration=_left(sg.join_timer, router),
        keepalive_expiration=_left(sg.keepalive, router),
        register_state=sg.register.state.value if sg.register is not None else None,
        registered_packets=registered[0],
        registered_bytes=registered[1],
        up_time=router.heap.now - sg.created,
        outgoing_count=0 if installed is None else installed[1].bit_count(),
        **traffic._asdict(),
    )


_NOT_REGISTERED = (None, None)


def _incoming(router: Router, sg: SG, installed: tuple[int, int] | None) -> str | None:
    """The name of the interface by which the kernel takes the stream in; None if it has no entry."""
    if installed is None or sg.tree is None:
        return None
    if installed[0] == REGISTER_VIF:
        return "register"
    return next(iter(router.vifs.names(1 << installed[0])), None)


def _name(interface: PimInterface | None) -> str | None:
    return None if interface is None else interface.name


def _text(address: Address | None) -> str | None:
    return None if address is None else format_address(address)


def _left(timer: Timer | None, router: Router) -> float | None:
    return None if timer is None else timer.left(router.heap.now)


def _star_outgoing(router: Router, star: StarG) -> Iterator[OutgoingRow]:
    served, olist = macros.pim_include_star(star), macros.immediate_olist_star(star)
    told = star.joins | star.members | macros.assert_won(star) | macros.assert_lost(star)
    for interface in router.pim.interfaces.values():
        if interface.mask & told:
            yield _outgoing_row(router, star, interface, served, olist, inherited=0, pruned=0)


def _outgoing(router: Router, sg: SG) -> Iterator[OutgoingRow]:
    installed = router.forwarding.entry(sg.key)
    oifs = 0 if installed is None else installed[1]
    served, inherited = macros.pim_include(sg), macros.inherited_olist_rpt(sg)
    pruned = macros.prunes_rpt(sg)
    star = sg.tree.star if sg.tree is not None else None
    told = sg.joins | sg.members | oifs | pruned | macros.assert_won(sg) | macros.assert_lost(sg)
    told |= 0 if star is None else macros.assert_lost(star)
    for interface in router.pim.interfaces.values():
        if interface.mask & told:
            yield _outgoing_row(router, sg, interface, served, oifs, inherited, pruned)


def _outgoing_row(
    router: Router, entry: SG | StarG, interface: PimInterface, served: int, oifs: int, inherited: int, pruned: int
) -> OutgoingRow:
    mask, machine = interface.mask, interface.downstream.get(entry)
    star = entry.tree.star if isinstance(entry, SG) and entry.tree is not None else None
    return OutgoingRow(
        row="outgoing",
        address_family=router.family.name,
        group=format_address(entry.group),
        source_address=format_address(entry.source) if isinstance(entry, SG) else "*",
        outgoing_interface=interface.name,
        jp_state="no_info" if machine is None else machine.state.value,
        member=bool(served & mask),
        inherited=bool(inherited & mask),
        rpt_pruned=bool(pruned & mask),
        assert_state=_assert_state(entry, interface),
        rpt_assert_state=None if star is None else _assert_state(star, interface),
        forwarding=bool(oifs & mask),
        expiration=None if machine is None else machine.expiry.left(router.heap.now),
        up_time=None if machine is None else router.heap.now - machine.since,
    )


def _assert_state(entry: SG | StarG, interface: PimInterface) -> str | None:
    state = entry.asserts.get(interface) if entry.asserts else None
    return None if state is None else "winner" if state.won else "loser"


def _negative(router: Router, negative: Negative) -> MrouteRow:
    return entry_without_state(
        router, negative.source, negative.group, negative.vif, mode="negative", rpf_state="pending", outgoing_count=0
    )
