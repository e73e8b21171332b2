"""pimd.conf's grammar, 3.0's words and 2.3.2's spellings, and pimpy's further lines of the same kind: text to model.

One directive a line, words separated by blanks, `#` begins a comment. Words may be in any case; names of interfaces
keep theirs (pimd makes them small, so that a name with capitals cannot be written there). The order of lines does
not matter, but that of two lines which say the same: the later one holds. Reading files is done by functions that
are handed in. Any text gives a model or errors, never an exception.
"""

from __future__ import annotations

from collections.abc import Sequence

from pimpy.config import directives, route_lines, watch_lines
from pimpy.config.builder import MAX_ERRORS, Builder, Expand, Line, Read
from pimpy.config.diagnostics import ERROR, Diagnostic, quote, suggest
from pimpy.config.model import Config
from pimpy.config.policy import POLICY
from pimpy.config.rp_directives import RP_DIRECTIVES
from pimpy.wire.record import frozen
from pimpy.wire.value import Value

INCLUDE = "include"

DIRECTIVES = directives.DIRECTIVES | POLICY | RP_DIRECTIVES | route_lines.DIRECTIVES | watch_lines.DIRECTIVES

KNOWN_WORDS = (*DIRECTIVES, INCLUDE)
"""Every first word of a line that is known."""

MAX_DEPTH = 16
"""Files that include one another, at most."""
MAX_FILES = 1000


@frozen
class Result(Value):
    """What became of a text: a model, or None with at least one error."""

    model: Config | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Why there is no model."""
        return tuple(remark for remark in self.diagnostics if remark.is_error)

    @property
    def notes(self) -> tuple[Diagnostic, ...]:
        """What is to be said of the model that there is."""
        return tuple(remark for remark in self.diagnostics if not remark.is_error)


def load(path: str, read: Read, expand: Expand | None = None, pimd: bool = False) -> Result:
    """The configuration in the file `path`.

    `read` gives the text of a file, `expand` the files of a pattern (without it `include` takes plain names only).
    Errors in a file that is `pimd`'s, or named as its own is, say what pimd would do.
    """
    builder = Builder(read, expand, pimd or path.rpartition("/")[2] == "pimd.conf")
    try:
        text = read(path)
    except OSError as error:
        return Result(None, (Diagnostic(path, 0, ERROR, None, f"cannot be read: {error.strerror or error}"),))
    _parse(builder, path, text)
    return _result(builder)


def parse(text: str, path: str = "pimpyd.conf") -> Result:
    """The configuration that `text` is; `include` is an error in it."""

    def refuse(name: str) -> str:
        raise OSError("there are no files here")

    builder = Builder(refuse, None)
    _parse(builder, path, text)
    return _result(builder)


def _result(builder: Builder) -> Result:
    return Result(None if builder.errors else builder.model(), tuple(builder.diagnostics))


def _parse(builder: Builder, path: str, text: str) -> None:
    builder.stack.append(path)
    builder.files += 1
    for number, content in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if builder.errors > MAX_ERRORS:
            break
        words = tuple(content.partition("#")[0].split())
        if not words:
            continue
        line = Line(path, number, words)
        if line.name == INCLUDE:
            _include(builder, line)
        elif (directive := DIRECTIVES.get(line.name)) is not None:
            directive(builder, line)
        else:
            builder.error(line, words[0], f"unknown word {quote(words[0])}{suggest(words[0], KNOWN_WORDS)}")
    builder.stack.pop()


def _include(builder: Builder, line: Line) -> None:
    """`include GLOB`: read these files here. A relative name is looked for beside the file that names it."""
    if len(line.words) != 2:
        builder.error(line, line.words[0], "include takes one word: a file, or a pattern with * ? [")
        return
    pattern = line.words[1]
    if not pattern.startswith("/"):
        folder, slash, _ = line.path.rpartition("/")
        pattern = f"{folder}{slash}{pattern}"
    names: Sequence[str] = [pattern]
    if builder.expand is not None and any(letter in pattern for letter in "*?["):
        names = builder.expand(pattern)
        if not names:
            builder.note(line, line.words[1], f"include {quote(line.words[1])} matches no file")
    for name in names:
        _include_file(builder, line, name)


def _include_file(builder: Builder, line: Line, name: str) -> None:
    if name in builder.stack:
        chain = " includes ".join([*builder.stack[builder.stack.index(name) :], name])
        builder.error(
            line, line.words[1], f"a file that includes itself: {quote_path(chain)}; remove one of these lines"
        )
    elif len(builder.stack) >= MAX_DEPTH:
        builder.error(line, line.words[1], f"files include one another {MAX_DEPTH} deep: use fewer levels")
    elif builder.files >= MAX_FILES:
        builder.error(line, line.words[1], f"more than {MAX_FILES} files are included")
    else:
        try:
            text = builder.read(name)
        except OSError as error:
            why = error.strerror or str(error)
            builder.error(line, line.words[1], f"cannot include {quote_path(name)}: {why}")
            return
        _parse(builder, name, text)


def quote_path(path: str) -> str:
    """A file's name for a message."""
    return path if path.isprintable() and len(path) <= 150 else repr(f"{path[:150]}...")
