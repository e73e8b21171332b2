"""Conformance group F as far as SSM goes: what stands in the kernel's table, and what a stream does to it."""

from __future__ import annotations

import pytest
from node import Node
from stand import Stand

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.effects import AddVif, DelMfc, DelVif, SetMfc
from pimpy.core.engine.events import EffectFailed, NoCache, VifGone, WrongVif
from pimpy.core.forwarding import MAX_NEGATIVE
from pimpy.wire.family import Family
from pimpy.wire.record import evolve


def vif(stand: Stand, link: str) -> int:
    found = stand.r1.vif(link)
    assert found is not None
    return found


def test_F10_the_output_is_the_inherited_olist_less_the_incoming_interface(family: Family) -> None:
    stand = Stand(family, up=(9, 8))
    stand.net.link("side", "r1")
    channel = stand.channel()
    host = stand.net.host("side")
    host.join(channel[1], channel[0])
    stand.peer("up", 8).join(stand.us("up"), channel)
    stand.joined()
    assert stand.forwards(channel) == {"down", "side"}
    up, down, side = (vif(stand, link) for link in ("up", "down", "side"))
    assert stand.r1.kernel.mfc == {channel: (up, 1 << down | 1 << side)}


def test_F12_S6_data_on_an_outgoing_interface_is_not_forwarded_and_answered_by_one_assert(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    kernel = stand.r1.kernel
    assert kernel.outgoing(channel, vif(stand, "up")) and not kernel.outgoing(channel, vif(stand, "down"))
    before = dict(kernel.mfc)
    for _ in range(100):
        stand.r1.handle(WrongVif(vif(stand, "down"), *channel))
        stand.run(0.1)
    assert kernel.mfc == before and not stand.messages("down") and not stand.said()
    assert [when for when, _ in stand.asserts("down")] == [0.0], "the SPTbit of a channel counts as set (4.8.2)"
    assert stand.asserts("up") == []


@pytest.mark.parametrize("number", [-1, 7, 31, 32, 65535])
def test_F21_a_late_word_of_a_vif_that_is_gone_makes_no_entry(family: Family, number: int) -> None:
    stand = Stand(family)
    stand.r1.handle(NoCache(number, *stand.channel()))
    stand.r1.handle(WrongVif(number, *stand.channel()))
    stand.r1.handle(VifGone(number))
    stand.run(0)
    assert not stand.r1.kernel.mfc and not stand.router.forwarding.negatives()


@pytest.mark.parametrize("what", ["join", "prune", "expiry", "member", "leave", "dr", "route", "no route", "link"])
def test_F18_every_change_of_a_term_is_in_the_kernel_in_the_same_event(family: Family, what: str) -> None:
    stand = Stand(family)
    source, group = channel = stand.channel()
    two, nine = stand.peer("down", 2), stand.peer("down", 9)
    down = {"down"}
    if what in ("join", "prune", "expiry", "route", "no route", "link"):
        two.join(stand.us(), channel)
        stand.run(0)
        assert stand.forwards(channel) == down
    if what == "prune":
        two.prune(stand.us(), channel)
    elif what == "expiry":
        stand.run(210)
    elif what in ("member", "leave", "dr"):
        host = stand.host()
        host.join(group, source)
        stand.run(0)
        assert stand.forwards(channel) == down
        if what == "leave":
            host.leave(group, source)
            stand.run(2)
        elif what == "dr":
            nine.hello()
    elif what == "route":
        stand.r1.static_route(source, "down", two.address)
    elif what == "no route":
        stand.r1.static_route(source, None)
    elif what == "link":
        stand.net.set_link("up", False)
    stand.run(0)
    assert stand.forwards(channel) == (down if what in ("join", "member") else set())


def test_F18_J21_the_link_of_a_connected_source_goes_and_comes(family: Family) -> None:
    stand = Stand(family, up=())
    channel = stand.net.source("up"), stand.group()
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert stand.forwards(channel) == {"down"}
    for up, flows in ((False, set()), (True, {"down"})):
        stand.r1.ports["up"].up = up
        stand.r1.ports["up"].tell()  # the route does not change with it
        stand.run(0)
        assert stand.forwards(channel) == flows and bool(stand.r1.kernel.mfc) == up


def test_F18_a_source_of_our_own_moves_to_another_link(family: Family) -> None:
    stand = Stand(family)
    stand.net.link("side", "r1")
    up, side = stand.r1.ports["up"], stand.r1.ports["side"]
    own = (stand.net.address("up", 88), stand.net.subnet_bits)
    up.readdress(*up.addresses, own)
    channel = own[0], stand.group()
    stand.peer("down", 2).join(stand.us(), channel)
    stand.run(0)
    assert stand.r1.kernel.mfc[channel][0] == vif(stand, "up") and stand.forwards(channel) == {"down"}
    up.readdress(*up.addresses[:-1])
    stand.run(0)
    assert stand.r1.kernel.mfc == {}
    side.readdress(*side.addresses, own)
    stand.run(0)
    assert stand.r1.kernel.mfc[channel][0] == vif(stand, "side") and stand.forwards(channel) == {"down"}


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_F21_an_unwanted_stream_goes_with_its_link(family: Family, how: str) -> None:
    stand = Stand(family)
    stand.r1.handle(NoCache(vif(stand, "up"), *stand.channel()))
    stand.run(0)
    assert stand.r1.kernel.mfc
    if how == "disabled":
        stand.r1.configure(phyints=(Phyint("up", enabled=False),))
    else:
        stand.r1.detach("up")
    stand.run(0)
    assert not stand.r1.kernel.mfc and not stand.router.forwarding.negatives()


def test_F21_an_unwanted_stream_gets_an_empty_entry_that_goes_when_state_appears(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.r1.handle(NoCache(vif(stand, "up"), *channel))
    stand.run(0)
    assert stand.r1.kernel.mfc == {channel: (vif(stand, "up"), 0)}
    stand.joined()
    assert stand.forwards(channel) == {"down"} and not stand.router.forwarding.negatives()
    stand.peer("down", 2).prune(stand.us(), channel)
    stand.run(0)
    assert stand.r1.kernel.mfc == {}, "nor does it come back by itself"


def test_F21_an_empty_entry_ends_after_30_s_so_that_the_kernel_asks_again(family: Family) -> None:
    stand = Stand(family)
    source = stand.net.source("up")
    for _ in range(3):
        stand.net.packet(source, stand.group())
        stand.run(29.9)
        assert len(stand.r1.kernel.mfc) == 1
        stand.run(0.1)
        assert stand.r1.kernel.mfc == {}
    assert stand.r1.kernel.upcalls == 3


def test_F21_TH48_a_flood_of_unwanted_streams_is_bounded(family: Family) -> None:
    stand = Stand(family, up=(), down=())
    stand.net.checker.on = False
    source, group = stand.channel()
    for number in range(MAX_NEGATIVE + 10):
        stand.r1.handle(NoCache(vif(stand, "up"), source[:-3] + number.to_bytes(3, "big"), group))
    stand.run(0)
    assert len(stand.r1.kernel.mfc) == MAX_NEGATIVE
    stand.run(30)
    assert stand.r1.kernel.mfc == {} and not stand.router.forwarding.negatives()


def test_a_stream_before_its_join_and_a_join_before_its_stream_both_work(family: Family) -> None:
    stand = Stand(family)
    source = stand.net.source("up")
    first, second = (source, stand.group(1)), (source, stand.group(2))
    assert stand.net.packet(*first) == ["up"], "held by the kernel"
    stand.peer("down", 2).join(stand.us(), first, second)
    stand.run(0)
    assert stand.net.packet(*first) == ["up", "down"] == stand.net.packet(*second)


def test_a_packet_that_the_kernel_holds_leaves_with_the_entry(family: Family) -> None:
    stand = Stand(family)
    source = stand.net.source("up")
    group = stand.group()
    stand.peer("down", 2).join(stand.us(), (source, group))
    stand.net.later(0.0, stand.net.packet, source, group)
    stand.run(0)
    assert stand.net.copies("down", stand.net.sent) == 1


def test_one_batch_of_events_writes_each_entry_once(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.joined()
    router, now = stand.router, stand.net.now
    stand.r1.ports["down"].link.up = False
    for _ in range(3):
        router.handle(stand.r1.ports["down"].link_changed(), now)
        router.handle(evolve(stand.r1.ports["down"].link_changed(), running=True), now)
    effects = router.drain()
    assert [e for e in effects if isinstance(e, (SetMfc, DelMfc))] == [DelMfc(*channel)]
    assert not [e for e in effects if isinstance(e, (AddVif, DelVif))], "a flap costs no vif"


# Vifs.


def crowd(family: Family, count: int) -> tuple[Stand, Node]:
    """A router with so many links."""
    stand = Stand(family, up=(), down=(), warm_up=0.0)
    for number in range(count - 2):
        stand.net.link(f"l{number}", "r1")
    stand.run(6)
    return stand, stand.r1


def test_the_32nd_interface_is_refused_with_a_reason_and_the_others_go_on(family: Family) -> None:
    stand, r1 = crowd(family, 33)
    assert len(r1.kernel.vifs) == 31 and r1.reasons().count("vif_limit") == 2
    rows = {row.interface: row for row in stand.rows("interfaces")}
    assert [name for name, row in sorted(rows.items()) if row.oper_status == "down" and name != "lo"] == ["l29", "l30"]
    assert rows["l30"].reason == "no free virtual interface"
    assert rows["l28"].oper_status == "up"


def test_who_waits_for_a_vif_gets_the_one_that_becomes_free(family: Family) -> None:
    stand, r1 = crowd(family, 32)
    assert r1.vif("l29") is None
    r1.detach("l3")
    stand.run(0)
    assert r1.vif("l29") is not None
    stand.run(6)
    assert [when for when, _ in stand.hellos("l29")]


def test_a_vif_is_not_reused_while_an_entry_names_it(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    old = vif(stand, "down")
    stand.r1.detach("down")
    stand.net.link("new", "r1")
    stand.run(0)
    assert stand.r1.kernel.mfc == {} and vif(stand, "new") is not None
    assert stand.forwards(channel) == set()
    assert vif(stand, "new") != old, "the old index rests until the batch is through"


def test_an_interface_made_anew_under_the_same_name_works_as_before(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    for _ in range(5):
        stand.joined()
        assert stand.forwards(channel) == {"down"}
        stand.r1.detach("down")
        stand.r1.attach(stand.down)
        stand.run(0)
        assert stand.forwards(channel) == set() and not stand.r1.kernel.mfc
        stand.peer("down", 2).hello()
        stand.run(0)


def test_a_vif_that_the_kernel_removed_by_itself_is_made_again(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    old = vif(stand, "down")
    del stand.r1.kernel.vifs[old]
    stand.r1.handle(VifGone(old))
    stand.run(0)
    assert stand.r1.vif("down") is not None
    stand.peer("down", 2).hello()
    stand.joined()
    assert stand.forwards(channel) == {"down"}


def test_an_interface_that_the_kernel_refuses_is_left_out_and_the_others_go_on(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    port = stand.r1.ports["down"]
    stand.r1.handle(EffectFailed("AddVif", "EADDRINUSE", vif=vif(stand, "down"), ifindex=port.ifindex))
    stand.run(0)
    assert stand.entry(channel) is None
    row = stand.row("interfaces", interface="down")
    assert row.oper_status == "off" and "EADDRINUSE" in row.reason
    assert stand.row("interfaces", interface="up").oper_status == "up"
    assert "interface_refused" in stand.r1.reasons()


def test_the_ttl_threshold_of_the_configuration_reaches_the_kernel(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", ttl_threshold=9),)))
    (channel,) = stand.joined()
    number = vif(stand, "down")
    assert stand.r1.kernel.vifs[number][1] == 9
    stand.r1.configure(phyints=(Phyint("down", ttl_threshold=17),))
    stand.run(0)
    assert stand.r1.kernel.vifs[number][1] == 17 and stand.forwards(channel) == {"down"}


def test_an_entry_that_the_kernel_refused_is_known_until_it_is_told_again(family: Family) -> None:
    stand = Stand(family)
    channel = stand.joined(1)[0]
    refused = stand.router.forwarding.refused
    stand.r1.handle(EffectFailed("DelMfc", "EPERM", source=channel[0], group=channel[1]))
    stand.r1.handle(EffectFailed("SetMfc", "ENOMEM"))
    assert refused == {}, "neither is an entry that was refused"
    stand.r1.handle(EffectFailed("SetMfc", "ENOMEM", source=channel[0], group=channel[1]))
    assert refused == {channel[0] + channel[1]: "ENOMEM"}
    stand.router.forwarding.put_right([channel[0] + channel[1]])
    stand.run(0)
    stand.r1.handle(NoCache(vif(stand, "up"), *channel))
    assert refused == {}


def test_what_the_kernel_refuses_of_others_is_counted_and_no_entrys(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    stand.r1.handle(EffectFailed("JoinGroup", "ENOBUFS", group=channel[1]))
    stand.r1.handle(EffectFailed("SendPacket", "ENETDOWN", source=channel[0], group=channel[1]))
    assert stand.router.forwarding.refused == {}
    assert stand.router.counters.total("kernel", "tx", "JoinGroup", "ENOBUFS") == 1
