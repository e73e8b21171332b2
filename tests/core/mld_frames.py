"""Messages with one thing wrong with them: the second group of the MLDv2 router conformance suite.

Each case changes a good message, a query or a report, and says what becomes of it: `taken` as if nothing were wrong,
or the reason word under which it is dropped; in IGMP and in MLD. Offsets are those of RFC 9777 5.1 and 5.2 and of
RFC 9776 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Callable

from gmp_bench import ALLOW, IS_EX, Bench

from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.membership import Query, Record, Report
from pimpy.wire.record import define, evolve

TAKEN = "taken"


@define
class Frame:
    """A message and its header."""

    data: bytes
    source: Address
    destination: Address
    ttl: int = 1
    alert: bool = True


Change = Callable[[Frame, Bench], Frame]


@define
class Case:
    """A base message (`general`, `group` or `source` query; `report` ALLOW(3)), a change, and what becomes of it."""

    base: str
    change: Change
    igmp: str
    mld: str

    def expected(self, family: Family) -> str:
        return self.igmp if family is IPV4 else self.mld


def prepared(family: Family) -> Bench:
    """A bench that excludes source 1, requests source 2, at 10 s; the link's own subnet is known."""
    on_link = parse_address("10.0.0.0")[:3]
    bench = Bench(family, on_link=lambda address: family is IPV6 or address[:3] == on_link)
    bench.record(IS_EX, [1])
    bench.record(ALLOW, [2])
    bench.to(10.0)
    bench.counts.clear()
    return bench


def frame(bench: Bench, base: str) -> Frame:
    """The good message; queries come from LOW, who would win an election."""
    family = bench.family
    if base == "report":
        report = Report((Record(ALLOW, bench.G, (bench.S(3),)),))
        return Frame(bench.codec.encode(report), bench.HOST, family.all_reports)
    group = family.any if base == "general" else bench.G
    sources = (bench.S(2),) if base == "source" else ()
    query = Query(bench.newest, group, 1.0, False, 2, 125.0, sources)
    return Frame(bench.codec.encode(query), bench.LOW, family.all_hosts if base == "general" else bench.G)


def receive(bench: Bench, message: Frame) -> None:
    bench.m.receive(message.source, message.destination, message.ttl, message.alert, message.data)


def state(bench: Bench) -> tuple[object, ...]:
    """What a message can change."""
    row = bench.interface_row()
    groups = [(r.row, r.group_address, getattr(r, "source_address", ""), r.expire) for r in bench.rows()]
    return row.is_querier, row.querier, row.robustness_variable, bench.lists(), bench.timers(), groups


def is_taken(bench: Bench, base: str) -> bool:
    """Whether the message had its effect."""
    group, sources = bench.timers()
    return {
        "general": not bench.interface_row().is_querier,
        "group": group == 2.0,
        "source": sources.get(2) == 2.0,
        "report": 3 in sources,
    }[base]


# Changes.


def header(**fields: object) -> Change:
    """Other fields of the IP header; a callable is asked with the bench."""

    def change(message: Frame, bench: Bench) -> Frame:
        values = {key: value(bench) if callable(value) else value for key, value in fields.items()}
        return evolve(message, **values)

    return change


def sealed(family: Family, data: bytes) -> bytes:
    """The bytes with the right checksum, which in MLD is the kernel's business."""
    if family is not IPV4:
        return data
    empty = data[:2] + b"\0\0" + data[4:]
    return empty[:2] + internet_checksum(empty).to_bytes(2, "big") + empty[4:]


def patched(igmp: dict[int, int], mld: dict[int, int]) -> Change:
    """Bytes at offsets, and the checksum made right again."""

    def change(message: Frame, bench: Bench) -> Frame:
        data = bytearray(message.data)
        for place, value in (igmp if bench.family is IPV4 else mld).items():
            data[place] = value
        return evolve(message, data=sealed(bench.family, bytes(data)))

    return change


def resized(by: int, igmp: int | None = None) -> Change:
    """So many bytes more, or fewer; counted in addresses where `igmp` says nothing else."""

    def change(message: Frame, bench: Bench) -> Frame:
        size = by if bench.family is not IPV4 or igmp is None else igmp
        data = message.data + bytes(range(1, size + 1)) if size > 0 else message.data[:size]
        return evolve(message, data=sealed(bench.family, data))

    return change


def broken_checksum(message: Frame, bench: Bench) -> Frame:
    return evolve(message, data=message.data[:2] + b"\x12\x34" + message.data[4:])


def query_for(group: Callable[[Bench], Address], *, suppress: bool = False) -> Change:
    """A query with this in its address field."""

    def change(message: Frame, bench: Bench) -> Frame:
        query = Query(bench.newest, group(bench), 1.0, suppress, 2, 125.0)
        return evolve(message, data=bench.codec.encode(query), destination=bench.family.all_hosts)

    return change


def reporting(*records: Callable[[Bench], Record]) -> Change:
    """A report of these records."""

    def change(message: Frame, bench: Bench) -> Frame:
        return evolve(message, data=bench.codec.encode(Report(tuple(record(bench) for record in records))))

    return change


def raw_record(kind: int, aux: int, count: int, group: Address, tail: bytes) -> bytes:
    return bytes((kind, aux)) + count.to_bytes(2, "big") + group + tail


def raw_report(count: int, build: Callable[[Bench], bytes]) -> Change:
    """A report of `count` records, as it says, and what follows."""

    def change(message: Frame, bench: Bench) -> Frame:
        kind = 0x22 if bench.family is IPV4 else 143
        data = bytes((kind, 0, 0, 0, 0, 0)) + count.to_bytes(2, "big") + build(bench)
        return evolve(message, data=sealed(bench.family, data))

    return change


def allow(*numbers: int, group: Callable[[Bench], Address] = lambda b: b.G) -> Callable[[Bench], Record]:
    return lambda b: Record(ALLOW, group(b), tuple(b.S(number) for number in numbers))


def both(*texts: str) -> Callable[[Bench], Address]:
    """An address for each family."""
    return lambda b: parse_address(texts[0] if b.family is IPV4 else texts[1])


OUR_GLOBAL = both("10.0.0.5", "2001:db8::5")
OFF_LINK = both("198.51.100.7", "2001:db8:ffff::7")
ROUTERS = lambda b: b.family.all_reports  # noqa: E731
NODES = lambda b: b.family.all_hosts  # noqa: E731
US = lambda b: b.US  # noqa: E731
SIZE = {IPV4: 4, IPV6: 16}


def good(b: Bench) -> bytes:
    """The record of the base message."""
    return raw_record(ALLOW, 0, 1, b.G, b.S(3))
