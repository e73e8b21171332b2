"""Conformance rows N1 to N6 and N12 to N14: Hellos, ours and theirs (RFC 7761 4.3.1 to 4.3.3)."""

from __future__ import annotations

import pytest
from crafting import raw_hello
from network import Net
from stand import Stand, lonely, secondaries

from pimpy.config.model import Config
from pimpy.wire.family import IPV4, Family
from pimpy.wire.pim import Hello, LanPruneDelay
from pimpy.wire.record import evolve

DELAY = LanPruneDelay(False, 500, 2500)


# Our Hellos.


def test_N1_T1_T3_first_hello_within_5_s_then_every_30_s(family: Family) -> None:
    firsts = []
    for seed in range(20):
        stand = lonely(family, seed)
        stand.run(100)
        times = [when for when, _ in stand.hellos()]
        assert 0 <= times[0] <= 5
        assert times == pytest.approx([times[0] + 30 * n for n in range(4)], abs=0.01)
        firsts.append(times[0])
    assert min(firsts) < 1.5 and max(firsts) > 3.5, "rand(0, 5)"


def test_N1_hellos_go_to_all_pim_routers_from_the_primary_address(family: Family) -> None:
    stand = lonely(family)
    stand.run(40)
    for link in (stand.up, stand.down):
        packets = [packet for _, packet, _ in link.spoken("r1")]
        assert len(packets) == 2
        assert {packet.destination for packet in packets} == {family.all_pim_routers}
        assert {packet.source for packet in packets} == {stand.us(link.name)}
    assert (family is IPV4) or family.is_link_local(stand.us())


def test_N1_hello_timers_of_two_interfaces_are_drawn_apart(family: Family) -> None:
    stand = lonely(family)
    stand.run(5)
    assert stand.hellos("up")[0][0] != stand.hellos("down")[0][0]


def test_N2_T2_T4_T5_T16_what_a_hello_carries(family: Family) -> None:
    stand = lonely(family)
    stand.run(5)
    (_, hello), *_ = stand.hellos()
    assert hello == Hello(105, DELAY, 1, hello.generation_id, secondaries(stand))


def test_N2_golden_bytes() -> None:
    stand = lonely(IPV4)
    stand.run(5)
    ((_, packet, _),) = stand.down.spoken("r1")
    golden = bytes.fromhex("20006af90001000200690002000401f409c400130004000000010014000412345678")
    assert packet.data[:2] + packet.data[4:30] == golden[:2] + golden[4:30], "all but the checksum and the GenID"
    assert len(packet.data) == len(golden)


def test_N2_T2_the_holdtime_is_three_and_a_half_hello_intervals(family: Family) -> None:
    stand = lonely(family, config=Config(hello_interval=10))
    stand.run(26)
    times = [when for when, _ in stand.hellos()]
    assert times == pytest.approx([times[0] + 10 * n for n in range(len(times))], abs=0.01) and len(times) >= 3
    assert {hello.holdtime for _, hello in stand.hellos()} == {35}


def test_N5_the_genid_is_new_at_each_start_and_constant_between(family: Family) -> None:
    stand = lonely(family)
    stand.run(100)
    first = {hello.generation_id for _, hello in stand.hellos()}
    assert len(first) == 1
    stand.net.set_link("down", False)
    stand.run(1)
    stand.mark()
    stand.net.set_link("down", True)
    stand.run(100)
    second = {hello.generation_id for _, hello in stand.hellos()}
    assert len(second) == 1 and second != first
    assert len({lonely(family, seed).router.pim.random.getrandbits(32) for seed in range(9)}) == 9, "32 random bits"
    assert max(genid or 0 for genid in first | second) > 0xFFFF


def test_N6_T3_a_new_neighbour_is_greeted_within_5_s_and_the_schedule_stays(family: Family) -> None:
    delays = []
    for seed in range(20):
        stand = lonely(family, seed)
        stand.run(5)
        first = stand.hellos()[0][0]
        stand.run(first + 10 - stand.now)
        stand.mark()
        stand.peer("down", 2).hello()
        stand.run(60)
        times = [when for when, _ in stand.hellos()]
        assert times[1:] == pytest.approx([20, 50], abs=0.01), "the periodic schedule does not move"
        assert 0 <= times[0] <= 5
        delays.append(times[0])
    assert min(delays) < 1.5 and max(delays) > 3.5, "rand(0, 5)"


def test_N6_no_extra_hello_if_the_periodic_one_comes_sooner(family: Family) -> None:
    counts = set()
    for seed in range(30):
        stand = lonely(family, seed)
        stand.run(5)
        stand.run(stand.hellos()[0][0] + 28 - stand.now)
        stand.mark()
        stand.peer("down", 2).hello()
        stand.run(10)
        times = [when for when, _ in stand.hellos()]
        assert 2.0 in times and all(when <= 2 for when in times)
        counts.add(len(times))
    assert counts == {1, 2}


def test_N6_a_changed_genid_is_answered_and_an_unchanged_one_is_not(family: Family) -> None:
    stand = Stand(family)
    stand.run(35.0 - stand.net.now % 30)
    peer = stand.peer("down", 2)

    def answers() -> int:
        stand.mark()
        before = stand.pim_interface().hello_timer.deadline
        stand.run(5)
        periodic = before <= stand.net.now
        return len(stand.hellos()) - periodic

    peer.hello()
    assert answers() == 0
    peer.hello(generation_id=0x2222)
    assert answers() == 1


# Their Hellos.


