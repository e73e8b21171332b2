"""MLD messages: golden bytes, floating codes, truncation, random bytes, and tshark's opinion."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from gmp_support import addresses, all_messages, ip_packet, newest_queries, reports, tshark
from hypothesis import given
from hypothesis import strategies as st

from pimpy.wire import igmp, mld
from pimpy.wire.family import IPV6, parse_address
from pimpy.wire.membership import (
    Leave,
    Message,
    OldReport,
    Query,
    Record,
    RecordType,
    Report,
    read_code,
    write_code,
)
from pimpy.wire.reader import Malformed

GROUP = parse_address("ff05::1:3")
S1 = parse_address("2001:db8::1")
S2 = parse_address("2001:db8::2")
G = "ff050000000000000000000000010003"
ZERO = "00" * 16

GOLDEN: dict[str, Message] = {
    "8200000027100000" + ZERO + "027d0000": Query(2, IPV6.any, 10.0, False, 2, 125.0),
    "8200000027100000" + ZERO: Query(1, IPV6.any, 10.0),
    "8200000003e80000" + G: Query(1, GROUP, 1.0),
    "8200000003e80000" + G + "0a7d0000": Query(2, GROUP, 1.0, True, 2, 125.0),
    "8200000003e80000" + G + "027d0002" + S1.hex() + S2.hex(): Query(2, GROUP, 1.0, False, 2, 125.0, (S1, S2)),
    "8300000000000000" + G: OldReport(1, GROUP),
    "8400000000000000" + G: Leave(GROUP),
    "8f000000000000010400 0000".replace(" ", "") + G: Report((Record(RecordType.CHANGE_TO_EXCLUDE_MODE, GROUP),)),
    "8f00000000000000": Report(()),
}


def reason_of(data: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        mld.decode(data)
    return caught.value.reason


@pytest.mark.parametrize(("text", "message"), GOLDEN.items())
def test_golden(text: str, message: Message) -> None:
    assert mld.encode(message).hex() == text
    assert mld.decode(bytes.fromhex(text)) == message


def test_M1_general_query_is_28_bytes() -> None:
    data = mld.encode_query(Query(2, IPV6.any, 10.0, False, 2, 125.0))
    assert (len(data), data[4:6], data[24], data[25]) == (28, (10000).to_bytes(2, "big"), 2, 125)


@pytest.mark.parametrize(("value", "code"), [(32767, 0x7FFF), (32768, 0x8000), (40000, 0x8388), (100000, 0x986A)])
def test_M6_floating_codes(value: int, code: int) -> None:
    assert write_code(value, 12) == code
    assert mld.encode_query(Query(2, IPV6.any, value / 1000))[4:6] == code.to_bytes(2, "big")
    assert read_code(code, 12) == value


@given(st.integers(0, 8387584))
def test_M6_a_code_is_exact_or_the_next_lower(value: int) -> None:
    code = write_code(value, 12)
    assert read_code(code, 12) <= value
    assert code == 0xFFFF or read_code(code + 1, 12) > value


def test_M6_every_code_is_its_own_number() -> None:
    assert all(write_code(read_code(code, 12), 12) == code for code in range(1 << 16))
    assert write_code(10**9, 12) == 0xFFFF


@pytest.mark.parametrize(("seconds", "code"), [(0.0, 0), (10.0, 10000), (40.0, 40000), (65.535, 65535), (70, 65535)])
def test_M12_maximum_response_code_of_version_1_is_linear(seconds: float, code: int) -> None:
    data = mld.encode_query(Query(1, IPV6.any, seconds))
    assert (len(data), int.from_bytes(data[4:6], "big")) == (24, code)


@pytest.mark.parametrize("length", [*range(4, 24), 25, 26, 27])
def test_M5_TH13_queries_of_other_lengths_are_dropped(length: int) -> None:
    assert reason_of((bytes.fromhex("8200000027100000" + ZERO + "027d0000"))[:length]) == "bad_length"


def test_M4_longer_reports_and_dones_are_taken() -> None:
    for text in ("8300000000000000" + G, "8400000000000000" + G):
        assert mld.decode(bytes.fromhex(text) + b"more of it") == GOLDEN[text]


def test_reserved_fields_are_ignored() -> None:
    assert mld.decode(bytes.fromhex("83ffffffffffffff" + G)) == OldReport(1, GROUP)
    assert mld.decode(bytes.fromhex("84ffffffffffffff" + G)) == Leave(GROUP)
    assert mld.decode(bytes.fromhex("8fffffffffff0000")) == Report(())
    read = mld.decode(bytes.fromhex("82ffffff03e8ffff" + G + "f27d0000"))
    assert read == Query(2, GROUP, 1.0, False, 2, 125.0)


def test_M3_bytes_behind_the_last_source_or_record_are_ignored() -> None:
    for text, message in GOLDEN.items():
        if isinstance(message, Report) or (isinstance(message, Query) and message.version == 2):
            assert mld.decode(bytes.fromhex(text) + b"tail") == message


def test_M3_unknown_types_are_none() -> None:
    for kind in set(range(256)) - set(mld.TYPE_NAMES):
        assert mld.decode(bytes((kind,)) + bytes(30)) is None
        assert mld.type_name(bytes((kind,))) is None


def record(kind: int, words: int, group: bytes, *sources: bytes, count: int | None = None) -> bytes:
    number = len(sources) if count is None else count
    return bytes((kind, words)) + number.to_bytes(2, "big") + group + b"".join(sources)


def report(*records: bytes, count: int | None = None) -> bytes:
    number = len(records) if count is None else count
    return bytes((143, 0, 0, 0, 0, 0)) + number.to_bytes(2, "big") + b"".join(records)


def test_I17_auxiliary_data_and_unknown_record_types_are_skipped() -> None:
    data = report(record(1, 2, GROUP, S1) + bytes(8), record(9, 1, GROUP, S2) + bytes(4), record(4, 0, GROUP))
    assert mld.decode(data) == Report((Record(1, GROUP, (S1,)), Record(4, GROUP)))


def test_I17_a_record_past_the_end_stops_the_reading_and_is_told() -> None:
    first = record(5, 0, GROUP, S1)
    kept = (Record(5, GROUP, (S1,)),)
    for rest in (b"", b"\x05", record(5, 0, GROUP, S1, count=2), record(5, 1, GROUP)):
        assert mld.decode(report(first, rest)) == Report(kept, cut=True)
    assert mld.decode(report(first, count=65535)) == Report(kept, cut=True)


def test_V5_truncated_at_every_length() -> None:
    for text, message in GOLDEN.items():
        data = bytes.fromhex(text)
        for length in range(len(data)):
            try:
                shorter = mld.decode(data[:length])
            except Malformed as error:
                assert error.reason in ("truncated", "bad_length")
            else:
                assert shorter != message
                assert isinstance(shorter, Report | Query)


def test_ValueError_for_versions_that_there_are_not() -> None:
    for version in (0, 3):
        with pytest.raises(ValueError):
            mld.encode(Query(version, GROUP, 1.0))
    with pytest.raises(ValueError):
        mld.encode(OldReport(2, GROUP))


@given(st.one_of(reports(IPV6), st.builds(OldReport, st.just(1), addresses(IPV6))))
def test_round_trip_of_reports(message: Message) -> None:
    assert mld.decode(mld.encode(message)) == message


@given(newest_queries(IPV6, 2))
def test_round_trip_of_queries(query: Query) -> None:
    data = mld.encode(query)
    read = mld.decode(data)
    assert isinstance(read, Query)
    assert (read.group, read.suppress, read.robustness, read.sources) == (
        query.group,
        query.suppress,
        query.robustness,
        query.sources,
    )
    assert read.max_response <= query.max_response + 1e-6
    assert mld.encode(read) == data


@given(st.sampled_from(list(mld.TYPE_NAMES)), st.binary(max_size=150))
def test_V5_no_bytes_raise_anything_but_malformed(kind: int, rest: bytes) -> None:
    try:
        message = mld.decode(bytes((kind,)) + rest)
    except Malformed:
        return
    assert message is not None


def test_M7_capacities_at_mtu_1500() -> None:
    assert mld.query_capacity(1500) == 89
    assert mld.report_capacity(1500) == 89
    assert mld.query_capacity(1280) == 75
    assert mld.query_capacity(0) == 1


def test_M1_tshark_reads_every_message(tmp_path: Path) -> None:
    sources = [S1[:-2] + number.to_bytes(2, "big") for number in range(1, 90)]
    messages = all_messages((1,), 2, GROUP, sources)
    ours = parse_address("fe80::1")
    packets = [ip_packet(IPV6, ours, GROUP, mld.encode(message)) for message in messages]
    assert max(map(len, packets)) == 1500
    fields = ("icmpv6.type", "icmpv6.checksum.status", "icmpv6.mld.maximum_response_code")
    names = ("multicast_address", "nb_sources", "flag.s", "flag.qrv", "source_address")
    queries = [f"icmpv6.mld.{name}" for name in names]
    records = ("icmpv6.mldr.nb_mcast_records", "icmpv6.mldr.mar.record_type", "icmpv6.mldr.mar.source_address")
    rows = tshark(tmp_path, packets, *fields, *queries, *records)
    assert len(rows) == len(messages)
    for message, row in zip(messages, rows, strict=True):
        data = mld.encode(message)
        complaint, kind, status, response, group, count, suppress, robustness, listed, number, kinds, named = row
        assert complaint == ""
        assert (kind, status) == (str(data[0]), "1")
        if isinstance(message, Report):
            assert int(number) == len(message.records)
            assert kinds == ",".join(str(one.type) for one in message.records)
            assert len(named.split(",")) == max(1, sum(len(one.sources) for one in message.records))
            continue
        assert ip_address(group).packed == message.group
        if isinstance(message, Query) and message.version == 2:
            assert int(response) == message.max_response * 1000
            assert (int(count), suppress, robustness) == (
                len(message.sources),
                str(int(message.suppress)),
                str(message.robustness),
            )
            assert len(listed.split(",")) == max(1, len(message.sources))


def test_tshark_would_complain(tmp_path: Path) -> None:
    good = ip_packet(IPV6, parse_address("fe80::1"), GROUP, mld.encode(Query(2, GROUP, 1.0)))
    short = ip_packet(IPV6, parse_address("fe80::1"), GROUP, mld.encode(Query(2, GROUP, 1.0, sources=(S1,)))[:-1])
    wrong = good[:-1] + b"?"
    assert [bool(row[0]) for row in tshark(tmp_path, [good, short, wrong])] == [False, True, True]


def test_RFC4286_3_2_numbers_that_do_not_fit_are_told_as_large_as_they_can_be() -> None:
    for codec in (igmp, mld):
        assert codec.encode_advertisement(20, 125, 2)[4:8] == b"\0\x7d\0\2"
        assert codec.encode_advertisement(20, 0xFFFF, 0xFFFF)[4:8] == b"\xff" * 4
        assert codec.encode_advertisement(20, 0x10000, 0x10000)[4:8] == b"\xff" * 4


def test_M7_at_least_one_source_is_told_and_a_report_holds_one_less_than_a_byte_would_do() -> None:
    """40 bytes of IPv6, 8 of Router Alert; 28 of a query; 8 and 20 of a report with one record; 16 of a source."""
    assert [mld.query_capacity(mtu) for mtu in (76 + 31, 76 + 32, 100)] == [1, 2, 1]
    assert [mld.report_capacity(mtu) for mtu in (76 + 31, 76 + 32, 60, 92)] == [1, 2, 1, 1]
