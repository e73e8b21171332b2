"""What PIM makes of what members say: EXCLUDE lists, INCLUDE outside the SSM range, whoever reports, whoever is DR."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from network import Net
from speakers import CODECS, Packet
from stand import Stand

from pimpy.config.model import Config, Phyint, StaticMember
from pimpy.core.engine.events import ClearMembership
from pimpy.wire.family import IPV4, Address, Family, parse_address
from pimpy.wire.membership import OldReport, Record, RecordType, Report

IS_EX = RecordType.MODE_IS_EXCLUDE


def report(stand: Stand, link: str, source: Address, *records: Record) -> None:
    """A report with any source address arrives on a link."""
    data = CODECS[stand.family.gmp].encode(Report(records))
    sender = stand.host(link, 77)
    sender.link.transmit(sender, Packet(stand.family.gmp, source, stand.family.all_reports, data))
    stand.run(0)


def test_I2_each_interface_asks_by_its_own_timers(family: Family) -> None:
    own = Phyint("down", query_interval=20, robustness=3, query_response_interval=2000, last_member_interval=400)
    stand = AsmStand(family, down=(2,), config=Config(phyints=(own,), igmp_query_interval=60, igmp_robustness=2))
    counters, gmp = stand.router.counters.values, family.gmp

    def asked(link: str) -> int:
        return counters.get((link, gmp, "tx", "query", ""), 0)

    stand.run(600)
    before = asked("down"), asked("src")
    stand.run(600)
    assert (asked("down") - before[0], asked("src") - before[1]) == (30, 10)
    host = stand.member("down")
    stand.run(25)
    left = stand.now
    host.want_no_more(stand.group())
    while stand.now < left + 5 and any(stand.group() in m.link.groups for m in stand.router.memberships.values()):
        stand.run(0.1)
    assert stand.now - left == pytest.approx(3 * 0.4, abs=0.2), "robustness times the interval (I26)"
    found = {stand.router.interfaces[index].name: one for index, one in stand.router.memberships.items()}
    assert found["down"].link.variables.group_membership_interval == 3 * 20 + 2 * 2
    assert found["src"].link.variables.group_membership_interval == 2 * 60 + 2 * 10
    stand.configure(phyints=())
    assert found["down"].link.variables.group_membership_interval == 2 * 60 + 2 * 10


def test_I2_a_time_to_answer_is_shorter_than_the_query_interval(family: Family) -> None:
    stand = AsmStand(family, config=Config(phyints=(Phyint("down", query_interval=4, query_response_interval=9000),)))
    found = {stand.router.interfaces[index].name: one for index, one in stand.router.memberships.items()}
    assert found["down"].link.settings.query_response_interval == 2


@pytest.mark.parametrize("spt", [False, True], ids=["shared_tree", "own_tree"])
def test_F19_an_exclude_list_counts_for_its_own_link_only(family: Family, spt: bool) -> None:
    stand = AsmStand(family, down=(2,))
    if not spt:
        stand.configure(spt_threshold="infinity")
    source = stand.far()
    stand.member("down")
    other = stand.member("src")
    stand.data(source, "rpt")
    stand.data(source, "up" if spt else "rpt")
    assert stand.forwards(source) == {"down", "src"}
    other.want_any(stand.group(), source[0])
    stand.run(5)
    assert stand.forwards(source) == {"down"}
    other.want_any(stand.group())
    stand.run(5)
    assert stand.forwards(source) == {"down", "src"}


@pytest.mark.parametrize("spt", [False, True], ids=["shared_tree", "own_tree"])
def test_F19_a_source_is_excluded_only_if_all_members_of_the_link_agree(family: Family, spt: bool) -> None:
    stand = AsmStand(family, down=(2,))
    if not spt:
        stand.configure(spt_threshold="infinity")
    source = stand.far()
    one, two = stand.member(), stand.net.host("down", 101)
    two.want_any(stand.group())
    stand.data(source, "rpt")
    stand.data(source, "up" if spt else "rpt")
    one.want_any(stand.group(), source[0])
    stand.run(5)
    assert stand.forwards(source) == {"down"}
    two.want_any(stand.group(), source[0])
    stand.run(5)
    assert stand.forwards(source) == set()
    two.want_no_more(stand.group())
    stand.net.host("down", 102).join(stand.group(), source[0])
    stand.run(5)
    assert stand.forwards(source) == {"down"}


def test_INCLUDE_outside_the_ssm_range_joins_the_source_alone(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    first, second = stand.far(1), stand.far(2)
    stand.net.host("down").join(first[1], first[0])
    stand.run(5)
    assert [word for _, word in stand.told("up")] == ["Join(S,G)"]
    assert stand.told("rpt", to=stand.seven) == []
    stand.data(first, "up")
    stand.data(second, "up")
    assert (stand.forwards(first), stand.star) == ({"down"}, None)
    assert stand.forwards(second) == set()


@pytest.mark.parametrize("source", ["0.0.0.0", "198.51.100.7", "10.1.1.9"])
def test_I16_I20_reports_from_nowhere_are_members_of_the_link_they_came_in_by(source: str) -> None:
    """Also where the address lies in another interface's subnet."""
    stand = Stand(IPV4)
    channel = stand.channel()
    report(stand, "down", parse_address(source), Record(RecordType.ALLOW_NEW_SOURCES, channel[1], (channel[0],)))
    assert stand.forwards(channel) == {"down"}


