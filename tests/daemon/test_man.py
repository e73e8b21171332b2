"""The manual pages: clean, and with every flag, command, directive and metric there is."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from fake_daemon import FakeDaemon

from pimpy.cli import pimctl
from pimpy.cli.pimpyd import parser
from pimpy.config.native import DIRECTIVES
from pimpy.daemon.commands import SHOW
from pimpy.daemon.metrics import MetricsServer
from pimpy.daemon.stream_series import FAMILIES

MAN = Path(__file__).parents[2] / "man"
PAGES = sorted(MAN.glob("*.[0-9]"))
HARMLESS = ("referenced manual not found", "outdated mandoc.db")
"""What mandoc says of the host that it runs on, not of the page."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_nothing_to_say(page: Path) -> None:
    assert shutil.which("mandoc"), "tests/prepare installs mandoc"
    done = subprocess.run(["mandoc", "-T", "lint", str(page)], capture_output=True, text=True, check=False)
    said = [line for line in done.stdout.splitlines() if not any(word in line for word in HARMLESS)]
    assert said == []


def test_every_flag_of_pimpyd() -> None:
    text = (MAN / "pimpyd.8").read_text()
    for action in parser()._actions:
        for flag in action.option_strings:
            name = flag[1:]  # mdoc writes the first dash
            shown = re.search(rf"\.It Fl (?:\w , )?{re.escape(name)}\b", text)
            assert shown, f"{flag} is not in pimpyd.8"
    items = re.findall(r"^\.It Fl .*", text, re.MULTILINE)
    assert len(items) == len(set(items)), "each is described once"
    synopsis = text.partition(".Sh SYNOPSIS")[2].partition(".Sh ")[0]
    letters = "".join(re.findall(r"\.Op Fl (\w+)", synopsis))
    for action in parser()._actions:
        short = next((flag[1] for flag in action.option_strings if flag[1] != "-"), None)
        if short is None:
            assert any(f"Fl {flag[1:]}" in synopsis for flag in action.option_strings), action.option_strings
        else:
            assert short in letters, action.option_strings


def test_every_command_and_option_of_pimctl() -> None:
    text = (MAN / "pimctl.8").read_text()
    for name, command in pimctl.cli.commands.items():
        assert re.search(rf"\.It (?:Xo )?Cm {name}\b", text), f"{name} is not in pimctl.8"
        for option in command.params:
            hidden = isinstance(option, click.Option) and option.hidden
            flags = [] if hidden or not isinstance(option, click.Option) else option.opts
            shown = [flag for flag in flags if f"Fl {flag[1:]}" in text]
            assert shown or not flags, f"{name} {'/'.join(flags)} is not in pimctl.8"
    for name in SHOW:
        top = name.split()[0]
        assert f".It Cm show {top}" in text, f"show {top} is not in pimctl.8"


def test_every_directive() -> None:
    text = (MAN / "pimpyd.conf.5").read_text()
    synonyms = {"no": "no phyint", "default-route-distance": "distance", "default-route-metric": "metric"}
    for name in DIRECTIVES:
        assert re.search(rf"Cm {re.escape(synonyms.get(name, name))}\b", text), f"{name} is not in pimpyd.conf.5"


def test_every_metric() -> None:
    text = (MAN / "pimpyd.8").read_text()
    server = MetricsServer(("127.0.0.1", 0), FakeDaemon())
    page = asyncio.run(server.page()).decode()
    names = set(re.findall(r"^# TYPE (pimpy_\w+) ", page, re.MULTILINE)) | {f"pimpy_{name}" for name in FAMILIES}
    assert len(names) > 20
    shown = set(re.findall(r"^\.It Li (pimpy_\w+)", text, re.MULTILINE))
    assert names <= shown, f"not in pimpyd.8: {sorted(names - shown)}"
