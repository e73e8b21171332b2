"""Short scripts of packets and what must come of them, run on a bench of either family: the ledger's language.

A line is `NUMBER SECTION | step | step ...`, the number being the case's in the conformance suite, the section that of
RFC 9777 which says what is expected. A step may begin with `@T`, seconds since the start, until when time passes
first, and with `!`: it is the stimulus, without which the case must fail.

    ALLOW 1 2 & BLOCK 3 of G2     a report; its records, of group G if no other is named
    report, done                  an MLDv1 report or done (IGMPv2 report or leave)
    query LOW G 1 2 rv=3 S        a query of another router, for sources, for the group, or (without G) general
    set robustness=3              settings; first of all steps
    group SSM                     of which group the rest speaks

    none                          there is no record
    include 1:250 2               the sources, and seconds left on their timers where told
    exclude 1:250 / 2 3 group 270 the requested and the excluded ones (`-` for none), seconds left on the filter timer
    asked 10:G 10:1,2 11:Gs       all specific queries so far: when, for what; s: with the S flag
    taken 2                       messages that were accepted so far
    reason WORD                   something was counted under WORD
    notice WORD                   the operator was told
    querier yes|no, expires 255   whether we ask; seconds until we take over
    version_of G2 1               the same of a group
    version 1                     how much older than the newest the group's mode is (0: not at all)
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from gmp_bench import ALLOW, BLOCK, IS_EX, IS_IN, TO_EX, TO_IN, Bench

from pimpy.core.gmp import GmpSettings
from pimpy.wire.family import IPV4, Address, Family
from pimpy.wire.membership import Record, Report

KINDS = {"IS_IN": IS_IN, "IS_EX": IS_EX, "TO_IN": TO_IN, "TO_EX": TO_EX, "ALLOW": ALLOW, "BLOCK": BLOCK}
FIELDS = {"rv": "robustness", "qi": "interval", "response": "max_response", "version": "version"}


def read(text: str) -> dict[str, list[str]]:
    """number -> steps; the section is for the reader."""
    found: dict[str, list[str]] = {}
    for line in text.strip().splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        head, *steps = [part.strip() for part in line.split("|")]
        number, section = head.split()
        assert re.fullmatch(r"\d+(\.\d+)*", section), line
        assert number not in found, f"{number} is there twice"
        assert sum("!" in step for step in steps) >= 1, f"{number} has no stimulus"
        found[number] = steps
    return found


def play(family: Family, steps: list[str], *, stimulus: bool = True) -> None:
    """Run a case; AssertionError if something is not as it says."""
    script = _Script(family, steps[0])
    for step in steps:
        match = re.fullmatch(r"(?:@([\d.]+) )?(!?)(.*)", step)
        assert match is not None, step
        if match[1]:
            script.bench.to(float(match[1]))
        if match[2] and not stimulus:
            continue
        script.step(match[3].split())


def holds(family: Family, steps: list[str]) -> None:
    """A case is as it says, and is not without its stimulus."""
    play(family, steps)
    with pytest.raises(AssertionError):
        play(family, steps, stimulus=False)


class _Script:
    def __init__(self, family: Family, first: str) -> None:
        settings = first.removeprefix("set ").split() if first.startswith("set ") else []
        newest = "3" if family is IPV4 else "2"
        values = {
            key: float(value) if "." in value else int(value.replace("NEWEST", newest))
            for key, value in (setting.split("=") for setting in settings)
        }
        self.bench = Bench(family, GmpSettings(**values))  # type: ignore[arg-type]
        self.group: Address = self.bench.G

    def step(self, words: list[str]) -> None:
        first, *rest = words
        if first in KINDS:
            self._report(" ".join(words))
        else:
            getattr(self, f"_{first}")(rest)

    def _set(self, words: list[str]) -> None:
        """Done already."""

    def _group(self, words: list[str]) -> None:
        self.group = self._named(words[0])

    def _named(self, name: str) -> Address:
        found = getattr(self.bench, name)
        assert isinstance(found, bytes)
        return found

    # What comes in.

    def _report_of(self, text: str) -> Record:
        words, _, group = text.partition(" of ")
        kind, *numbers = words.split()
        sources = tuple(self.bench.S(int(number)) for number in numbers)
        return Record(KINDS[kind], self._named(group.strip()) if group else self.group, sources)

    def _report(self, text: str | list[str]) -> None:
        bench = self.bench
        if not isinstance(text, str):
            bench.old_report(bench.newest - 1, self.group)
            return
        records = tuple(self._report_of(part.strip()) for part in text.split("&"))
        bench.receive(Report(records), bench.HOST, bench.family.all_reports)

    def _done(self, words: list[str]) -> None:
        self.bench.leave(self.group)

    def _query(self, words: list[str]) -> None:
        who, *rest = words
        fields: dict[str, Any] = {"suppress": "S" in rest}
        fields |= {FIELDS[key]: float(value) for key, value in (w.split("=") for w in rest if "=" in w)}
        if "robustness" in fields:
            fields["robustness"] = int(fields["robustness"])
        if "version" in fields:
            fields["version"] = self.bench.newest - 1
        numbers = [int(word) for word in rest if word.isdigit()]
        group = next((self._named(word) for word in rest if word in ("G", "G2", "SSM")), None)
        self.bench.query(self._named(who), group, numbers, **fields)

    # What must have come of it.

    def _timers(self, words: list[str]) -> None:
        _, left = self.bench.timers(self.group)
        for word in words:
            number, _, seconds = word.partition(":")
            if seconds:
                assert left.get(int(number)) == pytest.approx(float(seconds)), f"source {number}: {left}"

    def _none(self, words: list[str]) -> None:
        assert self.bench.timers(self.group) == (None, {})
        assert self.bench.lists(self.group) == ("include", set(), set())

    def _include(self, words: list[str]) -> None:
        assert self.bench.lists(self.group) == ("include", _numbers(words), set())
        self._timers(words)

    def _exclude(self, words: list[str]) -> None:
        seconds = None
        if "group" in words:
            at = words.index("group")
            seconds, words = float(words[at + 1]), words[:at]
        middle = words.index("/")
        requested, excluded = words[:middle], words[middle + 1 :]
        assert self.bench.lists(self.group) == ("exclude", _numbers(requested), _numbers(excluded))
        self._timers(requested)
        if seconds is not None:
            assert self.bench.timers(self.group)[0] == pytest.approx(seconds)

    def _asked(self, words: list[str]) -> None:
        found = []
        for time, suppress, numbers in self.bench.asked():
            what = ",".join(map(str, sorted(numbers))) or "G"
            found.append(f"{time:g}:{what}{'s' if suppress else ''}")
        assert found == words

    def _taken(self, words: list[str]) -> None:
        assert [reason for _, reason in self.bench.counts].count("") == int(words[0])

    def _reason(self, words: list[str]) -> None:
        assert words[0] in [reason for _, reason in self.bench.counts]

    def _notice(self, words: list[str]) -> None:
        assert words[0] in [reason for _, reason, _ in self.bench.notices]

    def _querier(self, words: list[str]) -> None:
        assert self.bench.interface_row().is_querier is (words[0] == "yes")

    def _expires(self, words: list[str]) -> None:
        assert self.bench.interface_row().querier_expiration == pytest.approx(float(words[0]))

    def _version(self, words: list[str]) -> None:
        record = self.bench.m.link.groups.get(self.group)
        assert record is not None and record.version() == self.bench.newest - int(words[0])

    def _version_of(self, words: list[str]) -> None:
        self.group = self._named(words[0])
        self._version(words[1:])


def _numbers(words: list[str]) -> set[int]:
    return {int(word.partition(":")[0]) for word in words if word != "-"}


def by_family(family: Family, ipv4: Any, ipv6: Any) -> Any:
    """What differs."""
    return ipv4 if family is IPV4 else ipv6
