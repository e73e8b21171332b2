"""pimpyd's command line: flags to options, --check, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pimpy.cli import pimpyd
from pimpy.config.model import Config
from pimpy.daemon import configfile
from pimpy.daemon.keeper import beginning, files
from pimpy.daemon.options import Options
from pimpy.wire.record import fields

ROOT = Path(__file__).parents[2]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options that reach a daemon, which is none."""
    found: list[Options] = []
    names = {field.name for field in fields(Options)}

    def run(words: dict[str, object]) -> int:
        found.append(Options(**{name: value for name, value in words.items() if name in names}))  # type: ignore[arg-type]
        return 0

    monkeypatch.setattr(beginning, "run", run)
    return found


def main(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        pimpyd.main(list(args))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_no_flags_are_the_defaults(asked: list[Options]) -> None:
    assert main() == 0
    assert asked == [Options()]


FLAGS: list[tuple[list[str], dict[str, object]]] = [
    (["-n", "-f", "x.conf"], {"config": "x.conf", "foreground": True}),
    (["--config", "/x.conf"], {"config": "/x.conf"}),
    (["-n"], {"foreground": True}),
    (["--foreground"], {"foreground": True}),
    (["-i", "studio"], {"ident": "studio"}),
    (["-p", "x.pid"], {"pidfile": "x.pid"}),
    (["-u", "/tmp/x.sock"], {"socket": "/tmp/x.sock"}),
    (["--ipc", "/tmp/x.sock"], {"socket": "/tmp/x.sock"}),
    (["-l", "debug"], {"log_level": "debug"}),
    (["-l", "Error"], {"log_level": "err"}),
    (["-d", "igmp,neigh"], {"debug": ("igmp", "neighbors")}),
    (["-d", "igmp", "-d", "pim,igmp"], {"debug": ("igmp", "pim")}),
    (["-s"], {"syslog": True}),
    (["-t", "7"], {"table": 7}),
    (["-t", "999999999"], {"table": 999_999_999}),
    (["-w", "1.5"], {"startup_delay": 1.5}),
    (["-r"], {"retry": True}),
    (["--disable-vifs"], {"disable_vifs": True}),
    (["--wait"], {"wait": True}),
    (["--dialect", "pimd2"], {"dialect": "pimd2"}),
    (["--metrics", "127.0.0.1:9353"], {"metrics": ("127.0.0.1", 9353)}),
    (["--metrics", "9353"], {"metrics": ("127.0.0.1", 9353)}),
    (["--metrics", "[::1]:9353"], {"metrics": ("::1", 9353)}),
    (["--record", "/x"], {"record": "/x"}),
    (["--user", "x"], {"user": "x"}),
    (["-nsrt5"], {"foreground": True, "syslog": True, "retry": True, "table": 5}),
]


@pytest.mark.parametrize(("args", "fields"), FLAGS)
def test_flags(asked: list[Options], args: list[str], fields: dict[str, object]) -> None:
    assert main(*args) == 0
    assert asked == [Options(**fields)]  # type: ignore[arg-type]


def test_paths_do_not_depend_on_the_working_directory_in_the_background(
    asked: list[Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main("-f", "x.conf", "-u", "./x.sock", "-p", "x.pid") == 0
    (options,) = asked
    assert options.config == f"{tmp_path}/x.conf"
    assert options.socket_path == f"{tmp_path}/x.sock"
    assert options.pidfile_path == "/run/x.pid"


def test_every_field_has_a_flag() -> None:
    told = {name for _, fields in FLAGS for name in fields}
    others = {"script", "flush_interval", "mrdisc_interval"}  # smcrouted's
    assert told | {"check"} | others == {field.name for field in fields(Options)}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["word"], "unrecognized arguments: word"),
        (["-f"], "expected one argument"),
        (["-t", "x"], "'x' is no table: 0 to 999999999"),
        (["-t", "1000000000"], "'1000000000' is no table"),
        (["-w", "-1"], "is no time in seconds"),
        (["-w", "nan"], "'nan' is no time in seconds: 0 to 86400"),
        (["-l", "loud"], "no such level: 'loud'; known are none, err, warning, notice, info, debug"),
        (["-d", "bogus"], "no such subsystem: 'bogus'; known are all, asserts"),
        (["-i", "a/b"], "'a/b' cannot be part of a file's name"),
        (["--metrics", "x"], "'x' is not of the form ADDR:PORT"),
        (["--dialect", "cisco"], "no such dialect: 'cisco'; known are pimpyd, pimd, pimd2, pim"),
        (["--check", "a", "-f", "b"], "the file to check is named twice"),
        (["--record", "a", "--replay", "b"], "--record and --replay exclude each other"),
    ],
)
def test_wrong_words(asked: list[Options], capsys: pytest.CaptureFixture[str], args: list[str], text: str) -> None:
    assert main(*args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert text in said.err
    assert asked == []


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("-v") == 0
    assert capsys.readouterr().out == "pimpyd version 0.1.0\n"
    assert main("-h") == 0
    text = capsys.readouterr().out
    for flag in ("-f", "-n", "-i", "-p", "-u", "-l", "-d", "-s", "-t", "-w", "-r", "-v", "-h"):
        assert f"{flag}, " in text or f"{flag} " in text
    for flag in ("--disable-vifs", "--check", "--wait", "--dialect", "--metrics", "--record", "--replay", "--user"):
        assert flag in text


def test_exit_codes_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "run", lambda words: 69)
    assert main("-n") == 69


