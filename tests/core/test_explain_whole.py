"""`explain`: all sentences on a stream in their order, as people read them, in some plain situations.

A line is a sentence's topic, reason, state and interface; `test_explain.py` provokes each reason by itself.
"""

from __future__ import annotations

from typing import Any

from asm_stand import AsmStand
from proxy_stand import ProxyStand
from speakers import Channel
from stand import Stand
from static_stand import StaticStand

from pimpy.config.model import Config, Phyint
from pimpy.core.explain import Facts, explain
from pimpy.core.explain.sentence import seconds
from pimpy.core.traffic import Traffic
from pimpy.wire.family import Family, format_address
from pimpy.wire.record import evolve


def lines(stand: Any, channel: Channel, **facts: Any) -> list[str]:
    """The sentences, without their words."""
    rows = explain(stand.router, *channel, Facts(**facts))
    same = {(row.address_family, row.group, row.source_address) for row in rows}
    source = None if channel[0] is None else format_address(channel[0])
    assert same == {(stand.family.name, format_address(channel[1]), source)}
    return [f"{row.topic} {row.reason} {row.state} {row.interface or '-'}" for row in rows]


def words(stand: Any, channel: Channel, reason: str, **facts: Any) -> str:
    """The sentence of a reason; of several the first."""
    rows = explain(stand.router, *channel, Facts(**facts))
    return next(row.text for row in rows if row.reason == reason)


def counted(stand: Any, channel: Channel, **values: Any) -> None:
    told: dict[str, Any] = {"packets": 100, "bytes": 10_000, "wrong_if": 0, "last_packet": 0.1}
    stand.router.traffic = {channel: Traffic(**(told | values))}


