"""Tables of pimd's text protocol, drawn as pimd's own pimctl draws them.

A line that ends in `_` is a title, one that ends in `=` a heading (pimd 3.0, src/pimctl.c).
"""

from __future__ import annotations

from pimpy.cli.render import Style

WIDTH = 79
"""Columns where the output is no terminal."""


def drawn(text: str, style: Style) -> str:
    """The reply with its titles and headings as the options ask for them; in a pipe they are plain lines."""
    return "".join(_line(line, style) for line in text.splitlines())


def _line(line: str, style: Style) -> str:
    if not line.endswith(("_", "=")):
        return f"{line}\n"
    if not style.headings:
        return ""
    text, title = line[:-1], line.endswith("_")
    width = style.width or WIDTH
    if style.colour:
        blank, begin = f"\x1b[4m{' ' * width}\x1b[0m\n", "" if title else "\x1b[7m"
        return f"{blank}{text}\n" if title else f"{begin}{text:<{width}}\x1b[0m\n"
    if style.plain:
        rule = ("_" if title else "=") * max(WIDTH, len(text))
        return f"{rule}\n{text}\n" if title else f"{rule}\n{text}\n{rule}\n"
    return f"{text.rstrip()}\n"
