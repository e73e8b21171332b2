"""Proxying in virtual time, both families: group X of the conformance rows, and mcproxy's and igmpproxy's rules."""

from __future__ import annotations

from random import Random

import pytest
from proxy_stand import ProxyStand
from speakers import CODECS

from pimpy.config.model import Phyint
from pimpy.config.proxies import AddressRange, Filter, FilterRule, Proxy, ProxyInterface
from pimpy.core.engine.effects import DelMfc, SetMfc
from pimpy.core.engine.events import AddressesChanged, Configured, PacketReceived, TableFound
from pimpy.core.router import Router
from pimpy.core.rows import ProxyGroupRow, ProxyInterfaceRow, ProxyRow
from pimpy.wire.family import Family, Prefix, format_address
from pimpy.wire.membership import Query, Record, RecordType, Report


def one(address: bytes) -> AddressRange:
    return AddressRange(address, address)


def allow(*groups: bytes) -> Filter:
    return Filter(tuple(FilterRule(True, None, one(group)) for group in groups), False)


def test_x1_members_downstream_are_said_upstream_at_once(family: Family) -> None:
    stand = ProxyStand(family)
    g, s = stand.group(), stand.source()
    stand.host("d1").join(g, s)
    stand.run(0.05)
    assert stand.records()[0] == ("ALLOW_NEW_SOURCES", g, {s})
    stand.forget()
    stand.host("d2").want_any(g)
    stand.run(0.05)
    assert stand.records()[0] == ("CHANGE_TO_EXCLUDE_MODE", g, set())
    packet, _ = stand.sent()[0]
    assert packet.destination == family.all_reports and packet.ttl == 1 and packet.router_alert
    assert packet.source == stand.net.link_local("up", 5)


def test_x1_and_what_they_leave_is_left(family: Family) -> None:
    stand = ProxyStand(family)
    g = stand.group()
    stand.host("d1").want_any(g)
    stand.host("d2").want_any(g)
    stand.run(5)
    stand.host("d1").want_no_more(g)
    stand.run(10)
    stand.forget()
    stand.run(5)
    assert stand.records() == []
    stand.host("d2").want_no_more(g)
    stand.run(5)
    assert stand.records()[0] == ("CHANGE_TO_INCLUDE_MODE", g, set())


def test_x2_merge(family: Family) -> None:
    """Any EXCLUDE: the intersection of what all exclude, less what anybody includes; all INCLUDE: the union."""
    stand = ProxyStand(family)
    g, (a, b, c, d) = stand.group(), map(stand.source, range(1, 5))
    host = lambda: stand.router.proxies.port(stand.r1.vif("up")).host.groups[g].state  # type: ignore[union-attr,arg-type]  # noqa: E731
    stand.report("d1", RecordType.MODE_IS_INCLUDE, g, a, b)
    stand.report("d2", RecordType.MODE_IS_INCLUDE, g, b, c)
    stand.run(0)
    assert (host().excludes, host().sources) == (False, {a, b, c})
    stand.report("d2", RecordType.CHANGE_TO_EXCLUDE_MODE, g, a, d)
    stand.run(5)
    assert (host().excludes, host().sources) == (True, {d})
    stand.report("d1", RecordType.CHANGE_TO_EXCLUDE_MODE, g, c, d)
    stand.run(5)
    assert (host().excludes, host().sources) == (True, {d}), "{a, d} and {c, d}, nobody includes any more"


def test_x3_only_the_querier_forwards_downstream(family: Family) -> None:
    stand = ProxyStand(family)
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.host("d2").want_any(g)
    stand.run(1)
    assert stand.data(s, g) == {"d1", "d2"}
    stand.asker("d1", 1).query()
    stand.run(0.1)
    assert stand.data(s, g) == {"d2"}, "the lower address queries d1 now"
    stand.run(300)
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(s, g) == {"d1", "d2"}, "it is gone: we query again"


def test_x3_a_proxy_with_one_link_follows_its_querier(family: Family) -> None:
    stand = ProxyStand(family, downs=("d1",))
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(s, g) == {"d1"}
    stand.asker("d1", 1).query()
    stand.run(0.1)
    assert stand.data(s, g) == set()


