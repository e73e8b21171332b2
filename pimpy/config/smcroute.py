"""smcroute.conf's grammar: `phyint`, `mgroup`, `mroute` and `include` lines.

A keyword is known by its beginning, as smcroute does it: `mroutes` is `mroute`. Arguments stand in any order, but all
words behind `to` are outgoing interfaces. As smcroute goes on with the lines that it understands, there is a model in
spite of errors; `-F` and `--check` count them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pimpy.config.builder import Expand, Read
from pimpy.config.diagnostics import ERROR, NOTE, Diagnostic, quote, shown
from pimpy.config.model import Config, Phyint, Static, StaticJoin, StaticRoute
from pimpy.config.native import MAX_DEPTH, MAX_FILES, Result
from pimpy.config.route_words import Words, interface_name, is_name, join, route, sort_words
from pimpy.config.routes import merge
from pimpy.wire.record import define, field

MAX_ERRORS = 1000


@define
class _Reader:
    """A configuration while it is read."""

    read: Read
    expand: Expand | None
    phyints: list[Phyint] = field(factory=list)
    routes: list[StaticRoute] = field(factory=list)
    joins: list[StaticJoin] = field(factory=list)
    diagnostics: list[Diagnostic] = field(factory=list)
    stack: list[str] = field(factory=list)
    files: int = 0

    def complain(self, path: str, number: int, word: str | None, text: str) -> None:
        if len(self.diagnostics) < MAX_ERRORS:
            self.diagnostics.append(Diagnostic(path, number, ERROR, word, text))

    def note(self, path: str, number: int, word: str | None, text: str) -> None:
        if len(self.diagnostics) < MAX_ERRORS:
            self.diagnostics.append(Diagnostic(path, number, NOTE, word, text))

    def model(self) -> Config:
        return Config(
            phyints=tuple(self.phyints),
            phyints_enabled=False,
            static=Static(merge(self.routes), tuple(dict.fromkeys(self.joins))),
        )

    def file(self, path: str, text: str) -> None:
        self.stack.append(path)
        self.files += 1
        for number, content in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            words = content.partition("#")[0].split()
            if words:
                self.line(path, number, words)
        self.stack.pop()

    def line(self, path: str, number: int, words: list[str]) -> None:
        complain = partial(self.complain, path, number)
        first, rest = words[0], words[1:]
        if first.startswith("phyint"):
            self.phyint(path, number, rest)
        elif first.startswith(("mgroup", "ssmgroup")):
            found = sort_words(rest)
            if (member := join(found, complain)) is not None:
                self.joins.append(member)
            self.strays(path, number, found)
        elif first.startswith("mroute"):
            found = sort_words(rest)
            if (static := route(found, complain)) is not None:
                self.routes.append(static)
            self.strays(path, number, found)
        elif first.startswith("include"):
            self.include(path, number, rest)
        else:
            complain(first, f"Unknown command {shown(first)}, skipping.")

    def strays(self, path: str, number: int, words: Words) -> None:
        for word in words.strays[:1]:
            self.note(path, number, word, f"{quote(word)} has no meaning here and is passed over")

    def phyint(self, path: str, number: int, words: list[str]) -> None:
        if not words:
            self.complain(path, number, None, "phyint missing interface pattern")
            return
        name, rest = interface_name(words[0]), words[1:]
        if not is_name(name):
            self.complain(path, number, words[0], f"phyint: {quote(words[0])} is no name of an interface")
            return
        threshold, mrdisc = None, False
        while rest:
            word = rest.pop(0)
            if word.startswith("ttl-threshold") and rest:
                value = rest.pop(0)
                if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= 255):
                    text = f"phyint {name} ttl {shown(value)} out of range (1-255)"
                    self.complain(path, number, value, text)
                    return
                threshold = int(value)
            elif word.startswith("mrdisc"):
                mrdisc = True
            elif not word.startswith(("enable", "disable")):
                self.note(path, number, word, f"{quote(word)} has no meaning here and is passed over")
        if threshold is not None or mrdisc:
            self.phyints.append(Phyint(name, ttl_threshold=threshold, mrdisc=mrdisc))

    def include(self, path: str, number: int, words: list[str]) -> None:
        if not words:
            self.complain(path, number, None, "include needs a file, or a pattern with * ? [")
            return
        pattern = words[0]
        if not pattern.startswith("/"):
            folder, slash, _ = path.rpartition("/")
            pattern = f"{folder}{slash}{pattern}"
        names: Sequence[str] = [pattern]
        if self.expand is not None and any(letter in pattern for letter in "*?["):
            names = self.expand(pattern)
            if not names:
                self.note(path, number, words[0], f"include {quote(words[0])} matches no file")
        for name in names:
            self.include_file(path, number, words[0], name)

    def include_file(self, path: str, number: int, word: str, name: str) -> None:
        if name in self.stack:
            self.complain(path, number, word, f"{quote(name)} includes itself; remove one of these lines")
        elif len(self.stack) >= MAX_DEPTH:
            self.complain(path, number, word, f"files include one another {MAX_DEPTH} deep: use fewer levels")
        elif self.files >= MAX_FILES:
            self.complain(path, number, word, f"more than {MAX_FILES} files are included")
        else:
            try:
                text = self.read(name)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                self.complain(path, number, word, f"cannot include {quote(name)}: {why}")
                return
            self.file(name, text)


def load(path: str, read: Read, expand: Expand | None = None) -> Result:
    """The configuration in the file `path`; a file that is not there is an error, and an empty model."""
    reader = _Reader(read, expand)
    try:
        text = read(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        reader.complain(path, 0, None, f"cannot be read: {why}")
    else:
        reader.file(path, text)
    return Result(reader.model(), tuple(reader.diagnostics))


def parse(text: str, path: str = "smcroute.conf") -> Result:
    """The configuration that `text` is; `include` is an error in it."""

    def refuse(name: str) -> str:
        raise OSError("there are no files here")

    reader = _Reader(refuse, None)
    reader.file(path, text)
    return Result(reader.model(), tuple(reader.diagnostics))
