"""`make install`: into a root for packages, and into a prefix from which the programs run under all their names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("pimd", "smcrouted", "smcroutectl", "igmpproxy", "mcproxy", "pim6sd", "pim6stat")


def make(target: str, **variables: object) -> subprocess.CompletedProcess[str]:
    said = [f"{name}={value}" for name, value in variables.items()]
    environment = {name: value for name, value in os.environ.items() if name not in ("DESTDIR", "PREFIX", "MAKEFLAGS")}
    argv = ["make", "--no-print-directory", target, *said]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.is_symlink()}


def test_into_a_root_for_packages(tmp_path: Path) -> None:
    made = make("install", DESTDIR=tmp_path)
    assert made.stderr == ""
    found = files(tmp_path)
    for name in ("sbin/pimpyd", "bin/pimctl", "lib/systemd/system/pimpyd.service", "share/man/man8/pimpyd.8.gz"):
        assert f"usr/local/{name}" in found
    for name in NAMES:
        assert os.readlink(tmp_path / "usr/local/sbin" / name) == "pimpyd"
    assert not [name for name in found if "__pycache__" in name or "/native/" in name]
    assert str(tmp_path) not in (tmp_path / "usr/local/sbin/pimpyd").read_text()
    assert "/usr/local/sbin/pimpyd" in (tmp_path / "usr/local/lib/systemd/system/pimpyd.service").read_text()
    assert (tmp_path / "etc/pimpyd.conf").read_text() == (ROOT / "conf/pimpyd.conf").read_text()


def test_what_others_have_is_left_alone(tmp_path: Path) -> None:
    """Another program of one of the names, and the operator's configuration; also when it is taken away again."""
    theirs, config = tmp_path / "usr/local/sbin/igmpproxy", tmp_path / "etc/pimpyd.conf"
    for path in (theirs, config):
        path.parent.mkdir(parents=True)
        path.write_text("mine\n")
    for _ in range(2):
        assert "is another program's" in make("install", DESTDIR=tmp_path).stderr
    make("uninstall", DESTDIR=tmp_path)
    assert files(tmp_path) == {"usr/local/sbin/igmpproxy", "etc/pimpyd.conf"}
    assert theirs.read_text() == config.read_text() == "mine\n"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed, to be run by the Python of this test, which has the modules that it needs."""
    folder = tmp_path_factory.mktemp("prefix")
    make("install", PREFIX=folder, SYSCONFDIR=folder / "etc", INTERPRETER=sys.executable)
    return folder


@pytest.mark.parametrize(
    ("name", "args", "code", "said"),
    [
        ("pimpyd", ("-v",), 0, "pimpyd version"),
        ("pimd", ("-h",), 0, "usage: pimpyd"),
        ("smcrouted", ("-v",), 0, "SMCRoute v"),
        ("smcroutectl", ("-u", "/nonexistent/s", "show"), 1, "Cannot find IPC socket"),
        ("igmpproxy", ("-h",), 0, "Usage: igmpproxy"),
        ("mcproxy", ("-h",), 0, "Usage: mcproxy"),
        ("pim6sd", ("-v",), 0, "pim6sd version"),
        ("pim6stat", ("-h",), 0, "Usage: pim6stat"),
    ],
)
def test_the_programs_run_under_all_their_names(
    prefix: Path, name: str, args: tuple[str, ...], code: int, said: str
) -> None:
    done = subprocess.run([prefix / "sbin" / name, *args], cwd="/", capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done
    assert said in done.stdout + done.stderr


def test_the_installed_programs_use_the_installed_code(prefix: Path) -> None:
    done = subprocess.run([prefix / "sbin/pimpyd", "--check", prefix / "etc/pimpyd.conf"], cwd="/", timeout=20)
    assert done.returncode == 0
    assert str(prefix / "lib/pimpy") in (prefix / "bin/pimctl").read_text()
