"""SwitchToSptDesired(S,G) as `spt-threshold` has it: at the last hop and at the RP (RFC 7761 4.2.1, 4.4.2).

A packet has 1000 bytes here. What comes by the shared tree is sent by `stream`, evenly.
"""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from speakers import Channel

from pimpy.config.model import Config
from pimpy.core.engine.effects import ReadCounters
from pimpy.wire.family import Family
from pimpy.wire.record import evolve


def config(word: str, number: int = 0, interval: int = 10) -> Config:
    return Config(spt_threshold=word, spt_threshold_number=number, spt_threshold_interval=interval)


def at_rp(said: Config, word: str, number: int = 0, interval: int = 10) -> Config:
    """The same, and this of the RP."""
    return evolve(said, rp_spt_threshold=word, rp_spt_threshold_number=number, rp_spt_threshold_interval=interval)


def last_hop(family: Family, wanted: Config) -> tuple[AsmStand, Channel]:
    """A last hop whose member hears the group by the shared tree."""
    stand = AsmStand(family, down=(), config=wanted)
    source = stand.far()
    stand.member("down")
    stand.mark()
    return stand, source


def stream(stand: AsmStand, source: Channel, a_second: int, seconds: int, link: str = "rpt") -> None:
    """Packets of a source."""
    for _ in range(seconds * a_second):
        stand.data(source, link)
        stand.run(1 / a_second)


def tunnel(stand: AsmStand, source: Channel, a_second: int, seconds: int) -> None:
    """Registers with packets of a source."""
    for _ in range(seconds * a_second):
        stand.register(source)
        stand.run(1 / a_second)


def joined_at(stand: AsmStand, link: str = "up") -> list[float]:
    """When the router joined the source."""
    return [when for when, said in stand.told(link) if said == "Join(S,G)"]


# The last hop.


def test_F15_immediate_is_with_the_first_packet(family: Family) -> None:
    stand, source = last_hop(family, config("immediate"))
    stand.data(source, "rpt")
    assert joined_at(stand) == [0.0]


def test_F8_F14_infinity_is_never(family: Family) -> None:
    stand, source = last_hop(family, config("infinity"))
    stream(stand, source, 100, 61)
    assert joined_at(stand) == [] and stand.keepalive(source) is None
    assert stand.forwards(source) == {"down"}, "it goes on by the shared tree"


@pytest.mark.parametrize(
    ("word", "number", "slow", "fast"),
    [("packets", 50, 4, 5), ("bytes", 50_000, 4, 5), ("rate", 40, 4, 5)],
    ids=["50_packets_in_10_s", "50000_bytes_in_10_s", "40_kbit_a_second"],
)
def test_F11_a_threshold_is_reached_or_not(family: Family, word: str, number: int, slow: int, fast: int) -> None:
    stand, source = last_hop(family, config(word, number))
    stream(stand, source, slow, 60)
    assert joined_at(stand) == [] and stand.sg(source).spt_bit is False
    stand, source = last_hop(family, config(word, number))
    stream(stand, source, fast, 10)
    assert joined_at(stand) == [10.0], "at the end of the first interval"
    assert stand.keepalive(source) == pytest.approx(210)
    stand.data(source, "up")
    assert stand.forwards(source) == {"down"} and stand.sg(source).spt_bit


def test_F11_each_interval_is_judged_by_itself(family: Family) -> None:
    stand, source = last_hop(family, config("packets", 50))
    stream(stand, source, 4, 40)
    stream(stand, source, 6, 9)
    assert joined_at(stand) == []
    stream(stand, source, 6, 1)
    assert joined_at(stand) == [50.0], "160 packets in 40 s before do not count, nor do they hold it up"


def test_F11_what_began_within_an_interval_is_judged_by_the_end_of_the_next(family: Family) -> None:
    stand, source = last_hop(family, config("packets", 50))
    other = stand.far(2)
    stand.data(other, "rpt")
    stand.run(5)
    stand.mark()
    stream(stand, source, 6, 15)
    assert joined_at(stand) == [15.0]


def test_F11_a_burst_is_enough_whenever_in_the_interval(family: Family) -> None:
    stand, source = last_hop(family, config("packets", 50))
    for _ in range(50):
        stand.data(source, "rpt")
    stand.run(10)
    assert joined_at(stand) == [10.0]


def test_F11_data_from_a_wrong_interface_does_not_count(family: Family) -> None:
    stand, source = last_hop(family, config("packets", 50))
    stand.data(source, "rpt")
    stream(stand, source, 20, 40, link="down")
    assert joined_at(stand) == []


def test_F2_a_source_that_slows_down_keeps_its_own_tree_while_it_sends(family: Family) -> None:
    stand, source = last_hop(family, config("packets", 50))
    stream(stand, source, 5, 10)
    stream(stand, source, 1, 400, link="up")
    assert stand.sg(source).spt_bit and stand.forwards(source) == {"down"}
    assert "Prune(S,G)" not in [said for _, said in stand.told("up")]


def test_F14_a_router_without_members_measures_nothing(family: Family) -> None:
    stand = AsmStand(family, down=(2,), config=config("packets", 5))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.mark()
    stream(stand, source, 20, 21)
    assert joined_at(stand) == [] and not stand.router.pim.measuring.running
    stand.member("down")
    stand.run(0)
    assert stand.router.pim.measuring.running, "a member came to what others have already"
    stream(stand, source, 20, 10)
    assert len(joined_at(stand)) == 1


def test_F11_with_the_sptbit_the_counters_are_read_for_keepalive_alone(family: Family) -> None:
    stand, source = last_hop(family, config("packets", 50))
    stream(stand, source, 5, 10)
    stand.data(source, "up")
    stand.run(10)
    assert not stand.router.pim.measuring.running


