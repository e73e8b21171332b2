"""Rows to text for people: aligned tables that fit the terminal. The columns of each command are in `tables.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Cells = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    text: Callable[[Cells], str]
    """The cell of a row."""
    right: bool = False
    """Aligned to the right, as numbers are."""
    spare: int = 0
    """On a narrow terminal the columns with the highest number go first; those with 0 stay."""
    wrap: bool = False
    """Of a last column: too long a cell goes on, at blanks, in the next line."""


class Style(NamedTuple):
    """How to draw. `width` None is unlimited, as in a pipe."""

    colour: bool = False
    plain: bool = False
    """`-p`: headings are underlined with `=` instead of by the terminal's means."""
    headings: bool = True
    """False after `-t`."""
    width: int | None = None


GAP = 2


def table(columns: Sequence[Column], rows: Sequence[Cells], style: Style, title: str = "") -> str:
    """The table as text, every line ended. Nothing but the headings if there are no rows.

    Where the terminal is narrow, columns that can be spared are left out; where even the others do not fit, each
    row is told field by field, one below the other.
    """
    cells = [[column.text(row) for row in rows] for column in columns]
    widths = [max(map(len, [column.heading, *texts])) for column, texts in zip(columns, cells, strict=True)]
    shown = _chosen(columns, widths, style.width)
    if shown is None:
        return _blocks(columns, cells, style, title)
    columns = [columns[index] for index in shown]
    widths = [widths[index] for index in shown]
    lines = _heading(columns, widths, title, style)
    last = len(columns) - 1
    template = (" " * GAP).join(
        _layout(column, width, index == last) for index, (column, width) in enumerate(zip(columns, widths, strict=True))
    )
    body = [template.format(*line) for line in zip(*(cells[index] for index in shown), strict=True)]
    if style.width is not None:
        body = _fitted(body, columns, widths, style.width)
    lines += [line.rstrip() for line in body]
    return "\n".join(lines) + "\n"


def _blocks(columns: Sequence[Column], cells: Sequence[Sequence[str]], style: Style, title: str) -> str:
    """Rows as blocks of lines, for terminals on which no table fits."""
    width = max(len(column.heading) for column in columns)
    parts = [f"{title}\n"] if title and style.headings else []
    for line in zip(*cells, strict=True):
        fields = zip(columns, line, strict=True)
        parts.append("".join(f"{column.heading:<{width}} : {text}\n" for column, text in fields if text))
    return "\n".join(parts)


def _layout(column: Column, width: int, last: bool) -> str:
    if column.right:
        return f"{{:>{width}}}"
    return "{}" if last else f"{{:<{width}}}"


def _chosen(columns: Sequence[Column], widths: Sequence[int], limit: int | None) -> list[int] | None:
    """The columns that fit: spare ones leave, the last one counts as its heading if it wraps. None if nothing helps."""
    shown = list(range(len(columns)))
    if limit is None:
        return shown
    while sum(_least(columns[index], widths[index]) for index in shown) + GAP * (len(shown) - 1) > limit:
        spare = [index for index in shown if columns[index].spare]
        if not spare:
            return None
        shown.remove(max(spare, key=lambda index: (columns[index].spare, index)))
    return shown


def _least(column: Column, width: int) -> int:
    return min(width, max(len(column.heading), 24)) if column.wrap else width


def _fitted(lines: list[str], columns: Sequence[Column], widths: Sequence[int], limit: int) -> list[str]:
    """Lines that are too long: wrapped if the last column allows it, else left to the terminal."""
    if not columns or not columns[-1].wrap:
        return lines
    indent = sum(widths[:-1]) + GAP * (len(widths) - 1)
    if indent + 8 > limit:
        return lines
    return [part for line in lines for part in ([line] if len(line) <= limit else _wrapped(line, indent, limit))]


def _wrapped(line: str, indent: int, limit: int) -> list[str]:
    head, words = line[:indent], line[indent:].split(" ")
    found, current = [], head
    for word in words:
        if len(current) > indent and len(current) + 1 + len(word) > limit:
            found.append(current)
            current = " " * indent
        current += word if len(current) == indent else f" {word}"
    return [*found, current]


def _heading(columns: Sequence[Column], widths: Sequence[int], title: str, style: Style) -> list[str]:
    if not style.headings:
        return []
    aligned = [
        column.heading.rjust(width) if column.right else column.heading.ljust(width)
        for column, width in zip(columns, widths, strict=True)
    ]
    line = (" " * GAP).join(aligned)
    if style.width is not None and len(line) > style.width:
        line = line[: style.width]
    if style.colour:
        lines = [f"\x1b[7m{line}\x1b[0m"]
        return [f"\x1b[1m{title}\x1b[0m", *lines] if title else lines
    lines = [line.rstrip()]
    if style.plain:
        lines.append("=" * len(line.rstrip()))
    return [title, *lines] if title else lines