def test_I16_the_option_drops_reports_from_elsewhere_but_not_from_0_0_0_0() -> None:
    stand = Stand(IPV4, config=Config(phyints=(Phyint("down", on_link_reports_only=True),)))
    channel = stand.channel()
    record = Record(RecordType.ALLOW_NEW_SOURCES, channel[1], (channel[0],))
    report(stand, "down", parse_address("198.51.100.7"), record)
    assert stand.entry(channel) is None
    assert stand.counted("igmp_src_subnet", "report_v3", "igmp") == 1
    report(stand, "down", IPV4.any, record)
    assert stand.forwards(channel) == {"down"}


def test_I18_N10_when_the_DR_and_querier_fails_the_other_serves_without_a_new_report(family: Family) -> None:
    net = Net(family, 1)
    for name, number in (("r1", 1), ("r2", 2)):
        net.router(name, Config(), number)
    net.link("up", "r1", "r2")
    net.link("lan", "r1", "r2")
    source = net.source("up", 200)
    net.start()
    net.run(60)
    group = parse_address("232.1.1.1" if family.size == 4 else "ff3e::8000:1")
    host = net.host("lan", 100)
    host.join(group, source)
    net.run(5)
    first, second = net.nodes["r1"], net.nodes["r2"]
    assert second.router is not None
    host.wants.clear()  # it will not say so again
    channel = (source, group)
    assert net.packet(source, group).count("lan") == 1
    dr = first if first.kernel.mfc.get(channel, (0, 0))[1] else second
    other = second if dr is first else first
    dr.crash()
    net.run(110)
    assert other.router is not None
    assert net.packet(source, group).count("lan") == 1
    assert other.kernel.mfc[channel][1] != 0