def test_a_channel_that_a_router_joined(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    stand.run(10)
    stand.router.advance(stand.net.now)
    counted(stand, channel)
    assert lines(stand, channel) == [
        "members joined_by_router ok down",
        "upstream source_route ok up",
        "upstream joined ok up",
        "kernel entry info up",
        "kernel counted info up",
        "kernel flows ok -",
        "verdict flows ok -",
    ]
    told = words(stand, channel, "joined_by_router")
    assert told.endswith("this source's tree; without another Join that ends in 3 min")
    assert words(stand, channel, "joined").endswith(f"{format_address(stand.nine)} on up; the next Join goes in 50 s")
    assert words(stand, channel, "entry") == "the kernel takes it from up to down"
    assert words(stand, channel, "counted") == "100 packets came in, the last 0.1 s ago"
    assert words(stand, channel, "flows") == "it goes out to down"


def test_a_stream_is_silent_after_five_seconds(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    counted(stand, channel, last_packet=5.0)
    assert lines(stand, channel)[-2:] == ["kernel flows ok -", "verdict flows ok -"]
    counted(stand, channel, last_packet=5.1)
    assert lines(stand, channel)[-2:] == ["kernel source_silent waiting up", "verdict source_silent waiting -"]
    counted(stand, channel, last_packet=None)
    assert lines(stand, channel)[-1] == "verdict flows ok -", "when the last one came is not told"
    counted(stand, channel, packets=None)
    assert lines(stand, channel)[-1] == "verdict nothing_wrong info -"


def test_a_shared_tree_and_then_the_sources_own(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(*,G)")
    star: Any = (None, source[1])
    shared = [
        "members joined_by_router ok down",
        "rp rp info -",
        "rp rp_route ok rpt",
        "upstream joined ok rpt",
    ]
    assert lines(stand, star) == [*shared, "verdict nothing_wrong info -"]
    assert f"join the group's shared tree at {format_address(stand.seven)}" in words(stand, star, "joined")
    stand.say("Join(S,G)")
    stand.data(source, "up")
    assert lines(stand, source) == [
        "members joined_by_router ok down",
        "members joined_by_router ok down",
        "rp rp info -",
        "rp rp_route ok rpt",
        "upstream source_route ok up",
        "upstream joined ok up",
        "kernel entry info up",
        "verdict nothing_wrong info -",
    ]
    assert f"join this source's tree at {format_address(stand.nine)}" in words(stand, source, "joined")


def test_a_source_on_the_shared_tree_alone_is_asked_for_by_the_groups_join(family: Family) -> None:
    stand = AsmStand(family, config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    assert "join the group's shared tree at" in words(stand, source, "joined")
    assert "upstream joined ok rpt" in lines(stand, source)


def test_at_the_rp_nothing_is_joined(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    stand.say("Join(*,G)")
    star: Any = (None, stand.group())
    assert lines(stand, star) == [
        "members joined_by_router ok down",
        "rp rp_self info -",
        "verdict nothing_wrong info -",
    ]


def test_the_join_follows_the_winner_of_an_assert(family: Family) -> None:
    stand = AsmStand(family)
    source = stand.far()
    stand.say("Join(S,G)")
    stand.data(source, "up")
    assert ", which won an Assert there" not in words(stand, source, "joined")
    stand.hello("up", 8)
    stand.hear_assert(source[0], (False, 0, 0), by=8, link="up")
    assert f"{format_address(stand.peer('up', 8).address)} on up, which won an Assert there" in words(
        stand, source, "joined"
    )
    assert not [line for line in lines(stand, source) if "assert_lost" in line], "there it decides whom we join"


def test_hosts_are_told_of_with_how_they_asked(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    nobody = ["members no_member problem -", "kernel no_entry info -", "verdict no_member problem -"]
    assert lines(stand, channel) == nobody
    stand.host().join(channel[1], channel[0])
    stand.run(1)
    assert lines(stand, channel)[0] == "members member ok down"
    protocol = "IGMPv3" if family.size == 4 else "MLDv2"
    host = format_address(stand.host().address)
    expected = f"on down a host ({host} was the last to say so) asks for this source, by {protocol}"
    assert words(stand, channel, "member") == expected
    others = [stand.channel(number, group=1) for number in (2, 3, 4)]
    stand.host().join(channel[1], *(other[0] for other in others))
    stand.run(2)
    stranger = stand.channel(9, group=1)
    told = words(stand, stranger, "other_sources")
    named = [format_address(one[0]) for one in (channel, *others)]
    assert sum(f" {name}" in told.replace(",", " ").replace(":  ", " ") for name in named) == 3, "three are enough"


def test_who_serves_the_members_when_we_do_not(family: Family) -> None:
    stand = Stand(family)
    channel = stand.channel()
    stand.host().join(channel[1], channel[0])
    stand.peer("down", 2).keep_saying_hello(dr_priority=100)
    stand.run(1)
    assert "interface not_dr problem down" in lines(stand, channel)
    stand.host("up").join(channel[1], channel[0])
    stand.run(1)
    assert "interface not_dr problem down" in lines(stand, channel), "on up another is the DR as well"
    stand.net.link("more", "r1")
    stand.host("more").join(channel[1], channel[0])
    stand.run(10)
    assert "interface not_dr info down" in lines(stand, channel), "others are served by us"


def test_a_ttl_at_the_threshold_does_not_leave(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", ttl_threshold=16),)))
    (channel,) = stand.joined(1)
    counted(stand, channel)
    assert "interface ttl_threshold problem down" in lines(stand, channel, ttl=16)
    assert "interface ttl_threshold info down" in lines(stand, channel, ttl=17)
    plain = Stand(family)
    (channel,) = plain.joined(1)
    counted(plain, channel)
    assert not [line for line in lines(plain, channel, ttl=9) if "ttl" in line]
    assert "kernel ttl_1 problem up" in lines(plain, channel, ttl=1)
    assert not [line for line in lines(plain, channel, ttl=2) if "ttl" in line]


def test_full_tables_are_told_of_to_who_is_kept_out(family: Family) -> None:
    stand = Stand(family)
    (channel,) = stand.joined(1)
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=2)
    assert not [line for line in lines(stand, stand.channel(2)) if "sg_limit" in line], "there is room for one"
    stand.router.pim.settings = evolve(stand.router.pim.settings, max_sg=1)
    assert "members sg_limit problem -" in lines(stand, stand.channel(2))
    assert not [line for line in lines(stand, channel) if "sg_limit" in line], "it has its entry"


def test_a_group_limit_is_told_of_to_who_is_kept_out(family: Family) -> None:
    stand = Stand(family, config=Config(phyints=(Phyint("down", max_groups=2),)))
    first, second, third = (stand.channel(number) for number in (1, 2, 3))
    stand.host().join(first[1], first[0])
    stand.run(1)
    assert not [line for line in lines(stand, third) if "group_limit" in line]
    stand.host().join(second[1], second[0])
    stand.run(1)
    assert "members group_limit problem down" in lines(stand, third)
    assert not [line for line in lines(stand, first) if "group_limit" in line]


def test_a_static_route_with_its_line(family: Family) -> None:
    stand = StaticStand(family)
    source, group = stand.source(), stand.group()
    stand.follow(stand.any(stand.groups(), "b", "c"))
    stand.send(source, group)
    assert lines(stand, (source, group)) == [
        "upstream static_rule info -",
        "kernel entry info a",
        "verdict nothing_wrong info -",
    ]
    assert f"`mroute from a group {stand.groups()} to b c`" in words(stand, (source, group), "static_rule")


def test_a_proxied_stream(family: Family) -> None:
    stand = ProxyStand(family, said={"always_forward": True})
    source, group = stand.source(), stand.group()
    stand.host("d1").want_any(group)
    stand.asker("d1", 1).query()
    stand.run(1)
    waiting = ["members proxy_member ok d1", "upstream proxy_asks ok up"]
    assert lines(stand, (source, group))[:3] == [*waiting, "kernel proxy_waits waiting -"]
    star: Any = (None, group)
    assert lines(stand, star) == [*waiting, "verdict nothing_wrong info -"]
    stand.data(source, group)
    counted(stand, (source, group))
    assert lines(stand, (source, group)) == [
        *waiting,
        "upstream proxy_rule info up",
        "kernel entry info up",
        "kernel counted info up",
        "kernel flows ok -",
        "verdict flows ok -",
    ]


def test_the_sources_of_a_group_that_nobody_can_ask_for_alone(family: Family) -> None:
    stand = Stand(family)
    channels = [stand.channel(number, group=1) for number in range(1, 6)]
    group: Any = (None, stand.group(1))
    assert "known here" not in words(stand, group, "ssm_names_a_source")
    stand.host().join(group[1], *(source for source, _ in channels[:3]))
    stand.run(1)
    three = ", ".join(format_address(source) for source, _ in channels[:3])
    assert words(stand, group, "ssm_names_a_source").endswith(f"known here are {three}")
    stand.host("up").join(group[1], *(source for source, _ in channels[3:]))
    stand.run(1)
    assert words(stand, group, "ssm_names_a_source").endswith(f"known here are {three} and 2 more")


def test_times_in_words() -> None:
    assert [seconds(value) for value in (None, 0.04, 9.94, 10.0, 119.4, 120.0, 150.1)] == [
        "never",
        "0.0 s",
        "9.9 s",
        "10 s",
        "119 s",
        "2 min",
        "3 min",
    ]
