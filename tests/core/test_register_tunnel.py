"""The register tunnel and its table: when they are there, and that nothing is lost before and while they are not."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from datagrams import Datagram, datagram_of
from speakers import Channel, Packet

from pimpy.config.model import Config, Phyint, StaticRp
from pimpy.core.engine.effects import SetMfc, SetRegister
from pimpy.core.engine.events import EffectFailed, NoCache, VifGone, WholePacket, WrongVif
from pimpy.wire import pim
from pimpy.wire.family import Family, parse_address

TUNNEL = 31
ALONE = 1 << TUNNEL


def table(stand: AsmStand) -> dict[Channel, SetRegister]:
    return stand.r1.kernel.registers


def registered(stand: AsmStand) -> list[int]:
    """The numbers of the data packets that left in Registers."""
    return [datagram_of(stand.family, m.packet).number for _, m in stand.messages_of(pim.Register) if not m.null]


def test_the_tunnel_is_there_where_a_dr_knows_an_rp(family: Family) -> None:
    stand = AsmStand(family)
    assert TUNNEL in stand.r1.kernel.vifs, "before any source speaks"


def test_the_tunnel_is_not_there_without_an_rp(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    stand.data(stand.near())
    assert TUNNEL not in stand.r1.kernel.vifs
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    assert TUNNEL in stand.r1.kernel.vifs


def test_the_tunnel_is_not_there_where_this_router_is_no_dr(family: Family) -> None:
    lower = Config(phyints=tuple(Phyint(link, dr_priority=0) for link in ("up", "rpt", "src", "down")))
    stand = AsmStand(family, rp="none", config=lower)
    stand.peer("src", 9).keep_saying_hello()
    stand.run(10)
    assert not stand.router.pim.dr
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    assert TUNNEL not in stand.r1.kernel.vifs


@pytest.mark.parametrize("members", [False, True])
def test_F1_a_burst_that_comes_before_our_answer_is_registered_whole(family: Family, members: bool) -> None:
    """The kernel itself keeps four packets; the extension all that come while we think."""
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    if members:
        stand.say("Join(*,G)")
    stand.mark()
    first = stand.net.sent + 1
    for _ in range(50):
        stand.net.packet(*source)
    stand.run(0)
    last = stand.data(source)
    assert registered(stand) == list(range(first, last + 1))
    assert [stand.net.copies("down", n) for n in range(first, last + 1)] == [int(members)] * 51


def test_F1_at_a_router_of_the_shared_tree_too(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    stand.say("Join(*,G)")
    first = stand.net.sent + 1
    for _ in range(50):
        stand.net.sent += 1
        stand.net.carry(Datagram(*source, stand.net.sent), [("rpt", None)])
    stand.run(0)
    numbers = range(first, stand.net.sent + 1)
    assert len(numbers) == 50 and [stand.net.copies("down", n) for n in numbers] == [1] * 50


def test_the_table_says_from_where_to_where(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    us = stand.net.address("src", 5)
    assert table(stand) == {source: SetRegister(*source, us, stand.rp, False)}
    stand.register_stop(source)
    assert table(stand) == {source: SetRegister(*source, us, stand.rp, True)}
    stand.run(86)
    assert table(stand)[source].stopped is (stand.sg(source).register.state.value != "join")  # type: ignore[union-attr]
    stand.run(300)
    assert table(stand) == {}


def test_the_table_follows_our_addresses(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    port = stand.r1.ports["src"]
    other = parse_address("10.0.4.77" if family.size == 4 else "2001:db8:0:4::77")
    link_local = () if family.size == 4 else (port.addresses[0],)
    port.readdress(*link_local, (other, stand.net.subnet_bits))
    stand.run(0)
    entry = table(stand).get(source)
    assert entry is None or entry.address in stand.router.pim.own


def test_what_the_table_does_not_know_goes_nowhere(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.mark()
    before = stand.router.counters.total("kernel", "rx", "wholepkt", "not_registered")
    stand.r1.handle(WholePacket(TUNNEL, *stand.near(number=99), False, b"whatever"))
    stand.run(0)
    assert stand.registers() == []
    assert stand.router.counters.total("kernel", "rx", "wholepkt", "not_registered") == before + 1


@pytest.mark.parametrize("members", [False, True])
def test_a_source_that_was_silent_for_the_keepalive_period_begins_anew(family: Family, members: bool) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    if members:
        stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.data(source)
    stand.register_stop(source)
    stand.run(425)
    assert stand.entry(source) is None and table(stand) == {} and source not in stand.r1.kernel.mfc
    stand.mark()
    first = stand.net.sent + 1
    for _ in range(30):
        stand.net.packet(*source)
    stand.run(0)
    numbers = range(first, stand.net.sent + 1)
    assert registered(stand) == list(numbers), "no Register-Stop of old times holds"
    assert [stand.net.copies("down", number) for number in numbers] == [int(members)] * 30


@pytest.mark.parametrize("rp", ["rpt", "me"])
def test_a_member_that_comes_back_gets_the_next_packet(family: Family, rp: str) -> None:
    stand = AsmStand(family, rp=rp, down=(2,))
    source = stand.near()
    stand.data(source)
    for _ in range(3):
        stand.say("Join(*,G)")
        assert stand.net.copies("down", stand.data(source)) == 1
        stand.say("Prune(*,G)")
        stand.run(4)
        assert stand.net.copies("down", stand.data(source)) == 0


# The tunnel goes, or does not come.


def test_a_tunnel_that_goes_is_made_anew(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    stand.net.checker.on = False  # the entry names a vif that is gone
    del stand.r1.kernel.vifs[TUNNEL]
    stand.r1.kernel.writes = 0
    stand.r1.handle(VifGone(TUNNEL))
    stand.run(0)
    assert TUNNEL in stand.r1.kernel.vifs
    assert stand.r1.kernel.writes, "the entries that lead there are written again"
    stand.mark()
    stand.data(source)
    assert [kind for _, kind in stand.registers()] == ["data"]


def test_a_tunnel_that_is_refused_is_tried_again(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.near()
    stand.net.checker.on = False
    del stand.r1.kernel.vifs[TUNNEL]
    stand.r1.handle(EffectFailed("AddRegisterVif", "ENOBUFS", TUNNEL))
    stand.run(9.99)
    assert TUNNEL not in stand.r1.kernel.vifs and "kernel_refused" in stand.r1.reasons()
    stand.run(0.01)
    assert TUNNEL in stand.r1.kernel.vifs
    stand.data(source)
    assert [kind for _, kind in stand.registers()] == ["data"]


# Registers that come in by interfaces without PIM.


def arrive(stand: AsmStand, message: pim.Message, to: bytes) -> None:
    """A unicast PIM message comes in by the link `odd`."""
    data = pim.encode(stand.family, stand.dr, to, message)
    stand.r1.receive_unicast("odd", Packet("pim", stand.dr, to, data, 60, False))
    stand.run(0)


def odd(family: Family, rp: str, phyint: Phyint) -> AsmStand:
    """The stand with one more link, on which that holds."""
    stand = AsmStand(family, rp=rp)
    stand.configure(phyints=(phyint,))
    stand.net.link("odd", "r1")
    stand.run(6)
    stand.mark()
    return stand


def test_a_register_counts_by_whatever_interface_it_comes(family: Family) -> None:
    """RFC 7761 4.4.2 asks to whom it is addressed, and the kernel takes it apart anyway."""
    stand = odd(family, "me", Phyint("odd", enabled=False))
    source = stand.far()
    arrive(stand, pim.Register(False, True, pim.dummy_header(family, *source)), stand.rp)
    assert stand.stops() == [0.0] and stand.keepalive(source) == 210


def test_a_register_stop_counts_by_whatever_interface_it_comes(family: Family) -> None:
    stand = odd(family, "rpt", Phyint("odd", enabled=False))
    source = stand.near()
    stand.data(source)
    message = pim.RegisterStop(source[1], source[0])
    to = stand.net.address("src", 5)
    data = pim.encode(family, stand.rp, to, message)
    stand.r1.receive_unicast("odd", Packet("pim", stand.rp, to, data, 60, False))
    stand.run(0)
    assert table(stand)[source].stopped


def test_a_register_by_a_passive_interface_is_refused(family: Family) -> None:
    """There are hosts only, who have no Registers to send (RFC 5294)."""
    stand = odd(family, "me", Phyint("odd", passive=True))
    source = stand.far()
    arrive(stand, pim.Register(False, True, pim.dummy_header(family, *source)), stand.rp)
    assert stand.stops() == [] and stand.entry(source) is None
    assert stand.router.counters.total("pim", "rx", "any", "if_not_enabled") == 1


@pytest.mark.parametrize("case", ["another's address", "a Hello", "empty"])
def test_nothing_else_counts_there(family: Family, case: str) -> None:
    stand = odd(family, "me", Phyint("odd", enabled=False))
    source, to = stand.far(), stand.rp
    message: pim.Message = pim.Register(False, True, pim.dummy_header(family, *source))
    if case == "a Hello":
        message = pim.Hello(holdtime=105)
    data = pim.encode(family, stand.dr, to, message) if case != "empty" else b""
    if case == "another's address":
        to = parse_address("10.99.9.9" if family.size == 4 else "2001:db8:99::9")
    stand.r1.receive(stand.r1.ports["odd"], Packet("pim", stand.dr, to, data, 60, False))
    stand.run(0)
    assert stand.stops() == [] and stand.entry(source) is None
    assert stand.router.counters.total("pim", "rx", "any", "if_not_enabled") == 1


# Both ways at once: from the first Join(S,G) to the Register-Stop.


def leaves_behind(stand: AsmStand, source: Channel) -> bool:
    assert stand.r1.kernel.mfc[source][1] & ALONE, "it is registered"
    return source in stand.r1.kernel.behind


def test_F1_what_goes_both_ways_goes_behind_its_registers_until_the_register_stop(family: Family) -> None:
    """Else a packet might come by the source's tree while an earlier one is on its way in a Register, and lost."""
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    stand.data(source)
    assert not leaves_behind(stand, source), "there is no other way yet"
    stand.say("Join(S,G)")
    assert leaves_behind(stand, source)
    stand.run(1)
    stand.register_stop(source)
    assert stand.r1.kernel.mfc[source][1] and not stand.r1.kernel.mfc[source][1] & ALONE
    assert source not in stand.r1.kernel.behind, "the kernel sends it"


