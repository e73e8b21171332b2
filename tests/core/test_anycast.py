"""Conformance rows K1 to K6: anycast RP by PIM (RFC 4610)."""

from __future__ import annotations

from asm_stand import AsmStand
from datagrams import Datagram, datagram_of
from digest import digest
from fake_kernel import REGISTER_DEVICE
from network import Net
from speakers import Channel, Packet

from pimpy.config.model import AnycastRp, Config, StaticRp
from pimpy.core.pim.register import REGISTER_PROBE_TIME
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, parse_address


class AnycastStand(AsmStand):
    """The router is one of three RPs that share an address; the other two are behind 7."""

    def __init__(self, family: Family) -> None:
        super().__init__(family, rp="none", down=(2,))
        self.rp = parse_address("10.99.0.1" if family.size == 4 else "2001:db8:99::1")
        self.mine = self.net.address("src", 5)
        texts = ("10.98.0.2", "10.98.0.3") if family.size == 4 else ("2001:db8:98::2", "2001:db8:98::3")
        self.others = [parse_address(text) for text in texts]
        for other in self.others:
            self.r1.static_route(other, "rpt", self.seven)
        port = self.r1.ports["src"]
        port.readdress(*port.addresses, (self.rp, family.bits))
        self.configure(
            rp_addresses=(StaticRp(self.rp, family.multicast),),
            anycast_rps=(AnycastRp(self.rp, (self.mine, *self.others)),),
        )
        self.run(1)
        self.mark()

    def copies(self) -> list[tuple[Address, Address, bytes, bool]]:
        """(from, to, packet inside, null) of the Registers that the router sent."""
        return [
            (packet.source, packet.destination, message.packet, message.null)
            for link in self.net.links.values()
            for _, packet, message in link.spoken("r1")
            if isinstance(message, pim.Register)
        ]

    def stops_to(self) -> list[tuple[Address, Address]]:
        """(from, to) of its Register-Stops."""
        return [
            (packet.source, packet.destination)
            for link in self.net.links.values()
            for _, packet, message in link.spoken("r1")
            if isinstance(message, pim.RegisterStop)
        ]

    def data_out_of_the_tunnel(self, channel: Channel) -> int:
        """The kernel took a packet out of a Register that we have not read; its number."""
        self.net.sent += 1
        tunnel = self.r1.kernel.vif_of(REGISTER_DEVICE)
        assert tunnel is not None
        self.net.carry_on(self.r1, Datagram(*channel, self.net.sent), tunnel)
        self.run(0)
        return self.net.sent

    def register_read(self, channel: Channel, to: Address) -> None:
        """We read that Register, whose packet the kernel has taken out already."""
        inner = Datagram(*channel, self.net.sent).to_bytes()
        data = pim.encode(self.family, self.dr, to, pim.Register(False, False, inner))
        self.r1.receive(self.r1.ports["rpt"], Packet("pim", self.dr, to, data, 60, False))
        self.run(0)

    def outer(self) -> list[Packet]:
        """The packets of the Registers that the router sent."""
        spoken = [each for link in self.net.links.values() for each in link.spoken("r1")]
        return [packet for _, packet, message in spoken if isinstance(message, pim.Register)]

    def registered(self, channel: Channel, source: Address, to: Address, *, null: bool = False, ttl: int = 60) -> bytes:
        """A Register comes in; the packet inside."""
        self.net.sent += 1
        inner = pim.dummy_header(self.family, *channel) if null else Datagram(*channel, self.net.sent).to_bytes()
        data = pim.encode(self.family, source, to, pim.Register(False, null, inner))
        self.r1.receive_unicast("rpt", Packet("pim", source, to, data, ttl, False))
        self.run(0)
        return inner


def test_K1_a_copy_goes_to_every_other_member_from_our_own_address(family: Family) -> None:
    stand = AnycastStand(family)
    stand.say("Join(*,G)")
    stand.mark()
    inner = stand.registered(stand.far(), stand.dr, stand.rp)
    assert stand.copies() == [(stand.mine, other, inner, False) for other in stand.others]
    assert stand.net.copies("down", stand.net.sent) == 1, "and the data goes down our own tree"