def test_x3_unless_told_to_forward_always(family: Family) -> None:
    stand = ProxyStand(family, {"always_forward": True})
    g = stand.group()
    stand.host("d1").want_any(g)
    stand.asker("d1", 1).query()
    stand.run(1)
    assert stand.data(stand.source(), g) == {"d1"}


def test_x4_downstream_sources_go_up_and_sideways(family: Family) -> None:
    stand = ProxyStand(family)
    g, s = stand.group(), stand.net.address("d1", 77)
    assert stand.data(s, g, "d1") == {"up"}
    stand.host("d2").want_any(g)
    stand.run(1)
    assert stand.data(s, g, "d1") == {"up", "d2"}
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(s, g, "d1") == {"up", "d2"}, "never back to where it came from"


def test_x4_upstream_data_goes_downstream_only(family: Family) -> None:
    stand = ProxyStand(family, ups=("up", "up2"))
    g = stand.group()
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(stand.source(), g) == {"d1"}


def test_x4_two_who_query_do_not_send_a_source_up_twice(family: Family) -> None:
    stand = ProxyStand(family)
    stand.asker("d1", 1).query()
    stand.run(0.1)
    assert stand.data(stand.net.address("d1", 77), stand.group(), "d1") == set()


@pytest.mark.parametrize("version", [1, 2])
def test_x5_x10_an_older_querier_upstream(family: Family, version: int) -> None:
    if family.size == 16 and version == 2:
        return
    stand = ProxyStand(family)
    stand.asker().query(version=version)
    stand.run(2)
    stand.forget()
    g = stand.group()
    stand.host("d1").join(g, stand.source())
    stand.run(0.05)
    ((packet, message),) = stand.sent()
    assert packet.destination == g and getattr(message, "version", None) == version
    stand.run(5)
    stand.forget()
    stand.host("d1").leave(g, stand.source())
    stand.run(10)
    assert stand.leaves() == ([] if (family.size == 4 and version == 1) else [g])
    stand.run(400)
    stand.forget()
    stand.host("d1").join(g, stand.source())
    stand.run(0.05)
    assert stand.records() == [("ALLOW_NEW_SOURCES", g, {stand.source()})], "the older querier is forgotten"


def test_x6_no_pim_on_proxy_interfaces(family: Family) -> None:
    stand = ProxyStand(family, pim=True)
    stand.run(120)
    spoken = {name for name, link in stand.net.links.items() if link.spoken("r1")}
    assert spoken == {"other", "up2"}, "PIM elsewhere is not affected"
    rows = {row.interface: row for row in stand.router.rows("interfaces")}
    assert rows["up"].mode == rows["d1"].mode == "proxy" and rows["other"].mode == "pim"


def test_x7_upstream_down_and_up_and_chosen_anew(family: Family) -> None:
    stand = ProxyStand(family, ups=("up", "up2"))
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.run(5)
    assert stand.records("up2") == [] and stand.data(s, g) == {"d1"}
    groups = len(list(stand.router.rows("gmp_groups")))
    stand.net.set_link("up", False)
    stand.run(0.05)
    assert stand.records("up2")[0] == ("CHANGE_TO_EXCLUDE_MODE", g, set())
    assert stand.data(s, g, "up2") == {"d1"}
    assert len(list(stand.router.rows("gmp_groups"))) == groups, "downstream nothing changed"
    stand.forget()
    stand.net.set_link("up", True)
    stand.run(0.05)
    assert stand.records("up")[0] == ("CHANGE_TO_EXCLUDE_MODE", g, set())
    assert stand.records("up2")[0] == ("CHANGE_TO_INCLUDE_MODE", g, set())
    assert stand.data(s, g) == {"d1"}


