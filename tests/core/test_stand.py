"""The tools of the core's tests, tested: what a harness does not see, no test sees."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asm_stand import AsmStand
from datagrams import Datagram, datagram_of
from digest import digest
from fake_kernel import SIZE, FakeKernel
from stand import Stand

from pimpy.core.engine.effects import AddRegisterVif, AddVif, DelVif, SetMfc
from pimpy.core.engine.events import CountersRead, NoCache, WholePacket, WrongVif
from pimpy.core.pim.tib import SG, StarG
from pimpy.wire.family import IPV4, Address, Family, parse_address

S, G = parse_address("192.0.2.1"), parse_address("232.1.1.1")


def kernel_with_vifs() -> FakeKernel:
    kernel = FakeKernel(IPV4, {10, 11, 12})
    kernel.apply(AddVif(0, 10, 1))
    kernel.apply(AddVif(1, 11, 1))
    return kernel


@pytest.mark.parametrize(
    "effect",
    [
        AddVif(0, 12, 1),
        AddVif(2, 10, 1),
        AddVif(2, 99, 1),
        AddVif(32, 12, 1),
        AddVif(2, 12, 0),
        SetMfc(S, G, 2, 1),
        SetMfc(S, G, 0, 0b100),
        SetMfc(S, G, 0, 0b001),
        SetMfc(G, G, 0, 0b010),
        DelVif(0),
    ],
    ids=str,
)
def test_the_fake_kernel_refuses_misuse(effect: object) -> None:
    kernel = kernel_with_vifs()
    kernel.apply(SetMfc(S, G, 0, 0b10))
    with pytest.raises(AssertionError):
        kernel.apply(effect)  # type: ignore[arg-type]


def test_the_fake_kernel_refuses_a_vif_that_old_entries_name() -> None:
    kernel = kernel_with_vifs()
    kernel.apply(SetMfc(S, G, 0, 0b10))
    kernel.device_gone(11)
    with pytest.raises(AssertionError, match="reused while entries name it"):
        kernel.apply(AddVif(1, 12, 1))


def test_the_fake_kernel_tells_of_unknown_streams_once_and_of_wrong_interfaces_every_three_seconds() -> None:
    kernel = kernel_with_vifs()
    packet = Datagram(S, G, 1)
    assert kernel.packet(packet, 0, 100.0) == [NoCache(0, S, G)]
    assert kernel.packet(packet, 0, 109.9) == []
    assert kernel.apply(SetMfc(S, G, 0, 0b10)) == [(0, packet), (0, packet)], "both held packets leave"
    assert kernel.outgoing((S, G), 0) == [11]
    told = [WrongVif(1, S, G), WholePacket(1, S, G, True, packet.to_bytes())]
    assert kernel.packet(packet, 1, 110.0) == told
    assert kernel.packet(packet, 1, 112.9) == []
    assert kernel.packet(packet, 1, 113.0) == told
    assert kernel.outgoing((S, G), 1) == []
    kernel.apply(SetMfc(S, G, 0, 0))
    assert kernel.packet(packet, 1, 115.9) == [], "writing an entry again does not reset the three seconds"


def test_the_fake_kernel_hands_up_what_goes_into_the_tunnel_and_counts() -> None:
    kernel = kernel_with_vifs()
    kernel.apply(AddRegisterVif(31))
    with pytest.raises(AssertionError):
        kernel.apply(AddRegisterVif(30))
    kernel.apply(SetMfc(S, G, 0, 1 << 31 | 0b10))
    packet = Datagram(S, G, 7, ttl=9)
    assert kernel.packet(packet, 0, 100.0) == [WholePacket(31, S, G, False, packet.to_bytes())]
    assert kernel.outgoing((S, G), 0) == [11]
    kernel.packet(packet, 1, 100.0)
    assert kernel.counters() == CountersRead(((S, G, 1, SIZE),)), "what came in wrong does not count"
    assert datagram_of(IPV4, packet.to_bytes()) == packet


def test_the_digest_sees_a_timer_an_entry_and_a_random_number(family: Family) -> None:
    stand = Stand(family)
    stand.peer("down", 2).hello()
    stand.run(0)
    first = digest(stand.router)
    assert digest(stand.router) == first
    stand.router.pim.random.getrandbits(1)
    second = digest(stand.router)
    assert second != first
    stand.peer("down", 2).hello()
    stand.run(0)
    assert digest(stand.router) == second, "a Hello that says the same at the same instant changes nothing"
    stand.joined(1)
    third = digest(stand.router)
    assert third != second
    stand.peer("down", 2).join(stand.us(), stand.channel(1), holdtime=211)
    stand.run(0)
    assert digest(stand.router) != third, "the Expiry Timer is part of it"


def entries(family: Family) -> tuple[AsmStand, SG, StarG]:
    """A source whose shared tree two neighbours have joined; one of them prunes it there, the other joins it itself."""
    stand = AsmStand(family)
    channel = stand.far()
    stand.say("Join(*,G)")
    stand.say("Join(*,G)", "Prune(S,G,rpt)", by=3)
    stand.say("Join(S,G)")
    stand.data(channel)
    stand.run(5)
    assert stand.r1.router is not None
    tib = stand.r1.router.pim.tib
    star = tib.groups[channel[1]].star
    assert star is not None
    return stand, tib.sg[channel[0] + channel[1]], star


def wish_by_configuration(stand: AsmStand, group: Address) -> None:
    """The configuration wants a group on `down`, and nobody was told."""
    stand.router.memberships[stand.pim_interface().ifindex].static[group, None] = 0.0


TAMPERED: dict[str, Callable[[AsmStand, SG, StarG], object]] = {
    "joins(S,G)": lambda stand, sg, star: setattr(sg, "joins", 0),
    "joins(*,G)": lambda stand, sg, star: setattr(star, "joins", 0),
    "members": lambda stand, sg, star: setattr(sg, "members", 1),
    "joined": lambda stand, sg, star: setattr(sg, "joined", False),
    "RPF'": lambda stand, sg, star: setattr(star, "rpf", None),
    "JT": lambda stand, sg, star: sg.join_timer and sg.join_timer.cancel(),
    "RP": lambda stand, sg, star: setattr(star.tree, "rp", None),
    "route": lambda stand, sg, star: setattr(sg.path, "route", None),
    "user": lambda stand, sg, star: sg.path.users.clear(),
    "tree": lambda stand, sg, star: star.tree.sources.clear(),
    "machine": lambda stand, sg, star: stand.pim_interface("down").downstream.pop(sg),
    "neighbour": lambda stand, sg, star: stand.pim_interface("up").neighbors.clear(),
    "kernel": lambda stand, sg, star: stand.r1.kernel.mfc.clear(),
    "member": lambda stand, sg, star: wish_by_configuration(stand, sg.group),
    "vif": lambda stand, sg, star: setattr(stand.pim_interface("down").link, "vif", 7),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_found_right_is_checked_again_when_anything_of_it_changes(family: Family, what: str) -> None:
    stand, sg, star = entries(family)
    checker = stand.net.checker
    checker.check(stand.r1)
    checker.check(stand.r1)
    TAMPERED[what](stand, sg, star)
    with pytest.raises((AssertionError, KeyError)):
        checker.check(stand.r1)


def test_what_is_as_it_was_is_not_checked_again(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    stand, _, _ = entries(family)
    stand.net.checker.check(stand.r1)
    monkeypatch.setattr("invariants.check_sg", lambda *_: pytest.fail("it was right a moment ago"))
    stand.net.checker.check(stand.r1)
