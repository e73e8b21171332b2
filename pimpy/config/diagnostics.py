"""What is to be said of a configuration: file, line, the word, and the nearest word that is known."""

from __future__ import annotations

from collections.abc import Iterable

from pimpy.wire.record import frozen
from pimpy.wire.value import Value

ERROR = "error"
NOTE = "note"

_LONGEST = 40
"""Characters of a word that a message shows."""


@frozen
class Diagnostic(Value):
    """One remark. An error means that there is no model; a note says what is true of a model that there is."""

    path: str
    line: int
    """From 1; 0 speaks of the file as a whole."""
    severity: str
    """ERROR or NOTE."""
    word: str | None
    """The word that it is about, as it stands in the file."""
    text: str
    """Cause and remedy, the word included."""

    @property
    def is_error(self) -> bool:
        """Whether the configuration cannot be used."""
        return self.severity == ERROR

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.severity}: {self.text}"


def quote(word: str) -> str:
    """A word as a message shows it: in quotes, at most 40 characters, nothing that a terminal would obey."""
    return repr(word if len(word) <= _LONGEST else f"{word[:_LONGEST]}...")


def shown(word: str) -> str:
    """A word as it is if it is short and printable, else as `quote` has it."""
    return word if len(word) <= _LONGEST and word.isprintable() else quote(word)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, None if none is."""
    if len(word) > _LONGEST:
        return None
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def suggest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'X'?` or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


def range_problem(word: str, error: ValueError) -> str:
    """Why `word` is no range of groups, in words that fit into a line."""
    text = str(error)
    return text if len(text) <= 120 and text.isprintable() else f"{quote(word)} is no range of groups"
