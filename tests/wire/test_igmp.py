"""IGMP messages: golden bytes, floating codes, truncation, random bytes, and tshark's opinion."""

from __future__ import annotations

from pathlib import Path

import pytest
from gmp_support import addresses, all_messages, ip_packet, newest_queries, reports, tshark
from hypothesis import given
from hypothesis import strategies as st

from pimpy.wire import igmp
from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import IPV4, parse_address
from pimpy.wire.membership import (
    Leave,
    Message,
    OldReport,
    Query,
    Record,
    RecordType,
    Report,
    read_code,
    ticks,
    write_code,
)
from pimpy.wire.reader import Malformed

GROUP = parse_address("239.1.2.3")
S1 = parse_address("10.0.0.1")
S2 = parse_address("10.0.0.2")

GOLDEN: dict[str, Message] = {
    "1164ec1e00000000027d0000": Query(3, IPV4.any, 10.0, False, 2, 125.0),
    "1164ee9b00000000": Query(2, IPV4.any, 10.0),
    "1100eeff00000000": Query(1, IPV4.any, 10.0),
    "110afdf0ef010203": Query(2, GROUP, 1.0),
    "110af373ef0102030a7d0000": Query(3, GROUP, 1.0, True, 2, 125.0),
    "110ae76eef010203027d00020a0000010a000002": Query(3, GROUP, 1.0, False, 2, 125.0, (S1, S2)),
    "1200fcfaef010203": OldReport(1, GROUP),
    "1600f8faef010203": OldReport(2, GROUP),
    "1700f7faef010203": Leave(GROUP),
    "2200e8f90000000104000000ef010203": Report((Record(RecordType.CHANGE_TO_EXCLUDE_MODE, GROUP),)),
    "2200ddff00000000": Report(()),
}


def fixed(data: bytes) -> bytes:
    """`data` with the checksum that it ought to have."""
    blank = data[:2] + b"\0\0" + data[4:]
    return blank[:2] + internet_checksum(blank).to_bytes(2, "big") + blank[4:]


def reason_of(data: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        igmp.decode(data)
    return caught.value.reason


@pytest.mark.parametrize(("text", "message"), GOLDEN.items())
def test_golden(text: str, message: Message) -> None:
    assert igmp.encode(message).hex() == text
    assert igmp.decode(bytes.fromhex(text)) == message


def test_I1_general_query_is_12_bytes() -> None:
    data = igmp.encode_query(Query(3, IPV4.any, 10.0, False, 2, 125.0))
    assert (len(data), data[1], data[8], data[9]) == (12, 100, 2, 125)


@pytest.mark.parametrize(("value", "code"), [(127, 0x7F), (128, 0x80), (200, 0x89), (1000, 0xAF), (3600, 0xCC)])
def test_I4_floating_codes(value: int, code: int) -> None:
    assert write_code(value, 4) == code
    assert igmp.encode_query(Query(3, IPV4.any, 10.0, False, 2, value))[9] == code


def test_I4_floating_codes_at_the_end() -> None:
    assert write_code(31744, 4) == write_code(10**6, 4) == 0xFF
    assert read_code(0xAF, 4) == 992
    assert read_code(0xCC, 4) == 3584
    assert read_code(0xFF, 4) == 31744


@given(st.integers(0, 31744))
def test_I4_a_code_is_exact_or_the_next_lower(value: int) -> None:
    code = write_code(value, 4)
    assert read_code(code, 4) <= value
    assert code == 255 or read_code(code + 1, 4) > value


@pytest.mark.parametrize("code", range(256))
def test_I4_every_code_is_its_own_number(code: int) -> None:
    assert write_code(read_code(code, 4), 4) == code


def test_I4_a_robustness_above_7_is_not_told() -> None:
    assert igmp.encode_query(Query(3, IPV4.any, 10.0, False, 8, 125.0))[8] == 0


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1.1, 2.3, 2.9, 12.7])
def test_I1_tenths_are_exact(seconds: float) -> None:
    assert igmp.encode_query(Query(3, IPV4.any, seconds))[1] == round(seconds * 10)


@pytest.mark.parametrize(("seconds", "code"), [(0.0, 1), (0.1, 1), (12.8, 128), (25.5, 255), (60.0, 255)])
def test_I15_max_resp_of_version_2_is_linear(seconds: float, code: int) -> None:
    data = igmp.encode_query(Query(2, IPV4.any, seconds))
    assert (len(data), data[1]) == (8, code)


