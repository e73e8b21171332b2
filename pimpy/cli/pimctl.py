"""pimctl: asks the daemon over its control socket, and shows the answer as tables or JSON.

Exit codes: 0 done, 1 refused, 2 wrong words, 3 no daemon, 4 no permission, 5 no answer in time. Nothing heavy is
imported here, for people wait for it: no event loop, no part of the core.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import NoReturn

import click

from pimpy import __version__
from pimpy.cli import look
from pimpy.cli.client import NOT_RUNNING, TIMEOUT, USAGE, Client, FailedError
from pimpy.cli.common import Failure, Settings, ask, common, offers, print_text
from pimpy.cli.config_commands import config
from pimpy.cli.traffic.commands import join, ping, send
from pimpy.daemon.commands import ALIASES, BETWEEN_ROWS, SHORT, SHOW

WATCH_INTERVAL = 2.0
"""Seconds between two looks of --watch, as pimd's pimctl -m has it."""


SELDOM = 1_000_000
"""Objects made before Python looks for rubbish: with its usual 700 it would go through ten thousand rows many times."""


class Prefixes(click.Group):
    """Commands that may be shortened as long as one is meant (`sh nei`), in any case of letters; and pimd's words."""

    aliases: dict[str, str] = {}  # noqa: RUF012
    short: dict[str, str] = {}  # noqa: RUF012

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command that `name` begins; a usage error if it could be several. pimd's words are not shortened."""
        low = name.lower()
        low = self.short.get(low, low)
        if found := super().get_command(context, low):
            return found
        shown = [command for command in self.list_commands(context) if not self.commands[command].hidden]
        names = {command for command in shown if command.startswith(low)}
        names |= {target for alias, target in self.aliases.items() if alias.startswith(low)}
        if len(names) > 1:
            context.fail(f"{name!r} could be {' or '.join(sorted(names))}")
        return super().get_command(context, names.pop()) if names else None

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but for the name: that of the command, not what was typed."""
        try:
            _, command, rest = super().resolve_command(context, args)
        except click.UsageError as error:
            known = ", ".join(name for name in self.list_commands(context) if not self.commands[name].hidden)
            raise click.UsageError(f"{error.message.rstrip('.')}. Known are: {known}.", context) from None
        return command.name if command else None, command, rest


class Show(Prefixes):
    """`show`, with pimd's spellings."""

    aliases = ALIASES
    short = SHORT


@click.group(cls=Prefixes, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, "-v", "--version", message="pimctl version %(version)s")
@common
@click.pass_context
def cli(context: click.Context) -> None:
    """Ask and control the multicast routing daemon pimpyd. Commands may be shortened: pimctl sh nei."""
    context.ensure_object(Settings)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(USAGE)


@cli.group(cls=Show, invoke_without_command=True)
@common
@click.pass_context
def show(context: click.Context) -> None:
    """Show neighbours, multicast routes, interfaces, group members, the daemon."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(USAGE)


_HELP = {
    "neighbors": "PIM neighbours. WORD: an interface or an address.",
    "mroute": "Multicast routes: the tree of each stream. WORD: a group, a source or both.",
    "interfaces": "Interfaces and their designated routers. WORD: an interface or an address.",
    "igmp": "IGMP: `groups`, `sources` or `interfaces`, with `detail`. WORD: an interface, a group, a source, a host.",
    "mld": "MLD: `groups`, `sources` or `interfaces`, with `detail`. WORD: an interface, a group, a source, a host.",
    "status": "How the daemon fares.",
    "static": "Static routes and joins. WORD: a kind, an interface or a range.",
    "proxy": "Proxies: their interfaces, and what they ask for upstream. WORD: a proxy, an interface, a group.",
    "rp": "RPs and how many groups have them; with a GROUP: its RP, by which rule, and the hash values.",
    "rp-set": "Which RP each range of groups has, from the file or from Bootstrap messages. WORD: a range or an RP.",
    "bsr": "Bootstrap routers by scope zone, and candidate RPs. WORD: a zone or an address.",
    "rpf": "How ADDRESS is reached: the route, the interface, the PIM neighbour there.",
    "watches": "Streams that must flow and neighbours that must be there. WORD: a name, a group, a state, an address.",
    "counters": "Messages by interface, type and reason. WORD: one of these.",
}


def _add_show(name: str) -> None:
    @show.command(name, help=_HELP[name])
    @click.argument("words", nargs=-1, metavar="[WORD]...", shell_complete=offers(name))
    @common
    @click.pass_obj
    def command(settings: Settings, words: tuple[str, ...]) -> None:
        _show(settings, name, words)


for _name in _HELP:
    _add_show(_name)


def _add_pimd(name: str, ours: str | None) -> None:
    @show.command(name, hidden=True)
    @click.argument("words", nargs=-1, metavar="[detail] [ipv4|ipv6|all]")
    @common
    @click.pass_obj
    def command(settings: Settings, words: tuple[str, ...]) -> None:
        """As pimd 3.0 shows it, column by column."""
        known = all(_is_detail(word) or word.lower() in ("ipv4", "ipv6", "all") for word in words)
        if ours is not None and (settings.json or settings.watch or not known):
            _show(settings, ours, words)
        elif settings.json or not known:
            raise click.UsageError(f"show {name} is pimd's: it takes `detail` and a family, and knows no JSON")
        else:
            from pimpy.cli.pimd_tables import drawn

            try:
                text = settings.client().ask_text(" ".join(("show", name, *words)))
            except FailedError as error:
                raise Failure(error) from None
            print_text(drawn(text, settings.style()))


for _name, _ours in {**ALIASES, "crp": None, "pim": None, "compat": None}.items():
    _add_pimd(_name, _ours)


def _show(settings: Settings, name: str, words: tuple[str, ...]) -> None:
    blocks = f"{name} detail" not in SHOW and any(_is_detail(word) for word in words)
    key, asked = _expand(name, tuple(word for word in words if not blocks or not _is_detail(word)))
    line = " ".join(("show", key, *asked))
    client = settings.client()
    if settings.watch:
        _watch(settings, client, key, line, blocks)
    else:
        try:
            print_text(_told(settings, client, key, line, blocks))
        except FailedError as error:
            raise Failure(error) from None


def _watch(settings: Settings, client: Client, key: str, line: str, blocks: bool) -> None:
    """Look every two seconds until interrupted; a daemon that goes away is waited for, once it has answered."""
    import time

    answered = False
    while True:
        try:
            text = _told(settings, client, key, line, blocks)
            answered = True
        except FailedError as error:
            if not answered or error.code not in (NOT_RUNNING, TIMEOUT):
                raise Failure(error) from None
            text = f"pimctl: {error.text}\n" if not settings.json else ""
        print_text(_screen(text) if sys.stdout.isatty() else text)
        try:
            time.sleep(WATCH_INTERVAL)
        except KeyboardInterrupt:
            return


def _screen(text: str) -> str:
    """The text on a screen that is cleared before, cut where it ends."""
    import shutil

    lines = text.splitlines(keepends=True)
    height = shutil.get_terminal_size().lines - 1
    if len(lines) > height:
        lines[height - 1 :] = [f"... {len(lines) - height + 1} more lines\n"]
    return "\x1b[H\x1b[J" + "".join(lines)


def _expand(name: str, words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The key in SHOW, and the words that filter: `igmp gr eth1` is (`igmp groups`, `eth1`)."""
    rest = list(words)
    while rest:
        below = [key[len(name) + 1 :].split()[0] for key in SHOW if key.startswith(f"{name} ")]
        found = next((word for word in below if word.startswith(rest[0].lower())), None)
        if found is None:
            break
        name, rest = f"{name} {found}", rest[1:]
    return name, tuple(rest)