def test_K1_a_copy_lives_one_hop_less_than_the_register(family: Family) -> None:
    stand = AnycastStand(family)
    for ttl, expected in ((60, [59, 59]), (2, [1, 1]), (1, [])):
        stand.mark()
        stand.registered(stand.far(), stand.dr, stand.rp, null=True, ttl=ttl)
        assert [packet.ttl for packet in stand.outer()] == expected
    assert stand.counted("anycast_ttl", "register") == 1


def test_K1_members_whose_lists_differ_do_not_pass_a_register_round(family: Family) -> None:
    """To each the other is a stranger: it has the other in its list, but by an address that is not used."""
    net = Net(family)
    x, y = net.router("x"), net.router("y")
    net.link("x-y", "x", "y", p2p=True)
    for name in "xy":
        net.link(f"lan-{name}", name)
        net.link(f"lan2-{name}", name)
    rp = parse_address("10.99.0.1" if family.size == 4 else "2001:db8:99::1")
    x.config = Config(
        rp_addresses=(StaticRp(rp, family.multicast),),
        anycast_rps=(AnycastRp(rp, (net.address("lan-x", x.number), net.address("lan-y", y.number))),),
    )
    y.config = Config(
        rp_addresses=(StaticRp(rp, family.multicast),),
        anycast_rps=(AnycastRp(rp, (net.address("lan2-y", y.number), net.address("lan2-x", x.number))),),
    )
    net.start()
    for node, name in ((x, "lan-x"), (y, "lan-y")):
        node.ports[name].readdress(*node.ports[name].addresses, (rp, family.bits))
    net.run(20)
    assert x.router is not None and y.router is not None
    assert x.router.pim.anycast.sets and y.router.pim.anycast.sets
    group = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    net.links["x-y"].forget()
    dr = parse_address("10.7.7.7" if family.size == 4 else "2001:db8:7::7")
    source = parse_address("10.6.6.6" if family.size == 4 else "2001:db8:6::6")
    message = pim.Register(False, True, pim.dummy_header(family, source, group))
    x.receive_unicast("x-y", Packet("pim", dr, rp, pim.encode(family, dr, rp, message), 60, False))
    net.run(5)
    passed = [m for _, _, m in (*net.links["x-y"].spoken("x"), *net.links["x-y"].spoken("y"))]
    assert sum(isinstance(m, pim.Register) for m in passed) == 1, "one copy, which is nobody's to copy again"


def test_K2_a_members_copy_is_used_and_never_copied_on(family: Family) -> None:
    stand = AnycastStand(family)
    stand.say("Join(*,G)")
    channel = stand.far()
    stand.mark()
    stand.registered(channel, stand.others[0], stand.mine)
    assert stand.copies() == [] and stand.stops_to() == []
    assert stand.net.copies("down", stand.net.sent) == 1
    assert stand.told("up") == [(0.0, "Join(S,G)")], "with receivers it joins the source"
    assert stand.sg(channel).joined


def test_K2_R10_without_receivers_the_member_is_told_to_stop(family: Family) -> None:
    stand = AnycastStand(family)
    channel = stand.far()
    stand.registered(channel, stand.others[0], stand.mine)
    assert stand.copies() == [] and stand.stops_to() == [(stand.mine, stand.others[0])]
    assert stand.entry(channel) is not None, "state is made always"
    stand.say("Join(*,G)")
    assert stand.told("up") == [(0.0, "Join(S,G)")], "so that a receiver who comes later gets the source"


def test_K3_null_registers_are_copied_too_and_without_receivers_the_dr_is_stopped(family: Family) -> None:
    for null in (True, False):
        stand = AnycastStand(family)
        inner = stand.registered(stand.far(), stand.dr, stand.rp, null=null)
        assert stand.copies() == [(stand.mine, other, inner, null) for other in stand.others]
        assert stand.stops_to() == [(stand.rp, stand.dr)]


def test_K4_a_members_stop_holds_for_data_to_that_member_alone(family: Family) -> None:
    stand = AnycastStand(family)
    stand.say("Join(*,G)")
    channel, (one, other) = stand.far(), stand.others
    stand.registered(channel, stand.dr, stand.rp)
    before = digest(stand.sg(channel).register)
    stand.unicast(pim.RegisterStop(channel[1], channel[0]), one, stand.mine)
    assert digest(stand.sg(channel).register) == before and stand.counted("regstop_not_rp", "register_stop") == 0
    stand.mark()
    stand.registered(channel, stand.dr, stand.rp)
    assert [to for _, to, _, _ in stand.copies()] == [other]
    stand.mark()
    stand.registered(channel, stand.dr, stand.rp, null=True)
    assert [to for _, to, _, _ in stand.copies()] == [one, other], "Null-Registers go on"
    stand.run(60)
    stand.mark()
    stand.registered(channel, stand.dr, stand.rp)
    assert [to for _, to, _, _ in stand.copies()] == [one, other], "for a minute"


