"""In smcroute's place: Debian's smcroute and ours, from the same files in the same lab, and its client against ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from .helpers import run_to_end
from .kernel import mfc
from .service import comm
from .sharing import Shared, shared_by_a_file
from .smcroute import Smcroute, called
from .topology import Lab, Node
from .traffic import Sender, Watcher

pytestmark = pytest.mark.usefixtures("pimpyd")

FILE = """
phyint src enable ttl-threshold 1
mgroup from src group 225.1.1.1
mgroup from src group 225.1.2.1
mgroup from src source 10.0.1.1 group 232.1.1.1
mroute from src source 10.0.1.1 group 225.1.1.1 to a
mroute from src group 225.1.2.0/24 to a b
mroute from src source 10.0.1.0/24 group 225.1.3.0/24 to b
mroute from src group ff2e::42 to b
mroute from src group 225.9.9.9 to absent
"""
GROUPS = ["225.1.1.1", "225.1.2.1", "225.1.2.77", "225.1.3.3", "225.5.5.5"]


def nodes_of(lab: Lab) -> tuple[Node, Node, Node, Node]:
    """A source, a router and two hosts."""
    src, r, a, b = lab.host("src"), lab.router("r"), lab.host("a"), lab.host("b")
    for node in (src, a, b):
        lab.link(node, r)
    lab.start()
    return src, r, a, b


@pytest.fixture
def nodes(lab: Lab) -> tuple[Node, Node, Node, Node]:
    return nodes_of(lab)


class Standing:
    """Those nodes with ours at the router, from FILE, which several tests share."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.intact = lab, False
        self.src, self.r, self.a, self.b = nodes_of(lab)
        self.daemon = Smcroute(self.r, True, FILE).start()
        self.tools: list[Watcher | Sender] = []

    def watch(self, node: Node) -> Watcher:
        """Counts what arrives there."""
        watcher = Watcher(node.port("r"), 4)
        self.tools.append(watcher)
        return watcher

    def send(self, *groups: str, rate: float) -> Sender:
        sender = Sender(self.src.port("r"), groups, rate=rate)
        self.tools.append(sender)
        return sender

    def end(self) -> None:
        """A test ends well: its streams end, and the file is as it was."""
        while self.tools:
            self.tools.pop().stop()
        self.daemon.reconfigure(FILE)
        self.intact = True


shared = shared_by_a_file(Standing)


@pytest.fixture
def standing(shared: Shared[Standing]) -> Standing:
    return shared.take()


def arrived(a: Node, b: Node, family: int) -> tuple[Watcher, Watcher]:
    return Watcher(a.port("r"), family), Watcher(b.port("r"), family)


def run(daemon: Smcroute, nodes: tuple[Node, Node, Node, Node]) -> dict[str, object]:
    """Streams through a router: what arrives where, and what the daemon says of it."""
    src, r, a, b = nodes
    daemon.start()
    four, six = arrived(a, b, 4), arrived(a, b, 6)
    senders = [Sender(src.port("r"), GROUPS, rate=200), Sender(src.port("r"), ["ff2e::42", "ff2e::43"], rate=100)]
    four[0].wait_for(100)
    four[1].wait_for(100)
    six[1].wait_for(50)
    r.lab.wait(lambda: len(mfc(r, 4)) == 5 and len(mfc(r, 6)) == 2, 10, "an entry of each stream")
    groups = {line.split()[1] for line in r.run("cat", "/proc/net/igmp").splitlines() if line.startswith("\t\t\t\t")}
    told = {
        "arrived": [sorted({group for _, group in watcher.streams()}) for watcher in (*four, *six)],
        "routes": daemon.show("routes"),
        "groups": daemon.show("groups"),
        "kernel": {(k, e.iif, e.oifs) for family in (4, 6) for k, e in mfc(r, family).items()},
        "joined": groups,
    }
    for sender in senders:
        sender.stop()
    assert daemon.stop() == 0
    assert not daemon.pidfile.exists() and not daemon.socket.exists()
    for watcher in (*four, *six):
        watcher.stop()
    return told


