"""Going into the background: the caller learns how it went, and gets its terminal back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pimpy.daemon import background

START = """
import os, sys, time
from pimpy.daemon import background

def main():
    sys.stderr.write("starting\\n")
    {body}

sys.exit(background.run(main))
"""


def start(body: str, *args: str) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", START.format(body=body), *args], capture_output=True, text=True, timeout=20, check=False
    )
    return done, time.monotonic() - began


def test_the_parent_leaves_when_the_daemon_is_ready(tmp_path: Path) -> None:
    where = tmp_path / "state"
    body = """
    time.sleep(0.3)
    background.write_pidfile(sys.argv[1] + ".pid")
    background.ready()
    said = (os.getpid(), os.getsid(0), os.getcwd(), os.readlink("/proc/self/fd/2"))
    open(sys.argv[1], "w").write(" ".join(map(str, said)))
    time.sleep(60)
    """
    done, took = start(body.strip(), str(where))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "starting\n")
    assert 0.3 <= took < 10
    deadline = time.monotonic() + 20
    while not where.exists() or not where.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid, session, folder, stderr = where.read_text().split(" ")
    try:
        assert session not in (pid, str(os.getsid(0))), "a session of its own, which it does not lead"
        assert (folder, stderr) == ("/", "/dev/null")
        assert (tmp_path / "state.pid").read_text() == f"{pid}\n"
    finally:
        os.kill(int(pid), signal.SIGTERM)


@pytest.mark.parametrize(
    ("body", "code"),
    [("return 78", 78), ("sys.exit(69)", 69), ("sys.exit('no')", 1), ("sys.exit()", 0), ("return 0", 0)],
)
def test_the_parent_ends_as_a_daemon_that_never_was_ready(body: str, code: int) -> None:
    done, _ = start(body)
    assert done.returncode == code
    assert done.stderr.startswith("starting\n")


def test_a_crash_is_seen_by_the_caller() -> None:
    done, _ = start("raise ValueError('broken')")
    assert done.returncode == 1
    assert "ValueError: broken" in done.stderr


def test_a_kill_is_seen_by_the_caller() -> None:
    done, _ = start("os.kill(os.getpid(), 9)")
    assert done.returncode == 1
    assert done.stderr.endswith("pimpyd: it ended before it was ready; run it with -n to see why\n")


def test_in_the_foreground_ready_does_nothing() -> None:
    before = os.getcwd()
    background.ready()
    assert os.getcwd() == before
    assert not os.path.samestat(os.fstat(2), os.stat("/dev/null"))


def test_pidfiles(tmp_path: Path) -> None:
    path = str(tmp_path / "x.pid")
    background.touch_pidfile(path)
    background.remove_pidfile(path)
    background.write_pidfile(path)
    assert Path(path).read_text() == f"{os.getpid()}\n"
    assert os.stat(path).st_mode & 0o777 == 0o644
    os.utime(path, (1, 1))
    background.touch_pidfile(path)
    assert os.stat(path).st_mtime > 1
    background.remove_pidfile(path)
    assert os.listdir(tmp_path) == []
    Path(path).write_text("1\n")
    background.remove_pidfile(path)
    Path(f"{path}2").write_text("rubbish")
    background.remove_pidfile(f"{path}2")
    assert sorted(os.listdir(tmp_path)) == ["x.pid", "x.pid2"]
