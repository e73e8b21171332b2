"""How a file in a grammar of tokens becomes a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pimpy.config.builder import Read
from pimpy.config.diagnostics import ERROR, Diagnostic
from pimpy.config.model import Config
from pimpy.config.native import Result
from pimpy.config.tokens import StopReading, Tokens


class TokenReader(Protocol):
    """What a grammar has to be: it runs through its tokens, and makes a model of them."""

    tokens: Tokens

    def run(self) -> None: ...
    def model(self) -> Config | None: ...


def read_tokens(reader: TokenReader) -> Result:
    """The model, and the remarks; no model if one of them is an error."""
    model = None
    try:
        reader.run()
        model = reader.model()
    except StopReading:
        pass
    return Result(None if reader.tokens.has_errors else model, tuple(reader.tokens.diagnostics))


def load_text(path: str, read: Read, parse: Callable[[str, str], Result]) -> Result:
    """What `parse` makes of the file `path`; one that cannot be read is an error."""
    try:
        text = read(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Result(None, (Diagnostic(path, 0, ERROR, None, f"cannot be read: {why}"),))
    return parse(text, path)
