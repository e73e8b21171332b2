"""The command lines of pimctl join, send and ping."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

import click

from pimpy.cli.common import Settings, common, print_text
from pimpy.cli.traffic import PORT

T = TypeVar("T")

_INTERFACE = click.option("-I", "--interface", metavar="IF", help="The interface; else what the routes say.")
_PORT = click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="The UDP port.")
_SECONDS = click.option("--seconds", type=click.FloatRange(0.1), help="End after so long.")
_COUNT = click.option("--count", type=click.IntRange(1), help="End after so many packets.")
_TTL = click.option("--ttl", type=click.IntRange(1, 255), default=16, show_default=True, help="TTL or hop limit.")


def _address(text: str, multicast: bool) -> str:
    try:
        found = ip_address(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no address") from None
    if found.is_multicast != multicast:
        raise click.UsageError(f"{text} is {'no' if multicast else 'a'} group")
    return str(found)


def _try(action: Callable[[], T]) -> T:
    from pimpy.cli.traffic import sockets

    try:
        return action()
    except sockets.NoInterfaceError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.strerror or error}") from None


@click.command()
@click.argument("group")
@click.argument("source", required=False)
@_INTERFACE
@_PORT
@_SECONDS
@_COUNT
@common
@click.pass_obj
def join(
    settings: Settings,
    group: str,
    source: str | None,
    interface: str | None,
    port: int,
    seconds: float | None,
    count: int | None,
) -> None:
    """Join GROUP, of SOURCE or of anybody, and tell what arrives: loss, order, delay, rate. Needs no daemon."""
    from pimpy.cli.traffic import run, sockets

    group, origin = _address(group, True), None if source is None else _address(source, False)

    def work() -> bool:
        index = sockets.index_of(interface, origin or group)
        if not settings.json:
            _say_what_is_joined(group, origin, index, port)
        return run.receive(group, origin, index, port, seconds, count, bool(settings.json), print_text)

    sys.exit(0 if _try(work) else 1)


def _say_what_is_joined(group: str, source: str | None, index: int, port: int) -> None:
    """On stderr, as nothing else may come for a long time."""
    from pimpy.wire.family import family_of, parse_address

    where = f"({source or '*'},{group}) on {socket.if_indextoname(index)}, port {port}"
    click.echo(f"joining {where}; Ctrl-C ends it", err=True)
    packed = parse_address(group)
    if source is None and any(each.covers(packed) for each in family_of(packed).ssm_ranges):
        click.echo(f"{group} is in the SSM range: routers want a source: pimctl join {group} SOURCE", err=True)


@click.command()
@click.argument("group")
@_INTERFACE
@_PORT
@_TTL
@click.option("--rate", type=click.FloatRange(0.01, 100_000), default=10.0, show_default=True, help="Packets a second.")
@click.option("--size", type=click.IntRange(20, 65_000), default=200, show_default=True, help="Bytes of a packet.")
@_SECONDS
@_COUNT
@common
@click.pass_obj
def send(
    settings: Settings,
    group: str,
    interface: str | None,
    port: int,
    ttl: int,
    rate: float,
    size: int,
    seconds: float | None,
    count: int | None,
) -> None:
    """Send numbered packets to GROUP until interrupted. Needs no daemon."""
    from pimpy.cli.traffic import run, sockets

    group = _address(group, True)
    sent = _try(lambda: run.send(group, sockets.index_of(interface, group), port, ttl, rate, size, seconds, count))
    print_text(json.dumps({"group": group, "sent": sent}) + "\n" if settings.json else f"{sent} packets to {group}\n")


@click.command()
@click.argument("host", required=False)
@click.argument("group", required=False)
@click.option("--answer", is_flag=True, help="Be the one who answers, as ssmpingd is.")
@_INTERFACE
@_TTL
@click.option("-c", "--count", type=click.IntRange(1), help="End after so many; the default is 5, of --answer never.")
@click.option("--interval", type=click.FloatRange(0.01), default=1.0, show_default=True, help="Seconds between two.")
@common
@click.pass_obj
def ping(
    settings: Settings,
    host: str | None,
    group: str | None,
    answer: bool,
    interface: str | None,
    ttl: int,
    count: int | None,
    interval: float,
) -> None:
    """Ask HOST for answers by unicast and by multicast: to its own SSM channel, or to GROUP.

    HOST runs `pimctl ping --answer`, or ssmpingd. Needs no daemon. Exit code 1: no multicast came back.
    """
    from pimpy.cli.traffic import run, sockets

    if answer:
        if host is not None:
            raise click.UsageError(f"--answer answers whoever asks: {host!r} is too much")
        index = None if interface is None else _try(lambda: sockets.index_of(interface, ""))
        _try(lambda: run.answer(index, ttl, count, print_text))
        return
    if host is None:
        raise click.UsageError("ping whom? pimctl ping HOST [GROUP], or pimctl ping --answer")
    whom, wanted = _address(host, False), None if group is None else _address(group, True)
    show = (lambda text: None) if settings.json else print_text
    tally = _try(lambda: run.ask(whom, wanted, sockets.index_of(interface, whom), count or 5, interval, show))
    if settings.json:
        print_text(json.dumps(tally) + "\n")
    else:
        print_text(f"{tally['sent']} asked, {tally['unicast']} answers by unicast, {tally['multicast']} by multicast\n")
    if not tally["unicast"] and not tally["multicast"]:
        click.echo(f"does `pimctl ping --answer`, or ssmpingd, run at {whom}?", err=True)
    sys.exit(0 if tally["multicast"] else 1)
