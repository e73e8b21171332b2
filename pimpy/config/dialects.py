"""The grammars by name, and which one a file is written in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pimpy.config import native
from pimpy.config.builder import Expand, Read
from pimpy.config.native import Result
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

Load = Callable[[str, Read, Expand | None], Result]

NATIVE = "pimpyd"


def _pim6sd(path: str, read: Read, expand: Expand | None) -> Result:
    from pimpy.config import pim6sd

    return pim6sd.load(path, read, expand)


def _smcroute(path: str, read: Read, expand: Expand | None) -> Result:
    from pimpy.config import smcroute

    return smcroute.load(path, read, expand)


def _igmpproxy(path: str, read: Read, expand: Expand | None) -> Result:
    from pimpy.config import igmpproxy

    return igmpproxy.load(path, read, expand)


def _mcproxy(path: str, read: Read, expand: Expand | None) -> Result:
    from pimpy.config import mcproxy

    return mcproxy.load(path, read, expand)


def _pimd(path: str, read: Read, expand: Expand | None) -> Result:
    return native.load(path, read, expand, pimd=True)


LOADERS: dict[str, Load] = {
    "pimpyd": native.load,
    "pimd": _pimd,
    "pimd2": _pimd,
    "pim6sd": _pim6sd,
    "smcroute": _smcroute,
    "igmpproxy": _igmpproxy,
    "mcproxy": _mcproxy,
}
"""pimd's grammar, 2.3.2's spellings included, is a part of the native one. The others are imported when one is read."""

DIALECTS = tuple(LOADERS)


@frozen
class Detected(Value):
    """A dialect, and what it was known by."""

    dialect: str
    reason: str


_MARKS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("mcproxy", ("pinstance",), r"(?i)pinstance\s+\S+\s*(\(|:|upstream\b|downstream\b)", "a pinstance"),
    ("mcproxy", ("protocol",), r"(?i)protocol\s+(igmp|mld)v[123]\s*;", "a statement `protocol ...;`"),
    (
        "igmpproxy",
        ("upstream", "downstream", "disabled"),
        r"phyint\s+\S+\s+(ratelimit\s+\d+\s+|threshold\s+\d+\s+)*(upstream|downstream|disabled)\b",
        "a phyint with the role upstream, downstream or disabled",
    ),
    (
        "igmpproxy",
        ("quickleave", "defaultdown", "rescanvif", "hashtablesize"),
        r"(quickleave|defaultdown|rescanvif|hashtablesize)\b",
        "a word that only igmpproxy has",
    ),
    (
        "pim6sd",
        (";",),
        r"(phyint|log|reverselookup|cand_rp|cand_bootstrap_router|static_rp|group_prefix|hello_period|static)\b[^;]*;",
        "a statement that ends with `;`",
    ),
)
"""Dialect, words of which one has to be in the file at all, how a line of it begins, and that in words."""

_SHARED = ("mroute", "mgroup", "ssmgroup", "phyint", "include")


def detect(text: str, path: str = "") -> Detected:
    """Which dialect `text` is written in: by its words, or where these leave it open by its file's name."""
    lines = list(_lines(text))
    low = text.lower()
    found = [
        (number, dialect, what)
        for dialect, words, pattern, what in _MARKS
        if any(word in low for word in words)  # most files have none of them, and no pattern is compiled
        for number in _first(re.compile(pattern), lines)
    ]
    if found:
        number, dialect, what = min(found)
        return Detected(dialect, f"line {number} has {what}")
    name = path.rpartition("/")[2]
    if lines and all(line.startswith(_SHARED) for _, line in lines) and any(line[0] in "ms" for _, line in lines):
        if any(line.startswith("ssmgroup") for _, line in lines):
            return Detected("smcroute", "all lines are smcroute's, and one has its older word ssmgroup")
        if name.startswith("smcroute"):
            return Detected("smcroute", f"all lines are smcroute's, and the file is named {name}")
        other = "in smcroute's PIM runs nowhere (--dialect smcroute)"
        return Detected(NATIVE, f"all lines are of those that smcroute.conf and pimpyd.conf share; {other}")
    if not lines and name.partition(".")[0] in DIALECTS:
        return Detected(name.partition(".")[0], f"there is no statement, and the file is named {name}")
    return Detected(NATIVE, "no statement is one that only another daemon has")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        words = line.partition("#")[0].strip()[:2000]
        if words:
            yield number, words


def _first(pattern: re.Pattern[str], lines: list[tuple[int, str]]) -> list[int]:
    """The number of the first line that begins so; igmpproxy's clauses may go over two lines."""
    for place, (number, line) in enumerate(lines):
        following = lines[place + 1][1] if place + 1 < len(lines) else ""
        if pattern.match(line) or pattern.match(f"{line} {following}"):
            return [number]
    return []
