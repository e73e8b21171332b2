"""Called as pimd: 3.0's words as they are, and 2.3.2's, some of which mean something else."""

from __future__ import annotations

from typing import Any

import pytest

from pimpy.cli import pimd, pimpyd
from pimpy.cli.names import stand_in


class Asked(Exception):
    """What pimpyd was asked."""


@pytest.fixture(autouse=True)
def _record(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(words: list[str]) -> Any:
        raise Asked(words)

    monkeypatch.setattr(pimpyd, "main", asked)


def asked(*words: str) -> list[str]:
    with pytest.raises(Asked) as found:
        pimd.main(list(words))
    return list(found.value.args[0])


def test_by_its_name() -> None:
    assert stand_in("/usr/sbin/pimd") is not None
    assert stand_in("/usr/sbin/pimpyd") is None


def test_the_words_of_3_0_are_ours() -> None:
    assert asked("-n", "-f", "/etc/x.conf") == ["-i", "pimd", "-n", "-f", "/etc/x.conf"]
    assert asked("-i", "east", "-s") == ["-i", "east", "-s"]


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ((), []),
        (("-f",), ["-n"]),
        (("-c", "/x", "-f"), ["-f", "/x", "-n"]),
        (("-s", "debug"), ["-l", "debug"]),
        (("-digmp,rpf", "-N"), ["-d", "igmp,rpf", "--disable-vifs"]),
        (("-t", "7", "--config", "/y"), ["-f", "/y", "-t", "7"]),
        (("-v",), ["-v"]),
    ],
)
def test_the_words_of_2_3_2_are_translated(words: tuple[str, ...], ours: list[str]) -> None:
    assert asked("--dialect", "pimd2", *words) == ["--dialect", "pimd2", "-i", "pimd", *ours]
    translated = ["--dialect", "pimd2", "-i", "pimd", *(word for word in ours if word != "-v")]
    pimpyd.parser().parse_args(translated)


@pytest.mark.parametrize("flag", ["-l", "-q", "-r"])
def test_without_a_daemon_there_is_nothing_to_say(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit) as ended:
        pimd.main(["--dialect", "pimd2", "-i", "no-such-daemon", flag])
    assert (ended.value.code, capsys.readouterr()) == (0, ("", ""))