def test_F11_the_threshold_may_change_under_a_stream(family: Family) -> None:
    stand, source = last_hop(family, config("infinity"))
    stream(stand, source, 10, 35)
    stand.r1.configure(spt_threshold="packets", spt_threshold_number=50, spt_threshold_interval=10)
    stream(stand, source, 10, 41)
    assert len(joined_at(stand)) == 1
    stand, source = last_hop(family, config("packets", 5000))
    stream(stand, source, 10, 35)
    stand.r1.configure(spt_threshold="immediate")
    stream(stand, source, 10, 31)
    assert len(joined_at(stand)) == 1


# The RP.


def rp(family: Family, wanted: Config) -> tuple[AsmStand, Channel]:
    """An RP, with a source that is behind 9 on `up` and Registers that come by `rpt`."""
    stand = AsmStand(family, rp="me", down=(2,), config=wanted)
    return stand, stand.far()


def test_R12_R15_below_the_threshold_the_rp_leaves_data_in_registers(family: Family) -> None:
    stand, source = rp(family, config("packets", 50))
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    tunnel(stand, source, 4, 60)
    assert joined_at(stand) == [] and stand.stops() == [] and stand.keepalive(source) is None
    tunnel(stand, source, 6, 20)
    assert len(joined_at(stand)) == 1 and 60 < joined_at(stand)[0] <= 80
    assert stand.stops() == [], "not before native data came (R10)"
    stand.data(source, "up")
    stand.register(source)
    assert len(stand.stops()) == 1 and stand.forwards(source) == {"down"}


def test_R10_without_receivers_registers_are_stopped_once_the_threshold_is_reached(family: Family) -> None:
    stand, source = rp(family, config("rate", 40))
    tunnel(stand, source, 4, 30)
    assert stand.stops() == []
    tunnel(stand, source, 10, 20)
    assert stand.stops() and 30 < stand.stops()[0] <= 50
    assert stand.keepalive(source) is not None and joined_at(stand) == []


def test_R12_null_registers_do_not_reach_a_threshold(family: Family) -> None:
    stand, source = rp(family, config("packets", 5))
    for _ in range(100):
        stand.register(source, null=True)
        stand.run(0.5)
    assert stand.stops() == [] and stand.keepalive(source) is None


def test_R12_the_threshold_of_the_rp_is_not_that_of_the_last_hop(family: Family) -> None:
    stand, source = last_hop(family, at_rp(config("immediate"), "infinity"))
    stand.data(source, "rpt")
    assert joined_at(stand) == [0.0], "the RP is another router"
    stand, source = rp(family, at_rp(config("immediate"), "infinity"))
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    tunnel(stand, source, 20, 60)
    assert joined_at(stand) == [] and stand.stops() == []
    stand, source = rp(family, at_rp(config("infinity"), "packets", 50))
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    tunnel(stand, source, 4, 60)
    assert joined_at(stand) == []
    tunnel(stand, source, 6, 20)
    assert len(joined_at(stand)) == 1 and 60 < joined_at(stand)[0] <= 80


@pytest.mark.parametrize("elsewhere", ["immediate", "infinity"])
def test_R12_the_rp_joins_when_its_own_threshold_is_reached_not_with_the_next_register(
    family: Family, elsewhere: str
) -> None:
    stand, source = rp(family, at_rp(config(elsewhere), "packets", 50))
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    tunnel(stand, source, 6, 10)
    assert joined_at(stand) == [10.0] and stand.keepalive(source) == pytest.approx(210)


def test_R12_the_threshold_of_the_rp_may_change_under_registers(family: Family) -> None:
    stand, source = rp(family, at_rp(config("immediate"), "infinity"))
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    tunnel(stand, source, 10, 20)
    assert joined_at(stand) == []
    stand.r1.configure(rp_spt_threshold=None)
    tunnel(stand, source, 10, 1)
    assert len(joined_at(stand)) == 1, "as at the last hop"


def test_the_shorter_interval_is_kept_where_the_rp_has_another(family: Family) -> None:
    """A router that is the last hop of one source and the RP's interval is longer: each is judged by its own."""
    stand, source = last_hop(family, at_rp(config("packets", 50, 10), "packets", 50, 100))
    stream(stand, source, 5, 10)
    assert joined_at(stand) == [10.0]
    stand, source = rp(family, at_rp(config("packets", 1, 1000), "packets", 50, 10))
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    tunnel(stand, source, 6, 20)
    assert len(joined_at(stand)) == 1 and joined_at(stand)[0] <= 20


# What is asked of the kernel.


@pytest.mark.parametrize("word", ["immediate", "infinity"])
def test_nothing_is_measured_where_nothing_hangs_on_it(family: Family, word: str) -> None:
    stand, source = last_hop(family, config(word))
    stand.data(source, "rpt")
    assert not stand.router.pim.measuring.running


def test_one_dump_an_interval_serves_all_sources(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    stand, _ = last_hop(family, evolve(config("packets", 50), spt_threshold_interval=7))
    sources = [stand.far(number) for number in range(1, 20)]
    asked: list[float] = []
    emit = stand.router.pim.emit

    def noted(effect: object) -> None:
        if isinstance(effect, ReadCounters):
            asked.append(stand.now)
        emit(effect)  # type: ignore[arg-type]

    monkeypatch.setattr(stand.router.pim, "emit", noted)
    stand.mark()
    for source in sources:
        stand.data(source, "rpt")
        stand.run(0.1)
    stand.run(20)
    assert asked == [7.0, 14.0, 21.0], "and the 30 s of the Keepalive Timer beside them"
