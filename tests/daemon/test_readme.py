"""What the README says to type, and the shipped configurations: all of it works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_daemon import FakeDaemon, serving

from pimpy.cli.pimctl import cli
from pimpy.cli.pimpyd import check

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^    (.*)$", TEXT, re.MULTILINE)
LINES = [line.partition("#")[0].strip().removeprefix(".venv/bin/") for line in BLOCKS]
COMMANDS = sorted(
    {line for line in LINES if line.startswith("pimctl ")}
    | {found for found in re.findall(r"`(pimctl [^`]*)`", TEXT) if "FILE" not in found}
)
ASK_ONLY = ("join", "send", "ping", "monitor", "doctor", "explain")
"""They send, listen or look at this host: only their words are tried here, labs try the rest."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)[1:]
    with serving(str(tmp_path / "p.sock"), FakeDaemon()):
        if any(word in ASK_ONLY for word in words):
            name = next(word for word in words if word in ASK_ONLY)
            with cli.commands[name].make_context(name, words[words.index(name) + 1 :]):
                return
        done = CliRunner().invoke(cli, ["-u", str(tmp_path / "p.sock"), *words])
    assert done.exit_code == 0, done.output


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 10
    for target in ("demo", "test", "build", "run", "bench"):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_what_it_points_to_is_there() -> None:
    for path in re.findall(r"`((?:contrib|conf|docs|tests|man)/[\w./-]*)`", TEXT):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.conf")), ids=lambda path: path.name)
def test_the_shipped_configurations_are_right(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(str(path), "pimpyd", None) == 0
    assert capsys.readouterr().out.endswith("ok, 0 errors, 0 notes\n")