def test_x7_an_upstream_that_comes_late(family: Family) -> None:
    stand = ProxyStand(family, ups=("ppp0",))
    g = stand.group()
    stand.host("d1").want_any(g)
    stand.run(5)
    stand.r1.attach(stand.net.link("ppp0"))
    stand.run(0.05)
    assert stand.records("ppp0")[0] == ("CHANGE_TO_EXCLUDE_MODE", g, set())
    assert stand.data(stand.source(), g, "ppp0") == {"d1"}
    stand.r1.detach("ppp0")
    stand.run(5)
    assert stand.r1.kernel.mfc == {}


def test_x8_x13_answers_to_queries(family: Family) -> None:
    stand = ProxyStand(family)
    g, a, b = stand.group(), stand.source(1), stand.source(2)
    stand.host("d1").join(g, a)
    stand.run(5)
    stand.forget()
    asker = stand.asker()
    asker.query()
    stand.run(0)
    assert stand.records() == [], "never at once"
    stand.run(1)
    assert stand.records() == [("MODE_IS_INCLUDE", g, {a})]
    stand.forget()
    asker.query(g, a, b)
    stand.run(1)
    assert stand.records() == [("MODE_IS_INCLUDE", g, {a})]


def test_x9_upstream_nothing_is_asked_and_no_report_counts(family: Family) -> None:
    stand = ProxyStand(family)
    stand.run(300)
    assert stand.queries("up") == 0 and stand.queries("d1") > 0
    stand.host("up").want_any(stand.group())
    stand.run(5)
    assert stand.records() == []
    assert list(stand.router.rows("gmp_groups")) == []


def test_x10_older_members_enter_as_any_source(family: Family) -> None:
    stand = ProxyStand(family)
    g = stand.group()
    stand.old_report(g, 1)
    stand.run(0.05)
    assert stand.records()[0] == ("CHANGE_TO_EXCLUDE_MODE", g, set())


def test_data_before_the_first_report_is_forwarded_with_it(family: Family) -> None:
    """Where others leave it out for a minute."""
    stand = ProxyStand(family)
    g, s = stand.group(), stand.source()
    assert stand.data(s, g) == set()
    stand.host("d1").want_any(g)
    stand.run(0.01)
    assert stand.data(s, g) == {"d1"}


def test_excluded_and_included_sources(family: Family) -> None:
    stand = ProxyStand(family)
    g, a, b = stand.group(), stand.source(1), stand.source(2)
    stand.host("d1").want_any(g, a)
    stand.host("d2").join(g, a)
    stand.run(1)
    assert stand.data(a, g) == {"d2"}
    assert stand.data(b, g) == {"d1"}


def test_filters_of_upstreams_first_matching(family: Family) -> None:
    """The first upstream whose filter lets a group through is asked, and it alone brings it."""
    g, h, s = b"", b"", b""
    plain = ProxyStand(family)
    g, h, s = plain.group(1), plain.group(2), plain.source()
    ups = (ProxyInterface("up", allow(g)), ProxyInterface("up2"))
    stand = ProxyStand(family, proxies=(Proxy("tv", ups, (ProxyInterface("d1"),)),))
    stand.host("d1").want_any(g)
    stand.host("d1").want_any(h)
    stand.run(1)
    assert {group for _, group, _ in stand.records("up")} == {g}
    assert {group for _, group, _ in stand.records("up2")} == {h}
    assert stand.data(s, g, "up") == {"d1"} and stand.data(plain.source(2), g, "up2") == set()
    assert stand.data(s, h, "up2") == {"d1"} and stand.data(plain.source(2), h, "up") == set()


def test_filters_by_source_ask_both_upstreams(family: Family) -> None:
    """A wish for any source goes on to the next upstream, if the first may bring only some."""
    plain = ProxyStand(family)
    g, a, b = plain.group(), plain.source(1), plain.source(2)
    only = Filter((FilterRule(True, None, None, one(a)),), False)
    ups = (ProxyInterface("up", only), ProxyInterface("up2"))
    stand = ProxyStand(family, proxies=(Proxy("tv", ups, (ProxyInterface("d1"),)),))
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.records("up") and stand.records("up2")
    assert stand.data(a, g, "up") == {"d1"} and stand.data(b, g, "up2") == {"d1"}
    assert stand.data(plain.source(3), g, "up") == set(), "the first upstream may not bring this source"


