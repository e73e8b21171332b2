"""`phyint scoped`: borders of scope zones hold back data and Joins too (RFC 2365 5, RFC 4007 5; row B18's zones)."""

from __future__ import annotations

from typing import Any

import pytest
from asm_stand import AsmStand
from digest import digest
from stand import Stand

from pimpy.config.model import Config, Phyint, StaticRp
from pimpy.core.explain import explain
from pimpy.core.pim.scope import holds_back
from pimpy.wire import pim
from pimpy.wire.family import Address, Family, Prefix, parse_address, parse_prefix

BORDERS = (parse_prefix("239.193.0.0/16"), parse_prefix("ff05::/16"))


def bordered(*links: str) -> Config:
    """These links are borders of the scope, in both families."""
    return Config(phyints=tuple(Phyint(link, scoped=BORDERS) for link in links))


class ScopeStand(AsmStand):
    """The group in hand is of the scope, or `wide`: of a larger one."""

    def __init__(self, family: Family, *links: str, wide: bool = False, **settings: Any) -> None:
        self.wide = wide
        super().__init__(family, config=bordered(*links), **settings)

    def group(self, number: int = 1) -> Address:
        texts = ("224.5.1", "ff1e:") if self.wide else ("239.193.1", "ff15:")
        return parse_address(f"{texts[0]}.{number}" if self.family.size == 4 else f"{texts[1]}:{number:x}")

    def channels(self) -> tuple[Address, Address]:
        """A source-specific channel of the scope, its source behind 9."""
        wide, scoped = ("232.1.1.1", "232.1.1.1") if self.family.size == 4 else ("ff3e::8000:1", "ff35::8000:1")
        return self.far()[0], parse_address(wide if self.wide else scoped)

    def reasons(self, channel: tuple[Address, Address]) -> set[str]:
        """The reason words of an explanation, that of the verdict apart."""
        return {row.reason for row in explain(self.router, *channel) if row.topic != "verdict"}


