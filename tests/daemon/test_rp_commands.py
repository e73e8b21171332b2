"""`show rp`, `show rp-set`, `show bsr`, `show rpf`: what is asked of the daemon, the tables, the metrics."""

from __future__ import annotations

import json

import pytest
from fake_daemon import FakeDaemon

from pimpy.cli.render import Style
from pimpy.cli.tables import render
from pimpy.daemon import commands, exposition, rows


def told(command: str, daemon: FakeDaemon | None = None) -> str:
    """The table of a command, as pimctl prints it."""
    name, _ = commands.split_show(command.split())
    found, _ = commands.answer(daemon or FakeDaemon(), f"show {command}")
    ordered = sorted(found or [], key=rows.sort_key)
    return render(name, json.loads(f"[{rows.as_json(ordered)}]"), Style())


def test_show_rp_tells_each_rp_and_the_groups_without() -> None:
    lines = told("rp").splitlines()
    assert [line.split()[0] for line in lines if line[:1].isdigit() or line.startswith("none")] == [
        "10.0.1.1",
        "10.0.12.2",
        "none",
    ]
    assert "bsr static" in lines[-3] and "yes" in lines[-3]


def test_show_rp_of_a_group_tells_the_rule_and_the_hash_values() -> None:
    daemon = FakeDaemon()
    text = told("rp 239.1.1.1", daemon)
    assert daemon.asked == [("look up", "rp", "239.1.1.1")]
    assert "1679372561" in text and "694951000" in text and "224.0.0.0/4" in text
    assert told("rp 10.0.12.2").count("10.0.12.2") == 2, "an RP's address is a filter as everywhere"


def test_show_rp_set_and_bsr() -> None:
    text = told("rp-set")
    assert "override" in text and "225.0.0.0/8" in text and "1m15s" in text
    assert text.index("224.0.0.0/4") < text.index("225.0.0.0/8"), "in the order of the ranges"
    text = told("bsr")
    assert text.index("elected") < text.index("accept any") < text.index("Candidate RPs") < text.index("Offered by us")


def test_show_rpf() -> None:
    daemon = FakeDaemon()
    text = told("rpf 10.0.9.9", daemon)
    assert daemon.asked == [("look up", "rpf", "10.0.9.9")] and "10.0.9.0/24" in text and "10.0.12.2" in text


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("rpf", "takes one address"),
        ("rpf x", "no address"),
        ("rpf 239.1.1.1", "show rp 239.1.1.1"),
        ("rpf 10.0.0.1 x", "one"),
    ],
)
def test_show_rpf_wants_one_unicast_address(command: str, part: str) -> None:
    with pytest.raises(commands.RefusedError, match=part) as refused:
        commands.answer(FakeDaemon(), f"show {command}")
    assert refused.value.code == commands.USAGE


def test_metrics_of_rps_and_bsrs() -> None:
    text = "".join(family.text() for family in exposition.of_rps(FakeDaemon()))
    for line in (
        'pimpy_bsr_info{af="ipv4",zone="global",bsr="10.0.1.1",state="elected"} 1',
        'pimpy_bsr_is_elected{af="ipv6",zone="global"} 0',
        'pimpy_bsr_expiration_seconds{af="ipv4",zone="global"} 40.0',
        'pimpy_bsr_candidate_rp_mappings{af="ipv4",zone="global"} 1',
        'pimpy_pim_rp_groups{af="ipv4",rp="10.0.12.2"} 2',
        'pimpy_pim_groups_without_rp{af="ipv4"} 3',
        'pimpy_pim_groups_without_rp{af="ipv6"} 0',
        'pimpy_pim_rp_mappings{af="ipv4",source="static"} 1',
    ):
        assert line in text, line
