"""The JSON schemas of `pimctl --json show ...`, made from the row classes: `python -m pimpy.cli.schemas` writes them.

The files are shipped in pimpy/schemas; a test compares them with what this makes. pimctl itself only reads the files.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import sys
import textwrap
import types
from typing import Any, get_args, get_type_hints

from pimpy.cli import fields
from pimpy.cli.doctor.case import Finding
from pimpy.cli.traffic.rows import AnsweredRow, ArrivedRow, SentRow
from pimpy.core import rows as core
from pimpy.core.explain import ExplainRow
from pimpy.daemon import rows

FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "schemas")

DOCUMENT = os.path.join(os.path.dirname(os.path.dirname(FOLDER)), "man", "fields.md")

COMMANDS: dict[str, tuple[type, ...]] = {
    "neighbors": (core.NeighborRow,),
    "mroute": (core.MrouteRow, core.OutgoingRow, core.RptRow, core.RptOutgoingRow),
    "interfaces": (core.InterfaceRow,),
    "igmp": (core.GmpInterfaceRow, core.GmpGroupRow, core.GmpSourceRow, core.GmpReporterRow),
    "mld": (core.GmpInterfaceRow, core.GmpGroupRow, core.GmpSourceRow, core.GmpReporterRow),
    "static": (core.StaticRow,),
    "proxy": (core.ProxyRow, core.ProxyInterfaceRow, core.ProxyGroupRow),
    "rp": (core.RpRow, core.RpChoiceRow),
    "rp-set": (core.RpSetRow,),
    "bsr": (core.BsrRow, core.CandidateRpRow, core.OfferRow),
    "rpf": (core.RpfRow,),
    "watches": (core.WatchRow, core.ExpectedNeighborRow),
    "status": (rows.StatusRow,),
    "counters": (rows.CounterRow,),
}
"""The row classes that an array of each command holds."""
OTHERS: dict[str, tuple[type, bool]] = {
    "doctor": (Finding, True),
    "explain": (ExplainRow, True),
    "join": (ArrivedRow, False),
    "monitor": (rows.EventRow, False),
    "ping": (AnsweredRow, False),
    "send": (SentRow, False),
}
"""What has a schema and is no `show` command: its row class, and whether it prints an array or an object a line."""

_RPF_STATES = ["neighbor", "connected", "local", "no_route", "no_neighbor", "no_interface", "border", "pending"]

ENUMS: dict[type, dict[str, list[str]]] = {
    core.InterfaceRow: {"oper_status": ["up", "down", "off"], "mode": ["pim", "passive", "proxy", "none"]},
    core.MrouteRow: {
        "row": ["entry"],
        "mode": ["pim_ssm", "pim_asm", "static", "proxy", "negative"],
        "upstream_state": ["joined", "not_joined"],
        "rpf_state": _RPF_STATES,
    },
    core.OutgoingRow: {
        "row": ["outgoing"],
        "jp_state": ["no_info", "join", "prune_pending"],
        "assert_state": ["winner", "loser"],
        "rpt_assert_state": ["winner", "loser"],
    },
    core.RptRow: {"row": ["rpt"], "upstream_state": ["rpt_not_joined", "pruned", "not_pruned"]},
    core.RptOutgoingRow: {"row": ["rpt_outgoing"], "prune_state": ["no_info", "prune_pending", "prune"]},
    core.GmpInterfaceRow: {
        "oper_status": ["up", "down", "off"],
        "immediate_leave": ["off", "tracked", "forced"],
    },
    core.GmpGroupRow: {"row": ["group"], "filter_mode": ["include", "exclude"]},
    core.GmpSourceRow: {"row": ["source"]},
    core.StaticRow: {"kind": ["mroute", "join"]},
    core.ProxyRow: {"row": ["proxy"], "matching": ["first", "mutex", "all"]},
    core.ProxyInterfaceRow: {
        "row": ["interface"],
        "role": ["upstream", "downstream"],
        "oper_status": ["up", "down"],
    },
    core.ProxyGroupRow: {"row": ["group"], "filter_mode": ["include", "exclude"]},
    core.GmpReporterRow: {"row": ["reporter"], "filter_mode": ["include", "exclude"]},
    rows.EventRow: {},
    Finding: {"severity": ["error", "warning"]},
    ExplainRow: {"state": ["ok", "info", "waiting", "problem"]},
    core.RpRow: {"rpf_state": _RPF_STATES},
    core.RpChoiceRow: {"row": ["choice"], "rule": ["embedded", "override", "bsr", "static", "ssm", "bidir", "none"]},
    core.RpSetRow: {"info_source": ["static", "bsr"], "mode": ["pim_sm", "pim_bidir"]},
    core.BsrRow: {
        "row": ["zone"],
        "state": ["accept_any", "accept_preferred", "candidate", "pending", "elected"],
    },
    core.CandidateRpRow: {"row": ["candidate_rp"], "mode": ["pim_sm", "pim_bidir"]},
    core.OfferRow: {"row": ["offer"]},
    core.RpfRow: {"rpf_state": _RPF_STATES},
    core.WatchRow: {"row": ["watch"], "state": ["flowing", "silent", "pending"]},
    core.ExpectedNeighborRow: {"row": ["neighbor"], "state": ["up", "missing", "pending"]},
    rows.CounterRow: {"protocol": ["pim", "igmp", "mld"], "direction": ["rx", "tx"]},
}
"""The words that a field can hold."""

SIGNED = {(ArrivedRow, "delay")}
"""Numbers that may be negative: the clocks of two hosts differ."""

_FAMILIES = ["ipv4", "ipv6"]
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(command: str) -> dict[str, Any]:
    """The schema of `show COMMAND`: an array of flat objects."""
    classes = COMMANDS[command]
    items = [_row(cls) for cls in classes]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pimpy:schema:show-{command}",
        "title": f"pimctl --json show {command}",
        "type": "array",
        "items": items[0] if len(items) == 1 else {"oneOf": items},
    }


def other_schema(command: str) -> dict[str, Any]:
    """The schema of `pimctl --json COMMAND`: of an array, or of each line."""
    cls, is_array = OTHERS[command]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:pimpy:schema:{command}"}
    return {**head, "type": "array", "items": _row(cls)} if is_array else {**head, **_row(cls)}


def _row(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    notes = _docstrings(cls)
    properties: dict[str, Any] = {key: {"const": value} for key, value in rows.EXTRA.get(cls, {}).items()}
    for name in rows.names(cls):
        if name in hints:
            properties[name] = _field(cls, name, hints[name], notes.get(name))
    return {
        "title": cls.__name__,
        "description": _words(cls.__doc__ or ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _field(cls: type, name: str, hint: Any, note: str | None) -> dict[str, Any]:
    parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    words = [_TYPES[part] for part in parts if part is not types.NoneType]
    if types.NoneType in parts:
        words.append("null")
    made: dict[str, Any] = {"type": words[0] if len(words) == 1 else words}
    enum = _FAMILIES if name == "address_family" else ENUMS.get(cls, {}).get(name)
    if enum is not None:
        made["enum"] = [*enum, None] if types.NoneType in parts else enum
    elif parts[0] in (int, float) and (cls, name) not in SIGNED:
        made["minimum"] = 0
    if note:
        made["description"] = note
    return made


def _docstrings(cls: type) -> dict[str, str]:
    """The strings that stand below the fields of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    last = None
    for statement in body.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            last = statement.target.id
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and last:
            found[last] = _words(str(statement.value.value))
        last = None
    return found


def _words(text: str) -> str:
    return " ".join(text.split())


def text(command: str) -> str:
    """The file of a command."""
    made = other_schema(command) if command in OTHERS else schema(command)
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def path(command: str) -> str:
    """Where that is shipped."""
    return os.path.join(FOLDER, f"{command}.json" if command in OTHERS else f"show-{command}.json")


def main() -> None:
    """Write all files."""
    os.makedirs(FOLDER, exist_ok=True)
    for command in (*COMMANDS, *OTHERS):
        _write(path(command), text(command))
    _write(DOCUMENT, fields.markdown())


def _write(name: str, content: str) -> None:
    with open(name, "w", encoding="utf-8") as file:
        file.write(content)
    sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
