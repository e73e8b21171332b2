"""Cases of the MLDv2 router conformance suite about the queries we send, and about several interfaces.

The bytes of a query are typed here from RFC 9777 5.1 and, for the twin, RFC 9776 4.1; `QUERY` finds a field.
"""

from __future__ import annotations

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, TO_IN, Bench
from stand import Stand

from pimpy.config.model import Config
from pimpy.core.gmp import GmpSettings
from pimpy.wire.checksum import is_sound
from pimpy.wire.family import FAMILIES, IPV4, Address, Family, Prefix

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.gmp)


class Wire(Bench):
    """A bench that keeps the bytes too."""

    def __init__(self, family: Family, settings: GmpSettings | None = None, **more: object) -> None:
        self.raw: list[tuple[Address, bytes]] = []
        super().__init__(family, settings, start=False, **more)
        self.m.start(self.US)

    def _send(self, destination: Address, data: bytes) -> None:
        self.raw.append((destination, data))
        super()._send(destination, data)


def response_code(family: Family, data: bytes) -> int:
    return data[1] if family is IPV4 else int.from_bytes(data[4:6], "big")


def tail(family: Family, data: bytes) -> tuple[int, int, int, bytes]:
    """Flags with QRV, QQIC, number of sources, the sources."""
    rest = data[8:] if family is IPV4 else data[24:]
    return rest[0], rest[1], int.from_bytes(rest[2:4], "big"), rest[4:]


@both
def test_1_1_general_queries_at_the_start_and_then(family: Family) -> None:
    bench = Wire(family)
    bench.to(300.0)
    assert [time for time, destination, _ in bench.sent if destination == family.all_hosts] == [
        0,
        31.25,
        156.25,
        281.25,
    ]


@both
def test_1_2_a_robustness_3_query_interval_60(family: Family) -> None:
    bench = Wire(family, GmpSettings(robustness=3, query_interval=60.0))
    bench.to(95.0)
    assert [time for time, _, _ in bench.sent] == [0, 15, 30, 90]
    assert {tail(family, data)[:2] for _, data in bench.raw} == {(3, 60)}


@both
def test_1_2_b_a_robustness_that_does_not_fit(family: Family) -> None:
    bench = Wire(family, GmpSettings(robustness=8))
    assert tail(family, bench.raw[0][1])[0] == 0