def test_I15_version_1_is_8_bytes_with_max_resp_0() -> None:
    assert igmp.encode_query(Query(1, IPV4.any, 10.0)).hex() == "1100eeff00000000"


@pytest.mark.parametrize("length", [*range(4, 8), 9, 10, 11])
def test_I14_TH13_queries_of_other_lengths_are_dropped(length: int) -> None:
    assert reason_of(fixed(bytes.fromhex("1164ec1e00000000027d0000")[:length])) == "bad_length"


def test_I14_a_query_of_8_bytes_is_version_1_or_2() -> None:
    assert igmp.decode(fixed(bytes.fromhex("110000000a000001"))) == Query(1, bytes((10, 0, 0, 1)), 10.0)
    assert igmp.decode(fixed(bytes.fromhex("11ff000000000000"))) == Query(2, IPV4.any, 25.5)


@pytest.mark.parametrize("kind", [igmp.REPORT_V1, igmp.REPORT_V2, igmp.LEAVE])
def test_I14_longer_reports_and_leaves_are_taken_and_summed_whole(kind: int) -> None:
    data = fixed(bytes((kind, 99, 0, 0)) + GROUP + b"more of it")
    message = igmp.decode(data)
    assert isinstance(message, OldReport | Leave)
    assert message.group == GROUP
    assert reason_of(data[:-1] + b"?") == "bad_checksum"


def test_I25_the_checksum_is_verified_first() -> None:
    for text in GOLDEN:
        data = bytes.fromhex(text)
        for position in range(len(data)):
            wrong = data[:position] + bytes((data[position] ^ 0x10,)) + data[position + 1 :]
            assert reason_of(wrong) == "bad_checksum"


def test_I25_bytes_behind_the_last_source_or_record_are_ignored() -> None:
    for text in ("110ae76eef010203027d00020a0000010a000002", "2200e8f90000000104000000ef010203"):
        assert igmp.decode(fixed(bytes.fromhex(text) + b"tail")) == GOLDEN[text]


def test_I25_unknown_types_are_none() -> None:
    for kind in set(range(256)) - set(igmp.TYPE_NAMES):
        assert igmp.decode(fixed(bytes((kind, 0, 0, 0)))) is None
        assert igmp.type_name(bytes((kind,))) is None


def record(kind: int, words: int, group: bytes, *sources: bytes, count: int | None = None) -> bytes:
    number = len(sources) if count is None else count
    return bytes((kind, words)) + number.to_bytes(2, "big") + group + b"".join(sources)


def report(*records: bytes, count: int | None = None) -> bytes:
    number = len(records) if count is None else count
    return fixed(bytes((0x22, 0, 0, 0, 0, 0)) + number.to_bytes(2, "big") + b"".join(records))


def test_I17_auxiliary_data_counts_in_words_and_is_skipped() -> None:
    data = report(record(1, 2, GROUP, S1) + bytes(8), record(4, 0, GROUP))
    assert igmp.decode(data) == Report((Record(1, GROUP, (S1,)), Record(4, GROUP)))


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_I17_records_of_unknown_types_are_skipped(kind: int) -> None:
    data = report(record(kind, 1, GROUP, S1, S2) + bytes(4), record(5, 0, GROUP, S2))
    assert igmp.decode(data) == Report((Record(5, GROUP, (S2,)),))


def test_I17_a_record_past_the_end_stops_the_reading_and_is_told() -> None:
    first = record(5, 0, GROUP, S1)
    kept = (Record(5, GROUP, (S1,)),)
    for rest in (b"", b"\x05", record(5, 0, GROUP), record(5, 0, GROUP, S1, count=2), record(5, 1, GROUP)):
        complete = rest == record(5, 0, GROUP)
        expected = Report((*kept, Record(5, GROUP)) if complete else kept, cut=not complete)
        assert igmp.decode(report(first, rest)) == expected
    assert igmp.decode(report(first, count=65535)) == Report(kept, cut=True)
    assert igmp.decode(report(record(5, 255, GROUP, count=65535))) == Report((), cut=True)


def test_a_query_that_promises_more_sources_than_it_has() -> None:
    data = bytes.fromhex("110ae76eef010203027d00020a0000010a000002")
    assert reason_of(fixed(data[:-1])) == "truncated"
    assert reason_of(fixed(data[:12])) == "truncated"


