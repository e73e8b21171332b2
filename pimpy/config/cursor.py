"""The words of a line, read one after the other."""

from __future__ import annotations

from pimpy.config.builder import Builder, Line
from pimpy.config.diagnostics import quote
from pimpy.config.directives import integer
from pimpy.wire.record import define, field


@define
class Words:
    """What of a line has not been read yet. After an error the rest is not worth reading."""

    builder: Builder
    line: Line
    rest: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.rest = list(self.line.words[1:])

    def take(self) -> str | None:
        """The next word as it stands there, None at the end."""
        return self.rest.pop(0) if self.rest else None

    def take_if(self, word: str) -> bool:
        """Pass over the next word if it is this one, in any case."""
        if self.rest and self.rest[0].lower() == word:
            del self.rest[0]
            return True
        return False

    def integer(self, name: str, low: int, high: int) -> int | None:
        """The next word as a whole number in this range; None after an error."""
        return integer(self.builder, self.line, self.take(), name, low, high)

    def ended(self) -> bool:
        """Whether nothing is left; an error otherwise."""
        if self.rest:
            self.error(self.rest[0], f"{quote(self.rest[0])} is too much")
        return not self.rest

    def error(self, word: str | None, text: str) -> None:
        """There will be no model."""
        self.builder.error(self.line, word, f"{self.line.name}{'' if text.startswith(' ') else ': '}{text}")
