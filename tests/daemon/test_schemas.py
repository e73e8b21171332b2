"""The shipped schemas: what the row classes say, and what the daemon answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from fake_daemon import FakeDaemon, gmp_group, gmp_interface, gmp_source, interface, mroute, neighbor, outgoing

from pimpy.cli import fields, schemas
from pimpy.cli.doctor.case import Finding
from pimpy.cli.traffic import run
from pimpy.cli.traffic.stream import Arrivals
from pimpy.core import rows as core
from pimpy.daemon import commands, rows

NAMES = sorted(schemas.COMMANDS)


def objects(found: list[rows.AnyRow] | None) -> list[dict[str, Any]]:
    return list(json.loads(f"[{rows.as_json(found or [])}]"))


def shipped(name: str) -> dict[str, Any]:
    found = json.loads((Path(schemas.FOLDER) / f"show-{name}.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_schema_is_what_the_rows_say(name: str) -> None:
    text = (Path(schemas.FOLDER) / f"show-{name}.json").read_text()
    assert text == schemas.text(name), "run: python -m pimpy.cli.schemas"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_every_show_command_and_every_row_has_a_schema() -> None:
    assert set(NAMES) == {name.partition(" ")[0] for name in commands.SHOW}
    covered = {cls for classes in schemas.COMMANDS.values() for cls in classes}
    assert covered == {*get_args(core.Row), rows.StatusRow, rows.CounterRow}
    expected = {*(f"show-{name}.json" for name in NAMES), *(f"{name}.json" for name in schemas.OTHERS)}
    assert set(schemas.OTHERS) == {"doctor", "explain", "join", "monitor", "ping", "send"}, "all that print JSON rows"
    assert {path.name for path in Path(schemas.FOLDER).glob("*.json")} == expected


def test_the_schema_of_events_and_the_page_of_all_fields_are_what_the_rows_say() -> None:
    for name in schemas.OTHERS:
        assert Path(schemas.path(name)).read_text() == schemas.text(name), "run: python -m pimpy.cli.schemas"
    assert Path(schemas.DOCUMENT).read_text() == fields.markdown(), "run: python -m pimpy.cli.schemas"
    for name in fields.names():
        said = fields.text(name)
        for row in json.loads(fields.read(name)).get("items", {}).get("oneOf", []):
            assert all(f"  {field} " in said for field in row["properties"])


def test_what_the_tools_print_is_valid() -> None:
    found = Arrivals()
    found.take(b"no number", 1.0, 15)
    finding = Finding("ttl_1", "error", "eth0", "text", "evidence", "remedy")
    for name, said in (
        ("join", run._row("10.0.0.1", "232.1.1.1", found)),
        ("send", {"group": "232.1.1.1", "sent": 3}),
        ("ping", {"sent": 3, "unicast": 2, "multicast": 1}),
        ("doctor", [finding.as_dict()]),
    ):
        validator = jsonschema.Draft202012Validator(json.loads(fields.read(name)))
        validator.validate(said)
        assert not validator.is_valid([{}] if name == "doctor" else {**said, "more": 1})


def test_events_are_valid() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schemas.text("monitor")))
    (row,) = objects([rows.EventRow(1.5, "ipv4", "joined", "a1", "239.1.1.1", None, "10.0.0.1", None)])
    validator.validate(row)
    assert not validator.is_valid({**row, "more": 1})


LOOKED_UP = {"rpf": "rpf 10.0.9.9"}
"""What has to be asked with a word."""


@pytest.mark.parametrize("command", [*sorted(LOOKED_UP.get(name, name) for name in commands.SHOW), "rp 239.1.1.1"])
def test_answers_are_valid(command: str) -> None:
    found, _ = commands.answer(FakeDaemon(), f"show {command}")
    assert found
    jsonschema.Draft202012Validator(shipped(command.partition(" ")[0])).validate(objects(found))


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_flat_and_complete(name: str) -> None:
    found, _ = commands.answer(FakeDaemon(), f"show {LOOKED_UP.get(name, name)}")
    validator = jsonschema.Draft202012Validator(shipped(name))
    for row in objects(found):
        assert all(value is None or isinstance(value, (str, int, float, bool)) for value in row.values())
        assert all(key == key.lower() and "-" not in key for key in row)
        for key in row:
            less = {other: value for other, value in row.items() if other != key}
            assert not validator.is_valid([less]), f"{name} without {key} is taken"
        assert not validator.is_valid([{**row, "more": 1}])


EXTREMES: list[tuple[str, rows.AnyRow]] = [
    ("neighbors", neighbor(expiration=None, dr_priority=None, gen_id=None, lan_prune_delay=False, t_bit=None)),
    ("neighbors", neighbor(propagation_delay=None, override_interval=None, expiration=float("inf"), up_time=0)),
    ("interfaces", interface(vif=None, address=None, dr_address=None, hello_expiration=None, gen_id=None)),
    ("mroute", mroute(join_expiration=None, incoming_interface=None, rpf_neighbor=None, rpf_state="no_route")),
    ("mroute", mroute(mode="pim_asm", packets=2**63, bytes=2**64 - 1, rpf_state="neighbor")),
    ("mroute", outgoing(jp_state="prune_pending", expiration=3.0, up_time=1.0)),
    ("igmp", gmp_interface(querier=None, oper_status="off", version=1)),
    ("igmp", gmp_group(filter_mode="exclude", expire=1.0, last_reporter=None)),
    ("mld", gmp_source("ff3e::1", "2001:db8::1", expire=None)),
    ("status", rows.StatusRow(version="1", ident="x", pid=1, up_time=0.0, table=0, address_families="")),
]


@pytest.mark.parametrize(("name", "row"), EXTREMES)
def test_rows_with_nothing_to_say_are_valid(name: str, row: rows.AnyRow) -> None:
    jsonschema.Draft202012Validator(shipped(name)).validate(objects([row]))


def test_addresses_are_sorted_as_numbers() -> None:
    texts = ["10.0.0.10", "10.0.0.9", "9.255.0.1", "fe80::10", "fe80::9"]
    found = sorted((neighbor("a", text) for text in reversed(texts)), key=rows.sort_key)
    assert [row.address for row in found] == ["9.255.0.1", "10.0.0.9", "10.0.0.10", "fe80::9", "fe80::10"]


def test_text_is_escaped_and_numbers_are_rounded() -> None:
    strange = 'a"b\\c\n\x00\u2028\ud800%s{}'
    (row,) = objects([neighbor(strange, up_time=1.23456, expiration=float("nan"), dr_priority=2**40)])
    assert (row["interface"], row["up_time"], row["expiration"]) == (strange, 1.235, None)
    assert row["dr_priority"] == 2**40
