"""The keeper's parts: what it reads for a worker, what it executes, what it keeps, and what it answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pimpy.daemon.keeper import channel, service, upgrade, workers
from pimpy.daemon.keeper.answers import take
from pimpy.daemon.keeper.files import Files
from pimpy.daemon.keeper.keeper import Keeper
from pimpy.daemon.keeper.scripts import Scripts
from pimpy.daemon.keeper.workers import Spare, Worker
from pimpy.kernel.sockets import RECEIVE_BUFFER


def text_of(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as file:
        return file.read()


def test_only_the_files_of_the_configuration_are_read(tmp_path: Path) -> None:
    main, part, other = tmp_path / "main.conf", tmp_path / "part.conf", tmp_path / "other.conf"
    main.write_text("hello-interval 5\n# include other.conf\n  INCLUDE part.conf # why\ninclude d/*.conf\n")
    part.write_text("part")
    other.write_text("secret")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.conf").write_text("one")
    files = Files(str(main), "pimpyd")
    with pytest.raises(PermissionError):
        files.read(str(main))
    assert files.find() == str(main)
    with pytest.raises(PermissionError):
        files.read(str(part))
    assert text_of(files.read(str(main))).startswith("hello-interval 5")
    assert text_of(files.read(str(part))) == "part"
    assert files.expand(f"{tmp_path}/d/*.conf") == [f"{tmp_path}/d/1.conf"]
    assert text_of(files.read(f"{tmp_path}/d/1.conf")) == "one"
    for attempt in (str(other), "/etc/shadow", f"{tmp_path}/d/../other.conf"):
        with pytest.raises(PermissionError):
            files.read(attempt)
    with pytest.raises(PermissionError):
        files.expand("/etc/*")


def test_what_was_in_force_is_kept(tmp_path: Path) -> None:
    main, part = tmp_path / "main.conf", tmp_path / "part.conf"
    main.write_text("include *.conf")
    part.write_text("good")
    files = Files(str(main), "pimpyd")

    def read() -> list[str]:
        path = files.find()
        assert path is not None
        return [
            text_of(files.read(path)),
            *(text_of(files.read(name)) for name in files.expand(f"{tmp_path}/*.conf") if name != path),
        ]

    assert not files.use_spare(), "nothing was in force yet"
    assert read() == ["include *.conf", "good"]
    files.accept()
    part.write_text("bad")
    (tmp_path / "third.conf").write_text("new")
    assert read() == ["include *.conf", "bad", "new"]
    assert files.use_spare()
    assert read() == ["include *.conf", "good"], "once"
    assert read() == ["include *.conf", "bad", "new"]


@pytest.mark.parametrize("count", [0, 1, 30])
def test_descriptors_are_handed_over_by_exec(count: int) -> None:
    """What one program keeps the next one finds, by name, and none is mixed up with another."""
    code = """
import os, sys
from pimpy.daemon.keeper import service
if len(sys.argv) > 1:
    kept = {}
    for n in range(int(sys.argv[1])):
        kept[f"name{n}"] = os.memfd_create("x")
        os.write(kept[f"name{n}"], b"%d" % n)
    kept = dict(reversed(kept.items()))
    os.execve(sys.executable, [sys.executable, "-c", CODE], service.hand_over(kept))
found = service.inherited()
assert "LISTEN_FDS" not in os.environ
for name, fd in found.items():
    assert not os.get_inheritable(fd)
    print(name, os.pread(fd, 9, 0).decode())