def test_the_same_file_does_the_same(nodes: tuple[Node, Node, Node, Node], smcroute: None) -> None:
    theirs = run(Smcroute(nodes[1], False, FILE), nodes)
    ours = run(Smcroute(nodes[1], True, FILE), nodes)
    assert ours["arrived"] == theirs["arrived"]
    assert ours["arrived"] == [
        ["225.1.1.1", "225.1.2.1", "225.1.2.77"],
        ["225.1.2.1", "225.1.2.77", "225.1.3.3"],
        [],
        ["ff2e::42"],
    ]
    assert ours["kernel"] == theirs["kernel"]
    assert ours["joined"] == theirs["joined"]
    assert ours["routes"] == theirs["routes"]
    assert ours["groups"] == theirs["groups"]


def test_debians_client_works_against_ours(nodes: tuple[Node, Node, Node, Node], smcroute: None) -> None:
    src, r, _, b = nodes
    daemon = Smcroute(r, True, FILE).start()
    for words, code, said in (
        (("join", "src", "225.7.7.7"), 0, ""),
        (("join", "src", "225.7.7.7"), 1, "Already joined (*,225.7.7.7) on src"),
        (("join", "nope", "225.7.7.7"), 1, "unknown interface nope"),
        (("leave", "src", "225.7.7.8"), 1, "No group (*,225.7.7.8) on src to leave"),
        (("add", "src", "10.0.1.1", "225.5.5.5", "a", "b"), 0, ""),
        (("add", "nope", "225.5.5.5", "a"), 1, "ipc: mroute: inbound nope is not a known phyint"),
        (("add", "src", "300.1.1.1", "a"), 1, "mroute: invalid source/group address: 300.1.1.1"),
        (("remove", "src", "225.20.0.1"), 1, "mroute: deleting route from src (0.0.0.0/32,225.20.0.1/32)"),
    ):
        done = daemon.ctl(*words, ours=False)
        assert (done.code, done.said.strip()) == (code, f"smcroutectl: {said}" if said else ""), (words, done)
        mine = daemon.ctl(*words, ours=True)
        if code:
            assert (mine.code, mine.said) == (done.code, done.said), words
    watcher = Watcher(b.port("r"), 4)
    sender = Sender(src.port("r"), ["225.5.5.5"], rate=200)
    watcher.wait_for(50)
    for what in ("routes", "groups", "interfaces"):
        assert daemon.show(what, ours=False) == daemon.show(what, ours=True)
    assert "(10.0.1.1, 225.5.5.5) src a b" in daemon.show("routes", ours=False)
    assert daemon.ctl("remove", "src", "10.0.1.1", "225.5.5.5", ours=False).code == 0
    watcher.wait_silent()
    sender.stop()
    assert daemon.ctl("kill", ours=False).code == 0
    assert daemon.process.wait(10) == 0


def test_json_pending_and_batch(standing: Standing) -> None:
    daemon = standing.daemon
    rows = json.loads(daemon.ctl("-j", "show", "routes").out)["routes"]
    assert {"source": "10.0.1.1", "group": "225.1.1.1", "iif": "src", "oifs": ["a"]} in rows["ssm"] == rows["kernel"]
    assert {"source": None, "group": "225.1.2.0/24", "iif": "src", "oifs": ["a", "b"]} in rows["asm"]
    pending = json.loads(daemon.ctl("-j", "show", "pending").out)["pending"]
    assert pending == [{"kind": "mroute", "iif": "src", "source": None, "group": "225.9.9.9", "oifs": ["absent"]}]
    batch = "join src 225.4.4.4\njoin a 225.4.4.5\n# nothing\njoin src 225.4.4.4\nleave a 225.4.4.5\n"
    done = daemon.ctl("-b", text_in=batch)
    assert (done.code, done.said) == (1, "smcroutectl: Already joined (*,225.4.4.4) on src\n")
    assert "(*, 225.4.4.4) src" in daemon.show("groups")
    assert "(*, 225.4.4.5) a" not in daemon.show("groups")
    text = daemon.ctl("-p", "show").out
    assert text.startswith("(*,G) Template Rules\nROUTE (S,G)                                IIF  OIFS\n"), text
    assert text.endswith("\n\n")
    assert "\n(*, 225.1.2.0/24)                          src  a b\n" in text
    assert daemon.ctl("leave", "src", "225.4.4.4").code == 0
    standing.end()


