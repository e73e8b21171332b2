"""`altnet`: a subnet that is on a link without an address of ours in it."""

from __future__ import annotations

import pytest
from asm_stand import AsmStand
from speakers import CODECS, Packet
from stand import Stand

from pimpy.config.model import Altnet, Config, Phyint
from pimpy.wire.family import Address, Family, Prefix, format_address, parse_address, subnet_of
from pimpy.wire.membership import Record, RecordType, Report


def subnet(family: Family) -> Prefix:
    """The other subnet of the link `src`."""
    return Prefix(parse_address("10.77.0.0" if family.size == 4 else "2001:db8:77::"), 16 if family.size == 4 else 48)


def stranger(family: Family) -> Address:
    """A source in it."""
    return parse_address("10.77.0.9" if family.size == 4 else "2001:db8:77::9")


@pytest.mark.parametrize("route", ["none", "gateway"])
def test_a_source_of_an_altnet_is_registered_by_the_DR(family: Family, route: str) -> None:
    """Whatever the kernel's route says; without the line it is a stranger there, and makes no Register (Y8)."""
    stand = AsmStand(family, down=(2,))
    source = stranger(family), stand.group()
    if route == "gateway":
        stand.r1.static_route(source[0], "up", stand.nine)
    stand.data(source, "src")
    stand.run(1.0)
    assert stand.entry(source) is None and not stand.registers()
    stand.configure(phyints=(Phyint("src", altnets=(subnet(family),)),))
    stand.mark()
    stand.run(70.0)
    stand.data(source, "src")
    stand.run(1.0)
    stand.data(source, "src")
    stand.run(1.0)
    assert stand.registers(), "it is directly connected now"
    row = stand.row("mroute", row="entry", source_address=format_address(source[0]))
    assert (row.rpf_state, row.incoming_interface, row.rpf_neighbor) == ("connected", "src", None)


def test_an_altnet_by_an_interface_is_the_subnet_of_its_address(family: Family) -> None:
    """pimd's `altnet IF [masklen LEN]` and `altnet NET`: the length left out is that of the phyint's own subnet."""
    near = {4: "10.77.0.0", 16: "2001:db8:77::"}[family.size]
    length = 20 if family.size == 4 else 60
    stand = Stand(family, config=Config(phyints=(Phyint("up", altnets=(Altnet("down"), Altnet("down", length))),)))
    router = stand.r1.router
    up = next(one for one in router.interfaces.values() if one.name == "up")
    own = next(bits for address, bits in up.addresses if not family.is_link_local(address))
    down = next(one for one in router.interfaces.values() if one.name == "down")
    address = next(address for address, _ in down.addresses if not family.is_link_local(address))
    assert up.altnets == (subnet_of(address, own), subnet_of(address, length))
    assert up.holds(address) and not down.altnets
    stand.r1.configure(phyints=(Phyint("up", altnets=(Altnet(near), Altnet("nowhere"), Altnet("nowhere", length))),))
    stand.run(1.0)
    assert up.altnets == (subnet_of(parse_address(near), own),) and not up.holds(address)


def test_a_member_gets_a_stream_of_an_altnet_without_a_join(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("up", altnets=(subnet(family),)),)))
    channel = stranger(family), stand.group()
    stand.host().join(channel[1], channel[0])
    stand.run(2.0)
    assert stand.forwards(channel) == {"down"}
    assert stand.row("mroute", row="entry", source_address=format_address(channel[0])).rpf_state == "connected"
    assert not stand.said("up"), "nobody has to be asked"


def test_a_reload_moves_the_path_there_and_back(family: Family) -> None:
    stand = Stand(family)
    source, group = stranger(family), stand.group()
    stand.r1.static_route(source, "up", stand.nine)
    stand.host().join(group, source)
    stand.run(2.0)
    entry = {"row": "entry", "source_address": format_address(source)}
    assert stand.row("mroute", **entry).rpf_state == "neighbor"
    stand.r1.configure(phyints=(Phyint("up", altnets=(subnet(family),)),))
    stand.run(1.0)
    assert stand.row("mroute", **entry).rpf_state == "connected"
    stand.r1.configure(phyints=())
    stand.run(1.0)
    assert stand.row("mroute", **entry).rpf_state == "neighbor"


def test_hosts_of_an_altnet_are_hosts_of_the_link() -> None:
    from pimpy.wire.family import IPV4

    for altnets, taken in (((), False), ((subnet(IPV4),), True)):
        stand = Stand(IPV4, config=Config(phyints=(Phyint("down", on_link_reports_only=True, altnets=altnets),)))
        channel = stand.channel()
        report = Report((Record(RecordType.ALLOW_NEW_SOURCES, channel[1], (channel[0],)),))
        sender = stand.host("down", 77)
        data = CODECS[IPV4.gmp].encode(report)
        sender.link.transmit(sender, Packet(IPV4.gmp, stranger(IPV4), IPV4.all_reports, data))
        stand.run(0)
        assert (stand.forwards(channel) == {"down"}) is taken
