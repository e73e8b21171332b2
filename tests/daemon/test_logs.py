"""The log: one line an event, limits, levels at run time, and readers that do not read."""

from __future__ import annotations

import logging
import os
import pty
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pimpy.core.engine.effects import Notice
from pimpy.daemon import levels, logs
from pimpy.daemon.commands import RefusedError
from pimpy.daemon.options import Options


class Memory:
    """A sink that remembers, and refuses while `full`."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.full = False

    def send(self, severity: int, line: str) -> bool:
        if not self.full:
            self.lines.append((severity, line))
        return not self.full

    def close(self) -> None:
        pass

    def text(self) -> list[str]:
        found = [line for _, line in self.lines]
        self.lines.clear()
        return found


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture(autouse=True)
def handler(sink: Memory, clock: Clock) -> Iterator[logs.Handler]:
    yield logs.install(logs.Handler([sink], clock), "info")
    logs.close()
    logger = logging.getLogger("pimpy")
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logs.set_debug(())


def test_a_line(sink: Memory) -> None:
    logs.event("notice", "neighbor_down", "eth1: neighbour 10.0.12.2 down: holdtime passed", "eth1")
    assert sink.lines == [(5, "notice neighbor_down: eth1: neighbour 10.0.12.2 down: holdtime passed")]


def test_what_the_core_says(sink: Memory) -> None:
    logs.notice("ipv4", Notice("error", "vif_limit", "eth40: not used: 31 interfaces are"))
    logs.notice("ipv6", Notice("warning", "sg_limit", "100000 (S,G) entries, no more are taken"))
    assert sink.lines == [
        (3, "err vif_limit: ipv4 eth40: not used: 31 interfaces are"),
        (4, "warning sg_limit: ipv6 100000 (S,G) entries, no more are taken"),
    ]


def test_lines_of_other_loggers(sink: Memory) -> None:
    logging.getLogger("pimpy.x").info("ready: %s", 7, extra={"reason": "ready"})
    logging.getLogger("pimpy").error("no reason")
    assert sink.text() == ["info ready: ready: 7", "err log: no reason"]


def test_an_exception_is_one_line(sink: Memory) -> None:
    def broken() -> None:
        raise ValueError("two\nlines")

    try:
        broken()
    except ValueError:
        logging.getLogger("pimpy.control").exception("internal error")
    (line,) = sink.text()
    assert re.fullmatch(
        r"err internal_error: internal error: ValueError: two\\nlines "
        r"\(test_logs.py:\d+ broken < test_logs.py:\d+ test_an_exception_is_one_line\)",
        line,
    )


def test_nothing_that_a_terminal_would_obey(sink: Memory) -> None:
    logs.event("info", "x", "a\x1b[2Jb\nc\u202e")
    assert sink.text() == [r"info x: a\x1b[2Jb\nc\u202e"]


def test_bad_arguments_do_not_raise(sink: Memory, handler: logs.Handler) -> None:
    handler.handle(logging.LogRecord("pimpy", logging.ERROR, __file__, 1, "%d %s", ("x",), None))
    assert sink.text() == ["err log: %d %s"]


def test_warnings_come_once_a_minute_for_each_reason_and_interface(
    sink: Memory, clock: Clock, handler: logs.Handler
) -> None:
    for _ in range(5):
        logs.event("warning", "bad_checksum", "eth0: bad checksum", "eth0")
        logs.event("warning", "bad_checksum", "eth1: bad checksum", "eth1")
        logs.event("warning", "bad_version", "eth0: bad version", "eth0")
        clock.now += 1
    assert len(sink.text()) == 3
    assert handler.limit.suppressed == 12
    clock.now += 60
    logs.event("warning", "bad_checksum", "eth0: bad checksum", "eth0")
    assert sink.text() == [
        "notice bad_checksum: eth0: 4 more like this in 60 s",
        "notice bad_checksum: eth1: 4 more like this in 60 s",
        "notice bad_version: eth0: 4 more like this in 60 s",
        "warning bad_checksum: eth0: bad checksum",
    ]


def test_changes_of_state_may_come_oftener(sink: Memory, clock: Clock) -> None:
    for number in range(30):
        logs.event("info", "neighbor_up", f"eth0: neighbour 10.0.0.{number} up", "eth0")
    assert len(sink.text()) == logs.BURST == 20
    clock.now += 61
    logs.event("info", "other", "text")
    assert sink.text() == ["notice neighbor_up: eth0: 10 more like this in 60 s", "info other: text"]


def test_what_was_held_back_is_told_at_the_end(sink: Memory) -> None:
    logs.event("warning", "x", "text")
    logs.event("warning", "x", "text")
    logs.close()
    assert sink.text() == ["warning x: text", "notice x: 1 more like this in 60 s"]


def test_limits_take_bounded_memory(handler: logs.Handler) -> None:
    for number in range(3 * logs.MAX_KEYS):
        logs.event("warning", "x", "text", f"eth{number}")
    assert len(handler.limit._windows) <= logs.MAX_KEYS


def test_lines_that_nobody_takes_are_counted_and_told(sink: Memory, handler: logs.Handler) -> None:
    sink.full = True
    for number in range(5):
        logs.event("info", f"r{number}", "text")
    assert handler.lost == 5
    sink.full = False
    logs.event("info", "again", "text")
    assert sink.text() == ["warning log_lost: 5 lines of the log found no taker", "info again: text"]
    assert handler.lost == 5


def test_levels_change_at_run_time(sink: Memory) -> None:
    def logged() -> list[str]:
        for word in ("err", "warning", "notice", "info", "debug"):
            logs.event(word, f"x_{word}_{time.monotonic()}", word)
        return [line.rpartition(" ")[2] for line in sink.text()]

    assert logs.level() == "info"
    assert logged() == ["err", "warning", "notice", "info"]
    assert logs.set_level("ERR") == "err"
    assert logged() == ["err"]
    assert logs.set_level("none") == "none"
    assert logged() == []
    assert logs.set_level("debug") == logs.level() == "debug"
    assert logged() == ["err", "warning", "notice", "info", "debug"]
    assert logs.set_level("warn") == "warning"
    with pytest.raises(RefusedError, match="no such level: 'loud'; known are none, err, warning, notice, info, debug"):
        logs.set_level("loud")
    assert logs.level() == "warning"


def test_subsystems(sink: Memory) -> None:
    logs.debug("igmp", "a report of %s", "10.0.0.1")
    assert sink.text() == []
    logs.set_debug(["igmp"])
    assert (logs.debugging("igmp"), logs.debugging("pim")) == (True, False)
    for _ in range(50):
        logs.debug("igmp", "a report of %s", "10.0.0.1")
    assert sink.text() == ["debug igmp: a report of 10.0.0.1"] * 50
    logs.set_debug(["all"])
    assert logs.debugging("pim")


def test_words_of_the_command_line() -> None:
    assert levels.subsystems("igmp,rpf,neigh") == ("igmp", "rpf", "neighbors")
    for bad, why in (("bogus", "no such"), ("", "ambiguous"), ("m", "ambiguous"), ("igmp,", "ambiguous")):
        with pytest.raises(ValueError, match=why):
            levels.subsystems(bad)
    assert levels.level_name("Error") == "err"


def pipe_lines(reading: int) -> list[str]:
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 1 << 20).decode().splitlines()
    except BlockingIOError:
        return []


def test_stderr_lines_carry_ident_and_time() -> None:
    reading, writing = os.pipe()
    assert logs.Stderr("pimpyd", writing).send(5, "notice x: text")
    (line,) = pipe_lines(reading)
    assert re.fullmatch(r"pimpyd: \d\d:\d\d:\d\d\.\d\d\d notice x: text", line)
    os.close(reading)
    assert not logs.Stderr("pimpyd", writing).send(5, "notice x: text"), "nobody reads any more"
    os.close(writing)


def test_stderr_of_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    found = os.fstat(writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert logs.Stderr("pimpyd", writing).send(4, "warning x: text")
    assert pipe_lines(reading) == ["<4>warning x: text"]
    os.close(reading)
    os.close(writing)


def test_a_full_pipe_does_not_hold_the_daemon() -> None:
    reading, writing = os.pipe()
    sink = logs.Stderr("pimpyd", writing)
    handler = logs.install(logs.Handler([sink]), "debug", ["all"])
    began = time.monotonic()
    for number in range(3000):
        logs.debug("packets", "line %s of many, and some more text to fill it %s", number, "x" * 100)
    assert time.monotonic() - began < 20
    assert handler.lost > 2000
    assert len(pipe_lines(reading)) + handler.lost == 3000
    os.close(reading)
    os.close(writing)


def test_a_stopped_terminal_does_not_hold_the_daemon() -> None:
    leader, follower = pty.openpty()
    sink = logs.Stderr("pimpyd", follower)
    sent = [sink.send(6, "x" * 500) for _ in range(200)]
    assert sent[0]
    assert not sent[-1]
    os.close(leader)
    os.close(follower)


def test_a_socket_does_not_hold_the_daemon() -> None:
    reading, writing = socket.socketpair()
    sink = logs.Stderr("pimpyd", writing.fileno())
    assert sink.send(6, "info x: text")
    assert reading.recv(100).endswith(b" info x: text\n")
    sent = [sink.send(6, "x" * 1000) for _ in range(2000)]
    assert not sent[-1]
    reading.close()
    assert not sink.send(6, "gone")
    writing.close()


def test_a_file(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as file:
        sink = logs.Stderr("pimpyd", file.fileno())
        for number in range(3):
            assert sink.send(6, f"line {number} {'x' * 5000}")
        sink.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[3] for line in lines] == ["0", "1", "2"]
    assert len(lines[0]) == 4094


def test_syslog(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    sink = logs.Syslog("pimpyd", path)
    assert not sink.send(5, "lost: nobody is there")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    server.settimeout(5)
    assert not sink.send(5, "it is tried again after a second")
    sink._again = 0.0
    assert sink.send(5, "notice x: text")
    assert re.fullmatch(
        rf"<29>\w{{3}} [ \d]\d \d\d:\d\d:\d\d pimpyd\[{os.getpid()}\]: notice x: text", server.recv(1000).decode()
    )
    began = time.monotonic()
    sent = [sink.send(6, "x" * 1000) for _ in range(2000)]
    assert not sent[-1], "nobody reads"
    assert time.monotonic() - began < 15
    server.close()
    assert not sink.send(5, "gone")
    sink.close()


def sinks_of(options: Options) -> list[type]:
    return [type(sink) for sink in logs.setup(options).sinks]


def test_where_it_goes() -> None:
    assert sinks_of(Options(foreground=True)) == [logs.Stderr]
    assert sinks_of(Options(foreground=True, syslog=True)) == [logs.Syslog]
    assert sinks_of(Options()) == [logs.Syslog, logs.Stderr]
    assert sinks_of(Options(syslog=True)) == [logs.Syslog, logs.Stderr]
    logs.setup(Options(log_level="err", debug=("pim",)))
    assert (logs.level(), logs.debugging("pim")) == ("err", True)


def test_a_borrowed_stderr_that_was_given_back_takes_nothing() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    assert not logs.Stderr("pimpyd", null, borrowed=True).send(5, "text")
    assert logs.Stderr("pimpyd", null).send(5, "text")
    os.close(null)