@pytest.fixture(params=[False, True], ids=["of-the-scope", "of-a-wider-one"])
def wide(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize(
    ("boundary", "group", "held"),
    [
        ("239.193.0.0/16", "239.193.255.255", True),
        ("239.193.0.0/16", "239.192.0.1", False),
        ("239.193.0.0/16", "ff05::1", False),
        ("ff05::/16", "ff05::1", True),
        ("ff05::/16", "ff35::1", True),
        ("ff05::/16", "ff04::1", True),
        ("ff05::/16", "ff08::1", False),
        ("ff05::/16", "239.193.0.1", False),
    ],
)
def test_which_groups_a_border_holds_back(boundary: str, group: str, held: bool) -> None:
    assert holds_back(parse_prefix(boundary), parse_address(group)) is held


def test_no_join_of_a_neighbour_counts_on_a_border(family: Family, wide: bool) -> None:
    stand = ScopeStand(family, "down", wide=wide)
    before = digest(stand.router)
    stand.far()
    for words in (("Join(*,G)",), ("Join(S,G)",), ("Join(*,G)", "Prune(S,G,rpt)"), ("Prune(*,G)",)):
        stand.say(*words)
        assert wide or digest(stand.router) == before
    assert stand.counted("jp_scope") == (0 if wide else 4)
    assert bool(stand.told("rpt")) is wide and bool(stand.told("up")) is wide


def test_the_other_groups_of_the_message_are_used(family: Family) -> None:
    from pimpy.wire.join_prune import STAR_G, GroupSet, JoinPrune

    stand = ScopeStand(family, "down")
    scoped = stand.group()
    stand.wide = True
    sets = tuple(GroupSet(group, ((stand.rp, STAR_G),), ()) for group in (scoped, stand.group()))
    stand.peer("down", 2).send(JoinPrune(stand.us("down"), 210, sets))
    stand.run(0)
    assert set(stand.router.pim.tib.groups) == {stand.group()} and stand.counted("jp_scope") == 1


def test_no_member_counts_on_a_border(family: Family, wide: bool) -> None:
    stand = ScopeStand(family, "down", wide=wide)
    stand.member()
    stand.run(1)
    assert (stand.star is not None) is wide and bool(stand.told("rpt")) is wide
    channel = stand.far()
    number = stand.data(channel, "rpt")
    assert stand.net.copies("down", number) == wide
    assert ("scope_border" in stand.reasons(channel)) is not wide


def test_no_channel_is_joined_for_a_member_behind_a_border_or_over_one(family: Family, wide: bool) -> None:
    for border in ("down", "up"):
        if wide and family.size == 4:
            continue  # 232/8 of IPv4 knows no scopes
        if family.size == 4:
            stand = ScopeStand(family)
            stand.configure(phyints=(Phyint(border, scoped=(parse_prefix("232.1.0.0/16"),)),))
        else:
            stand = ScopeStand(family, border, wide=wide)
        channel = stand.channels()
        stand.host("down").join(channel[1], channel[0])
        stand.run(1)
        assert bool(stand.told("up")) is wide
        number = stand.data(channel)
        assert stand.net.copies("down", number) == wide, "not even if it is there all the same"
        assert ("scope_border" in stand.reasons(channel)) is not wide


def test_no_join_leaves_over_a_border_and_no_data_comes_in(family: Family, wide: bool) -> None:
    stand = ScopeStand(family, "rpt", wide=wide)
    stand.member()
    stand.run(1)
    channel = stand.far(link="rpt", by=7)
    assert bool(stand.told("rpt")) is wide
    number = stand.data(channel, "rpt")
    assert stand.net.copies("down", number) == wide
    assert ("scope_border" in stand.reasons(channel)) is not wide
    if not wide:
        assert stand.entry(channel) is None, "what comes in by a border makes nothing"
        (row,) = [row for row in stand.rows("mroute") if row.row == "entry" and row.is_rpt]
        assert (row.rpf_state, row.rpf_neighbor) == ("border", None)


def test_a_stream_that_comes_by_a_border_too_is_not_taken_from_there(family: Family, wide: bool) -> None:
    """The source sends on `up`, which is the border and the way to it; the shared tree is inside."""
    stand = ScopeStand(family, "up", wide=wide)
    stand.member()
    stand.run(1)
    channel = stand.far()
    assert stand.net.copies("down", stand.data(channel, "rpt")) == 1
    assert bool(stand.told("up")) is wide, "its own tree would cross the border"
    stand.run(5)
    assert stand.net.copies("down", stand.data(channel, "up")) == wide
    assert stand.net.copies("down", stand.data(channel, "rpt")) == (not wide)
    assert stand.asserts("up") == []


def test_a_source_on_a_border_is_not_registered(family: Family, wide: bool) -> None:
    stand = ScopeStand(family, "src", wide=wide)
    channel = stand.near()
    stand.data(channel)
    assert bool(stand.registers()) is wide and (stand.entry(channel) is not None) is wide
    assert stand.r1.kernel.mfc[channel] is not None, "and the kernel does not ask for each packet"


def test_the_rp_takes_nothing_for_a_border(family: Family, wide: bool) -> None:
    stand = ScopeStand(family, "down", wide=wide, rp="me")
    stand.configure(rp_addresses=(StaticRp(stand.rp, family.multicast),))
    stand.say("Join(*,G)")
    stand.register(stand.far())
    assert stand.net.copies("down", stand.net.sent) == wide


def test_no_assert_is_heard_on_a_border(family: Family, wide: bool) -> None:
    stand = ScopeStand(family, "rpt", wide=wide)
    stand.member()
    stand.run(1)
    stand.peer("rpt", RPT_RIVAL).hello()
    stand.run(0)
    stand.hear_assert(family.any, (True, 0, 0), by=RPT_RIVAL, link="rpt")
    assert stand.assert_state(None, "rpt") == ("loser" if wide else "no_info")


RPT_RIVAL = 8


def test_a_border_that_comes_and_goes_takes_and_gives_back(family: Family) -> None:
    stand = ScopeStand(family)
    stand.say("Join(*,G)", link="down")
    stand.member("src")
    stand.run(1)
    channel = stand.far(link="rpt", by=7)
    stand.data(channel, "rpt")
    assert stand.forwards(channel) == {"down", "src"}
    stand.configure(phyints=bordered("down").phyints)
    assert stand.forwards(channel) == {"src"}
    stand.configure(phyints=bordered("down", "src").phyints)
    assert stand.forwards(channel) == set()
    stand.configure(phyints=bordered("down").phyints)
    assert stand.forwards(channel) == {"src"}, "the member is known still"
    stand.configure(phyints=bordered("down", "rpt").phyints)
    assert stand.forwards(channel) == set()
    assert stand.net.copies("src", stand.data(channel, "rpt")) == 0
    stand.configure(phyints=())
    stand.say("Join(*,G)", link="down")
    assert stand.net.copies("src", stand.data(channel, "rpt")) == 1
    assert stand.forwards(channel) == {"down", "src"}


@pytest.mark.parametrize("border", ["down", "up"])
def test_an_earlier_run_left_what_may_not_be_any_more(family: Family, border: str) -> None:
    stand = Stand(family)
    (channel,) = stand.joined()
    assert stand.forwards(channel) == {"down"}
    boundary = Prefix(channel[1], 32) if family.size == 4 else parse_prefix("ff0e::/16")
    stand.r1.die()
    stand.r1.config = Config(phyints=(Phyint(border, scoped=(boundary,)),))
    stand.r1.resume()
    stand.run(0)
    assert stand.forwards(channel) == set()


def test_hellos_and_wider_groups_cross_a_border(family: Family) -> None:
    stand = ScopeStand(family, "down", "up", "rpt")
    assert stand.neighbors("down") == {2, 3} and stand.i_am_dr("src")
    stand.peer("down", 2).send(pim.Hello(holdtime=0))
    stand.run(0)
    assert stand.neighbors("down") == {3}