def test_downstream_filters(family: Family) -> None:
    plain = ProxyStand(family)
    g, h, s = plain.group(1), plain.group(2), plain.source()
    deny = Filter((FilterRule(False, None, None, one(plain.net.address("d1", 66))),), True)
    downs = (ProxyInterface("d1", deny, allow(g)), ProxyInterface("d2"))
    stand = ProxyStand(family, proxies=(Proxy("tv", (ProxyInterface("up"),), downs),))
    for group in (g, h):
        stand.host("d1").want_any(group)
    stand.run(1)
    assert {group for _, group, _ in stand.records()} == {g}, "what may not be delivered is not asked for"
    assert stand.data(s, g) == {"d1"} and stand.data(s, h) == set()
    assert stand.data(stand.net.address("d1", 66), g, "d1") == set()
    assert stand.data(stand.net.address("d1", 67), g, "d1") == {"up"}


def test_upstream_out_filters_and_send_first(family: Family) -> None:
    plain = ProxyStand(family)
    g, h, s = plain.group(1), plain.group(2), plain.net.address("d1", 77)
    ups = (ProxyInterface("up", None, allow(g)), ProxyInterface("up2"))
    stand = ProxyStand(family, proxies=(Proxy("tv", ups, (ProxyInterface("d1"),), send_first=True),))
    assert stand.data(s, g, "d1") == {"up"} and stand.data(s, h, "d1") == {"up2"}
    stand = ProxyStand(family, proxies=(Proxy("tv", ups, (ProxyInterface("d1"),)),))
    assert stand.data(s, g, "d1") == {"up", "up2"}


def test_all_takes_what_comes_first(family: Family) -> None:
    stand = ProxyStand(family, {"matching": "all"}, ups=("up", "up2"))
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.records("up") and stand.records("up2")
    assert stand.data(s, g, "up2") == {"d1"}
    assert stand.data(s, g, "up") == set(), "one packet is one packet"


def test_mutex_holds_an_upstream_until_it_is_silent(family: Family) -> None:
    stand = ProxyStand(family, {"matching": "mutex", "mutex_time": 10_000}, ups=("up", "up2"))
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(s, g, "up") == {"d1"}
    for _ in range(10):
        stand.run(2)
        assert stand.data(s, g, "up") == {"d1"}
        assert stand.data(s, g, "up2") == set(), "the other one is held off"
    silent = 0.0
    while stand.data(s, g, "up2") == set():
        stand.run(1)
        silent += 1
        assert silent < 30, "the other one never takes over"
    assert silent >= 10, "not before the time is over"
    assert stand.data(s, g, "up2") == {"d1"} and stand.data(s, g, "up") == set()


def test_igmpproxys_sources_are_on_the_link_or_in_an_altnet(family: Family) -> None:
    plain = ProxyStand(family)
    g = plain.group()
    altnet = Prefix(plain.source(0), family.bits - 8)
    ups = (ProxyInterface("up", altnets=(altnet,)),)
    stand = ProxyStand(family, proxies=(Proxy("x", ups, (ProxyInterface("d1"),), check_sources=True, matching="all"),))
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(plain.source(), g) == {"d1"}
    assert stand.data(stand.net.address("up", 77), g) == {"d1"}
    assert stand.data(stand.net.address("other", 77), g) == set()


def test_further_subnets_of_a_link_hold_for_proxies_too(family: Family) -> None:
    """`phyint IF altnet` says what is on a link, to whoever asks: PIM, the membership protocol, a proxy."""
    plain = ProxyStand(family)
    g, further = plain.group(), Prefix(plain.source(0), family.bits - 8)
    proxy = Proxy("x", (ProxyInterface("up"),), (ProxyInterface("d1"),), check_sources=True, matching="all")
    stand = ProxyStand(family, proxies=(proxy,), phyints=(Phyint("up", altnets=(further,)),))
    stand.host("d1").want_any(g)
    stand.run(1)
    assert stand.data(plain.source(), g) == {"d1"}
    assert stand.data(stand.net.address("other", 77), g) == set()


