"""Multicast Router Discovery on interfaces that only static routes name (RFC 4286; smcroute's `mrdisc`)."""

from __future__ import annotations

from itertools import pairwise

from proxy_stand import ProxyStand
from speakers import CODECS, Host, Packet
from static_stand import StaticStand

from pimpy.config.model import Phyint
from pimpy.core.engine.events import Shutdown
from pimpy.wire.family import Family, parse_address
from pimpy.wire.membership import Query, Solicitation
from pimpy.wire.record import evolve

ADVERTISEMENT, TERMINATION = {4: 0x30, 16: 151}, {4: 0x32, 16: 153}


def snoopers(family: Family) -> bytes:
    return parse_address("224.0.0.106" if family.size == 4 else "ff02::6a")


def discovery(stand: StaticStand, link: str = "a") -> list[tuple[float, bytes]]:
    """(time, bytes) of what was sent to snooping switches."""
    sent = [(time, packet) for time, name, packet in stand.net.links[link].log if name == "r1"]
    found = [(time, packet.data) for time, packet in sent if packet.destination == snoopers(stand.family)]
    assert all(packet.ttl == 1 for _, packet in sent)
    return found


def advertising(family: Family, interval: int = 20) -> StaticStand:
    """`a` is advertised, and named by a route; `d` is to be, and no route names it."""
    stand = StaticStand(family)
    phyints = (Phyint("a", mrdisc=True), Phyint("d", mrdisc=True))
    static = evolve(stand.r1.config.static, routes=(stand.any(stand.group(), "b"),))
    stand.r1.configure(phyints=phyints, static=static, mrdisc_interval=interval)
    stand.net.run(100)
    return stand


def test_RFC4286_3_advertisements_without_a_querier(family: Family) -> None:
    stand = advertising(family, interval=7)
    found = discovery(stand)
    gaps = [after - before for (before, _), (after, _) in pairwise(found)]
    assert all(0 <= gap <= 2 for gap in gaps[:2]) and all(6.8 <= gap <= 7.2 for gap in gaps[2:]) and len(gaps) > 10
    for _, data in found:
        assert (data[0], data[1]) == (ADVERTISEMENT[family.size], 7)
        assert data[4:] == bytes(4), "3.2.4, 3.2.5: no querier runs"
    assert discovery(stand, "b") == discovery(stand, "d") == [], "only where it is asked for and multicast is forwarded"


def test_RFC4286_4_a_solicitation_is_answered(family: Family) -> None:
    stand = advertising(family, interval=180)
    stand.net.links["a"].forget()
    host: Host = stand.net.host("a", 100)
    data = CODECS[family.gmp].encode(Solicitation())
    host.link.transmit(host, Packet(family.gmp, host.address, family.all_routers, data))
    stand.net.run(2.1)
    assert len(discovery(stand)) == 1
    assert stand.router.counters.total(family.gmp, "rx", "mrd_solicitation") == 1
    host.link.transmit(host, Packet(family.gmp, host.address, family.all_routers, b"\x31"))
    stand.net.run(3)
    assert len(discovery(stand)) == 1, "rubbish is not answered"
    host.link.transmit(host, Packet(family.gmp, host.address, family.all_routers, data, 2))
    query = Query(3 if family.size == 4 else 2, family.any, 10.0, False, 2, 125.0)
    host.link.transmit(host, Packet(family.gmp, host.address, family.all_hosts, CODECS[family.gmp].encode(query)))
    stand.net.run(3)
    assert len(discovery(stand)) == 1, "nor what comes from afar (section 7), nor what is no solicitation"
    assert stand.router.counters.total(family.gmp, "rx", "mrd_solicitation") == 1


def test_RFC4286_5_a_termination_when_it_ends(family: Family) -> None:
    stand = advertising(family)
    stand.net.links["a"].forget()
    stand.follow()
    assert [data[0] for _, data in discovery(stand)] == [TERMINATION[family.size]], "no route names it any more"
    stand.follow(stand.any(stand.group(), "b"))
    stand.net.run(10)
    stand.net.links["a"].forget()
    stand.r1.handle(Shutdown())
    stand.net.run(0)
    assert [data[0] for _, data in discovery(stand)] == [TERMINATION[family.size]]


def test_an_interface_with_members_advertises_by_their_machine(family: Family) -> None:
    stand = ProxyStand(family, phyints=(Phyint("d1", mrdisc=True),))
    found = [data for _, name, packet in stand.net.links["d1"].log if name == "r1" for data in [packet.data]]
    stand.run(30)
    sent = [packet for _, name, packet in stand.net.links["d1"].log if name == "r1"]
    adverts = [packet.data for packet in sent if packet.destination == snoopers(family)]
    assert found == [] and adverts and all(data[4:] != bytes(4) for data in adverts), "the querier's values are told"
    assert stand.router.announcements.advertisers == {}


def test_a_reload_is_followed_on_a_proxys_interfaces(family: Family) -> None:
    stand = ProxyStand(family)
    stand.r1.configure(phyints=(Phyint("d1", igmp_version=2, mld_version=1),), igmp_query_interval=40)
    stand.run(130)
    queries = [message for _, message in stand.sent("d1") if isinstance(message, Query)]
    assert len(queries) >= 3 and {query.version for query in queries[1:]} == {2 if family.size == 4 else 1}
