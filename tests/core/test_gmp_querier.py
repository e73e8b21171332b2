"""General Queries, the election, adopted values, configured versions.

Conformance I1 to I4, I15, M1, M3, M10 to M12, T24 to T28.
"""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, IS_EX, Bench

from pimpy.core.gmp import GmpSettings
from pimpy.core.gmp.settings import Variables
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Family, parse_address
from pimpy.wire.membership import Query

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def times(bench: Bench) -> list[float]:
    """When General Queries were sent."""
    return [time for time, destination, _ in bench.sent if destination == bench.family.all_hosts]


@both
def test_I1_M1_general_query(family: Family) -> None:
    bench = Bench(family, start=False)
    assert bench.sent == []
    bench.m.start(bench.US)
    expected = Query(bench.newest, family.any, 10.0, False, 2, 125.0)
    assert bench.sent == [(0.0, family.all_hosts, expected)]


@both
def test_I2_T25_startup_queries_then_the_query_interval(family: Family) -> None:
    bench = Bench(family, start=False)
    bench.m.start(bench.US)
    bench.to(420.0)
    assert times(bench) == [0.0, 31.25, 156.25, 281.25, 406.25]


@both
def test_I2_startup_follows_the_settings(family: Family) -> None:
    bench = Bench(family, GmpSettings(robustness=3, query_interval=60.0), start=False)
    bench.m.start(bench.US)
    bench.to(100.0)
    assert times(bench) == [0.0, 15.0, 30.0, 90.0]
    bench = Bench(family, GmpSettings(startup_query_count=1, startup_query_interval=5.0), start=False)
    bench.m.start(bench.US)
    bench.to(130.0)
    assert times(bench) == [0.0, 125.0]


@both
def test_T24_a_robustness_above_7_is_sent_as_0(family: Family) -> None:
    bench = Bench(family, GmpSettings(robustness=9), start=False)
    bench.m.start(bench.US)
    assert bench.take_sent()[0].robustness == 0


@both
def test_I3_T28_the_lower_address_wins_and_a_loser_waits_255_s(family: Family) -> None:
    bench = Bench(family)
    bench.to(10.0)
    assert bench.query(bench.LOW, robustness=2, interval=125.0) == ""
    row = bench.interface_row()
    assert (row.is_querier, row.querier_expiration, row.query_expiration) == (False, 255.0, None)
    assert parse_address(row.querier or "") == bench.LOW
    bench.to(264.99)
    assert bench.sent == []
    bench.to(265.0)
    assert times(bench) == [265.0]
    bench.to(400.0)
    assert times(bench) == [265.0, 390.0]
    assert [reason for _, reason, _ in bench.notices] == ["querier_change"] * 2


@both
def test_I3_each_query_of_the_winner_starts_the_wait_anew(family: Family) -> None:
    bench = Bench(family)
    for time in (10.0, 135.0, 260.0):
        bench.to(time)
        bench.query(bench.LOW, robustness=2, interval=125.0)
    assert [reason for _, reason, _ in bench.notices] == ["querier_change"]
    bench.to(514.99)
    assert bench.sent == []
    bench.to(515.0)
    assert times(bench) == [515.0]


@both
def test_I3_a_higher_address_changes_nothing(family: Family) -> None:
    bench = Bench(family)
    assert bench.query(bench.HIGH, robustness=5, interval=300.0) == ""
    bench.to(31.25)
    assert times(bench) == [31.25]
    assert bench.take_sent()[0].robustness == 2


def test_I3_TH9_0_0_0_0_never_wins_and_is_not_off_link() -> None:
    bench = Bench(IPV4, on_link=lambda address: address[:3] == bytes((10, 0, 0)))
    assert bench.query(IPV4.any, robustness=5, interval=300.0) == "query_src_zero"
    bench.to(31.25)
    assert times(bench) == [31.25]


def test_I3_TH10_only_general_queries_elect_in_igmp() -> None:
    bench = Bench(IPV4)
    assert bench.query(bench.LOW, bench.G) == ""
    assert bench.interface_row().is_querier
    bench.query(bench.LOW)
    assert not bench.interface_row().is_querier