def test_defaultdown_means_all_other_interfaces(family: Family) -> None:
    found = Proxy("x", (ProxyInterface("up"),), (ProxyInterface("+"),), excluded=("d2",))
    stand = ProxyStand(family, proxies=(found,))
    g = stand.group()
    for link in ("d1", "d2", "other"):
        stand.host(link).want_any(g)
    stand.run(1)
    assert stand.data(stand.source(), g) == {"d1", "other"}


def test_several_proxies_side_by_side(family: Family) -> None:
    found = (
        Proxy("one", (ProxyInterface("up"),), (ProxyInterface("d1"),)),
        Proxy("two", (ProxyInterface("up2"),), (ProxyInterface("d2"),)),
    )
    stand = ProxyStand(family, proxies=found)
    g, h = stand.group(1), stand.group(2)
    stand.host("d1").want_any(g)
    stand.host("d2").want_any(h)
    stand.run(1)
    assert {group for _, group, _ in stand.records("up")} == {g}
    assert {group for _, group, _ in stand.records("up2")} == {h}
    assert stand.data(stand.source(), h, "up") == set()
    assert stand.data(stand.source(2), h, "up2") == {"d2"}


def test_peering_an_interface_that_is_both(family: Family) -> None:
    found = (
        Proxy("east", (ProxyInterface("up"),), (ProxyInterface("d1"), ProxyInterface("d2"))),
        Proxy("west", (ProxyInterface("d1"),), (ProxyInterface("up"),)),
    )
    stand = ProxyStand(family, proxies=found)
    g = stand.group()
    stand.host("up").want_any(g)
    stand.host("d2").want_any(g)
    stand.run(1)
    assert stand.records("d1") and stand.records("up")


def test_reload_touches_only_the_proxy_that_differs(family: Family) -> None:
    stand = ProxyStand(family)
    g, s = stand.group(), stand.source()
    stand.host("d1").want_any(g)
    stand.run(5)
    stand.data(s, g)
    before, known = stand.r1.kernel.writes, stand.r1.config.proxies
    stand.forget()
    stand.r1.configure(proxies=(*known, Proxy("more", (ProxyInterface("up2"),), (ProxyInterface("other"),))))
    stand.run(5)
    assert stand.r1.kernel.writes == before and stand.records("up") == []
    stand.r1.configure(proxies=known[:1])
    stand.run(5)
    assert stand.data(s, g) == {"d1"} and stand.records("up") == []
    stand.r1.configure(proxies=())
    stand.run(5)
    assert stand.records("up")[0] == ("CHANGE_TO_INCLUDE_MODE", g, set())
    assert stand.r1.kernel.mfc == {} and stand.r1.kernel.vifs == {}


def test_entries_go_when_the_stream_is_silent(family: Family) -> None:
    stand = ProxyStand(family)
    stand.host("d1").want_any(stand.group())
    stand.run(1)
    stand.data(stand.source(), stand.group())
    assert stand.r1.kernel.mfc
    stand.run(400)
    assert stand.r1.kernel.mfc == {}


