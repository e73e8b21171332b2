"""The tools of the core's tests, tested: what a harness does not see, no test sees."""

from __future__ import annotations

import pytest
from digest import digest
from fake_kernel import FakeKernel
from stand import Stand

from pimpy.core.engine.effects import AddVif, DelVif, SetMfc
from pimpy.core.engine.events import NoCache, WrongVif
from pimpy.wire.family import IPV4, Family, parse_address

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
    assert kernel.packet((S, G), 0, 100.0) == NoCache(0, S, G)
    assert kernel.packet((S, G), 0, 109.9) is None
    assert kernel.apply(SetMfc(S, G, 0, 0b10)) == [0, 0], "both held packets leave"
    assert kernel.outgoing((S, G), 0) == [11]
    assert kernel.packet((S, G), 1, 110.0) == WrongVif(1, S, G)
    assert kernel.packet((S, G), 1, 112.9) is None
    assert kernel.packet((S, G), 1, 113.0) == WrongVif(1, S, G)
    assert kernel.outgoing((S, G), 1) == []


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
