"""Messages with one thing wrong with them (group 2 of the MLDv2 router conformance suite), and their IGMPv3 twins.

Every case is checked beside its positive control: the good message has its effect on the same bench.
"""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, Bench
from mld_frames import (
    NODES,
    OFF_LINK,
    OUR_GLOBAL,
    ROUTERS,
    TAKEN,
    US,
    Case,
    allow,
    broken_checksum,
    frame,
    good,
    header,
    is_taken,
    patched,
    prepared,
    query_for,
    raw_record,
    raw_report,
    receive,
    reporting,
    resized,
    state,
)

from pimpy.wire.family import FAMILIES, Family
from pimpy.wire.membership import Record

NOTHING = "nothing"
"""Taken, without effect: there is nothing in it."""

CASES: dict[str, Case] = {
    # 2.4 Hop limit of queries (7.4, 7.6: dropped).
    "2.4.a": Case("general", header(ttl=0), "igmp_ttl", "mld_hl"),
    "2.4.b": Case("general", header(ttl=2), "igmp_ttl", "mld_hl"),
    "2.4.c": Case("general", header(ttl=255), "igmp_ttl", "mld_hl"),
    # 2.5 Source of queries (5.1.14). IGMP has no link-local rule; 0.0.0.0 never wins (conformance I3).
    "2.5.a": Case("general", header(source=lambda b: b.family.any), "query_src_zero", "mld_src"),
    "2.5.b": Case("general", header(source=lambda b: b.LOW if b.newest == 3 else OUR_GLOBAL(b)), TAKEN, "mld_src"),
    "2.5.c": Case("general", header(source=OFF_LINK), "igmp_src_subnet", "mld_src"),
    "2.5.d": Case("general", header(source=ROUTERS), "bad_source", "mld_src"),
    # 2.6 Destination of queries (5.1.15: any address of the interface).
    "2.6.a": Case("general", header(destination=US), TAKEN, TAKEN),
    "2.6.b": Case("general", header(destination=OUR_GLOBAL), TAKEN, TAKEN),
    "2.6.c": Case("general", header(destination=ROUTERS), TAKEN, TAKEN),
    "2.6.d": Case("group", header(destination=US), TAKEN, TAKEN),
    "2.6.e": Case("group", header(destination=OUR_GLOBAL), TAKEN, TAKEN),
    "2.6.f": Case("group", header(destination=NODES), TAKEN, TAKEN),
    "2.6.g": Case("general", header(destination=OFF_LINK), "bad_dest", "bad_dest"),
    # 2.7 Router Alert of queries (7.6); in IGMP it is an option (conformance TH6).
    "2.7.a": Case("general", header(alert=False), TAKEN, "mld_no_ra"),
    "2.7.b": Case("group", header(alert=False), TAKEN, "mld_no_ra"),
    # 2.8 Length of queries (5.1.10, 5.1.12, 8.1).
    "2.8.a": Case("group", resized(3), TAKEN, TAKEN),
    "2.8.b": Case("source", patched({11: 2}, {27: 2}), "truncated", "truncated"),
    "2.8.c": Case("source", resized(16, 4), TAKEN, TAKEN),
    "2.8.d": Case("general", resized(-4), TAKEN, TAKEN),
    "2.8.e": Case("general", resized(-1), "bad_length", "bad_length"),
    # 2.9 to 2.12 The header of reports (5.2.13 to 5.2.15, 7.4).
    "2.9.a": Case("report", header(ttl=0), "igmp_ttl", "mld_hl"),
    "2.9.b": Case("report", header(ttl=2), "igmp_ttl", "mld_hl"),
    "2.9.c": Case("report", header(ttl=255), "igmp_ttl", "mld_hl"),
    "2.10.a": Case("report", header(source=lambda b: b.family.any), TAKEN, "mld_src"),
    "2.10.b": Case("report", header(source=lambda b: b.HIGH if b.newest == 3 else OUR_GLOBAL(b)), TAKEN, "mld_src"),
    "2.10.c": Case("report", header(source=OFF_LINK), TAKEN, "mld_src"),
    "2.10.d": Case("report", header(source=ROUTERS), "bad_source", "mld_src"),
    "2.11.a": Case("report", header(destination=US), TAKEN, TAKEN),
    "2.11.b": Case("report", header(destination=OUR_GLOBAL), TAKEN, TAKEN),
    "2.11.c": Case("report", header(destination=lambda b: b.G2), "bad_dest", "bad_dest"),
    "2.11.d": Case("report", header(destination=OFF_LINK), "bad_dest", "bad_dest"),
    "2.12.a": Case("report", header(alert=False), TAKEN, "mld_no_ra"),
    "2.12.b": Case("report", header(alert=False, destination=US), TAKEN, "mld_no_ra"),
    # 2.13 Length of reports (5.2.12; conformance I17).
    "2.13.a": Case("report", resized(5), TAKEN, TAKEN),
    "2.13.b": Case("report", resized(16, 4), TAKEN, TAKEN),
    "2.13.c": Case("report", patched({11: 2}, {11: 2}), "truncated", "truncated"),
    # 2.14 to 2.17 Fields of queries. IGMP has no code: the byte is the Max Resp Code.
    "2.14": Case("general", patched({0: 0x7F}, {0: 255}), "unknown_type", "unknown_type"),
    "2.15": Case("general", patched({1: 0x80}, {1: 9}), TAKEN, TAKEN),
    "2.16": Case("general", broken_checksum, "bad_checksum", TAKEN),
    "2.17": Case("general", patched({8: 0xF2}, {6: 0xAA, 7: 0xAA, 24: 0xF2}), TAKEN, TAKEN),
    # 2.18 The address field of queries.
    "2.18.a": Case("group", query_for(NODES), NOTHING, NOTHING),
    "2.18.b": Case("group", query_for(ROUTERS), NOTHING, NOTHING),
    "2.18.c": Case("group", query_for(ROUTERS, suppress=True), NOTHING, NOTHING),
    "2.18.d": Case("group", query_for(lambda b: b.G2), NOTHING, NOTHING),
    "2.18.e": Case("general", query_for(lambda b: b.family.any), TAKEN, TAKEN),
    "2.18.f": Case("group", query_for(US), "bad_group", "bad_group"),
    "2.18.g": Case("group", query_for(OUR_GLOBAL), "bad_group", "bad_group"),
    # 2.19 The number of sources of queries: of another router, and of the querier.
    "2.19.a": Case("group", header(), TAKEN, TAKEN),
    "2.19.b": Case("group", patched({11: 1}, {27: 1}), "truncated", "truncated"),
    "2.19.d": Case("source", patched({11: 2}, {27: 2}), "truncated", "truncated"),
    "2.19.e": Case("general", patched({11: 1}, {27: 1}), "truncated", "truncated"),
    "2.19.f": Case("source", patched({11: 2}, {27: 2}), "truncated", "truncated"),
    "2.21": Case("source", resized(7), TAKEN, TAKEN),
    # 2.22 to 2.24 Fields of reports.
    "2.22": Case("report", patched({0: 0x7F}, {0: 255}), "unknown_type", "unknown_type"),
    "2.23": Case("report", patched({1: 9, 4: 9, 5: 9}, {1: 9, 4: 9, 5: 9}), TAKEN, TAKEN),
    "2.24": Case("report", broken_checksum, "bad_checksum", TAKEN),
    # 2.25 The number of records.
    "2.25.a": Case("report", raw_report(0, good), NOTHING, NOTHING),
    "2.25.b": Case("report", raw_report(1, lambda b: b""), "truncated", "truncated"),
    "2.25.c": Case("report", raw_report(1, good), TAKEN, TAKEN),
    "2.25.d": Case("report", reporting(allow(4), allow(3)), TAKEN, TAKEN),
    # 2.26 Record types that are not known (5.2.12).
    "2.26.a": Case("report", raw_report(1, lambda b: raw_record(0, 0, 1, b.G, b.S(3))), NOTHING, NOTHING),
    "2.26.b": Case("report", raw_report(1, lambda b: raw_record(7, 0, 1, b.G, b.S(3))), NOTHING, NOTHING),
    "2.26.c": Case("report", raw_report(2, lambda b: raw_record(7, 0, 1, b.G, b.S(4)) + good(b)), TAKEN, TAKEN),
    # 2.27 Auxiliary data (5.2.6, 5.2.11): words that are there, and such as are not.
    "2.27.a": Case("report", raw_report(1, lambda b: raw_record(ALLOW, 0, 1, b.G, b.S(3))), TAKEN, TAKEN),
    "2.27.b": Case("report", raw_report(2, lambda b: good(b) + raw_record(ALLOW, 1, 1, b.G, b.S(4))), "cut", "cut"),
    "2.27.c": Case("report", raw_report(1, lambda b: raw_record(ALLOW, 1, 1, b.G, b.S(3))), "truncated", "truncated"),
    # 2.28 The number of sources of a record.
    "2.28.a": Case("report", reporting(allow()), NOTHING, NOTHING),
    "2.28.b": Case("report", raw_report(2, lambda b: good(b) + raw_record(ALLOW, 0, 1, b.G, b"")), "cut", "cut"),
    "2.28.c": Case("report", raw_report(1, lambda b: raw_record(ALLOW, 0, 1, b.G, b"")), "truncated", "truncated"),
    # 2.29 The address of a record.
    "2.29.a": Case("report", reporting(allow(3, group=lambda b: b.family.any)), "bad_group", "bad_group"),
    "2.29.b": Case("report", reporting(allow(3, group=US)), "bad_group", "bad_group"),
    "2.29.c": Case("report", reporting(allow(3, group=OUR_GLOBAL)), "bad_group", "bad_group"),
    "2.29.d": Case("report", reporting(allow(3, group=NODES)), NOTHING, NOTHING),
    "2.29.e": Case("report", reporting(allow(3, group=ROUTERS)), NOTHING, NOTHING),
    # 2.30 A source of a record that is none; beside it, one that is.
    "2.30.a": Case(
        "report", reporting(lambda b: Record(ALLOW, b.G, (b.family.any, b.S(3)))), "bad_source+", "bad_source+"
    ),
    "2.30.b": Case("report", reporting(lambda b: Record(ALLOW, b.G, (b.US, b.S(3)))), TAKEN, TAKEN),
    "2.30.c": Case("report", reporting(lambda b: Record(ALLOW, b.G, (OUR_GLOBAL(b), b.S(3)))), TAKEN, TAKEN),
    "2.30.d": Case("report", reporting(lambda b: Record(ALLOW, b.G, (NODES(b), b.S(3)))), "bad_source+", "bad_source+"),
    "2.30.e": Case(
        "report", reporting(lambda b: Record(ALLOW, b.G, (ROUTERS(b), b.S(3)))), "bad_source+", "bad_source+"
    ),
    # 2.31 Auxiliary data is passed over.
    "2.31": Case(
        "report",
        raw_report(2, lambda b: raw_record(ALLOW, 2, 1, b.G, b.S(4) + bytes(range(8))) + good(b)),
        TAKEN,
        TAKEN,
    ),
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.gmp)
@pytest.mark.parametrize("number", CASES)
def test_case(number: str, family: Family) -> None:
    case = CASES[number]
    control = prepared(family)
    receive(control, frame(control, case.base))
    assert is_taken(control, case.base), "the good message has no effect: the case would show nothing"
    bench = prepared(family)
    before = state(bench)
    receive(bench, case.change(frame(bench, case.base), bench))
    reasons = [reason for _, reason in bench.counts]
    expected = case.expected(family)
    queries = [query for query in bench.take_sent() if query.group != family.any]
    assert queries == [], "nothing is asked because of it"
    if expected == TAKEN:
        assert is_taken(bench, case.base)
        assert reasons == [""]
    elif expected == NOTHING:
        assert (reasons, state(bench)[3:]) == ([""], before[3:])
    elif expected.endswith("+") or expected == "cut":
        assert is_taken(bench, case.base), "what is good of it counts"
        assert expected.rstrip("+").replace("cut", "truncated") in reasons
    else:
        assert expected in reasons
        assert state(bench) == before, "a dropped message changes nothing"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.gmp)
def test_2_31_2_25_d_both_records_count(family: Family) -> None:
    for number in ("2.25.d", "2.31"):
        bench: Bench = prepared(family)
        receive(bench, CASES[number].change(frame(bench, "report"), bench))
        assert bench.lists()[1] == {2, 3, 4}