"""
    code = f"CODE = {code!r}\n{code}"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1)]
    words = [sys.executable, "-c", code, str(count)]
    pid = os.posix_spawn(sys.executable, words, environment, file_actions=actions)
    os.close(writing)
    with open(reading) as file:
        lines = file.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sorted(lines) == sorted(f"name{n} {n}" for n in range(count))


def test_descriptors_for_another_process_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for pid, fds in (("1", "2"), (str(os.getpid()), "x"), ("", "")):
        monkeypatch.setenv("LISTEN_PID", pid)
        monkeypatch.setenv("LISTEN_FDS", fds)
        assert service.inherited() == {}


def test_what_is_told_to_a_service_manager(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        manager = service.Manager({"NOTIFY_SOCKET": path, "FDSTORE": "512", "WATCHDOG_USEC": "10000000"})
        assert manager.keeps and manager.watchdog == 5.0
        manager.store("mroute4-0", listener.fileno())
        data, descriptors, _, _ = socket.recv_fds(listener, 4096, 4)
        assert data == b"FDSTORE=1\nFDNAME=mroute4-0\nFDPOLL=0" and len(descriptors) == 1
        os.close(descriptors[0])
        manager.forget("mroute4-0")
        assert listener.recv(4096) == b"FDSTOREREMOVE=1\nFDNAME=mroute4-0"
        manager.tell("READY=1")
        assert listener.recv(4096) == b"READY=1"
    manager.tell("READY=1")  # nobody listens: no error
    for nothing in ({}, {"NOTIFY_SOCKET": path}, {"FDSTORE": "5"}, {"NOTIFY_SOCKET": path, "FDSTORE": "0"}):
        assert not service.Manager(nothing).keeps and service.Manager(nothing).watchdog is None


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 20.0), ("", 20.0), ("soon", 20.0), ("1.5", 1.5), ("-3", 0.0), ("inf", float("inf"))]
)
def test_the_environment_says_when_a_spare_worker_is_started(
    monkeypatch: pytest.MonkeyPatch, said: str | None, seconds: float
) -> None:
    monkeypatch.delenv(workers.VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(workers.VARIABLE, said)
    assert workers.spare_after() == seconds


def test_a_spare_worker_is_started_once_and_again_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.VARIABLE, "0")
    first = workers.start()
    spare = Spare(first)
    assert spare.take() is first
    spare.start_if_due()
    assert spare.take() is None, "nobody wanted one yet"
    first.line.close()
    assert os.waitpid(first.pid, 0)[1] != 0, "a worker without a keeper ends"
    spare.want()
    spare.start_if_due()
    process = spare.take()
    assert process is not None
    spare.want()
    spare.start_if_due()
    second = spare._process
    assert second is not None and second.pid != process.pid
    spare.want()
    assert spare.due == float("inf"), "one is enough"
    second.signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while spare._process is second and time.monotonic() < deadline:
        spare.reap()
    assert spare.due <= time.monotonic(), "another one takes its place"
    spare.end()
    channel.send(process.line, "nonsense")
    assert os.waitpid(process.pid, 0)[1] != 0, "a worker that hears no hello has no keeper"
    process.line.close()


def keeper_and_worker() -> tuple[Keeper, Worker]:
    keeper = Keeper.__new__(Keeper)
    keeper.manager = service.Manager({})
    keeper.kept = {}
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return keeper, Worker(1, ours)


@pytest.mark.parametrize(
    "name",
    [
        "mroute4-0",
        "control",
        "member4-0.1",
        "member5-0.1.0",
        "member4-0.1.0\n",
        "member4-0.1.0 x",
        "",
        "member4--1.1.1",
    ],
)
def test_a_worker_can_have_nothing_but_memberships_kept_or_dropped(name: str) -> None:
    keeper, worker = keeper_and_worker()
    fd = os.memfd_create("held")
    keeper.kept = {name: fd}
    take(keeper, worker, channel.Message("drop", name, []))
    assert keeper.kept == {name: fd}
    take(keeper, worker, channel.Message("keep", name, [fd]))
    assert keeper.kept == {name: fd}
    os.close(fd)


@pytest.mark.parametrize(("name", "grows"), [("mroute4-0", True), ("mroute6-7", True), ("pim4-0", False)])
def test_a_socket_that_owns_a_table_gets_room_for_whole_packets(name: str, grows: bool) -> None:
    keeper, worker = keeper_and_worker()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as owner:
        small = owner.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        keeper.kept = {name: owner.fileno()}
        assert take(keeper, worker, channel.Message("room", "mroute4-9", []))
        assert owner.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == small, "there is no such one"
        assert take(keeper, worker, channel.Message("room", name, []))
        assert (owner.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * RECEIVE_BUFFER) is grows


def test_memberships_are_kept_up_to_a_limit() -> None:
    keeper, worker = keeper_and_worker()
    fd = os.memfd_create("held")
    for number in range(600):
        assert take(keeper, worker, channel.Message("keep", f"member4-0.{number}.0", [fd]))
    assert len(keeper.kept) == 480
    take(keeper, worker, channel.Message("drop", "member4-0.5.0", []))
    assert len(keeper.kept) == 479
    for held in keeper.kept.values():
        os.close(held)
    os.close(fd)


def test_a_program_that_others_can_change_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "pimpyd"
    for text, mode, why in (
        ("#!/bin/true\n", 0o775, "others than root"),
        ("#!/bin/false\n", 0o755, "does not work"),
        ("#!/nowhere\n", 0o755, "does not work"),
    ):
        program.write_text(text)
        program.chmod(mode)
        tmp_path.chmod(0o755)
        with pytest.raises(upgrade.Refused, match=why):
            upgrade.next_program(str(program))
    program.write_text("#!/bin/true\n")
    assert upgrade.next_program(str(program)) == [str(program), *sys.argv[1:]]
    tmp_path.chmod(0o777)
    with pytest.raises(upgrade.Refused, match="others than root"):
        upgrade.next_program(str(program))
    for path, why in (("pimpyd", "whole path"), ("/bin/sh", "not called pimpyd"), ("/nowhere/pimpyd", "No such file")):
        with pytest.raises(upgrade.Refused, match=why):
            upgrade.next_program(path)


def test_messages_have_a_limit() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.send(one, "read", "/a b")
    message = channel.receive(other)
    assert message is not None and (message.verb, message.text, message.descriptors) == ("read", "/a b", [])
    with pytest.raises(OSError, match="too long"):
        channel.send(one, "read", "x" * 70000)
    one.close()
    assert channel.receive(other) is None
    other.close()


def test_a_dump_that_is_asked_for_while_one_is_written_follows_it(tmp_path: Path) -> None:
    """Two signals at once: the second may speak of what the first dump has not seen any more."""
    scripts = Scripts(None)
    started: list[int] = []

    def start(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        child = subprocess.Popen(["sleep", "0.1"])
        started.append(child.pid)
        scripts._running.add(child.pid)

    scripts._start = start  # type: ignore[method-assign]
    for _ in range(3):
        scripts.dump("s", str(tmp_path / "dump"))
    assert len(started) == 1
    deadline = time.monotonic() + 20
    while (len(started) < 2 or scripts._running) and time.monotonic() < deadline:
        scripts.reap()
        time.sleep(0.02)
    assert len(started) == 2 and not scripts._running, "one for all that were asked for in the meantime"


def test_it_knows_of_no_protocol_and_no_configuration() -> None:
    """What holds the sockets imports nothing that could read a packet or keep state of a protocol, ever."""
    code = (
        "import importlib, pkgutil, sys, pimpy.daemon.keeper as keeper\n"
        "from pimpy.kernel import guard, rules\n"
        "for each in pkgutil.iter_modules(keeper.__path__):\n"
        "    importlib.import_module(f'{keeper.__name__}.{each.name}')\n"
        "print(*(name for name in sys.modules if name.startswith(('pimpy.', 'asyncio', 'logging', 'json'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {name for name in done.stdout.split() if not name.startswith("pimpy.daemon.keeper")}
    assert {name for name in others if name.startswith("pimpy.")} <= KEEPERS, "what a packet is, is the worker's"
    assert not {name for name in others if not name.startswith("pimpy.")}


KEEPERS = {
    "pimpy.daemon",
    "pimpy.daemon.background",
    "pimpy.wire",
    "pimpy.wire.family",
    "pimpy.wire.record",
    "pimpy.wire.value",
    "pimpy.kernel",
} | {f"pimpy.kernel.{name}" for name in ("_mroute", "attributes", "guard", "icmp", "rules", "sockets")}