def test_K5_a_dr_that_registers_with_our_own_address_is_told_to_stop_and_we_say_so_once(family: Family) -> None:
    stand = AnycastStand(family)
    stand.say("Join(*,G)")
    channel = stand.far()
    stand.mark()
    for null in (True, False, False):
        stand.registered(channel, stand.dr, stand.mine, null=null)
    assert stand.entry(channel) is None and stand.copies() == []
    assert stand.counted("reg_not_rp", "register") == 3 and stand.stops_to() == [(stand.mine, stand.dr)] * 3
    assert stand.r1.reasons().count("reg_not_anycast") == 1
    assert stand.net.copies("down", stand.net.sent) == 0, "the kernel took the packet out, and dropped it"
    stand.run(2)
    stand.registered(channel, stand.dr, stand.mine)
    stand.member("src")
    assert stand.net.copies("down", stand.net.sent) == 0 and stand.entry(channel) is None, "not for who joins later"


def test_K5_TH40_the_kernel_may_tell_of_the_packet_before_the_register(family: Family) -> None:
    """The packet waits until the Register is read: one to the RP's address is used, one to our own is not."""
    for to_rp in (True, False):
        stand = AnycastStand(family)
        stand.say("Join(*,G)")
        channel = stand.far()
        number = stand.data_out_of_the_tunnel(channel)
        assert stand.net.copies("down", number) == 0 and stand.entry(channel) is None
        stand.register_read(channel, stand.rp if to_rp else stand.mine)
        assert (stand.entry(channel) is not None) is to_rp
        assert stand.net.copies("down", number) == to_rp
        stand.run(2)
        assert stand.net.copies("down", stand.data_out_of_the_tunnel(channel)) == to_rp


def test_K6_sources_of_our_own_are_registered_with_the_others_from_the_first_packet_on(family: Family) -> None:
    stand = AnycastStand(family)
    channel = stand.near()
    stand.data(channel)
    assert [(source, to, null) for source, to, _, null in stand.copies()] == [
        (stand.mine, other, False) for other in stand.others
    ]
    inner = [datagram_of(family, packet) for _, _, packet, _ in stand.copies()]
    assert {(d.channel, d.number, d.ttl) for d in inner} == {(channel, stand.net.sent, 31)}
    assert stand.stops_to() == [] and stand.sg(channel).register is None


def test_K6_K4_a_members_stop_holds_for_it_alone_and_is_asked_for_again(family: Family) -> None:
    stand = AnycastStand(family)
    channel, (one, other) = stand.near(), stand.others
    stand.data(channel)
    stand.unicast(pim.RegisterStop(channel[1], channel[0]), one, stand.mine)
    stand.mark()
    stand.data(channel)
    assert [(to, null) for _, to, _, null in stand.copies()] == [(other, False)]
    stand.unicast(pim.RegisterStop(channel[1], channel[0]), other, stand.mine)
    stand.mark()
    for _ in range(5):
        stand.data(channel)
        stand.run(10)
    assert stand.copies() == [] and not stand.forwards(channel)
    stand.run(15)
    assert [(to, null) for _, to, _, null in stand.copies()] == [(one, True), (other, True)], "a minute after the start"
    stand.unicast(pim.RegisterStop(channel[1], channel[0]), one, stand.mine)
    stand.run(REGISTER_PROBE_TIME)
    stand.mark()
    stand.data(channel)
    assert [(to, null) for _, to, _, null in stand.copies()] == [(other, False)], "who does not answer gets data again"


def test_K6_R7_a_stop_of_anybody_else_stops_nothing(family: Family) -> None:
    stand = AnycastStand(family)
    channel = stand.near()
    stand.data(channel)
    stand.unicast(pim.RegisterStop(channel[1], channel[0]), stand.dr, stand.mine)
    stand.unicast(pim.RegisterStop(channel[1], family.any), stand.others[0], stand.mine)
    stand.mark()
    stand.data(channel)
    assert [to for _, to, _, _ in stand.copies()] == stand.others


