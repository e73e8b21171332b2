"""What all commands of pimctl have in common: options, errors, ways to ask and to print. Imports little."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from pimpy.cli.client import Client, FailedError, find
from pimpy.cli.render import Style


class Failure(click.ClickException):
    """The daemon could not be asked, or said no: a line on stderr, and the exit code."""

    def __init__(self, error: FailedError) -> None:
        super().__init__(error.text)
        self.exit_code = error.code  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"pimctl: {self.message}", file=file or sys.stderr)


class Settings:
    """The options that hold for every command; they may stand before the command and behind it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return self.values.get(name)

    def client(self) -> Client:
        """A connection to the daemon that is meant."""
        return Client(find(self.ipc, self.ident))

    def style(self) -> Style:
        """How to draw tables where the output goes."""
        terminal = sys.stdout.isatty()
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and not self.plain
        width = None
        if terminal:
            import shutil

            width = shutil.get_terminal_size().columns
        return Style(colour=colour, plain=bool(self.plain), headings=not self.no_heading, width=width)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        context.ensure_object(Settings).values[parameter.name or ""] = value


_OPTIONS = (
    click.option("-i", "--ident", metavar="IDENT", help="The daemon of that name: /run/IDENT.sock."),
    click.option("-u", "--ipc", metavar="SOCK", help="The control socket."),
    click.option("-j", "--json", is_flag=True, help="Answer in JSON: a flat array of flat objects."),
    click.option("-m", "--watch", is_flag=True, help="Look again every 2 s until interrupted."),
    click.option("-p", "--plain", is_flag=True, help="No colours; headings underlined with '='."),
    click.option("-t", "--no-heading", is_flag=True, help="No headings."),
)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that all of them have."""
    for option in reversed(_OPTIONS):
        option(function)
    for parameter in function.__click_params__:  # type: ignore[attr-defined]
        if parameter.name in ("ident", "ipc", "json", "watch", "plain", "no_heading"):
            parameter.callback = _remember
            parameter.expose_value = False
    return function


def ask(client: Client, line: str) -> dict[str, Any]:
    """The daemon's answer; Failure if there is none."""
    try:
        return client.ask(line)
    except FailedError as error:
        raise Failure(error) from None


def print_text(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def offers(name: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What the TAB key offers behind a command."""

    def inner(context: click.Context, parameter: click.Parameter, said: str) -> list[Any]:
        from pimpy.cli.complete import words

        settings = context.ensure_object(Settings)
        return list(words(name, settings.ipc, settings.ident, said))

    return inner
