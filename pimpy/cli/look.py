"""pimctl's commands that look deeper: explain, doctor, monitor, and what the fields of the others mean."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pimpy.cli.client import FailedError
from pimpy.cli.common import Failure, Settings, ask, common, offers, print_text
from pimpy.daemon.commands import ALIASES


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[SOURCE] GROUP", shell_complete=offers("explain"))
@common
@click.pass_obj
def explain(settings: Settings, words: tuple[str, ...]) -> None:
    """Say why a stream flows here, or does not, and what to do. Exit code 1: it does not."""
    client = settings.client()
    line = " ".join(("explain", *words))
    rows = ask(client, line)["rows"]
    ttl = _ttl(rows)
    if ttl is not None:
        rows = ask(client, f"{line} ttl {ttl}")["rows"]
    if settings.json:
        print_text(json.dumps(rows, ensure_ascii=False) + "\n")
    else:
        from pimpy.cli.sentences import explanation

        print_text(explanation(rows, settings.style()))
    sys.exit(1 if rows and rows[-1]["state"] == "problem" else 0)


def _ttl(rows: list[dict[str, Any]]) -> int | None:
    """The TTL that the stream comes in with, if it does and we may look at it; for a second."""
    from pimpy.kernel.sample import look

    key = next(((row["source_address"], row["group"]) for row in rows if row["source_address"]), None)
    where = next((row["interface"] for row in rows if row["reason"] in ("counted", "unwanted")), None)
    if key is None or where is None:
        return None
    try:
        heard = look([where], 1.0, key)
    except OSError:
        return None
    return heard[0].ttl if heard else None


@click.command()
@click.option("--links", metavar="FILE", hidden=True, help="A link table in JSON in place of the kernel's.")
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=1.0, help="How long to look at packets.")
@common
@click.pass_obj
def doctor(settings: Settings, links: str | None, seconds: float) -> None:
    """Look for what breaks multicast on this host, and say how to mend it. Exit code 1: something was found."""
    from pimpy.cli.doctor import findings, gather
    from pimpy.cli.sentences import diagnosis

    case = gather(settings.client(), links, seconds)
    found = findings(case)
    if settings.json:
        print_text(json.dumps([one.as_dict() for one in found], ensure_ascii=False) + "\n")
    else:
        print_text(diagnosis([one.as_dict() for one in found], case.blind, settings.style()))
    sys.exit(1 if found else 0)


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]...")
@common
@click.pass_obj
def monitor(settings: Settings, words: tuple[str, ...]) -> None:
    """Show events as they happen. WORD: an event (neighbor_up, joined, ...), an address or an interface."""
    from pimpy.cli.monitor import lines

    try:
        for line in lines(settings.client().stream("monitor"), words, bool(settings.json)):
            print_text(line)
    except FailedError as error:
        raise Failure(error) from None


def _named(name: str) -> str:
    """The schema that `name` is, or is the beginning of."""
    from pimpy.cli import fields

    known = fields.names()
    word = name.removeprefix("show-")
    word = ALIASES.get(word, word)
    found = [one for one in known if one == word] or [one for one in known if one.startswith(word)]
    if len(found) != 1:
        raise click.UsageError(f"no schema {name!r}; known are {', '.join(known)}")
    return found[0]


def _schema_names(settings: Settings) -> None:
    from pimpy.cli import fields

    known = fields.names()
    print_text(json.dumps(known) + "\n" if settings.json else "".join(f"{word}\n" for word in known))


@click.command()
@click.argument("name", required=False)
@common
@click.pass_obj
def schema(settings: Settings, name: str | None) -> None:
    """Print the JSON schema of `--json show NAME`; without NAME the names there are. Asks no daemon."""
    from pimpy.cli import fields

    if name is None:
        _schema_names(settings)
    else:
        print_text(fields.read(_named(name)))


@click.command("fields")
@click.argument("name", required=False)
@common
@click.pass_obj
def fields_of(settings: Settings, name: str | None) -> None:
    """Print what the fields of `--json show NAME` mean; without NAME the names there are. Asks no daemon."""
    from pimpy.cli import fields

    if name is None:
        _schema_names(settings)
    else:
        print_text(fields.text(_named(name)))
