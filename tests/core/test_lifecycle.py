"""Interfaces come, change and go, and the configuration is followed: what it does not change is not touched."""

from __future__ import annotations

import pytest
from digest import digest
from stand import Stand

from pimpy.config.model import Config, Phyint
from pimpy.core.engine.effects import SendPacket
from pimpy.core.engine.events import Configured, LinkChanged
from pimpy.wire.family import Family, format_address
from pimpy.wire.record import evolve


def test_the_same_configuration_again_changes_nothing(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", dr_priority=3),)))
    stand.joined()
    before = digest(stand.router)
    stand.r1.configure()
    stand.run(0)
    assert digest(stand.router) == before
    assert not stand.up.log and not [entry for entry in stand.down.log if entry[1]]


def test_a_change_on_one_link_leaves_the_others_alone(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    stand.net.link("side", "r1")
    stand.run(10)
    stand.mark()
    stand.r1.configure(phyints=(Phyint("side", enabled=False),))
    stand.run(0)
    assert stand.forwards(channel) == {"down"} and not stand.up.log
    assert stand.r1.vif("side") is None
    assert stand.row("interfaces", interface="side").reason == "disabled by the configuration"
    stand.r1.configure(phyints=())
    stand.run(6)
    assert stand.r1.vif("side") is not None and stand.hellos("side")


def test_no_phyint_leaves_only_the_named_interfaces(family: Family) -> None:
    stand = Stand(family, config=Config(phyints_enabled=False, phyints=(Phyint("up", enabled=True),)))
    rows = {row.interface: row.oper_status for row in stand.rows("interfaces")}
    assert rows == {"up": "up", "down": "off", "lo": "off"}


def test_an_interface_is_named_by_its_address_too(family: Family) -> None:
    stand = Stand(family)
    address = format_address(stand.us("down"))
    if family.size == 16:
        address = format_address(stand.r1.ports["down"].addresses[1][0])
    stand.r1.configure(phyints=(Phyint(address, dr_priority=4),))
    stand.run(0)
    assert stand.row("interfaces", interface="down").dr_priority == 4
    assert stand.row("interfaces", interface="up").dr_priority == 1
    stand.r1.ports["down"].readdress((stand.net.link_local("down", 6), stand.net.subnet_bits))
    stand.run(0)
    assert stand.row("interfaces", interface="down").dr_priority == 1, "it is another address now"


def test_a_rename_keeps_the_state_and_looks_the_name_up(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("lan0", dr_priority=8),)))
    (channel,) = stand.joined()
    stand.net.checker.on = False
    stand.r1.handle(evolve(stand.r1.ports["down"].link_changed(), name="lan0"))
    stand.run(0)
    assert stand.forwards(channel) == {"down"}
    row = stand.row("interfaces", interface="lan0")
    assert (row.dr_priority, row.neighbor_count) == (8, 1)
    assert [hello.dr_priority for _, hello in stand.hellos()] == [8]


def test_passive_and_back(family: Family) -> None:
    stand = Stand(family)
    source, group = stand.channel()
    stand.host().join(group, source)
    stand.joined()
    stand.r1.configure(phyints=(Phyint("down", passive=True),))
    stand.run(0)
    assert stand.row("interfaces", interface="down").mode == "passive" and stand.neighbors() == set()
    stand.mark()
    stand.run(20)
    assert not stand.hellos() and stand.forwards((source, group)) == {"down"}, "asked anew, the member answered"
    stand.r1.configure(phyints=())
    stand.run(30)
    assert stand.hellos() and stand.row("interfaces", interface="down").mode == "pim"
    assert stand.forwards((source, group)) == {"down"}


def test_what_takes_no_part_says_why(family: Family) -> None:
    stand = Stand(family)
    port = stand.r1.ports["down"]
    row = stand.row("interfaces", interface="lo")
    assert (row.oper_status, row.reason) == ("off", "a loopback interface")
    port.multicast = False
    port.tell()
    assert "no multicast flag" in stand.row("interfaces", interface="down").reason
    port.multicast = True
    port.tell()
    port.readdress()
    row = stand.row("interfaces", interface="down")
    assert row.oper_status == "down" and "address" in row.reason
    if family.size == 16:
        port.readdress((stand.net.address("down", 5), 64))
        assert stand.row("interfaces", interface="down").reason == "no usable link-local address"
    port.readdress((stand.net.link_local("down", 5), stand.net.subnet_bits))
    stand.net.set_link("down", False)
    stand.run(0)
    row = stand.row("interfaces", interface="down")
    assert (row.oper_status, row.reason) == ("down", "no carrier")


def test_disabled_and_enabled_in_one_batch_never_has_two_vifs(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    for enabled in (False, True):
        stand.r1.configure(phyints=(Phyint("down", enabled=enabled),))
    stand.run(0)
    assert len(stand.r1.kernel.vifs) == 2 and stand.r1.vif("down") is not None
    assert stand.row("interfaces", interface="down").oper_status == "up" and not stand.forwards(channel)


def test_a_link_down_keeps_its_vif_and_a_disabled_one_gives_it_back(family: Family) -> None:
    stand = Stand(family)
    before = stand.r1.vif("down")
    stand.net.set_link("down", False)
    stand.run(1)
    assert stand.r1.vif("down") == before
    stand.net.set_link("down", True)
    stand.r1.configure(phyints=(Phyint("down", enabled=False),))
    stand.run(1)
    assert stand.r1.vif("down") is None


@pytest.mark.parametrize("order", ["address first", "configuration last"])
def test_the_order_of_the_first_events_does_not_matter(family: Family, order: str) -> None:
    stand = Stand(family, up=(), down=(), warm_up=0.0)
    node = stand.r1
    node.crash()
    assert node.router is None
    node.start()
    port = node.ports["down"]
    if order == "configuration last":
        node.handle(LinkChanged(port.ifindex, "down", True, True, False, False, 1500))
        node.handle(Configured(Config(phyints=(Phyint("down", dr_priority=6),))))
    stand.run(6)
    assert stand.hellos() and stand.row("interfaces", interface="down").dr_priority == (
        6 if order == "configuration last" else 1
    )


def test_a_thousand_flaps_leave_the_state_of_a_fresh_router(family: Family) -> None:
    stand = Stand(family, up=(), down=())
    for number in range(1000):
        stand.net.set_link(("up", "down")[number % 2], number % 4 < 2)
        stand.run(0.1)
    for link in ("up", "down"):
        stand.net.set_link(link, True)
    stand.run(10)
    fresh = Stand(family, up=(), down=())
    rows = [[evolve(row, **forget(row)) for row in one.rows("interfaces")] for one in (stand, fresh)]
    assert rows[0] == rows[1] and len(stand.r1.kernel.vifs) == 2
    heap = stand.router.heap
    assert len(heap._buckets) < 200, "timers of the dead do not pile up"


def forget(row: object) -> dict[str, object]:
    """What differs between two routers in the same state."""
    return {"gen_id": None, "hello_expiration": None}


def test_good_byes_are_the_last_words(family: Family) -> None:
    stand = Stand(family)
    stand.joined(1, 2, 3)
    router = stand.router
    stand.host().join(stand.group(7), stand.channel(7)[0])
    stand.run(1)
    stand.r1.shutdown()
    assert not router.drain(), "and nothing after them"
    assert router.next_deadline() is None or not [e for e in _later(router, stand.net.now) if isinstance(e, SendPacket)]


def _later(router: object, now: float) -> list[object]:
    router.advance(now + 1000)  # type: ignore[attr-defined]
    return list(router.drain())  # type: ignore[attr-defined]