def test_reload_loses_nothing_of_what_stays(standing: Standing) -> None:
    daemon = standing.daemon
    watcher, other = standing.watch(standing.a), standing.watch(standing.b)
    standing.send("225.1.2.1", rate=500)
    watcher.wait_for(100)
    for number in range(5):
        daemon.reconfigure(FILE + f"mroute from src group 225.8.8.{number} to b\nmgroup from a group 225.8.8.8\n")
        watcher.wait_for(50)
    daemon.reconfigure(FILE.replace("225.1.2.0/24 to a b", "225.1.2.0/24 to a"))
    other.wait_silent()
    watcher.wait_for(50)
    stream = watcher.stream()
    assert (stream.lost, stream.duplicates) == (0, 0), stream
    standing.end()


def test_interfaces_that_come_and_go(nodes: tuple[Node, Node, Node, Node]) -> None:
    src, r, a, _ = nodes
    daemon = Smcroute(r, True, "mroute from src group 225.1.1.1 to late a\nmgroup from late group 225.1.1.1\n").start()
    watcher = Watcher(a.port("r"), 4)
    sender = Sender(src.port("r"), ["225.1.1.1"], rate=200)
    watcher.wait_for(20)
    assert "mgroup from late group 225.1.1.1" in daemon.show("pending")
    r.ip("link", "add", "late", "type", "veth", "peer", "name", "peer")
    r.ip("link", "set", "late", "up")
    r.lab.wait(lambda: mfc(r, 4)[src.port("r").ipv4, "225.1.1.1"].oifs == {"a", "late"}, 10, "the entry has both")
    r.lab.wait(lambda: "(*, 225.1.1.1) late" in daemon.show("groups"), 10, "joined")
    r.ip("link", "delete", "late")
    r.lab.wait(lambda: mfc(r, 4)[src.port("r").ipv4, "225.1.1.1"].oifs == {"a"}, 10, "the entry has one")
    watcher.wait_for(20)
    sender.stop()
    assert watcher.stream().lost == 0


def test_more_groups_than_a_socket_may_have(nodes: tuple[Node, Node, Node, Node]) -> None:
    """igmp_max_memberships is 20 a socket, igmp_max_msf 10 sources of a group: joins spread over sockets."""
    _, r, _, _ = nodes
    r.sysctl(ipv4__igmp_max_memberships=20, ipv4__igmp_max_msf=10)
    text = "mgroup from src group 225.1.0.0/24\nmgroup from src source 10.0.0.0/27 group 232.1.1.1\n"
    daemon = Smcroute(r, True, text).start()
    groups = r.run("ip", "-4", "maddr", "show", "dev", "src")
    assert sum(f"225.1.0.{number}\n" in groups + "\n" for number in range(256)) >= 250
    sources = [line for line in r.run("cat", "/proc/net/mcfilter").splitlines() if "0xe8010101" in line]
    assert len(sources) == 32, sources
    assert daemon.ctl("leave", "src", "225.1.0.0/24").code == 0
    r.lab.wait(lambda: "225.1.0.7" not in r.run("ip", "-4", "maddr", "show", "dev", "src"), 10, "left")


def test_the_script_is_told(nodes: tuple[Node, Node, Node, Node]) -> None:
    src, r, _, _ = nodes
    told, script = r.folder / "told", r.folder / "hook"
    script.write_text(f'#!/bin/sh\necho "$1 ${{source-unset}} ${{group-unset}}" >>{told}\n')
    script.chmod(0o755)
    daemon = Smcroute(r, True, FILE, ("-e", str(script))).start()
    sender = Sender(src.port("r"), ["225.1.1.1", "225.1.2.9", "225.5.5.5"], rate=100)
    r.lab.wait(lambda: told.exists() and told.read_text() == "install 10.0.1.1 225.1.2.9\n", 10, "told of the template")
    daemon.reconfigure(FILE)
    r.lab.wait(lambda: told.read_text().endswith("\nreload unset unset\n"), 10, "told of the reload")
    sender.stop()


def test_the_service_manager_is_told_and_the_user_is_another(nodes: tuple[Node, Node, Node, Node]) -> None:
    """READY when it serves, RELOADING and READY when it has read its file again; `-p` is whom the worker runs as."""
    _, r, _, _ = nodes
    path = r.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(20)
        daemon = Smcroute(r, True, FILE, ("-p", "daemon:daemon"))
        daemon.process = r.start("smcrouted", "env", f"NOTIFY_SOCKET={path}", *daemon.command_line())
        assert manager.recv(1000) == b"READY=1"
        (worker,) = _children(daemon.process.pid)
        assert Path(f"/proc/{worker}").stat().st_uid == pwd.getpwnam("daemon").pw_uid
        daemon.reconfigure(FILE)
        told = [manager.recv(1000) for _ in range(2)]
        assert told[0].startswith(b"RELOADING=1\nMONOTONIC_USEC=") and told[1] == b"READY=1"
        assert daemon.stop() == 0
        assert manager.recv(1000) == b"STOPPING=1"


