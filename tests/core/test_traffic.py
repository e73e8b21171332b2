"""Rates from two looks at the kernel's counters."""

from __future__ import annotations

from pimpy.core.traffic import SHORTEST, Counted, Key, Meter, Sum, Sums, Traffic

KEY: Key = (b"\x0a\0\0\x01", b"\xe8\1\1\1")


def counted(packets: int, octets: int, wrong: int = 0, idle: int = 25) -> dict[Key, Counted]:
    return {KEY: (packets, octets, wrong, idle)}


def test_the_first_look_knows_no_rate() -> None:
    assert Meter().tell(counted(100, 10_000), 5.0)[KEY] == Traffic(100, 10_000, 0, 0.25, None, None)


def test_packets_and_bits_per_second_without_those_of_a_wrong_interface() -> None:
    meter = Meter()
    meter.look(counted(100, 10_000), 5.0)
    told = meter.tell(counted(220, 30_000, wrong=20), 15.0)[KEY]
    assert (told.packet_rate, told.bit_rate, told.wrong_if) == (10.0, 16_000.0, 20)


def test_looks_in_quick_succession_tell_the_rate_of_the_interval_before() -> None:
    meter = Meter()
    meter.look(counted(0, 0), 0.0)
    meter.look(counted(100, 1000), 10.0)
    told = meter.tell(counted(150, 1500), 10.0 + SHORTEST / 2)[KEY]
    assert (told.packets, told.packet_rate) == (150, 10.0)


def test_an_entry_that_was_made_anew_or_is_new_has_no_rate() -> None:
    meter = Meter()
    meter.look(counted(100, 10_000), 0.0)
    assert meter.tell(counted(3, 300), 10.0)[KEY].packet_rate is None
    assert meter.tell(counted(13, 1300), 20.0)[KEY].packet_rate == 1.0
    meter.look({}, 30.0)
    assert meter.tell(counted(5, 500), 40.0)[KEY].packet_rate is None


def test_no_packet_has_no_age() -> None:
    assert Meter().tell(counted(0, 0, idle=99_999), 0.0)[KEY].last_packet is None


OTHER: Key = (KEY[0], bytes((232, 9, 9, 9)))


def test_sums_do_not_fall_when_entries_go_or_begin_anew() -> None:
    """Packets of a wrong interface are told apart; so are those of streams that nobody wants."""
    sums = Sums()
    wanted = {KEY: ("eth1", True), OTHER: ("eth1", True)}

    def look(found: dict[Key, tuple[str, bool]] = wanted, **more: tuple[int, int, int]) -> Sum:
        counters: dict[Key, Counted] = {{"key": KEY, "other": OTHER}[name]: (*said, 0) for name, said in more.items()}
        sums.take(counters, found.get)
        return sums.by_interface["eth1"]

    assert look(key=(100, 1000, 10), other=(5, 50, 0)) == (95, 1050, 10, 0)
    assert look(key=(150, 1500, 10)) == (145, 1550, 10, 0)
    assert look() == (145, 1550, 10, 0), "both are gone"
    assert look(key=(7, 70, 0)) == (152, 1620, 10, 0), "the entry is back, and counts from the beginning"
    assert look(key=(3, 30, 1)) == (154, 1650, 11, 0), "and once more"
    assert look({KEY: ("eth1", False)}, key=(9, 90, 1)) == (154, 1650, 11, 6), "nobody wants it now"
    assert look({}, key=(20, 200, 1)) == (154, 1650, 11, 6), "it is none of ours"
