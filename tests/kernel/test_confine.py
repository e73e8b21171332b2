"""What a process gives up for good: each in a child of its own."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from pimpy.kernel import _mroute


def in_child(act: Callable[[], None]) -> None:
    """Do something in another process; AssertionError with what it said if it failed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code = 0
        try:
            act()
        except BaseException:
            os.write(writing, traceback.format_exc().encode())
            code = 1
        os._exit(code)
    os.close(writing)
    said = b""
    while chunk := os.read(reading, 65536):
        said += chunk
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said.decode()


def facts() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_capabilities_that_are_not_kept_are_gone() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")

    def act() -> None:
        _mroute.keep_capabilities(1 << 12 | 1 << 13)
        kept = facts()
        for name in ("CapEff", "CapPrm", "CapBnd"):
            assert int(kept[name], 16) == 1 << 12 | 1 << 13, kept
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 103).close()
        _mroute.keep_capabilities(0)
        assert int(facts()["CapEff"], 16) == 0
        with pytest.raises(PermissionError):
            socket.socket(socket.AF_INET, socket.SOCK_RAW, 103)
        _mroute.keep_capabilities(1 << 12)
        assert int(facts()["CapEff"], 16) == 0, "for good"

    in_child(act)


def test_what_a_worker_may_not_do(tmp_path: Path) -> None:
    existing = tmp_path / "file"
    existing.write_text("text")

    def act() -> None:
        _mroute.lock_down()
        assert (facts()["Seccomp"], facts()["NoNewPrivs"]) == ("2", "1")
        refused: list[Callable[[], object]] = [
            lambda: existing.write_text("other"),
            lambda: os.open(existing, os.O_RDWR),
            lambda: (tmp_path / "new").touch(),
            lambda: os.open(existing, os.O_RDONLY | os.O_TRUNC),
            lambda: os.unlink(existing),
            lambda: os.rename(existing, tmp_path / "other"),
            lambda: os.mkdir(tmp_path / "folder"),
            lambda: os.chmod(existing, 0o777),
            lambda: os.fork(),
            lambda: os.execv("/bin/true", ["true"]),
            lambda: os.posix_spawn("/bin/true", ["true"], {}),
            lambda: os.kill(os.getppid(), 0),
            lambda: os.setuid(0),
            lambda: os.chroot(tmp_path),
            lambda: os.memfd_create("x"),
        ]
        for number, attempt in enumerate(refused):
            with pytest.raises(PermissionError):
                attempt()
            assert existing.exists(), number

    in_child(act)
    assert existing.read_text() == "text" and sorted(os.listdir(tmp_path)) == ["file"]


def test_what_a_worker_may_do(tmp_path: Path) -> None:
    existing = tmp_path / "file"
    existing.write_text("text")

    def act() -> None:
        import asyncio

        _mroute.lock_down()
        assert existing.read_text() == "text" and os.listdir(tmp_path) == ["file"]
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0):
            pass
        one, other = socket.socketpair()
        one.send(b"x")
        assert other.recv(1) == b"x"
        os.kill(os.getpid(), 0)

        async def later() -> int:
            await asyncio.sleep(0.01)
            return 1

        assert asyncio.run(later()) == 1
        assert len(bytearray(50 << 20)) == 50 << 20

    in_child(act)


def test_a_process_that_ends_with_its_parent() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        child = os.fork()
        if not child:
            _mroute.die_with_parent(signal.SIGKILL)
            os.write(writing, b"ready")
            signal.pause()
        os.read(reading, 5)
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    assert os.read(reading, 1) == b"", "the grandchild is gone too: nobody has the pipe open"
    os.close(reading)


def test_a_name(tmp_path: Path) -> None:
    def act() -> None:
        _mroute.set_name("a-name-that-is-too-long")
        assert facts()["Name"] == "a-name-that-is-"

    in_child(act)


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        (_mroute.keep_capabilities, (-1,), ValueError),
        (_mroute.keep_capabilities, (1 << 41,), ValueError),
        (_mroute.keep_capabilities, ("1",), TypeError),
        (_mroute.die_with_parent, (65,), ValueError),
        (_mroute.die_with_parent, (None,), TypeError),
        (_mroute.set_name, (1,), TypeError),
        (_mroute.set_name, ("a\0b",), ValueError),
    ],
)
def test_arguments(function: Callable[..., object], arguments: tuple[object, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        function(*arguments)
    assert sys.getrefcount(arguments) < 20