def test_V5_truncated_at_every_length() -> None:
    for text, message in GOLDEN.items():
        data = bytes.fromhex(text)
        for length in range(len(data)):
            try:
                shorter = igmp.decode(fixed(data[:length]) if length >= 4 else data[:length])
            except Malformed as error:
                assert error.reason in ("truncated", "bad_length")
            else:
                assert shorter != message
                assert isinstance(shorter, Report | Query)


def test_ValueError_for_versions_that_there_are_not() -> None:
    for version in (0, 4):
        with pytest.raises(ValueError):
            igmp.encode(Query(version, GROUP, 1.0))
    with pytest.raises(ValueError):
        igmp.encode(OldReport(3, GROUP))


@given(st.one_of(reports(IPV4), st.builds(OldReport, st.sampled_from([1, 2]), addresses(IPV4))))
def test_round_trip_of_reports(message: Message) -> None:
    assert igmp.decode(igmp.encode(message)) == message


@given(newest_queries(IPV4, 3))
def test_round_trip_of_queries(query: Query) -> None:
    data = igmp.encode(query)
    read = igmp.decode(data)
    assert isinstance(read, Query)
    assert (read.group, read.suppress, read.robustness, read.sources) == (
        query.group,
        query.suppress,
        query.robustness,
        query.sources,
    )
    assert read.max_response <= query.max_response + 1e-6
    assert igmp.encode(read) == data


@given(st.sampled_from(list(igmp.TYPE_NAMES)), st.binary(max_size=80))
def test_V5_no_bytes_raise_anything_but_malformed(kind: int, rest: bytes) -> None:
    data = bytes((kind,)) + rest
    for candidate in (data, fixed(data) if len(data) >= 4 else data):
        try:
            message = igmp.decode(candidate)
        except Malformed:
            continue
        assert message is not None


def test_I10_capacities_at_mtu_1500() -> None:
    assert igmp.query_capacity(1500) == 366
    assert igmp.report_capacity(1500) == 365
    assert igmp.query_capacity(68) == 8
    assert igmp.query_capacity(0) == 1


def test_I25_tshark_reads_every_message(tmp_path: Path) -> None:
    sources = [bytes((10, 0, number >> 8, number & 255)) for number in range(1, 367)]
    messages = all_messages((1, 2), 3, GROUP, sources)
    packets = [ip_packet(IPV4, bytes((10, 0, 0, 1)), GROUP, igmp.encode(message)) for message in messages]
    assert max(map(len, packets)) == 1500
    fields = ("igmp.type", "igmp.version", "igmp.maddr", "igmp.num_src", "igmp.num_grp_recs", "igmp.checksum.status")
    rows = tshark(tmp_path, packets, *fields, "igmp.s", "igmp.qrv", "igmp.qqic", "igmp.max_resp", "igmp.saddr")
    assert len(rows) == len(messages)
    for message, row in zip(messages, rows, strict=True):
        complaint, kind, version, groups, counts, records, status, *query = row
        assert complaint == ""
        assert status == "1"
        assert int(kind, 0) == igmp.encode(message)[0]
        if isinstance(message, Report):
            assert int(records) == len(message.records)
            assert groups.split(",") == ["239.1.2.3"] * len(message.records) if message.records else groups == ""
        else:
            assert groups == ".".join(map(str, message.group))
        if isinstance(message, Query):
            assert version == str(message.version)
            if message.version == 3:
                assert int(counts) == len(message.sources)
                assert query[:2] == [str(int(message.suppress)), str(message.robustness)]
                assert len(query[4].split(",")) == len(message.sources) or not message.sources


def test_tshark_would_complain(tmp_path: Path) -> None:
    query = igmp.encode(Query(3, GROUP, 1.0, sources=(S1,)))
    packets = [ip_packet(IPV4, S1, GROUP, data) for data in (query, fixed(query[:-1]), query[:-1] + b"?")]
    assert [bool(row[0]) for row in tshark(tmp_path, packets)] == [False, True, True]


@pytest.mark.parametrize(
    ("seconds", "unit", "number"),
    [(0.3, 10, 3), (0.1 + 0.2, 10, 3), (0.39, 10, 3), (2.3, 1000, 2300), (0.0009, 1000, 0), (0.001, 1000, 1)],
)
def test_a_time_is_rounded_down_to_the_fields_unit_but_for_what_floats_lack(
    seconds: float, unit: int, number: int
) -> None:
    assert ticks(seconds, unit) == number


def test_a_time_is_never_negative() -> None:
    assert [ticks(seconds, 10) for seconds in (-5.0, -0.05, 0.0)] == [0, 0, 0]