@pytest.mark.parametrize(("holdtime", "life"), [(None, 105.0), (35, 35.0), (1, 1.0), (65534, 65534.0)])
def test_N3_a_neighbour_lives_for_its_holdtime(family: Family, holdtime: int | None, life: float) -> None:
    stand = lonely(family)
    stand.peer("down", 2).hello(holdtime=holdtime)
    stand.run(life - 0.01)
    assert stand.neighbors() == {2}
    stand.run(0.02)
    assert stand.neighbors() == set()


def test_N3_ffff_never_expires_and_0_removes_at_once(family: Family) -> None:
    stand = lonely(family)
    peer = stand.peer("down", 2)
    peer.hello(holdtime=0xFFFF)
    stand.run(100_000)
    assert stand.neighbors() == {2}
    assert stand.row("neighbors", interface="down").expiration is None
    peer.hello(holdtime=0)
    stand.run(0)
    assert stand.neighbors() == set()
    peer.hello(holdtime=0)
    stand.run(0)
    assert stand.neighbors() == set(), "nor does a good-bye make a neighbour"


def test_N3_a_shorter_holdtime_counts_from_its_hello_on(family: Family) -> None:
    stand = lonely(family)
    stand.peer("down", 2).hello(holdtime=105)
    stand.run(1)
    stand.peer("down", 2).hello(holdtime=10)
    stand.run(9.99)
    assert stand.neighbors() == {2}
    stand.run(0.01)
    assert stand.neighbors() == set()


HOLDTIME = bytes.fromhex("000100020023")
PRIORITY = bytes.fromhex("0013000400000007")
UNKNOWN = bytes.fromhex("0003000401020304") + bytes.fromhex("fde90000") + bytes.fromhex("001500040100003c")


@pytest.mark.parametrize(
    "options",
    [UNKNOWN + HOLDTIME + PRIORITY, HOLDTIME + UNKNOWN + PRIORITY, HOLDTIME + PRIORITY + UNKNOWN],
    ids=["before", "between", "after"],
)
def test_N4_TH16_unknown_options_are_skipped_by_length(family: Family, options: bytes) -> None:
    stand = lonely(family)
    raw_hello(stand.peer("down", 2), options)
    stand.run(0)
    row = stand.row("neighbors", interface="down")
    assert (row.expiration, row.dr_priority, row.gen_id) == (35.0, 7, None)
    assert stand.counted("hello_bad_option", "hello") == 0


def test_N12_neighbours_are_keyed_by_interface(family: Family) -> None:
    stand = lonely(family)
    for link, holdtime in (("up", 50), ("down", 60)):
        stand.peer(link, 1).hello(holdtime=holdtime, dr_priority=holdtime)
    stand.run(50)
    assert (stand.neighbors("up"), stand.neighbors("down")) == (set(), {1})
    assert stand.row("neighbors", interface="down").dr_priority == 60
    if family.size == 16:
        assert stand.peer("up", 1).address == stand.peer("down", 1).address, "fe80::1 on both"


@pytest.mark.parametrize(
    ("delays", "propagation", "override"),
    [
        ([], 0.5, 2.5),
        ([(100, 1000)], 0.5, 2.5),
        ([(700, 1000)], 0.7, 2.5),
        ([(700, 1000), (600, 4000)], 0.7, 4.0),
        ([(700, 1000), None], 0.5, 2.5),
        ([None, (700, 9000)], 0.5, 2.5),
        ([(32767, 65535)], 32.767, 65.535),
    ],
)
def test_N13_T4_T5_effective_delays_are_the_largest_of_all(
    family: Family, delays: list[tuple[int, int] | None], propagation: float, override: float
) -> None:
    stand = lonely(family)
    for number, delay in enumerate(delays, start=2):
        said = None if delay is None else LanPruneDelay(False, *delay)
        stand.peer("down", number).hello(lan_prune_delay=said)
    stand.run(0)
    row = stand.row("interfaces", interface="down")
    assert (row.propagation_delay, row.override_interval) == pytest.approx((propagation, override))
    if delays:
        stand.run(200)
        row = stand.row("interfaces", interface="down")
        assert (row.propagation_delay, row.override_interval) == (0.5, 2.5), (
            "the neighbours are gone, and what they said"
        )


@pytest.mark.parametrize(
    ("ours", "theirs", "suppression"),
    [
        (True, [True], False),
        (True, [True, True], False),
        (True, [True, False], True),
        (True, [True, None], True),
        (False, [True, True], True),
    ],
)
def test_N14_suppression_ends_only_when_all_set_the_t_bit(
    family: Family, ours: bool, theirs: list[bool | None], suppression: bool
) -> None:
    stand = lonely(family)
    stand.router.pim.settings = evolve(stand.router.pim.settings, t_bit=ours)
    for number, t_bit in enumerate(theirs, start=2):
        said = None if t_bit is None else LanPruneDelay(t_bit, 500, 2500)
        stand.peer("down", number).hello(lan_prune_delay=said)
    stand.run(5)
    assert stand.row("interfaces", interface="down").suppression == suppression
    assert {hello.lan_prune_delay for _, hello in stand.hellos()} == {LanPruneDelay(ours, 500, 2500)}


def test_every_draw_comes_from_the_random_numbers_handed_in(family: Family) -> None:
    first, second = (Net(family, seed=7) for _ in range(2))
    for net in (first, second):
        net.router("r1")
        net.link("lan", "r1")
        net.start()
        net.run(60)
    log = [(when, packet) for when, _, packet in first.links["lan"].log]
    assert log == [(when, packet) for when, _, packet in second.links["lan"].log] and log


def test_N5_the_generation_id_is_any_number_of_32_bits(family: Family) -> None:
    said = [lonely(family, seed=seed).pim_interface().generation_id for seed in range(40)]
    assert len(set(said)) == 40 and all(0 <= number < 2**32 for number in said)
    assert any(number >= 2**31 for number in said), "the highest bit, too"