def test_M3_TH10_any_query_elects_in_mld() -> None:
    bench = Bench(IPV6)
    assert bench.query(bench.LOW, bench.G, robustness=2, interval=125.0) == ""
    row = bench.interface_row()
    assert (row.is_querier, row.querier_expiration) == (False, 255.0)


def test_M3_all_64_bits_of_the_interface_id_are_compared() -> None:
    for address, wins in (("fe80::1:0:0:4", False), ("fe80::4", True), ("fe80::1:4", False), ("fe80:0:0:1::4", True)):
        bench = Bench(IPV6)
        bench.query(parse_address(address))
        assert bench.interface_row().is_querier is not wins


def test_I24_TH10_a_general_query_to_our_unicast_address_counts() -> None:
    bench = Bench(IPV4)
    query = Query(3, IPV4.any, 10.0, False, 2, 125.0)
    assert bench.receive(query, bench.LOW, bench.US) == ""
    assert not bench.interface_row().is_querier


@both
def test_I4_I21_a_non_querier_adopts_what_the_querier_tells(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=3, interval=60.0)
    row = bench.interface_row()
    assert (row.robustness_variable, row.query_interval) == (3, 60.0)
    assert row.querier_expiration == 3 * 60 + 5
    bench.record(IS_EX)
    assert bench.timers() == (3 * 60 + 2 * 10, {})
    bench.query(bench.LOW, robustness=0, interval=0.0)
    row = bench.interface_row()
    assert (row.robustness_variable, row.query_interval, row.querier_expiration) == (2, 125.0, 255.0)
    bench.record(ALLOW, [1])
    assert bench.timers()[1] == {1: 270.0}