def test_F1_an_rp_that_never_answers_does_not_keep_the_stream_behind_its_registers(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    stand.data(source)
    stand.say("Join(S,G)")
    stand.run(2.99)
    assert leaves_behind(stand, source)
    stand.run(0.02)
    assert not leaves_behind(stand, source) and stand.r1.kernel.mfc[source][1] & ~ALONE
    stand.data(source)
    assert not leaves_behind(stand, source), "once, not again and again"
    stand.say("Prune(S,G)")
    stand.run(4)
    assert stand.r1.kernel.mfc[source][1] == ALONE
    stand.say("Join(S,G)")
    assert leaves_behind(stand, source), "a new beginning"


def test_the_comparison_knows_how_the_kernel_has_it_meanwhile(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.near()
    stand.data(source)
    stand.say("Join(S,G)")
    writes = stand.r1.kernel.writes
    stand.r1.handle(stand.r1.kernel.contents_read())
    assert leaves_behind(stand, source) and stand.router.health.drift == 0 and stand.r1.kernel.writes == writes


def test_F1_an_entry_that_turns_before_the_kernel_has_it_tells_of_its_first_interface(family: Family) -> None:
    """The first packets, which the extension keeps, came by the RP's tree: they are as good as those that follow."""
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)", "Join(S,G)")
    shared, own = stand.r1.vif("rpt") or 0, stand.r1.vif("up") or 0
    stand.router.handle(NoCache(shared, *source), stand.net.now)
    stand.router.handle(WrongVif(own, *source), stand.net.now)
    (turned,) = [effect for effect in stand.router.drain() if isinstance(effect, SetMfc)]
    assert (turned.iif, turned.before) == (own, shared)
    stand.router.handle(NoCache(own, *source), stand.net.now)
    assert [effect.before for effect in stand.router.drain() if isinstance(effect, SetMfc)] == [None]
