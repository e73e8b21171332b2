"""The fields of each command's JSON, from the shipped schemas: `pimctl fields NAME`, and man/fields.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "schemas")


def names() -> list[str]:
    """What has a schema: `neighbors` for `show neighbors`, and `monitor`."""
    return sorted(file[:-5].removeprefix("show-") for file in os.listdir(FOLDER) if file.endswith(".json"))


def read(name: str) -> str:
    """The schema's text."""
    show = os.path.join(FOLDER, f"show-{name}.json")
    path = show if os.path.exists(show) else os.path.join(FOLDER, f"{name}.json")
    with open(path, encoding="utf-8") as file:
        return file.read()


def text(name: str) -> str:
    """A line for each field of each kind of row, for a terminal."""
    lines = []
    for row in _kinds(name):
        lines.append(f"{row['title']}: {row['description']}")
        lines += [f"  {field:<22} {kind:<24} {note}".rstrip() for field, kind, note in _fields(row)]
        lines.append("")
    return "\n".join(lines)


def markdown() -> str:
    """All of them, as man/fields.md has it."""
    parts = [
        "# Fields\n",
        "What `pimctl --json` prints. Made from the row classes: `python -m pimpy.cli.schemas` writes this file.",
        "Times are seconds, addresses are text, what does not apply is null.\n",
    ]
    for name in names():
        command = f"show {name}" if os.path.exists(os.path.join(FOLDER, f"show-{name}.json")) else name
        parts.append(f"## pimctl {command}\n")
        for row in _kinds(name):
            parts.append(f"{row['description']}\n\n| field | type | meaning |\n|---|---|---|")
            parts += [f"| `{field}` | {kind.replace('|', ' or ')} | {note} |" for field, kind, note in _fields(row)]
            parts.append("")
    return "\n".join(parts)


def _kinds(name: str) -> list[dict[str, Any]]:
    items = json.loads(read(name))
    items = items.get("items", items)
    rows: list[dict[str, Any]] = items.get("oneOf", [items])
    return rows


def _fields(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for field, what in row["properties"].items():
        if "const" in what:
            yield field, f'"{what["const"]}"', ""
            continue
        types = what["type"] if isinstance(what["type"], list) else [what["type"]]
        kind = "|".join(types)
        enum = ", ".join(f"`{word}`" for word in what.get("enum", ()) if word is not None)
        note = what.get("description", "")
        yield field, kind, f"{note} One of {enum}.".strip() if enum and "`" not in note else note
