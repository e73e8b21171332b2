"""Conformance group S: source-specific multicast (RFC 4607, RFC 7761 4.8), a test a row, named after it."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from speakers import CODECS, Packet
from stand import Stand, star_entries

from pimpy.config.model import Config
from pimpy.core.engine.events import NoCache
from pimpy.core.ssm import SsmRanges
from pimpy.wire.family import FAMILIES, IPV4, Address, Family, Prefix, parse_address, parse_prefix
from pimpy.wire.join_prune import SG, SG_RPT, GroupSet, JoinPrune
from pimpy.wire.membership import Leave, OldReport, Record, RecordType, Report

WIDE = {4: "239.0.0.0/8", 16: "ff1e::/16"}
"""A range that is not source-specific unless the configuration says so."""


def inside(family: Family) -> Address:
    """A group of WIDE."""
    return parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")


def ranges(family: Family, *texts: str) -> dict[str, tuple[Prefix, ...]]:
    """The configuration of the SSM range."""
    return {f"ssm_ranges{4 if family is IPV4 else 6}": tuple(parse_prefix(text) for text in texts)}


def test_S1_the_default_ranges() -> None:
    for text, inside_it in (
        ("232.0.0.1", True),
        ("232.255.255.255", True),
        ("231.255.255.255", False),
        ("233.0.0.0", False),
        ("ff3e::1", True),
        ("ff35::8000:1", True),
        ("ff3e:0:ffff::1", True),
        ("ff3e:1::1", False),
        ("ff1e::1", False),
        ("ff7e::1", False),
    ):
        group = parse_address(text)
        stand = Stand(IPV4 if len(group) == 4 else _ipv6(), up=(), down=(), warm_up=0.0)
        assert stand.router.ssm.holds(group) == inside_it, text
    router = Stand(_ipv6(), up=(), down=(), warm_up=0.0).router
    assert all(router.ssm.holds(parse_address(f"ff3{scope:x}::1234")) for scope in range(16)), "every scope"


def _ipv6() -> Family:
    from pimpy.wire.family import IPV6

    return IPV6


def test_S1_the_range_can_be_configured_with_several_prefixes(family: Family) -> None:
    texts = ("239.1.0.0/16", "239.7.0.0/16") if family.size == 4 else ("ff1e:1::/32", "ff1e:7::/32")
    stand = Stand(family, config=Config(**ranges(family, *texts)))  # type: ignore[arg-type]
    groups = ("239.1.1.1", "239.7.1.1", "239.2.1.1", "232.1.1.1")
    if family.size == 16:
        groups = ("ff1e:1::1", "ff1e:7::1", "ff1e:2::1", "ff3e::1")
    assert [stand.router.ssm.holds(parse_address(group)) for group in groups] == [True, True, False, False]


def test_S2_an_include_report_joins_at_once_without_any_rp(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    host = stand.host()
    host.join(group, source)
    stand.run(0)
    assert stand.said(to=stand.nine) == [(0.0, "join", (source, group))]
    assert stand.forwards((source, group)) == {"down"}
    stand.run(5)
    stand.mark()
    host.leave(group, source)
    stand.run(3)
    assert stand.said(to=stand.nine) == [(2.0, "prune", (source, group))], "after the last member query time"
    assert stand.forwards((source, group)) == set() and stand.entry((source, group)) is None


def test_S2_each_source_and_group_is_a_channel_of_its_own(family: Family) -> None:
    stand = Stand(family)
    (s1, g1), (s2, g2) = stand.channel(1), stand.channel(2)
    host = stand.host()
    host.join(g1, s1, s2)
    host.join(g2, s2)
    stand.run(0)
    assert {channel for _, _, channel in stand.said()} == {(s1, g1), (s2, g1), (s2, g2)}
    host.leave(g1, s1)
    stand.run(3)
    assert stand.forwards((s1, g1)) == set()
    assert stand.forwards((s2, g1)) == stand.forwards((s2, g2)) == {"down"}


@pytest.mark.parametrize("verb", ["join", "prune"])
def test_S3_TH27_shared_tree_entries_in_the_range_are_ignored_singly(family: Family, verb: str) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    stand.joined()
    strange = (*star_entries(stand.net.address("up", 77)), (source, SG_RPT))
    good = ((stand.channel(2)[0], SG),)
    joins, prunes = ((*strange, *good), ()) if verb == "join" else (good, strange)
    stand.peer("down", 2).send(JoinPrune(stand.us(), 210, (GroupSet(group, joins, prunes),)))
    stand.run(5)
    assert stand.counted("jp_ssm") == 2
    assert set(stand.router.pim.tib.sg) == {source + group, good[0][0] + group}
    assert not stand.router.pim.tib.groups
    assert stand.forwards((source, group)) == stand.forwards((good[0][0], group)) == {"down"}


def reports_of_another_kind(family: Family, group: Address, source: Address) -> list[tuple[str, bytes, Address]]:
    """(name, message, destination) of what S5 ignores."""
    codec = CODECS[family.gmp]
    exclude = (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE)
    made = [
        (f"record {kind}", codec.encode(Report((Record(kind, group, (source,)),))), family.all_reports)
        for kind in exclude
    ]
    versions = (1, 2) if family is IPV4 else (1,)
    made += [(f"report v{version}", codec.encode(OldReport(version, group)), group) for version in versions]
    return [*made, ("leave", codec.encode(Leave(group)), family.all_routers)]


def test_S5_TH12_wishes_for_any_source_are_ignored_in_the_range(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    host = stand.host()
    host.join(stand.group(2), source)
    stand.run(2)
    entries = dict(stand.router.pim.tib.sg)
    for name, data, destination in reports_of_another_kind(family, group, source):
        stand.down.transmit(host, Packet(family.gmp, host.address, destination, data))
        stand.run(0)
        assert stand.router.pim.tib.sg == entries, name
    assert "ssm_bad_record" in stand.r1.reasons()
    assert stand.r1.reasons().count("ssm_bad_record") == 1, "one line a minute"


def test_S5_other_records_of_the_packet_are_processed(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    bad = Record(RecordType.CHANGE_TO_EXCLUDE_MODE, stand.group(2), ())
    stand.host().send(Report((bad, Record(RecordType.ALLOW_NEW_SOURCES, group, (source,)), bad)))
    stand.run(0)
    assert stand.forwards((source, group)) == {"down"}


def test_S6_forwarding_works_at_once_and_idle_time_never_ends_it(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.peer("down", 2).join(stand.us(), channel, holdtime=0xFFFF)
    stand.run(0)
    assert stand.forwards(channel) == {"down"}, "no data is needed"
    stand.run(3 * 210)
    assert stand.forwards(channel) == {"down"}
    assert stand.net.links["down"].up and stand.row("mroute", row="entry").upstream_state == "joined"


def test_S7_F21_unwanted_data_is_dropped_without_a_storm(family: Family) -> None:
    stand = Stand(family)
    source = stand.net.source("up")
    for _ in range(600):
        assert stand.net.packet(source, stand.group()) == ["up"]
        stand.run(0.1)
    assert not stand.router.pim.tib.sg and not stand.said()
    assert stand.r1.kernel.upcalls <= 6, "at most one in ten seconds"
    assert stand.row("mroute", row="entry").mode == "negative"


def test_S8_groups_that_come_into_the_range_lose_their_wishes_for_any_source(family: Family) -> None:
    stand = Stand(family)
    group = inside(family)
    source = stand.channel()[0]
    host = stand.host()
    host.send(Report((Record(RecordType.CHANGE_TO_EXCLUDE_MODE, group),)))
    host.join(group, source)
    stand.run(2)
    down = stand.router.memberships[stand.r1.ports["down"].ifindex]
    assert down.wants_any(group)
    stand.r1.configure(**ranges(family, WIDE[family.size]))
    stand.run(0)
    assert not down.wants_any(group) and stand.router.ssm.holds(group)
    assert stand.forwards((source, group)) == {"down"}, "who asked for a source keeps it"
    assert not stand.router.pim.tib.groups


def test_S8_asserts_of_groups_that_come_into_the_range_are_void(family: Family) -> None:
    stand = AsmStand(family)
    channel = stand.far()
    stand.say("Join(S,G)")
    stand.data(channel)
    stand.hear_assert(channel[0], (False, 0, 0))
    assert stand.assert_state(channel) == "loser" and stand.forwards(channel) == set()
    stand.r1.configure(**ranges(family, "239.0.0.0/8" if family.size == 4 else "ff1e::/16"))
    stand.run(0)
    assert stand.assert_state(channel) == "no_info" and stand.entry(channel) is None
    assert not stand.pim_interface("down").asserts
    stand.say("Join(S,G)")
    assert stand.forwards(channel) == {"down"}


def test_S8_groups_that_leave_the_range_keep_their_sources_and_are_asked_for_more(family: Family) -> None:
    stand = Stand(family, config=Config(**ranges(family, WIDE[family.size])))  # type: ignore[arg-type]
    group = inside(family)
    source = stand.channel()[0]
    host = stand.host()
    host.join(group, source)
    stand.run(2)
    stand.mark()
    stand.r1.configure(**ranges(family, "232.0.0.0/8" if family.size == 4 else "ff3e::/32"))
    stand.run(0)
    stand.data((source, group))
    assert stand.forwards((source, group)) == {"down"}
    queries = [packet for _, name, packet in stand.down.log if name == "r1" and packet.protocol == family.gmp]
    assert [packet.destination for packet in queries] == [family.all_hosts], "a General Query at once"
    assert set(stand.router.pim.tib.groups) == {group}
    host.send(Report((Record(RecordType.CHANGE_TO_EXCLUDE_MODE, group),)))
    stand.run(0)
    assert stand.router.memberships[stand.r1.ports["down"].ifindex].wants_any(group)


def reserved(family: Family) -> list[Address]:
    """The groups that RFC 4607 4.3 keeps."""
    texts = ["232.0.0.0"] if family.size == 4 else [f"ff3{scope}::4000:0" for scope in "358e"]
    return [parse_address(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("232.0.0.0", False),
        ("232.0.0.1", True),
        ("232.1.0.0", True),
        ("231.0.0.0", True),
        ("ff3e::4000:0", False),
        ("ff35::4000:0", False),
        ("ff3e::4000:1", True),
        ("ff3e::4001:0", True),
        ("ff3e::8000:0", True),
        ("ff3e:1::4000:0", True),
        ("ff3e::1:4000:0", True),
        ("ff1e::4000:0", True),
        ("ff2e::4000:0", True),
        ("ff32::4000:1", False),
    ],
)
def test_S9_F20_groups_beside_the_reserved_ones_are_good(text: str, usable: bool) -> None:
    family = FAMILIES[":" in text]
    assert SsmRanges(family, family.ssm_ranges).usable(parse_address(text)) is usable


def test_S9_the_reserved_groups_are_refused(family: Family) -> None:
    stand = Stand(family)
    source, good = stand.channel()
    for group in reserved(family):
        stand.peer("down", 2).join(stand.us(), (source, group))
        stand.host().join(group, source)
        stand.run(2)
        assert not stand.router.pim.tib.sg
    assert stand.counted("jp_bad_group") == len(reserved(family))
    stand.peer("down", 2).join(stand.us(), (source, good))
    stand.run(0)
    assert stand.forwards((source, good)) == {"down"}


def local_groups(family: Family) -> list[Address]:
    """Groups that must not cross a router (F20)."""
    texts = ["224.0.0.5", "224.0.0.255"]
    if family.size == 16:
        texts = [f"ff{flags}{scope}::1:2" for flags in "0137" for scope in "012"]
    return [parse_address(text) for text in texts]


def test_F20_groups_of_the_link_make_no_state_and_no_entry(family: Family) -> None:
    stand = Stand(family)
    source, good = stand.channel()
    vif = stand.r1.vif("up")
    assert vif is not None
    for group in local_groups(family):
        stand.peer("down", 2).join(stand.us(), (source, group))
        stand.host().join(group, source)
        stand.r1.handle(NoCache(vif, source, group))
        stand.run(2)
        assert not stand.router.pim.tib.sg and not stand.r1.kernel.mfc
    stand.r1.handle(NoCache(vif, source, good))
    stand.run(0)
    assert stand.r1.kernel.mfc == {(source, good): (vif, 0)}
