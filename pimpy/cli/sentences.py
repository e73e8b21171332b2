"""Explanations and diagnoses as text for people: a mark, a sentence, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pimpy.cli.render import Style

Cells = Mapping[str, Any]

MARKS = {"ok": "+", "info": "-", "waiting": "?", "problem": "!"}
_COLOURS = {"problem": "31;1", "error": "31;1", "waiting": "33", "warning": "33", "ok": "32"}


def explanation(rows: Sequence[Cells], style: Style) -> str:
    """The verdict, then the sentences it comes from."""
    if not rows:
        return ""
    *sentences, verdict = rows
    lines = [_coloured(_sentence(verdict["text"]), verdict["state"], style)]
    if verdict["remedy"]:
        lines += _wrapped(f"Do: {verdict['remedy']}", style, "  ")
    lines.append("")
    for row in sentences:
        lines += _wrapped(f"{MARKS[row['state']]} {row['text']}", style, "  ")
        if row["remedy"] and row["remedy"] != verdict["remedy"]:
            lines += _wrapped(f"({row['remedy']})", style, "  ", "  ")
    return "\n".join(lines) + "\n"


def diagnosis(findings: Sequence[Cells], blind: str, style: Style) -> str:
    """Each finding with evidence and remedy."""
    lines = [blind] if blind else []
    for finding in findings:
        text = f"{finding['severity']}: {_sentence(finding['text'])} [{finding['check']}]"
        lines.append(_coloured(text, finding["severity"], style))
        lines += _wrapped(f"seen: {finding['evidence']}", style, "  ", "  ")
        lines += _wrapped(f"do:   {finding['remedy']}", style, "  ", "  ")
    if not findings:
        lines.append("nothing found")
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _coloured(text: str, state: str, style: Style) -> str:
    code = _COLOURS.get(state)
    return f"\x1b[{code}m{text}\x1b[0m" if style.colour and code else text


def _wrapped(text: str, style: Style, further: str, first: str = "") -> list[str]:
    if style.width is None:
        return [first + text]
    return textwrap.wrap(
        text, style.width, initial_indent=first, subsequent_indent=first + further, break_on_hyphens=False
    )
