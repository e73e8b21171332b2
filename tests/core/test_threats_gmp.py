"""IGMP and MLD that others crashed on or believed (reliability.md 1.3, TH5 to TH14): dropped or used exactly as said.

A dropped message leaves the whole state of the router as it was, is counted under its reason, and the good message
beside it has its effect: the positive control.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from digest import digest
from speakers import CODECS, Packet
from stand import Stand

from pimpy.config.model import Config, Phyint
from pimpy.wire.checksum import internet_checksum
from pimpy.wire.family import FAMILIES, IPV4, IPV6, Address, Family, parse_address
from pimpy.wire.membership import Leave, OldReport, Query, Record, RecordType, Report

both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
ALLOW, IS_EX = RecordType.ALLOW_NEW_SOURCES, RecordType.MODE_IS_EXCLUDE
NEWEST = {IPV4: 3, IPV6: 2}
REPORT = {IPV4: "report_v3", IPV6: "report_v2"}


class Scene(Stand):
    """The stand, and a host that says what it likes on `down`."""

    def __init__(self, family: Family, phyint: Phyint | None = None) -> None:
        super().__init__(family, config=Config(phyints=(phyint,) if phyint is not None else ()))
        self.me = self.host("down", 66)

    def say(
        self,
        data: bytes,
        *,
        source: Address | None = None,
        to: Address | None = None,
        ttl: int = 1,
        alert: bool = True,
        good: bool = True,
    ) -> None:
        """A message on `down`, its checksum made right if `good`."""
        if self.family is IPV4 and good:
            empty = data[:2] + b"\0\0" + data[4:]
            data = empty[:2] + internet_checksum(empty).to_bytes(2, "big") + empty[4:]
        destination = to or self.family.all_reports
        packet = Packet(self.family.gmp, source or self.me.address, destination, data, ttl, alert)
        self.me.link.transmit(self.me, packet)
        self.run(0)

    def encoded(self, message: Report | OldReport | Leave | Query) -> bytes:
        return CODECS[self.family.gmp].encode(message)

    def control(self) -> None:
        """A good report of a channel has its effect."""
        channel = self.channel(7)
        self.say(self.encoded(Report((Record(ALLOW, channel[1], (channel[0],)),))))
        assert self.forwards(channel) == {"down"}

    def refused(self, reason: str, kind: str, act: Callable[[], None]) -> None:
        """`act` changes nothing and is counted once, under `reason`; then a good report is taken."""
        before, counted = digest(self.router), self.counted(reason, kind, self.family.gmp)
        act()
        assert digest(self.router) == before
        assert self.counted(reason, kind, self.family.gmp) == counted + 1
        self.control()

    def groups(self) -> set[str]:
        return {row.group_address for row in self.rows("gmp_groups") if row.row == "group"}


def head(family: Family, count: int) -> bytes:
    """The header of a report of `count` records."""
    return bytes((0x22 if family is IPV4 else 143, 0, 0, 0, 0, 0)) + count.to_bytes(2, "big")


def record(kind: int, aux: int, count: int, group: Address, rest: bytes = b"") -> bytes:
    return bytes((kind, aux)) + count.to_bytes(2, "big") + group + rest


@both
@pytest.mark.parametrize("what", ["records", "sources"])
def test_igmp3_src_count_mld_loop_counts_beyond_the_packet(family: Family, what: str) -> None:
    scene = Scene(family)
    group = scene.group()
    body = head(family, 65535 if what == "records" else 1)
    body += b"" if what == "records" else record(ALLOW, 0, 65535, group, bytes(family.size))
    before = digest(scene.router)
    scene.say(body)
    assert digest(scene.router) == before
    assert scene.counted("truncated", REPORT[family], family.gmp) == 1
    scene.control()


@both
def test_igmp3_5000src_thousands_of_sources_are_learnt_and_asked_for(family: Family) -> None:
    scene = Scene(family)
    group, first = scene.group(), int.from_bytes(scene.channel()[0], "big")
    sources = tuple((first + number).to_bytes(family.size, "big") for number in range(5500))
    for at in range(0, 5500, 80):
        scene.say(scene.encoded(Report((Record(ALLOW, group, sources[at : at + 80]),))))
    assert scene.row("gmp_interfaces", interface="down").sources_count == 5500
    scene.down.forget()
    scene.say(scene.encoded(Report((Record(RecordType.CHANGE_TO_INCLUDE_MODE, group, ()),))))
    scene.run(3)
    assert scene.groups() == set()
    scene.control()


@both
def test_igmp3_65k_one_report_of_64_kilobytes(family: Family) -> None:
    """As many sources as a group may have; the rest of them is refused and told, and it costs no other group."""
    scene = Scene(family, Phyint("down", max_sources=256))
    group, first = scene.group(), int.from_bytes(scene.channel()[0], "big")
    count = 65000 // family.size
    sources = tuple((first + number).to_bytes(family.size, "big") for number in range(count))
    scene.say(scene.encoded(Report((Record(ALLOW, group, sources),))))
    assert scene.row("gmp_interfaces", interface="down").sources_count == 256
    assert scene.counted("source_limit", REPORT[family], family.gmp) == 1
    scene.control()


@both
def test_igmp3_auxlen_aux_data_counts_words(family: Family) -> None:
    scene = Scene(family)
    one, two = scene.channel(1), scene.channel(2)
    body = (
        head(family, 2) + record(ALLOW, 255, 1, one[1], one[0] + bytes(255 * 4)) + record(ALLOW, 0, 1, two[1], two[0])
    )
    scene.say(body)
    assert scene.forwards(one) == {"down"} == scene.forwards(two)
    other = Scene(family)
    other.refused(
        "truncated", REPORT[family], lambda: other.say(head(family, 1) + record(ALLOW, 255, 1, one[1], one[0]))
    )


def test_igmp3_freebsd_a_count_that_overflows_16_bits_times_4() -> None:
    scene = Scene(IPV4)
    body = head(IPV4, 1) + record(ALLOW, 0, 0x4001, scene.group(), bytes((10, 9, 0, 1)))
    scene.refused("truncated", "report_v3", lambda: scene.say(body))


@both
def test_igmp_proxy_type_every_unknown_type(family: Family) -> None:
    scene = Scene(family)
    known = {0x11, 0x12, 0x16, 0x17, 0x22, 0x31} if family is IPV4 else {130, 131, 132, 143, 152}
    before = digest(scene.router)
    for kind in set(range(256)) - known:
        scene.say(bytes((kind,)) + bytes(60))
    assert digest(scene.router) == before
    assert scene.counted("unknown_type", "other", family.gmp) == 256 - len(known)
    scene.control()


@both
@pytest.mark.parametrize("length", range(8))
def test_pcap_short_messages_of_a_few_bytes(family: Family, length: int) -> None:
    scene = Scene(family)
    before = digest(scene.router)
    kinds = (0x11, 0x12, 0x16, 0x17, 0x22) if family is IPV4 else (130, 131, 132, 143)
    for kind in kinds:
        scene.say((bytes((kind,)) + bytes(7))[:length])
    assert digest(scene.router) == before
    scene.control()


def test_igmp_leave_csum_a_leave_with_a_bad_checksum() -> None:
    scene = Scene(IPV4)
    group = parse_address("239.1.1.1")
    scene.say(scene.encoded(OldReport(2, group)), to=group)
    data = scene.encoded(Leave(group))
    wrong = data[:2] + b"\xff\xfe" + data[4:]
    scene.refused("bad_checksum", "leave", lambda: scene.say(wrong, to=IPV4.all_routers, good=False))
    scene.run(5)
    assert "239.1.1.1" in scene.groups()
    scene.say(data, to=IPV4.all_routers)
    scene.run(5)
    assert "239.1.1.1" not in scene.groups()


@both
def test_igmp_leave_unicast_a_leave_to_our_own_address(family: Family) -> None:
    """To all routers it is sent, or to the group; not to one host (conformance I24 names queries and reports only)."""
    scene = Scene(family)
    leave = scene.encoded(Leave(scene.group()))
    name = "leave" if family is IPV4 else "done"
    scene.refused("bad_dest", name, lambda: scene.say(leave, to=scene.us()))


def test_igmp_unicast_query_counts_in_the_election() -> None:
    scene = Scene(IPV4)
    query = scene.encoded(Query(3, IPV4.any, 10.0, False, 2, 125.0))
    lower = scene.us()[:-1] + b"\x01"
    scene.say(query, source=lower, to=scene.us())
    assert not scene.row("gmp_interfaces", interface="down").is_querier


@both
@pytest.mark.parametrize("ttl", [0, 2, 255])
def test_TH5_TH7_igmp_ttl_reports_and_queries_from_other_links(family: Family, ttl: int) -> None:
    scene = Scene(family)
    reason = "igmp_ttl" if family is IPV4 else "mld_hl"
    report = scene.encoded(Report((Record(ALLOW, scene.group(), (scene.channel()[0],)),)))
    scene.refused(reason, REPORT[family], lambda: scene.say(report, ttl=ttl))
    query = scene.encoded(Query(NEWEST[family], family.any, 10.0, False, 2, 125.0))
    before = digest(scene.router)
    scene.say(query, source=scene.us()[:-1] + b"\x01", to=family.all_hosts, ttl=ttl)
    assert digest(scene.router) == before


@both
def test_TH6_TH7_router_alert(family: Family) -> None:
    scene = Scene(family, Phyint("down", require_router_alert=True))
    reason = "igmp_no_ra" if family is IPV4 else "mld_no_ra"
    report = scene.encoded(Report((Record(ALLOW, scene.group(), (scene.channel()[0],)),)))
    scene.refused(reason, REPORT[family], lambda: scene.say(report, alert=False))


def test_TH6_without_the_option_igmp_needs_no_router_alert() -> None:
    scene = Scene(IPV4)
    channel = scene.channel()
    scene.say(scene.encoded(Report((Record(ALLOW, channel[1], (channel[0],)),))), alert=False)
    assert scene.forwards(channel) == {"down"}


@pytest.mark.parametrize("source", ["::", "2001:db8::66", "ff02::1"])
def test_TH7_mld_from_no_link_local_address(source: str) -> None:
    scene = Scene(IPV6)
    report = scene.encoded(Report((Record(ALLOW, scene.group(), (scene.channel()[0],)),)))
    scene.refused("mld_src", "report_v2", lambda: scene.say(report, source=parse_address(source)))


def test_TH9_a_query_from_0_0_0_0_elects_nobody() -> None:
    scene = Scene(IPV4)
    query = scene.encoded(Query(3, IPV4.any, 10.0, False, 7, 1000.0))
    before = digest(scene.router)
    scene.say(query, source=IPV4.any, to=IPV4.all_hosts)
    assert digest(scene.router) == before
    assert scene.counted("query_src_zero", "query", "igmp") == 1
    scene.say(query, source=scene.us()[:-1] + b"\x01", to=IPV4.all_hosts)
    assert not scene.row("gmp_interfaces", interface="down").is_querier


def test_TH10_a_query_from_off_link_is_dropped() -> None:
    scene = Scene(IPV4)
    query = scene.encoded(Query(3, IPV4.any, 10.0, False, 7, 1000.0))
    source = parse_address("1.0.0.1")
    scene.refused("igmp_src_subnet", "query", lambda: scene.say(query, source=source, to=IPV4.all_hosts))


@both
def test_TH10_a_stolen_querier_is_lost_for_255_s_at_most(family: Family) -> None:
    scene = Scene(family)
    query = scene.encoded(Query(NEWEST[family], family.any, 10.0, False, 2, 125.0))
    scene.say(query, source=scene.us()[:-1] + b"\x01", to=family.all_hosts)
    assert [reason for reason in scene.r1.reasons() if reason == "querier_change"] == ["querier_change"]
    scene.run(254)
    assert not scene.row("gmp_interfaces", interface="down").is_querier
    scene.run(1)
    assert scene.row("gmp_interfaces", interface="down").is_querier


@both
def test_TH11_a_forced_older_version_lasts_260_s_and_the_option_refuses_it(family: Family) -> None:
    older = 2 if family is IPV4 else 1
    group = parse_address("239.1.1.1" if family is IPV4 else "ff1e::1")
    strict = Scene(family, Phyint("down", oldest_igmp=3, oldest_mld=2))
    data = strict.encoded(OldReport(older, group))
    strict.refused("old_version", f"report_v{older}", lambda: strict.say(data, to=group))
    scene = Scene(family)
    scene.say(data, to=group)
    assert scene.row("gmp_groups", interface="down", row="group").version == older
    assert "compat_change" in scene.r1.reasons()
    for _ in range(3):
        scene.run(90)
        scene.say(scene.encoded(Report((Record(IS_EX, group, ()),))))
    assert scene.row("gmp_groups", interface="down", row="group").version == NEWEST[family]


@both
def test_TH12_igmp_ssm_v2_wishes_for_any_source_in_the_ssm_range(family: Family) -> None:
    scene = Scene(family)
    group = scene.group()
    older = 2 if family is IPV4 else 1
    name = "leave" if family is IPV4 else "done"
    ex = scene.encoded(Report((Record(IS_EX, group, ()),)))
    scene.refused("ssm_bad_record", REPORT[family], lambda: scene.say(ex))
    old = scene.encoded(OldReport(older, group))
    scene.refused("ssm_bad_record", f"report_v{older}", lambda: scene.say(old, to=group))
    leave = scene.encoded(Leave(group))
    scene.refused("ssm_bad_record", name, lambda: scene.say(leave, to=family.all_routers))


@both
def test_igmp_ssm_asm_same_both_wishes_for_one_group(family: Family) -> None:
    """A join of any source and one of a named source, of one group of either range, in one report."""
    scene = Scene(family)
    asm = parse_address("239.1.1.1" if family is IPV4 else "ff1e::1")
    source, ssm = scene.channel()
    records = [
        Record(kind, group, sources) for group in (asm, ssm) for kind, sources in ((IS_EX, ()), (ALLOW, (source,)))
    ]
    scene.say(scene.encoded(Report(tuple(records))))
    assert len(scene.groups()) == 2
    assert scene.forwards((source, ssm)) == {"down"}


@both
def test_mld_repeat_record_one_group_twice_in_a_report(family: Family) -> None:
    scene = Scene(family)
    source, group = scene.channel()
    block = Record(RecordType.BLOCK_OLD_SOURCES, group, (source,))
    scene.say(scene.encoded(Report((Record(ALLOW, group, (source,)), block, Record(ALLOW, group, (source,)), block))))
    scene.run(3)
    assert scene.groups() == set()
    scene.control()


@both
def test_mld_clear_an_interface_goes_while_timers_run(family: Family) -> None:
    from pimpy.core.engine.events import ClearMembership

    scene = Scene(family)
    source, group = scene.channel()
    scene.say(scene.encoded(Report((Record(ALLOW, group, (source,)),))))
    scene.say(scene.encoded(Report((Record(RecordType.BLOCK_OLD_SOURCES, group, (source,)),))))
    scene.r1.handle(ClearMembership(group))
    scene.run(0.5)
    scene.control()
    scene.net.set_port("r1", "down", False)
    scene.run(300)
    assert scene.groups() == set()
    scene.net.set_port("r1", "down", True)
    scene.run(60)
    scene.control()


@both
def test_mld_reserved_code_reserved_fields_are_ignored(family: Family) -> None:
    scene = Scene(family)
    group = parse_address("239.1.1.1" if family is IPV4 else "ff1e::1")
    data = bytearray(scene.encoded(OldReport(2 if family is IPV4 else 1, group)))
    data[1] = 0x55
    if family is IPV6:
        data[4:8] = b"\x55\x55\x55\x55"
    scene.say(bytes(data), to=group)
    assert len(scene.groups()) == 1


@both
def test_TH13_query_lengths_of_no_version(family: Family) -> None:
    scene = Scene(family)
    query = scene.encoded(Query(NEWEST[family], family.any, 10.0, False, 2, 125.0))
    short = 8 if family is IPV4 else 24
    for length in range(short + 1, short + 4):
        before = digest(scene.router)
        scene.say(query[:length], source=scene.us()[:-1] + b"\x01", to=family.all_hosts)
        assert digest(scene.router) == before
    assert scene.counted("bad_length", "query", family.gmp) == 3
    scene.say(query[: short + 4], source=scene.us()[:-1] + b"\x01", to=family.all_hosts)
    assert not scene.row("gmp_interfaces", interface="down").is_querier


@both
def test_TH14_igmp_junos_1000pps_a_flood_of_groups_leaves_members_alone(family: Family) -> None:
    """4,000 groups of one host, 100 are taken: the state is bounded, one line tells of it, members keep theirs."""
    scene = Scene(family, Phyint("down", max_groups=100))
    scene.control()
    first = parse_address("239.9.0.0" if family is IPV4 else "ff1e::9:0")
    sources = scene.channel()[0]
    groups = [(int.from_bytes(first, "big") + number).to_bytes(family.size, "big") for number in range(4000)]
    for at in range(0, len(groups), 40):
        scene.say(scene.encoded(Report(tuple(Record(ALLOW, group, (sources,)) for group in groups[at : at + 40]))))
    assert len(scene.groups()) == 100
    assert scene.forwards(scene.channel(7)) == {"down"}
    assert scene.counted("group_limit", REPORT[family], family.gmp) == 4000 - 99
    assert scene.r1.reasons().count("group_limit") == 1
    scene.run(61)
    scene.say(scene.encoded(Report((Record(ALLOW, groups[-1], (sources,)),))))
    assert scene.r1.reasons().count("group_limit") == 2


@both
def test_TH66_our_own_queries_come_back_and_are_passed_over(family: Family) -> None:
    """The kernel loops them, so that members on the router itself answer: no error, no election, no timer."""
    scene = Scene(family)
    query = scene.encoded(Query(NEWEST[family], family.any, 10.0, False, 7, 1000.0))
    before, counted = digest(scene.router), dict(scene.router.counters.values)
    scene.say(query, source=scene.us(), to=family.all_hosts)
    assert digest(scene.router) == before
    assert scene.router.counters.values == counted
    scene.control()