def test_mrdisc(nodes: tuple[Node, Node, Node, Node], captures: None) -> None:
    """Advertised at the pace of `-m` on the interface that says so, and the last word is a termination."""
    src, r, a, _ = nodes
    here, there = src.port("r").link.capture("igmp"), a.port("r").link.capture("igmp")
    daemon = Smcroute(r, True, "phyint src mrdisc\nmroute from src group 225.1.1.1 to a\n", ("-m", "7")).start()

    def sent() -> int:
        return sum(row["count"] for row in asked(daemon, "show counters") if row["type"] == "mrd_advertisement")

    r.lab.wait(lambda: sent() >= 3, 10, "three advertisements")
    assert daemon.stop() == 0
    told = here.fields("igmp.type == 0x30 || igmp.type == 0x32", "igmp.type", "igmp.max_resp", "ip.dst", "ip.ttl")
    assert len(told) == 4
    assert [row[0] for row in told[:-1]] == ["0x30"] * (len(told) - 1) and told[-1][0] == "0x32"
    assert {(row[2], row[3]) for row in told} == {("224.0.0.106", "1")}
    assert there.fields("igmp.type == 0x30", "ip.src") == []


@pytest.mark.parametrize(
    ("args", "text", "code", "said"),
    [
        (("-F", "FILE"), "mroute from a group 225.1.1.1 to b\n", 0, ""),
        (("-F", "FILE"), "foo\n", 78, "FILE line 1: Unknown command foo, skipping."),
        (("-F", "FILE"), "phyint a ttl-threshold 256\n", 78, "FILE line 1: phyint a ttl 256 out of range (1-255)"),
        (("-Z",), "", 64, "option -Z not recognized"),
        (("-m", "3"), "", 1, "Invalid mrdisc announcement interval, 4-180."),
        (("-n", "-p", "nosuchuser", "-f", "FILE"), "", 1, "there is no user 'nosuchuser'"),
        (("-v",), "", 0, "SMCRoute v"),
        (("-h",), "", 0, "Usage: smcrouted"),
    ],
)
def test_exit_codes(tmp_path: Path, args: tuple[str, ...], text: str, code: int, said: str) -> None:
    import subprocess

    from .paths import PIMPYD

    (tmp_path / "smcrouted").symlink_to(PIMPYD)
    file = tmp_path / "f.conf"
    file.write_text(text)
    argv = [str(tmp_path / "smcrouted"), *(arg.replace("FILE", str(file)) for arg in args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done
    assert said.replace("FILE", str(file)) in done.stdout + done.stderr


def test_signals_and_the_pid_file(standing: Standing) -> None:
    daemon, r = standing.daemon, standing.r
    assert int(daemon.pidfile.read_text()) == daemon.process.pid
    before = daemon.pidfile.stat().st_mtime_ns
    daemon.config.write_text("mroute from src group 225.6.6.6 to b\n")
    os.kill(daemon.process.pid, signal.SIGHUP)
    r.lab.wait(lambda: daemon.pidfile.stat().st_mtime_ns > before, 10, "the PID file is touched")
    r.lab.wait(lambda: daemon.show("routes") == ["(*, 225.6.6.6) src b"], 10, "reloaded")
    second = run_to_end(r, called(r, "smcrouted"), "-n", "-u", r.folder / "two.sock", "-P", r.folder / "two.pid")
    assert second.code == 69 and "is held by" in second.said
    standing.end()


def test_control_socket_takes_any_bytes(standing: Standing) -> None:
    """A hundred clients at once, rubbish, slow ones and cut ones: routing and further clients go on unharmed."""
    daemon, watcher = standing.daemon, standing.watch(standing.a)
    standing.send("225.1.2.1", rate=200)
    watcher.wait_for(20)
    asyncio.run(_attack(str(daemon.socket)))
    watcher.wait_for(50)
    assert daemon.show("interfaces")
    assert watcher.stream().lost == 0
    daemon.process.check_alive()
    standing.end()


def frame(letter: str, *words: str, length: int | None = None, count: int | None = None) -> bytes:
    payload = b"".join(word.encode() + b"\0" for word in words) + b"\0"
    size = 16 + len(payload) if length is None else length
    return struct.pack("@NHH4x", size, ord(letter), len(words) if count is None else count) + payload


RUBBISH = (
    b"\x11",
    bytes(16),
    b"\xff" * 64,
    frame("z"),
    frame("a", "src"),
    frame("s", length=8),
    frame("s", length=2**63),
    frame("j", "src", "225.1.1.1", count=65535),
    frame("a", *["x" * 40] * 20),
    frame("j", "\xff" * 100, "225.1.1.1"),
    frame("s", "routes")[:20],
    os.urandom(1000),
    b"\x00" * 5000,
)


async def _attack(path: str) -> None:
    async def client(number: int) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_unix_connection(path)
            data = RUBBISH[number % len(RUBBISH)]
            for place in range(0, len(data), max(1, len(data) // 5)):
                writer.write(data[place : place + max(1, len(data) // 5)])
                await writer.drain()
                await asyncio.sleep(0.01)
            async with asyncio.timeout(0.3):
                await reader.read(100)
            writer.close()

    await asyncio.gather(*(client(number) for number in range(100)))


def asked(daemon: Smcroute, command: str) -> list[dict[str, Any]]:
    """The rows that pimctl would get."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        client.sendall(json.dumps({"command": command}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += client.recv(65536)
    rows: list[dict[str, Any]] = json.loads(answer)["rows"]
    return rows


def test_pimctl_and_smcroutectl_share_a_socket(standing: Standing) -> None:
    entries = [row for row in asked(standing.daemon, "show mroute") if row["row"] == "entry"]
    found = [(row["mode"], row["group"], row["incoming_interface"]) for row in entries]
    assert ("static", "225.1.1.1", "src") in found, found
    standing.end()


def test_ten_thousand_routes_by_batch(standing: Standing) -> None:
    """Added, removed and reloaded; a stream that none of it concerns loses nothing."""
    daemon, r, receiver = standing.daemon, standing.r, standing.watch(standing.a)
    standing.send("225.1.2.1", rate=500)
    receiver.wait_for(100)
    names = [f"226.{number >> 8}.{number & 255}.1" for number in range(10_000)]
    for start in range(0, 10_000, 2500):
        part = names[start : start + 2500]
        done = daemon.ctl("-b", text_in="".join(f"add src 10.0.1.1 {name} b\n" for name in part))
        assert done.code == 0, done
    assert len(mfc(r, 4)) >= 10_000
    done = daemon.ctl("-b", text_in="".join(f"remove src 10.0.1.1 {name}\n" for name in names[:1000]))
    assert done.code == 0
    daemon.reconfigure(FILE)
    r.lab.wait(lambda: len(mfc(r, 4)) < 10, 30, "the reload took them away")
    receiver.wait_for(50)
    stream = receiver.stream(group="225.1.2.1")
    assert (stream.lost, stream.duplicates) == (0, 0), stream
    standing.end()


def test_restart_of_the_worker_loses_nothing(standing: Standing) -> None:
    """Streams of exact routes and of rules go on, and it is a member of the same groups afterwards."""
    daemon, r = standing.daemon, standing.r
    groups = ["225.1.1.1", "225.1.2.1"]
    receiver = standing.watch(standing.a)
    standing.send(*groups, rate=500)
    receiver.wait_for(200)
    before = daemon.show("groups")
    worker = _worker(daemon.process.pid)
    os.kill(worker, signal.SIGKILL)
    r.lab.wait(lambda: _worker(daemon.process.pid) not in (0, worker), 20, "another worker")
    r.lab.wait(lambda: daemon.ctl("show", "interfaces").code == 0, 20, "it answers")
    receiver.wait_for(2000)
    assert daemon.show("groups") == before
    assert "(10.0.1.1, 225.1.2.1) src a b" in daemon.show("routes")
    for group in groups:
        stream = receiver.stream(group=group)
        assert (stream.lost, stream.duplicates) == (0, 0), stream
    standing.end()


def _worker(pid: int) -> int:
    """The process that routes, 0 while there is none; a spare one may wait beside it."""
    return next((int(child) for child in _children(pid) if comm(int(child)) == "pimpyd-worker"), 0)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
