"""pimctl's commands on files of configurations; they ask no daemon."""

from __future__ import annotations

import sys

import click

from pimpy.cli.common import print_text

DIALECTS = ("pimpyd", "pimd", "pimd2", "pim6sd", "smcroute", "igmpproxy", "mcproxy")


@click.group()
def config() -> None:
    """Files of configurations."""


@config.command()
@click.argument("file", type=click.Path())
@click.option("--dialect", type=click.Choice(DIALECTS), help="The grammar; without it, it is found out.")
def convert(file: str, dialect: str | None) -> None:
    """Print another daemon's FILE as lines of pimpyd.conf, with a comment where something means a little else."""
    from pimpy.cli.convert import convert as converted
    from pimpy.daemon.configfile import Disk
    from pimpy.daemon.options import Options

    disk = Disk(Options())
    text, result = converted(file, disk.read, disk.expand, dialect)
    if result.model is None:
        for error in result.errors:
            click.echo(str(error), err=True)
        sys.exit(1)
    print_text(text)