def test_K6_a_source_that_is_silent_is_told_of_no_longer(family: Family) -> None:
    stand = AnycastStand(family)
    channel = stand.near()
    stand.data(channel)
    stand.run(209)
    assert stand.router.pim.anycast.told
    stand.mark()
    stand.run(1000)
    assert len(stand.copies()) <= 2 and not stand.router.pim.anycast.told and stand.entry(channel) is None


def test_K6_members_go_and_another_rp_is_registered_with(family: Family) -> None:
    """The set goes with its shared address: the source is registered with whoever has it now, and back again."""
    stand = AnycastStand(family)
    channel = stand.near()
    stand.data(channel)
    port = stand.r1.ports["src"]
    stand.r1.static_route(stand.rp, "rpt", stand.seven)
    addresses = port.addresses
    port.readdress(*((a, bits) for a, bits in addresses if a != stand.rp))
    stand.run(0)
    stand.mark()
    stand.data(channel)
    assert [to for _, to, _, _ in stand.copies()] == [stand.rp]
    port.readdress(*addresses)
    stand.run(0)
    stand.mark()
    stand.data(channel)
    assert [to for _, to, _, _ in stand.copies()] == stand.others and stand.sg(channel).register is None


def test_the_shared_address_goes_and_its_set_with_it(family: Family) -> None:
    stand = AnycastStand(family)
    stand.data(stand.near())
    assert stand.router.pim.anycast.sets and stand.router.pim.anycast.told
    port = stand.r1.ports["src"]
    port.readdress(*((a, bits) for a, bits in port.addresses if a != stand.rp))
    stand.run(0)
    assert not stand.router.pim.anycast.sets and not stand.router.pim.anycast.told


def test_two_anycast_rps_bring_every_packet_once_and_one_carries_on_alone(family: Family) -> None:
    """3d in virtual time: a - x - y - b, x and y share the RP's address; sources and receivers at a and b."""
    net = Net(family)
    net.logging = False
    a, x, y, b = (net.router(name) for name in "axyb")
    for name, ends in (("a-x", "ax"), ("x-y", "xy"), ("y-b", "yb")):
        net.link(name, *ends, p2p=True)
    for name in "axyb":
        net.link(f"lan-{name}", name)
    rp = parse_address("10.99.0.1" if family.size == 4 else "2001:db8:99::1")
    members = (net.address("lan-x", x.number), net.address("lan-y", y.number))
    lines = {"rp_addresses": (StaticRp(rp, family.multicast),), "anycast_rps": (AnycastRp(rp, members),)}
    for node in (a, x, y, b):
        node.config = Config(**lines)
    for node, via, link in ((a, x, "a-x"), (b, y, "y-b")):
        node.static_route(rp, link, via.address(link))
    net.start()
    for node, name in ((x, "lan-x"), (y, "lan-y")):
        node.ports[name].readdress(*node.ports[name].addresses, (rp, family.bits))
    net.run(20)
    group = parse_address("239.1.1.1" if family.size == 4 else "ff1e::1")
    for name in ("lan-a", "lan-b"):
        net.host(name).want_any(group)
    net.run(5)
    sources = [net.source("lan-a"), net.source("lan-b", 201)]
    for source in sources:
        net.stream(source, group, 5.0, 0.25)
    for source in sources:
        for number in net.stream(source, group, 5.0, 0.25):
            assert [net.copies(link, number) for link in ("lan-a", "lan-b")] == [1, 1]
    port = y.ports["lan-y"]
    port.readdress(*((own, bits) for own, bits in port.addresses if own != rp))  # one RP's address goes
    for node, via, link in ((b, y, "y-b"), (y, x, "x-y")):
        node.static_route(rp, link, via.address(link))
    net.run(5)
    for source in sources:
        for number in net.stream(source, group, 5.0, 0.25):
            assert [net.copies(link, number) for link in ("lan-a", "lan-b")] == [1, 1], "the other carries on"
    new = net.source("lan-b", 202)
    net.stream(new, group, 5.0, 0.25)
    for number in net.stream(new, group, 3.0, 0.25):
        assert net.copies("lan-a", number) == 1