@both
def test_I4_adopted_values_are_for_non_queriers(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.to(185.0)
    sent = bench.take_sent()
    assert [(query.robustness, query.interval) for query in sent] == [(2, 125.0)]
    bench.record(IS_EX)
    assert bench.timers() == (270.0, {})


@both
def test_I4_a_robustness_of_our_own_stands_in_for_0(family: Family) -> None:
    bench = Bench(family, GmpSettings(robustness=4, query_interval=20.0, query_response_interval=2.0))
    bench.query(bench.LOW, robustness=0, interval=0.0)
    row = bench.interface_row()
    assert (row.robustness_variable, row.query_interval, row.querier_expiration) == (4, 20.0, 81.0)


def test_I4_a_querier_adopts_nothing() -> None:
    bench = Bench(IPV4)
    bench.query(bench.LOW, bench.G, robustness=5, interval=300.0)
    row = bench.interface_row()
    assert (row.is_querier, row.robustness_variable, row.query_interval) == (True, 2, 125.0)


@both
def test_I4_what_was_adopted_is_over_with_the_other_querier(family: Family) -> None:
    bench = Bench(family, GmpSettings(robustness=3))
    bench.query(bench.LOW, robustness=2, interval=60.0)
    bench.to(125.0)
    assert times(bench) == [125.0]
    bench.m.reconfigure(GmpSettings(robustness=4))
    row = bench.interface_row()
    assert (row.is_querier, row.robustness_variable, row.query_interval) == (True, 4, 125.0)
    assert row.query_expiration == 125.0


@both
def test_I2_one_who_takes_over_sends_no_startup_queries(family: Family) -> None:
    bench = Bench(family, GmpSettings(startup_query_count=5))
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.to(500.0)
    assert times(bench) == [255.0, 380.0]


def test_I4_a_specific_query_of_the_querier_is_adopted_too() -> None:
    bench = Bench(IPV4)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.to(10.0)
    bench.query(bench.LOW, bench.G, robustness=4, interval=100.0)
    row = bench.interface_row()
    assert (row.robustness_variable, row.query_interval) == (4, 100.0)
    assert row.querier_expiration == 245.0


@both
def test_I3_the_election_stops_pending_retransmissions(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.leave()
    assert len(bench.asked()) == 1
    bench.to(0.5)
    bench.query(bench.LOW, robustness=2, interval=125.0)
    bench.to(200.0)
    assert len(bench.asked()) == 1


@both
def test_TH66_our_own_queries_are_dropped_without_a_word(family: Family) -> None:
    bench = Bench(family)
    assert bench.query(bench.US, robustness=7, interval=10.0) == "own_packet"
    assert bench.interface_row().robustness_variable == 2
    assert bench.notices == []


@both
@pytest.mark.parametrize("other", ["low", "high"])
def test_readdress(family: Family, other: str) -> None:
    """A lower address of ours takes over at once; a higher one yields when the other is next heard."""
    bench = Bench(family)
    if other == "low":
        bench.query(bench.LOW, robustness=2, interval=125.0)
        bench.to(10.0)
        bench.m.readdress(bench.HIGH)
        assert (bench.sent, bench.interface_row().is_querier) == ([], False)
        bench.m.readdress((int.from_bytes(bench.LOW, "big") - 1).to_bytes(family.size, "big"))
        assert bench.interface_row().is_querier
        bench.to(300.0)
        assert times(bench) == [10.0, 135.0, 260.0]
    else:
        bench.query(bench.HIGH)
        bench.m.readdress(bench.US)
        assert bench.sent == []
        bench.m.readdress(bench.HIGH[:-1] + b"\xf0")
        assert times(bench) == [0.0]
        bench.query(bench.HIGH)
        assert not bench.interface_row().is_querier


@both
def test_reconfigure_with_other_values_asks_at_once_and_keeps_the_records(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX)
    bench.to(40.0)
    bench.sent.clear()
    bench.m.reconfigure(GmpSettings())
    bench.m.reconfigure(GmpSettings(max_groups=1))
    assert bench.sent == []
    bench.m.reconfigure(GmpSettings(query_interval=50.0))
    assert [(time, query.interval) for time, _, query in bench.sent] == [(40.0, 50.0)]
    bench.to(100.0)
    assert times(bench) == [40.0, 90.0]
    assert bench.timers() == (170.0, {})
    bench.record(IS_EX)
    assert bench.timers() == (2 * 50.0 + 20.0, {})


@both
def test_reconfigure_of_a_non_querier_keeps_what_it_adopted(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.m.reconfigure(GmpSettings(query_response_interval=5.0))
    row = bench.interface_row()
    assert (row.robustness_variable, row.query_interval, bench.sent) == (3, 60.0, [])
    bench.record(IS_EX)
    assert bench.timers() == (190.0, {})


@both
def test_stop_is_silent_and_tells_what_went(family: Family) -> None:
    bench = Bench(family)
    bench.record(IS_EX, [1])
    bench.record(ALLOW, [2])
    bench.record(ALLOW, [3], bench.SSM)
    bench.changes.clear()
    bench.m.stop()
    expected = [(bench.G, None), (bench.G, bench.S(1)), (bench.G, bench.S(2)), (bench.SSM, bench.S(3))]
    assert [(group, source) for _, group, source in bench.changes] == expected
    assert bench.status() == {}
    assert bench.record(IS_EX) == "if_not_enabled"
    bench.changes.clear()
    bench.to(1000.0)
    bench.m.stop()
    assert (bench.sent, bench.changes, bench.rows()) == ([], [], [])
    row = bench.interface_row()
    assert (row.oper_status, row.querier, row.query_expiration, row.groups_count) == ("down", None, None, 0)


@both
def test_M10_start_again_after_stop(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, robustness=3, interval=60.0)
    bench.to(50.0)
    bench.m.stop()
    bench.m.start(bench.US)
    assert times(bench) == [50.0]
    bench.to(100.0)
    assert times(bench) == [50.0, 81.25]
    assert {query.robustness for query in bench.take_sent()} == {2}
    bench.m.reconfigure(GmpSettings(query_response_interval=5.0))
    assert bench.interface_row().robustness_variable == 2


def test_M11_the_families_share_nothing() -> None:
    four, six = Bench(IPV4), Bench(IPV6)
    four.record(IS_EX)
    six.record(IS_EX)
    four.m.stop()
    assert six.lists() == ("exclude", set(), set())
    assert four.lists() == ("include", set(), set())


@pytest.mark.parametrize(("family", "version", "length"), [(IPV4, 2, 8), (IPV4, 1, 8), (IPV6, 1, 24)])
def test_I15_M12_the_configured_version_of_queries(family: Family, version: int, length: int) -> None:
    bench = Bench(family, GmpSettings(version=version), start=False)
    lengths = []
    send = bench.m.link.send
    bench.m.link.send = lambda destination, data: (lengths.append(len(data)), send(destination, data))[1]
    bench.m.start(bench.US)
    assert bench.take_sent() == [Query(version, family.any, 10.0)]
    bench.record(IS_EX)
    bench.leave()
    specific = [] if (family, version) == (IPV4, 1) else [Query(version, bench.G, 1.0)]
    assert bench.take_sent() == specific
    assert set(lengths) == {length}


def test_I15_version_1_ignores_leaves() -> None:
    bench = Bench(IPV4, GmpSettings(version=1))
    bench.record(IS_EX)
    bench.leave()
    bench.record(3)
    bench.to(269.99)
    assert bench.lists()[0] == "exclude"


@pytest.mark.parametrize(
    ("family", "ours", "theirs"), [(IPV4, 3, 2), (IPV4, 3, 1), (IPV4, 2, 3), (IPV4, 1, 2), (IPV6, 2, 1), (IPV6, 1, 2)]
)
def test_I15_M12_a_query_of_another_version_warns_and_switches_nothing(family: Family, ours: int, theirs: int) -> None:
    bench = Bench(family, GmpSettings(version=ours))
    for time in (0.0, 1.0, 59.0, 60.0):
        bench.to(time)
        bench.query(bench.HIGH, version=theirs)
    warnings = [(level, reason) for level, reason, _ in bench.notices]
    assert warnings == [("warning", "query_version")] * 2
    assert "2 more" in bench.notices[1][2]
    assert bench.interface_row().version == ours
    bench.to(160.0)
    assert {query.version for query in bench.take_sent()} == {ours}


@both
def test_I15_a_specific_query_of_another_version_does_not_warn(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.HIGH, bench.G, version=bench.newest - 1)
    assert bench.notices == []


@both
def test_I15_an_older_querier_wins_like_any_other(family: Family) -> None:
    bench = Bench(family)
    bench.query(bench.LOW, version=1)
    row = bench.interface_row()
    assert (row.is_querier, row.querier_expiration, row.robustness_variable) == (False, 255.0, 2)


def test_settings_that_cannot_be() -> None:
    for wrong in (
        {"robustness": 0},
        {"last_member_query_count": 0},
        {"startup_query_count": 0},
        {"query_interval": 0.0},
        {"query_interval": 10.0},
        {"query_response_interval": 0.0},
        {"last_member_query_interval": 0.0},
    ):
        with pytest.raises(ValueError):
            GmpSettings(**wrong)
    for family, version in ((IPV4, 4), (IPV4, 0), (IPV6, 3)):
        with pytest.raises(ValueError):
            Bench(family, GmpSettings(version=version))
    bench = Bench(IPV6)
    with pytest.raises(ValueError):
        bench.m.reconfigure(GmpSettings(version=3))
    assert bench.interface_row().version == 2


@both
def test_T26_the_query_response_interval_is_told_and_shorter_than_the_query_interval(family: Family) -> None:
    bench = Bench(family, GmpSettings(query_response_interval=7.0), start=False)
    bench.m.start(bench.US)
    assert bench.take_sent()[0].max_response == 7.0
    with pytest.raises(ValueError, match="shorter than the query interval"):
        GmpSettings(query_interval=10.0, query_response_interval=10.0)


def test_the_configured_querier_timeout_holds_where_it_is_longer_than_the_interval() -> None:
    """pimd's igmp-querier-timeout; without it, or against a querier that asks less often, RFC 9776 8.5."""
    settings = GmpSettings(querier_timeout=300.0)
    assert Variables.of(settings).other_querier_present_interval == 300.0
    assert Variables.of(settings, robustness=3, query_interval=300.0).other_querier_present_interval == 905.0
    assert Variables.of(GmpSettings()).other_querier_present_interval == 255.0