@both
@pytest.mark.parametrize(
    ("number", "interval", "code"),
    [("1.3.a", 127, 127), ("1.3.b", 128, 0x80), ("1.3.c", 160, 0x84), ("1.3.d", 164, 0x84), ("1.3.e", 31744, 0xFF)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_1_3_query_interval(family: Family, number: str, interval: int, code: int) -> None:
    bench = Wire(family, GmpSettings(query_interval=float(interval)))
    assert tail(family, bench.raw[0][1])[1] == code
    bench.to(interval / 4 + interval - 0.5)
    assert len(bench.sent) == 2
    bench.to(interval / 4 + interval)
    assert len(bench.sent) == 3


@both
@pytest.mark.parametrize(
    ("number", "milliseconds", "interval", "igmp", "mld"),
    [
        ("1.4.a", 32767, 132, 0x94, 0x7FFF),
        ("1.4.b", 32768, 132, 0x94, 0x8000),
        ("1.4.c", 40000, 160, 0x99, 0x8388),
        ("1.4.d", 40007, 161, 0x99, 0x8388),
        ("1.4.e", 128000, 512, 0xB4, 0x9F40),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_1_4_query_response_interval(
    family: Family, number: str, milliseconds: int, interval: int, igmp: int, mld: int
) -> None:
    settings = GmpSettings(query_interval=float(interval), query_response_interval=milliseconds / 1000)
    bench = Wire(family, settings)
    assert response_code(family, bench.raw[0][1]) == (igmp if family is IPV4 else mld)


@both
def test_2_1_general_query_byte_by_byte(family: Family) -> None:
    (destination, data), *_ = Wire(family).raw
    assert destination == family.all_hosts
    if family is IPV4:
        assert (data[0], data[1], data[4:]) == (0x11, 100, bytes.fromhex("00000000 02 7d 0000"))
        assert is_sound(data)
    else:
        assert (data[0], data[1], data[4:]) == (130, 0, bytes.fromhex("2710 0000" + "00" * 16 + "02 7d 0000"))


@both
def test_2_2_query_for_an_address_byte_by_byte(family: Family) -> None:
    bench = Wire(family)
    bench.record(IS_EX)
    bench.raw.clear()
    bench.record(TO_IN)
    ((destination, data),) = bench.raw
    head = bytes((0x11, 10)) if family is IPV4 else bytes((130, 0))
    middle = b"" if family is IPV4 else bytes.fromhex("03e80000")
    assert destination == bench.G
    assert data[:2] + data[4:] == head + middle + bench.G + bytes((2, 125, 0, 0))


@both
def test_2_3_query_for_sources_byte_by_byte(family: Family) -> None:
    bench = Wire(family)
    bench.record(ALLOW, [1, 2])
    bench.raw.clear()
    bench.record(BLOCK, [2])
    ((destination, data),) = bench.raw
    head = bytes((0x11, 10)) if family is IPV4 else bytes((130, 0))
    middle = b"" if family is IPV4 else bytes.fromhex("03e80000")
    assert destination == bench.G
    assert data[:2] + data[4:] == head + middle + bench.G + bytes((2, 125, 0, 1)) + bench.S(2)


@both
@pytest.mark.parametrize("number", ["4.28.a", "4.28.b"])
def test_4_28_long_lists_are_asked_for_in_queries_that_fit(family: Family, number: str) -> None:
    """1000 sources of the include list, or of the requested list, which its last member leaves."""
    bench = Wire(family)
    if number == "4.28.b":
        bench.record(IS_EX)
    numbers = range(1, 1001)
    bench.record(ALLOW, numbers)
    bench.raw.clear()
    bench.record(BLOCK, numbers)
    most = 366 if family is IPV4 else 89
    header = 24 if family is IPV4 else 48
    asked: list[bytes] = []
    for _, data in bench.raw:
        flags, _, count, sources = tail(family, data)
        assert (flags & 0x08, count <= most, len(data) + header <= 1500) == (0, True, True)
        assert len(sources) == count * family.size
        asked += [sources[at : at + family.size] for at in range(0, len(sources), family.size)]
    assert sorted(asked) == sorted(bench.S(number) for number in numbers)
    assert len(bench.raw) == -(-1000 // most)


# Several interfaces.


def stand(family: Family, **settings: object) -> Stand:
    return Stand(family, config=Config(**settings))  # type: ignore[arg-type]


def groups(on: Stand, link: str) -> set[tuple[str, str]]:
    rows = [row for row in on.rows("gmp_groups") if row.interface == link]
    return {(row.group_address, row.filter_mode) for row in rows if row.row == "group"}


@both
def test_1_7_a_each_link_has_its_own_list(family: Family) -> None:
    on = stand(family)
    source, group = on.channel()
    assert groups(on, "down") == set()
    on.host("down").join(group, source)
    on.run(2)
    assert (len(groups(on, "down")), groups(on, "up")) == (1, set())


@both
def test_1_7_b_an_update_on_one_link_is_none_on_the_other(family: Family) -> None:
    on = stand(family)
    source, group = on.channel()
    down, up = on.host("down"), on.host("up")
    down.join(group, source)
    up.join(group, source)
    on.run(2)
    down.leave(group, source)
    on.run(5)
    assert (groups(on, "down"), len(groups(on, "up"))) == (set(), 1)


@both
def test_1_7_c_each_link_elects_its_own_querier(family: Family) -> None:
    from speakers import CODECS, Packet

    from pimpy.wire.membership import Query

    on = stand(family)
    lower = on.host("down", 1)
    query = Query(3 if family is IPV4 else 2, family.any, 10.0, False, 2, 125.0)
    data = CODECS[family.gmp].encode(query)
    assert on.row("gmp_interfaces", interface="down").is_querier
    lower.link.transmit(lower, Packet(family.gmp, lower.address, family.all_hosts, data))
    on.run(1)
    assert not on.row("gmp_interfaces", interface="down").is_querier
    assert on.row("gmp_interfaces", interface="up").is_querier


@both
def test_1_8_two_interfaces_in_one_link(family: Family) -> None:
    """One of the two falls silent like any other router; both know the members."""
    one, two = Bench(family), Bench(family)
    two.m.stop()
    two.m.start(two.HIGH)
    for bench in (one, two):
        bench.m.is_own = lambda address, bench=bench: address == bench.m.querier.address
    assert two.query(one.US, robustness=2, interval=125.0) == ""
    assert one.query(two.HIGH, robustness=2, interval=125.0) == ""
    assert (one.interface_row().is_querier, two.interface_row().is_querier) == (True, False)
    for bench in (one, two):
        bench.record(IS_EX)
        assert bench.m.wants_any(bench.G)


@both
@pytest.mark.parametrize("number", ["5.4.a", "5.4.b"])
def test_5_4_the_older_versions_mode_is_one_of_the_interface(family: Family, number: str) -> None:
    """5.4.a: an older host on one interface changes nothing on another; 5.4.b: nor does its time there."""
    one, two = Bench(family), Bench(family)
    older = one.newest - 1
    one.old_report(older)
    for bench in (one, two):
        bench.to(100.0)
        bench.record(IS_EX)
        if number == "5.4.b":
            bench.to(260.0)
    two.record(BLOCK, [1])
    one.record(BLOCK, [1])
    assert two.lists() == ("exclude", {1}, set())
    expected: tuple[str, set[int], set[int]]
    expected = ("exclude", set(), set()) if number == "5.4.a" else ("exclude", {1}, set())
    assert one.lists() == expected


@both
def test_6_1_b_a_configured_range(family: Family) -> None:
    group = Stand(family).group()
    wide = Prefix(b"\xef" + bytes(3), 8) if family is IPV4 else Prefix(b"\xff\x1e" + bytes(14), 16)
    on = stand(family, **{f"ssm_ranges{4 if family is IPV4 else 6}": (wide,)})
    host = on.host()
    host.want_any(group)
    inside = bytes((*wide.network[:2], *bytes(family.size - 3), 5))
    host.want_any(inside)
    host.join(inside[:-1] + b"\x06", on.channel()[0])
    on.run(2)
    modes = dict(groups(on, "down"))
    assert sorted(modes.values()) == ["exclude", "include"], "any source outside the range, named ones inside"
