"""Conformance rows A15 and A16: whatever ends the state of an Assert winner, the others are told (RFC 7761 4.6.4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asm_stand import AsmStand
from speakers import Channel

from pimpy.config.model import Config, Phyint
from pimpy.wire.family import Family, Prefix, parse_address
from pimpy.wire.pim import Hello

CANCEL = (True, 0x7FFFFFFF, 0xFFFFFFFF)
HOLDTIME = 210


def winner(family: Family, spt: bool) -> tuple[AsmStand, Channel]:
    """A router that won the Assert for S on `down`, for S's own tree or for the shared one."""
    stand = AsmStand(family, config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)", *(["Join(S,G)"] if spt else []), holdtime=HOLDTIME)
    stand.data(source, "up" if spt else "rpt")
    stand.data(source, "down")
    assert stand.assert_state(source if spt else None) == "winner"
    stand.mark()
    return stand, source


def prune(stand: AsmStand, _: Channel) -> None:
    stand.say("Prune(*,G)", "Prune(S,G)")
    stand.run(3)


def expiry(stand: AsmStand, _: Channel) -> None:
    stand.run(HOLDTIME)


def passive(stand: AsmStand, _: Channel) -> None:
    stand.configure(phyints=(Phyint("down", passive=True),))


def disabled(stand: AsmStand, _: Channel) -> None:
    stand.configure(phyints=(Phyint("down", enabled=False),))


def shutdown(stand: AsmStand, _: Channel) -> None:
    stand.r1.shutdown()


def renumbered(stand: AsmStand, _: Channel) -> None:
    stand.r1.ports["down"].readdress(*stand.net.addresses("down", 66))
    stand.run(0)


def rpf_moves_there(stand: AsmStand, source: Channel) -> None:
    for root in (source[0], stand.rp):
        stand.r1.static_route(root, "down", stand.peer("down", 2).address)
    stand.run(0)


def route_lost(stand: AsmStand, source: Channel) -> None:
    for root in (source[0], stand.rp):
        stand.r1.static_route(root, None)
    stand.run(0)


def source_specific(stand: AsmStand, source: Channel) -> None:
    one = (Prefix(source[1], stand.family.bits),)
    stand.configure(**{"ssm_ranges4" if stand.family.size == 4 else "ssm_ranges6": one})


WAYS = [prune, expiry, passive, disabled, shutdown, renumbered, rpf_moves_there, route_lost, source_specific]


@pytest.mark.parametrize("spt", [True, False], ids=["sg", "star"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_A15_A16_whatever_ends_it_the_winner_cancels(
    family: Family, spt: bool, way: Callable[[AsmStand, Channel], None]
) -> None:
    stand, source = winner(family, spt)
    ours = stand.us()
    way(stand, source)
    said = [
        (packet.source, (message.rpt, message.preference, message.metric), message.source)
        for _, packet, message in stand.down.spoken("r1")
        if hasattr(message, "preference")
    ]
    assert said[-1] == (ours, CANCEL, source[0] if spt else family.any)
    assert [metric for _, metric, _ in said].count(CANCEL) == 1, "once"
    if stand.r1.router is not None and stand.r1.ports["down"].ifindex in stand.router.pim.interfaces:
        assert stand.assert_state(source if spt else None) == "no_info"


def test_A16_N19_the_cancel_comes_before_the_good_bye(family: Family) -> None:
    """Who is no neighbour any more is not heard (A22)."""
    stand, _ = winner(family, spt=True)
    renumbered(stand, stand.far())
    kinds = [
        "cancel" if hasattr(message, "preference") else f"hello {message.holdtime}"
        for _, _, message in stand.down.spoken("r1")
        if hasattr(message, "preference") or isinstance(message, Hello)
    ]
    assert kinds == ["cancel", "hello 0", "hello 105"]


def test_A1_U11_who_has_no_route_wins_nothing(family: Family) -> None:
    """It cannot forward: RPF_interface(S), which CouldAssert compares with, is none (4.6.1)."""
    for spt in (True, False):
        stand, source = winner(family, spt)
        route_lost(stand, source)
        stand.mark()
        stand.data(source, "down")
        stand.hear_assert(source[0] if spt else family.any, (not spt, 200, 9))
        stand.run(200)
        assert not stand.asserts(), "nothing that would keep another one from forwarding"


def test_S3_S8_no_prune_star_is_sent_for_a_group_that_became_source_specific(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)", "Prune(S,G,rpt)")
    stand.run(3)
    assert [word for _, word in stand.told("rpt")][-1] == "Prune(S,G,rpt)"
    stand.mark()
    source_specific(stand, source)
    assert stand.star is None and stand.told("rpt") == [] and stand.told("up") == []
    other = parse_address("239.9.9.9" if family.size == 4 else "ff1e::9")
    stand.configure(**{"ssm_ranges4" if family.size == 4 else "ssm_ranges6": (Prefix(other, family.bits),)})
    stand.say("Join(*,G)")
    assert [word for _, word in stand.told("rpt")] == ["Join(*,G)"], "and back"