def _is_detail(word: str) -> bool:
    return len(word) >= 3 and "detail".startswith(word.lower())


def _told(settings: Settings, client: Client, key: str, line: str, blocks: bool) -> str:
    """The answer as text or JSON: a line for each row, with --watch one for all; FailedError if there is none."""
    told = client.ask_rows(line)
    if settings.json:
        if settings.watch or not told:
            return f"[{told}]\n".replace(BETWEEN_ROWS, ", ")
        return f"[\n{told}\n]\n".replace(BETWEEN_ROWS, ",\n")
    rows = json.loads(f"[{told}]")
    if blocks:
        from pimpy.cli.detail import detail

        return detail(key, rows)
    from pimpy.cli.tables import render

    return render(key, rows, settings.style())


def _simple(settings: Settings, command: str) -> None:
    """A command that is answered by a line."""
    text = str(ask(settings.client(), command).get("text", ""))
    if settings.json:
        print_text(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    elif text:
        print_text(f"{text}\n")


@cli.command()
@common
@click.pass_obj
def version(settings: Settings) -> None:
    """The version of the daemon."""
    _simple(settings, "version")


@cli.command()
@common
@click.pass_obj
def kill(settings: Settings) -> None:
    """End the daemon: it says good-bye to its neighbours first."""
    _simple(settings, "kill")


@cli.command()
@click.argument("protocol", metavar="igmp|mld")
@click.argument("group")
@common
@click.pass_obj
def clear(settings: Settings, protocol: str, group: str) -> None:
    """Forget the members of GROUP. The querier asks who is there, and their answers bring them back."""
    _simple(settings, f"clear {protocol} {group}")


@cli.command()
@common
@click.pass_obj
def reload(settings: Settings) -> None:
    """Read the configuration again and apply what changed."""
    _simple(settings, "reload")


@cli.command()
@click.argument("program", required=False)
@common
@click.pass_obj
def restart(settings: Settings, program: str | None) -> None:
    """Start the daemon again, as another version if PROGRAM is its pimpyd; no stream is interrupted."""
    _simple(settings, f"restart {program}" if program else "restart")


@cli.command()
@common
@click.pass_obj
def audit(settings: Settings) -> None:
    """Compare the kernel's table with what it should be now, as is done each minute, and put it right."""
    _simple(settings, "audit")


@cli.command()
@click.argument("systems", required=False, metavar="[SYS,...|none]")
@common
@click.pass_obj
def debug(settings: Settings, systems: str | None) -> None:
    """Show which subsystems are debugged, or say which: their steps are in the log."""
    _simple(settings, f"debug {systems}" if systems else "debug")


@cli.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_of(context: click.Context, words: tuple[str, ...]) -> None:
    """What there is, or what COMMAND takes."""
    assert context.parent is not None
    cli.main([*words, "--help"], prog_name="pimctl", standalone_mode=False)


@cli.command()
@click.argument("level", required=False)
@common
@click.pass_obj
def log(settings: Settings, level: str | None) -> None:
    """Show the log level, or set it: none, err, warning, notice, info, debug."""
    _simple(settings, f"log {level}" if level else "log")


for _command in (look.explain, look.doctor, look.monitor, look.schema, look.fields_of, join, send, ping, config):
    cli.add_command(_command)


def main() -> NoReturn:
    """The command line. Never returns."""
    gc.set_threshold(SELDOM)
    try:
        code = cli.main(prog_name="pimctl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
