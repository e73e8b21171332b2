"""A text as tokens with their lines, for grammars that are not made of lines."""

from __future__ import annotations

from pimpy.config.diagnostics import ERROR, NOTE, Diagnostic
from pimpy.wire.record import define, field, frozen
from pimpy.wire.value import Value

MAX_REMARKS = 1000


class StopReading(Exception):
    """An error after which the rest cannot be understood; it is among the remarks."""


@frozen
class Token(Value):
    """A word and where it stands."""

    text: str
    line: int
    quoted: bool = False


END = Token("", 0)
"""What follows the last token."""


@define
class Tokens:
    """The tokens of a file, one after the other, and the remarks on them."""

    path: str
    tokens: list[Token]
    place: int = 0
    diagnostics: list[Diagnostic] = field(factory=list)

    @property
    def next(self) -> Token:
        """The token that `take` gives, END after the last."""
        return self.tokens[self.place] if self.place < len(self.tokens) else END

    @property
    def done(self) -> bool:
        """Whether there is none left."""
        return self.place >= len(self.tokens)

    def take(self) -> Token:
        """The next token, END after the last."""
        token = self.next
        self.place += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        """The next token if it is one of these, in small or large letters."""
        if not self.done and not self.next.quoted and self.next.text.lower() in texts:
            return self.take()
        return None

    def _line(self, token: Token) -> int:
        return token.line or (self.tokens[-1].line if self.tokens else 0)

    def error(self, token: Token, text: str) -> None:
        """There is no model."""
        if len(self.diagnostics) < MAX_REMARKS:
            self.diagnostics.append(Diagnostic(self.path, self._line(token), ERROR, token.text or None, text))

    def fail(self, token: Token, text: str) -> StopReading:
        """The same, to be raised."""
        self.error(token, text)
        return StopReading()

    def note(self, token: Token, text: str) -> None:
        """Something to be said of the model."""
        if len(self.diagnostics) < MAX_REMARKS:
            self.diagnostics.append(Diagnostic(self.path, self._line(token), NOTE, token.text or None, text))

    @property
    def has_errors(self) -> bool:
        """Whether there is no model."""
        return any(remark.is_error for remark in self.diagnostics)
