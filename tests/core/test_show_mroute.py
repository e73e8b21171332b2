"""`show mroute` of any-source groups: (*,G), (S,G), (S,G,rpt), and why an interface is in or out, as rows and text."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from asm_stand import AsmStand
from speakers import Channel

from pimpy.cli.detail import detail
from pimpy.cli.render import Style
from pimpy.cli.schemas import schema
from pimpy.cli.tables import render
from pimpy.config.model import Config
from pimpy.daemon.rows import as_json, sort_key
from pimpy.wire.family import Family, format_address

SCHEMA = schema("mroute")
RPT_WINS = (True, 0, 1)


def shared(family: Family, **settings: Any) -> tuple[AsmStand, Channel]:
    """A router on the shared tree of a group, and a source whose data comes by it."""
    stand = AsmStand(family, config=Config(spt_threshold="infinity"), **settings)
    source = stand.far()
    stand.say("Join(*,G)")
    stand.data(source, "rpt")
    return stand, source


def rows(stand: AsmStand) -> list[dict[str, Any]]:
    """What pimctl gets: JSON objects, in order."""
    stand.router.advance(stand.net.now)
    found: list[dict[str, Any]] = json.loads(f"[{as_json(sorted(stand.rows('mroute'), key=sort_key))}]")
    jsonschema.validate(found, SCHEMA)
    return found


def one(stand: AsmStand, **wanted: Any) -> dict[str, Any]:
    (found,) = [row for row in rows(stand) if all(row.get(key) == value for key, value in wanted.items())]
    return found


def line(stand: AsmStand, source: str) -> str:
    """The line of the table for a source."""
    text = render("mroute", rows(stand), Style(width=250))
    (found,) = [line for line in text.splitlines() if f" {source}  " in line]
    return found


def test_the_shared_tree_and_a_source_on_it(family: Family) -> None:
    stand, source = shared(family)
    stand.run(10)
    star = one(stand, row="entry", source_address="*")
    assert (star["is_rpt"], star["upstream_state"], star["incoming_interface"]) == (True, "joined", "rpt")
    assert (star["rp_address"], star["rpf_neighbor"]) == (format_address(stand.rp), format_address(stand.seven))
    assert star["join_expiration"] == 50
    why = one(stand, row="outgoing", source_address="*")
    assert (why["outgoing_interface"], why["jp_state"], why["expiration"], why["up_time"]) == ("down", "join", 200, 10)
    entry = one(stand, row="entry", source_address=format_address(source[0]))
    assert (entry["is_spt"], entry["upstream_state"], entry["incoming_interface"]) == (False, "not_joined", "rpt")
    inherited = one(stand, row="outgoing", source_address=format_address(source[0]))
    assert (inherited["inherited"], inherited["forwarding"], inherited["jp_state"]) == (True, True, "no_info")
    assert not [row for row in rows(stand) if row["row"].startswith("rpt")], "nothing to tell of (S,G,rpt)"
    assert "down (tree)" in line(stand, format_address(source[0])) and "down (join)" in line(stand, "*")


def test_the_source_tree_its_flags_and_timers(family: Family) -> None:
    stand, source = shared(family)
    stand.member()
    stand.say("Join(S,G)")
    stand.data(source, "up")
    stand.run(5)
    entry = one(stand, row="entry", source_address=format_address(source[0]))
    assert (entry["is_spt"], entry["upstream_state"], entry["incoming_interface"]) == (True, "joined", "up")
    assert (entry["rpf_neighbor"], entry["join_expiration"]) == (format_address(stand.nine), 55)
    assert entry["keepalive_expiration"] == 205
    assert "SPT" in line(stand, format_address(source[0]))
    star = one(stand, row="outgoing", source_address="*")
    assert (star["member"], star["jp_state"]) == (True, "join")
    assert "down (member+join)" in line(stand, "*")
    rpt = one(stand, row="rpt")
    assert (rpt["upstream_state"], rpt["rpf_neighbor"]) == ("pruned", format_address(stand.seven)), "F16"
    assert "pruned" in line(stand, f"{format_address(source[0])} rpt")


def test_pruned_off_the_shared_tree_by_a_router(family: Family) -> None:
    stand, source = shared(family)
    text = format_address(source[0])
    stand.say("Prune(S,G,rpt)")
    stand.run(1)
    pending = one(stand, row="rpt_outgoing")
    assert (pending["prune_state"], pending["prune_expiration"], pending["inherited"]) == ("prune_pending", 2, True)
    assert "down (pruning)" in line(stand, f"{text} rpt")
    stand.run(2)
    pruned = one(stand, row="rpt_outgoing")
    assert (pruned["prune_state"], pruned["prune_expiration"], pruned["expiration"]) == ("prune", None, 207)
    assert pruned["inherited"] is False and pruned["up_time"] == 3
    out = one(stand, row="outgoing", source_address=text)
    assert (out["rpt_pruned"], out["forwarding"], out["inherited"]) == (True, False, False)
    assert "[down (pruned)]" in line(stand, text) and "[down (pruned)]" in line(stand, f"{text} rpt")
    assert one(stand, row="rpt")["upstream_state"] == "pruned", "U15: nobody here wants it"
    words = detail("mroute", rows(stand))
    assert f"({text}, {format_address(source[1])}, rpt)" in words
    assert "down NOT from the shared tree: pruned by a router 3s ago, ends in 3m27s" in words
    assert "down NOT forwarding: pruned off the shared tree" in words


def test_a_prune_of_another_router_that_is_going_to_be_overridden(family: Family) -> None:
    stand, _ = shared(family)
    stand.hello("rpt", 8)
    stand.say("Prune(S,G,rpt)", by=8, link="rpt", to=stand.seven)
    rpt = one(stand, row="rpt")
    assert rpt["upstream_state"] == "not_pruned" and 0 < rpt["override_expiration"] <= 2.5
    assert "overrides a Prune in " in detail("mroute", rows(stand))


def test_excluded_by_the_members_of_a_link(family: Family) -> None:
    stand = AsmStand(family, down=(), config=Config(spt_threshold="infinity"))
    source = stand.far()
    stand.member(excluding=(source[0],))
    stand.data(source, "rpt")
    found = one(stand, row="rpt_outgoing")
    assert (found["excluded"], found["prune_state"], found["inherited"]) == (True, "no_info", False)
    assert found["expiration"] is None and found["up_time"] is None
    assert "[down (excluded)]" in line(stand, f"{format_address(source[0])} rpt")
    assert "down NOT from the shared tree: excluded by all members" in detail("mroute", rows(stand))


def test_asserts_that_were_won_and_lost(family: Family) -> None:
    stand, source = shared(family)
    text = format_address(source[0])
    stand.data(source, "down")
    star = one(stand, row="outgoing", source_address="*")
    assert (star["assert_state"], star["rpt_assert_state"], star["forwarding"]) == ("winner", None, True)
    assert "down (join+assert won)" in line(stand, "*")
    stand.hear_assert(family.any, RPT_WINS)
    star = one(stand, row="outgoing", source_address="*")
    assert (star["assert_state"], star["forwarding"]) == ("loser", False)
    out = one(stand, row="outgoing", source_address=text)
    assert (out["assert_state"], out["rpt_assert_state"], out["forwarding"]) == (None, "loser", False)
    assert "[down (assert lost)]" in line(stand, text) and "[down (join+assert lost)]" in line(stand, "*")
    assert "another router forwards, by Assert on the shared tree" in detail("mroute", rows(stand))


def test_at_the_rp_and_at_the_dr(family: Family) -> None:
    stand = AsmStand(family, rp="me")
    stand.say("Join(*,G)")
    star = one(stand, row="entry", source_address="*")
    assert (star["incoming_interface"], star["rpf_neighbor"], star["rpf_state"]) == ("register", None, "local")
    stand = AsmStand(family)
    source = stand.near()
    stand.data(source)
    assert one(stand, row="entry")["register_state"] == "join" and "registering" in line(
        stand, format_address(source[0])
    )
    stand.register_stop(source)
    assert "register stopped" in line(stand, format_address(source[0]))