def test_streams_are_limited(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pimpy.core.proxy.streams.MAX_STREAMS", 3)
    stand = ProxyStand(family)
    for number in range(1, 6):
        stand.data(stand.source(number), stand.group())
    assert len(stand.router.proxies.streams.by_key) == 3
    assert stand.router.counters.total("proxy", "rx", "data", "stream_limit") == 2


def test_shutdown_leaves_and_takes_all_back(family: Family) -> None:
    stand = ProxyStand(family)
    stand.host("d1").want_any(stand.group())
    stand.run(5)
    stand.data(stand.source(), stand.group())
    stand.forget()
    stand.r1.shutdown()
    assert stand.records("up")[0] == ("CHANGE_TO_INCLUDE_MODE", stand.group(), set())
    assert stand.r1.kernel.mfc == {} and stand.r1.kernel.vifs == {} and stand.r1.kernel.joined == set()


def test_versions_of_our_queries(family: Family) -> None:
    phyint = Phyint("d1", igmp_version=2, mld_version=1)
    stand = ProxyStand(family, phyints=(phyint,))
    stand.run(130)
    versions = {message.version for _, message in stand.sent("d1") if isinstance(message, Query)}
    assert versions == {2 if family.size == 4 else 1}


def test_a_thousand_groups_fill_few_reports(family: Family) -> None:
    """Each is said upstream at once and, within a second, once more; and so they leave."""
    stand = ProxyStand(family)
    groups = [stand.group(number) for number in range(1, 201)]
    for kind in (RecordType.ALLOW_NEW_SOURCES, RecordType.BLOCK_OLD_SOURCES):
        records = [Record(kind, group, (stand.source(),)) for group in groups]
        stand.forget()
        for start in range(0, 200, 50):
            stand.host("d1").send(Report(tuple(records[start : start + 50])))
        stand.run(0.01)
        if kind == RecordType.BLOCK_OLD_SOURCES:
            assert stand.records() == [], "the last member is asked first"
            stand.run(2.0)
        once = len(stand.sent())
        assert {group for _, group, _ in stand.records()} == set(groups)
        assert once <= 12
        stand.run(3.0)
        names = [group for _, group, _ in stand.records()]
        assert all(names.count(group) == 2 for group in groups)
        assert len(stand.sent()) <= 2 * once


def test_a_new_run_takes_over_and_loses_nothing(family: Family) -> None:
    """What an earlier run left goes on until members have answered; where it comes in is the proxy's business."""
    stand = ProxyStand(family)
    g, h, s = stand.group(1), stand.group(2), stand.source()
    for group in (g, h):
        stand.host("d1").want_any(group)
    stand.run(5)
    for group in (g, h):
        assert stand.data(s, group) == {"d1"}
    left = stand.r1.kernel
    vifs = tuple((vif, ifindex) for vif, (ifindex, _) in left.vifs.items())
    entries = tuple((source, group, iif, oifs) for (source, group), (iif, oifs) in left.mfc.items())
    router = Router(family, Random(3))
    router.handle(Configured(stand.r1.config), 5000.0)
    router.handle(TableFound(entries=entries, vifs=vifs, register_vif=False), 5000.0)
    for port in stand.r1.ports.values():
        router.handle(port.link_changed(), 5000.0)
        router.handle(AddressesChanged(port.ifindex, port.addresses), 5000.0)
    router.advance(5000.0)
    mfc = dict(left.mfc)
    _apply(mfc, router)
    assert mfc == left.mfc, "nothing changes"
    report = CODECS[family.gmp].encode(Report((Record(RecordType.MODE_IS_EXCLUDE, g, ()),)))
    host = stand.host("d1").address
    packet = PacketReceived(family.gmp, stand.r1.ports["d1"].ifindex, host, family.all_reports, 1, True, report)
    router.handle(packet, 5002.0)
    _apply(mfc, router)
    assert mfc == left.mfc
    now = 5002.0
    while (deadline := router.next_deadline()) is not None and deadline < 5100.0:
        now = max(now, deadline)
        router.advance(now)
    _apply(mfc, router)
    assert mfc[s, g] == left.mfc[s, g], "confirmed"
    assert mfc.get((s, h), (0, 0))[1] == 0, "nobody has answered for it: given up"


def test_a_member_that_answered_a_new_run_and_leaves_gets_nothing_more(family: Family) -> None:
    stand = ProxyStand(family)
    g, s = stand.group(), stand.source()
    for link in ("d1", "d2"):
        stand.host(link).want_any(g)
    stand.run(5)
    assert stand.data(s, g) == {"d1", "d2"}
    stand.r1.die()
    stand.r1.resume()
    stand.run(12)
    assert stand.data(s, g) == {"d1", "d2"}
    stand.host("d1").want_no_more(g)
    stand.run(5)
    assert stand.data(s, g) == {"d2"}, "although what the run before left goes on for 45 s"


def _apply(mfc: dict[tuple[bytes, bytes], tuple[int, int]], router: Router) -> None:
    for effect in router.drain():
        if isinstance(effect, SetMfc):
            mfc[effect.source, effect.group] = effect.iif, effect.oifs
        elif isinstance(effect, DelMfc):
            mfc.pop((effect.source, effect.group), None)


def test_quick_leave(family: Family) -> None:
    """As the last known host leaves, the group is left upstream at once; else after the querier asked."""
    for quick in (False, True):
        stand = ProxyStand(family, {"quick_leave": quick})
        g = stand.group()
        stand.host("d1").want_any(g)
        stand.run(20)
        stand.forget()
        stand.host("d1").want_no_more(g)
        stand.run(0.1)
        assert bool(stand.records()) == quick
        stand.run(5)
        assert ("CHANGE_TO_INCLUDE_MODE", g, set()) in stand.records()


def test_show_proxy(family: Family) -> None:
    """The proxy, its interfaces whether there or not, who queries, and the merge that is asked for upstream."""
    proxy = Proxy("tv", (ProxyInterface("up"), ProxyInterface("ppp0")), (ProxyInterface("d1"), ProxyInterface("d2")))
    stand = ProxyStand(family, proxies=(proxy,))
    g, h, (a, b) = stand.group(1), stand.group(2), map(stand.source, (1, 2))
    stand.host("d1").join(g, a)
    stand.host("d2").join(g, b)
    stand.host("d2").want_any(h)
    stand.asker("d2", 1).query()
    stand.run(1)
    stand.data(a, g)
    rows = list(stand.router.rows("proxy"))
    (one,) = [row for row in rows if isinstance(row, ProxyRow)]
    assert (one.proxy, one.upstream_count, one.downstream_count, one.stream_count) == ("tv", 1, 2, 1)
    found = {row.interface: row for row in rows if isinstance(row, ProxyInterfaceRow)}
    assert {name: (row.role, row.oper_status) for name, row in found.items()} == {
        "up": ("upstream", "up"),
        "ppp0": ("upstream", "down"),
        "d1": ("downstream", "up"),
        "d2": ("downstream", "up"),
    }
    assert found["d1"].is_querier and not found["d2"].is_querier
    assert found["d2"].querier == format_address(stand.net.link_local("d2", 1))
    assert (found["up"].groups_count, found["d2"].groups_count) == (2, 2)
    wanted = {row.group_address: row for row in rows if isinstance(row, ProxyGroupRow)}
    assert {row.interface for row in wanted.values()} == {"up"}
    merged = wanted[format_address(g)]
    assert (merged.filter_mode, merged.sources) == ("include", f"{format_address(a)} {format_address(b)}")
    assert (wanted[format_address(h)].filter_mode, wanted[format_address(h)].sources) == ("exclude", "")


def test_a_proxy_of_another_table_leaves_its_interfaces_to_that(family: Family) -> None:
    """Neither PIM nor this router's proxies run there, and what is heard there is nobody's mistake."""
    here = Proxy("here", (ProxyInterface("up2"),), (ProxyInterface("d2"),))
    there = Proxy("there", (ProxyInterface("up"),), (ProxyInterface("d1"),), table=5)
    stand = ProxyStand(family, proxies=(here, there), pim=True)
    rows = {row.interface: row for row in stand.router.rows("interfaces")}
    assert {name for name, row in rows.items() if row.mode == "proxy"} == {"up2", "d2"}
    assert rows["d1"].mode == "none" and rows["d1"].vif is None
    assert rows["d1"].reason == "it belongs to the proxy there in table 5"
    stand.host("d1").want_any(stand.group())
    stand.run(5)
    assert stand.records("up") == [] and stand.router.counters.total(family.gmp, "rx", "any", "if_not_enabled") == 0
    assert stand.router.proxies.names("d1") is None
    stand.r1.configure(proxies=(here,))
    stand.run(1)
    assert {row.interface: row.mode for row in stand.router.rows("interfaces")}["d1"] == "pim"