def test_static_members_pull_a_stream(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.r1.configure(static_members=(StaticMember("down", channel[1], channel[0]),))
    stand.run(0)
    assert stand.forwards(channel) == {"down"}
    stand.run(600)
    assert stand.forwards(channel) == {"down"}
    stand.r1.configure(static_members=())
    stand.run(0)
    assert stand.entry(channel) is None


def test_static_members_of_a_group_pull_every_source(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.configure(static_members=(StaticMember("down", stand.group()),))
    assert [word for _, word in stand.told("rpt", to=stand.seven)] == ["Join(*,G)"]
    stand.data(source, "rpt")
    assert stand.forwards(source) == {"down"}


def test_I16_a_member_on_the_router_itself_is_served(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    record = Record(RecordType.ALLOW_NEW_SOURCES, channel[1], (channel[0],))
    report(stand, "down", stand.us(), record)
    assert stand.forwards(channel) == {"down"}


def test_immediate_leave_stops_a_stream_at_once(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", immediate_leave="tracked"),)))
    channel = stand.channel()
    host = stand.host()
    host.join(channel[1], channel[0])
    stand.run(2)
    assert stand.forwards(channel) == {"down"}
    host.leave(channel[1], channel[0])
    stand.run(0)
    assert stand.entry(channel) is None


def test_clear_asks_and_the_answers_bring_members_back(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.host().join(channel[1], channel[0])
    stand.run(5)
    stand.r1.handle(ClearMembership(channel[1]))
    stand.run(0)
    assert stand.entry(channel) is None
    stand.run(1.5)
    assert stand.forwards(channel) == {"down"}


def test_TH14_state_limit_members_counts_all_interfaces(family: Family) -> None:
    stand = Stand(family, config=Config(state_limits=(("members", 2),)))
    source = stand.channel()[0]
    for number, link in ((1, "down"), (2, "up"), (3, "down")):
        stand.host(link).join(stand.group(number), source)
    stand.run(2)
    rows = [row for row in stand.rows("gmp_groups") if row.row == "group"]
    assert {row.interface for row in rows} == {"down", "up"}
    assert len(rows) == 2
    stand.r1.configure(state_limits=(("members", 3),))
    stand.host("down").join(stand.group(3), stand.channel(2)[0])
    stand.run(2)
    assert len([row for row in stand.rows("gmp_groups") if row.row == "group"]) == 3


@pytest.mark.parametrize("passive", [False, True], ids=["pim", "passive"])
def test_I23_M8_every_interface_listens_where_reports_go(family: Family, passive: bool) -> None:
    """The routers' groups are joined; reports of older versions come to the group itself, which is not."""
    stand = Stand(family, config=Config(phyints=(Phyint("down", passive=passive),)))
    ifindex = stand.r1.ports["down"].ifindex
    joined = {group for index, group in stand.r1.kernel.joined if index == ifindex}
    assert {family.all_reports, family.all_routers} <= joined
    assert (family.all_pim_routers in joined) is not passive
    group = parse_address("239.1.1.1" if family is IPV4 else "ff1e::1")
    sender = stand.host("down", 77)
    data = CODECS[family.gmp].encode(OldReport(2 if family is IPV4 else 1, group))
    sender.link.transmit(sender, Packet(family.gmp, sender.address, group, data))
    stand.run(0)
    assert group not in {joined for _, joined in stand.r1.kernel.joined}
    assert [row.filter_mode for row in stand.rows("gmp_groups")] == ["exclude"]


def test_M10_an_interface_without_an_address_to_ask_from_is_silent_and_starts_with_it(family: Family) -> None:
    """IPv6: no link-local address yet, as while it is checked for duplicates; IPv4: none at all."""
    stand = Stand(family)
    port = stand.r1.ports["down"]
    before, (linklocal, *others) = port.addresses, port.addresses
    port.readdress(*others)
    stand.run(0)
    stand.down.log.clear()
    stand.run(400)
    assert [name for _, name, _ in stand.down.log if name == "r1"] == [], "neither queries nor Hellos"
    host = stand.host("down", 77)
    report(stand, "down", host.address, Record(IS_EX, parse_address("239.1.1.1" if family is IPV4 else "ff1e::1"), ()))
    assert stand.rows("gmp_groups") == []
    port.readdress(*before)
    stand.run(0)
    asked = [(when, packet) for when, name, packet in stand.down.log if (name, packet.protocol) == ("r1", family.gmp)]
    assert [(when, packet.source) for when, packet in asked] == [(stand.net.now, linklocal[0])]
    report(stand, "down", host.address, Record(IS_EX, parse_address("239.1.1.1" if family is IPV4 else "ff1e::1"), ()))
    assert len(stand.rows("gmp_groups")) == 1