def test_check_prints_notes_and_errors_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.conf"
    path.write_text("phyint eth0 enable\nssm-range 232.0.0.0/8 232.0.0.0/8\n")
    assert main("--check", str(path)) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: dialect pimpyd (no statement is one that only another daemon has)",
        f"{path}:2: note: ssm-range 232.0.0.0/8 is said twice",
        f"{path}: ok, 0 errors, 1 note",
    ]
    path.write_text("phyint eth0 enable\nhelo-interval 10\n")
    assert main("--check", "-f", str(path)) == 78
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: dialect pimpyd (no statement is one that only another daemon has)",
        f"{path}:2: error: unknown word 'helo-interval'; did you mean 'hello-interval'?",
        f"{path}: not usable, 1 error, 0 notes",
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [("none.conf", "No such file or directory"), (".", "Is a directory"), ("big", "it has more than 16 MiB")],
)
def test_check_of_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str) -> None:
    with open(tmp_path / "big", "wb") as big:
        big.truncate(configfile.MAX_BYTES + 1)
    assert main("--check", str(tmp_path / name)) == 78
    assert f"{tmp_path / name}: error: cannot be read: {why}\n" in capsys.readouterr().out


def test_check_reads_any_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(bytes(range(256)) * 20)
    assert main("--check", str(path)) == 78
    assert "unknown word" in capsys.readouterr().out


def test_the_example_is_the_defaults_and_every_line_of_it_is_right(tmp_path: Path) -> None:
    example = (ROOT / "conf" / "pimpyd.conf").read_text()
    _, result = configfile.load_options(Options(config=str(ROOT / "conf" / "pimpyd.conf")))
    assert result.diagnostics == ()
    assert result.model == Config()
    (tmp_path / "pimpyd.d").mkdir()
    (tmp_path / "pimpyd.d" / "a.conf").write_text("phyint eth9")
    path = tmp_path / "x.conf"
    directives = [line[1:] for line in example.splitlines() if line.startswith("#") and line[1:2].isalpha()]
    path.write_text("\n".join(directives))
    _, result = configfile.load_options(Options(config=str(path)))
    assert result.diagnostics == ()
    assert len(directives) > 10


def test_where_the_configuration_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DIRECTORY", str(tmp_path))
    assert files.find("x", "pimpyd") == "x"
    assert files.find(None, "pimpyd") is None
    assert configfile.load_options(Options())[1].model == Config()
    (tmp_path / "pimd.conf").write_text("hello-interval 7")
    assert files.find(None, "pimpyd") == f"{tmp_path}/pimd.conf"
    assert files.find(None, "studio") is None
    (tmp_path / "pimpyd.conf").symlink_to("nowhere")
    path, result = configfile.load_options(Options())
    assert (path, result.model) == (f"{tmp_path}/pimpyd.conf", None)
    (tmp_path / "studio.conf").write_text("metrics 1")
    options = Options(ident="studio", disable_vifs=True, metrics=("::1", 9))
    model = configfile.load_options(options)[1].model
    assert model == Config(phyints_enabled=False, metrics=("::1", 9))


def test_paths() -> None:
    assert Options(ident="x").socket_path == "/run/x.sock"
    assert Options(ident="x").pidfile_path == "/run/x.pid"
    assert Options(socket="y.sock").socket_path == "/run/y.sock"
    assert Options(socket="./y.sock").socket_path == "./y.sock"
    assert Options(pidfile="/tmp/y").pidfile_path == "/tmp/y"


def test_the_command_line_is_light() -> None:
    code = (
        "import sys, pimpy.cli.pimpyd\n"
        "heavy = {'asyncio', 'attr', 'attrs', 'pyroute2', 'prometheus_client', 'logging', 'click', 'pimpy.core'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
