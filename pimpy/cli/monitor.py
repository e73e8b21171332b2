"""`pimctl monitor`: events as lines or as JSON, as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Cells = Mapping[str, Any]


def lines(answers: Iterator[dict[str, Any]], words: Sequence[str], as_json: bool) -> Iterator[str]:
    """A line for each event in which every one of `words` stands as a field, or begins the event's name."""
    show: Callable[[Cells], str] = _json if as_json else line
    next(answers)  # that it has begun
    for answer in answers:
        for row in answer.get("rows") or ():
            if row["event"] == "lost" or all(_matches(row, word) for word in words):
                yield show(row)


def _json(row: Cells) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _matches(row: Cells, word: str) -> bool:
    return str(row["event"]).startswith(word.lower()) or word in row.values()


def line(row: Cells) -> str:
    """An event for people: `12:34:56.789 ipv4 neighbor_up eth1 neighbour 10.0.12.2 up`."""
    from time import localtime, strftime

    when = strftime("%H:%M:%S", localtime(row["time"])) + f".{int(row['time'] * 1000) % 1000:03}"
    parts = [when, row["address_family"] or "-", row["event"]]
    if row["group"] is not None:
        parts.append(f"({row['source_address'] or '*'},{row['group']})")
    if row["interface"] is not None:
        parts.append(row["interface"])
    if row["address"] is not None:
        parts.append(row["address"])
    if row["text"] is not None:
        parts.append(row["text"])
    return " ".join(parts) + "\n"
