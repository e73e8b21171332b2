"""The control socket: both protocols, and clients of every kind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon, mroute, outgoing, serving
from lab import needs

from pimpy.daemon.control import ControlServer, Limits, SocketHeldError, listen

QUICK = Limits(first=0.5, request=0.5, idle=0.8, write=0.5)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "p.sock")


def connect(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(path)
    return client


def drained(client: socket.socket) -> bytes:
    """All that comes until the daemon closes."""
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def ask(path: str, data: bytes, end: bool = False) -> bytes:
    with connect(path) as client:
        client.sendall(data)
        if end:
            client.shutdown(socket.SHUT_WR)
        return drained(client)


def ask_json(path: str, command: object) -> dict[str, object]:
    answer = ask(path, json.dumps({"command": command}).encode() + b"\n", end=True)
    assert answer.endswith(b"\n")
    found = json.loads(answer)
    assert isinstance(found, dict)
    return found


def test_json_answers_are_sorted_rows(path: str) -> None:
    with serving(path, FakeDaemon()):
        rows = ask_json(path, "show neighbors")["rows"]
        assert [row["address"] for row in rows] == ["10.0.12.2", "fe80::12:2"]  # type: ignore[attr-defined]
        assert rows[0]["expiration"] == 100.712  # type: ignore[index]
        rows = ask_json(path, "sh mr")["rows"]
        assert [(row["row"], row["group"], row.get("outgoing_interface")) for row in rows] == [  # type: ignore[attr-defined]
            ("entry", "232.1.1.1", None),
            ("outgoing", "232.1.1.1", "a1"),
            ("outgoing", "232.1.1.1", "b2"),
            ("entry", "232.1.1.10", None),
            ("entry", "239.255.255.250", None),
            ("entry", "ff3e::8000:1", None),
            ("outgoing", "ff3e::8000:1", "b2"),
        ]


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("show mroute 232.1.1.1", 3),
        ("show mroute 232.1.1.1 10.0.1.10", 3),
        ("show mroute 10.0.1.10 232.1.1.1", 3),
        ("show mroute FF3E:0::8000:1", 2),
        ("show mroute ipv6", 2),
        ("show mroute 232.9.9.9", 0),
        ("show neighbors a2", 2),
        ("show neighbors a2 ipv4", 1),
        ("show neighbors 10.0.12.2", 1),
        ("show interfaces w0", 1),
        ("show igmp", 6),
        ("show igmp interfaces", 2),
        ("show igmp gr 225.1.2.3", 2),
        ("show igmp 225.1.2.3", 2),
        ("show mld groups", 2),
        ("show status", 1),
        ("show counters", 6),
        ("show counters bad_checksum", 1),
        ("show mrt", 7),
        ("SHOW NEIGHBOR", 2),
    ],
)
def test_words_and_filters(path: str, command: str, count: int) -> None:
    with serving(path, FakeDaemon()):
        assert len(ask_json(path, command)["rows"]) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("", 2, "an empty command"),
        (
            "shw",
            2,
            "no such command: 'shw'; known are audit, clear, debug, explain, kill, log, monitor, reload, restart,",
        ),
        ("show", 2, "show what?"),
        ("show i", 2, "show command 'i' is ambiguous: igmp, interfaces"),
        ("show bogus", 2, "no such show command: 'bogus'"),
        ("show mroute eth0", 2, "'eth0' is no group or source"),
        ("show status now", 2, "'now' is too much"),
        ("version 2", 2, "'2' is too much: version takes no words"),
        ("log a b", 2, "'b' is too much: log takes one word"),
        ("clear", 2, "clear what?"),
        ("clear igmp x", 2, "'x' is no address of a group"),
        ("clear igmp ff1e::1", 2, "'ff1e::1' is no group of IGMP"),
        ("clear mld 2001:db8::1", 2, "'2001:db8::1' is no group of MLD"),
        ("log loud", 2, "no such level: 'loud'"),
        ("reload", 1, "/etc/pimpyd.conf:3: unknown word 'phyin'"),
        (17, 2, "a request is an object like"),
        (None, 2, "a request is an object like"),
    ],
)
def test_refusals_say_why(path: str, command: object, code: int, text: str) -> None:
    with serving(path, FakeDaemon()):
        answer = ask_json(path, command)
        assert answer["code"] == code
        assert str(answer["error"]).startswith(text)


def test_many_requests_on_one_connection(path: str) -> None:
    with serving(path, FakeDaemon()), connect(path) as client:
        stream = client.makefile("rwb")
        for _ in range(3):
            stream.write(b'{"command": "log"}\n{"command": "version"}\n')
            stream.flush()
            assert json.loads(stream.readline()) == {"text": "notice"}
            assert json.loads(stream.readline()) == {"text": "pimpyd version 0.1.0"}


def test_commands_reach_the_daemon(path: str) -> None:
    daemon = FakeDaemon()
    with serving(path, daemon):
        assert ask_json(path, "kill") == {"text": ""}
        assert ask_json(path, "log debug") == {"text": "debug"}
        assert ask(path, b"kill\n") == b""
        ask_json(path, "clear igmp 239.1.1.1")
        ask_json(path, "cl ml FF1E::0:1")
    assert daemon.asked[:3] == [("kill",), ("log", "debug"), ("kill",)]
    assert daemon.asked[3:] == [("clear", "igmp", "239.1.1.1"), ("clear", "mld", "ff1e::1")]


def test_a_bug_in_the_daemon_is_an_error_of_this_one_request(path: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeDaemon):
        def rows(self, kind: str):  # type: ignore[no-untyped-def]
            raise KeyError(kind)

    with serving(path, Broken()):
        assert ask_json(path, "show mroute") == {"error": "internal error, see the daemon's log", "code": 1}
        assert ask(path, b"show mrt\n") == b"Internal error, see the log.\n"
        assert ask_json(path, "log") == {"text": "notice"}


def test_a_text_request_ends_at_newline_end_or_silence(path: str) -> None:
    with serving(path, FakeDaemon()):
        began = time.monotonic()
        assert ask(path, b"version\n") == b"pimpyd version 0.1.0"
        assert ask(path, b"version", end=True) == b"pimpyd version 0.1.0"
        assert ask(path, b"version") == b"pimpyd version 0.1.0"
        assert 0.045 < time.monotonic() - began < 8, "the last one waited for silence, not for the end of its time"


def test_socat_can_ask(path: str) -> None:
    needs.need_program("socat")
    with serving(path, FakeDaemon()):
        done = subprocess.run(
            ["socat", "-", f"UNIX:{path}"], input=b"show neighbor\n", capture_output=True, timeout=10, check=True
        )
    assert done.stdout.startswith(b"PIM Neighbor Table_\n")


def test_the_socket_is_for_its_owner_only_and_goes_away(path: str) -> None:
    with serving(path, FakeDaemon()):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)


def test_a_living_daemon_keeps_its_socket(path: str) -> None:
    with serving(path, FakeDaemon()):
        with pytest.raises(SocketHeldError, match=r"another daemon answers on .*p\.sock; stop it .*or give"):
            listen(path)
        assert "rows" in ask_json(path, "show status")


def test_the_socket_of_a_dead_daemon_is_replaced(path: str) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    with serving(path, FakeDaemon()):
        assert "rows" in ask_json(path, "show status")


def test_what_is_no_socket_is_left_alone(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(OSError, match="is no socket; remove it, or name another one with -u"):
        listen(path)
    assert Path(path).read_text() == "precious"
    with pytest.raises(OSError, match="at most 100 bytes"):
        listen("/tmp/" + "x" * 100)
    with pytest.raises(FileNotFoundError):
        listen(f"{path}.d/x.sock")


def test_a_successor_keeps_its_socket(path: str) -> None:
    with serving(path, FakeDaemon()):
        os.rename(path, f"{path}.old")
        Path(path).write_text("of another")
    assert Path(path).exists()


GARBAGE = [
    b"\x00\xff\xfe\n",
    b"\n",
    b"{\n",
    b'{"command": \n',
    b"{}\n",
    b'{"command": ["show"]}\n',
    b'{"command": "show neighbors"]\n',
    b'{"command": "\\ud800"}\n',
    b"{" * 60000 + b"\n",
    b'{"a":' * 10000 + b"\n",
    b"show " * 1000 + b"\n",
    b"show mroute \xc3\x28\n",
    b'{"command": "show neighbors \\u0000"}\n',
    b"%s%n%x\n",
]


@pytest.mark.parametrize("data", GARBAGE)
def test_TH68_garbage_is_answered_with_an_error_and_counted(path: str, data: bytes) -> None:
    with serving(path, FakeDaemon()) as server:
        answer = ask(path, data, end=True)
        assert answer
        rows = json.loads(answer).get("rows") if answer.startswith(b"{") else None
        assert rows in (None, [])
        assert sum(server.bad.values()) == (0 if rows == [] else 1)
        assert "rows" in ask_json(path, "show status")


def test_TH68_random_bytes_do_no_harm(path: str) -> None:
    dice = random.Random(7)
    with serving(path, FakeDaemon(), QUICK):
        for _ in range(60):
            data = dice.randbytes(dice.randrange(1, 3000))
            with connect(path) as client:
                client.sendall(data)
                if dice.random() < 0.5:
                    client.shutdown(socket.SHUT_WR)
                    drained(client)
        assert "rows" in ask_json(path, "show status")


@pytest.mark.parametrize("start", [b'{"command": "', b"show "])
def test_TH68_lines_are_limited(path: str, start: bytes) -> None:
    with serving(path, FakeDaemon()) as server:
        answer = ask(path, start + b"x" * 200_000)
        assert b"a request has at most 65536 bytes" in answer or answer == b""
        assert server.bad["line_too_long"] == 1


def test_TH68_a_client_that_sends_a_byte_a_time_is_timed_out(path: str) -> None:
    with serving(path, FakeDaemon(), QUICK) as server, connect(path) as client:
        began = time.monotonic()
        with pytest.raises(OSError):
            for byte in b'{"command": "show neighbors"}' * 100:
                client.sendall(bytes([byte]))
                time.sleep(0.03)
        assert time.monotonic() - began < 30, "all the bytes take 87 s"
        assert server.bad["timeout"] == 1
        assert "rows" in ask_json(path, "show status")


@pytest.mark.parametrize("data", [b"", b'{"command": "version"}\n'])
def test_TH68_a_silent_client_is_timed_out(path: str, data: bytes) -> None:
    with serving(path, FakeDaemon(), QUICK) as server:
        drained_at = time.monotonic()
        assert ask(path, data).count(b"\n") == (1 if data else 0)
        assert time.monotonic() - drained_at > 0.4
        assert server.bad["timeout"] == 1


def many(count: int) -> FakeDaemon:
    rows = []
    for number in range(count):
        group = f"232.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        rows += [outgoing(group=group), mroute(group=group)]
    return FakeDaemon({"mroute": rows})


def test_a_client_that_does_not_read_is_cut_off(path: str) -> None:
    with serving(path, many(10_000), QUICK) as server, connect(path) as client:
        client.sendall(b'{"command": "show mroute"}\n')
        deadline = time.monotonic() + 30
        while not server.bad["timeout"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.bad["timeout"] == 1
        assert "rows" in ask_json(path, "show status")


def test_a_large_answer_is_in_order_and_leaves_the_loop_to_others(path: str) -> None:
    async def asked() -> tuple[int, bytes]:
        server = ControlServer(path, many(10_000))
        await server.start()
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 24)
        writer.write(b'{"command": "show mroute"}\n')
        task = asyncio.create_task(others())
        line = await reader.readline()
        task.cancel()
        writer.close()
        await server.close()
        return turns, line

    turns, line = asyncio.run(asked())
    rows = json.loads(line)["rows"]
    assert [row["group"] for row in rows[:3]] == ["232.0.0.0", "232.0.0.0", "232.0.0.1"]
    assert [row["row"] for row in rows] == ["entry", "outgoing"] * 10_000
    assert turns >= 100


def test_rows_in_any_order_are_sorted(path: str) -> None:
    daemon = many(3000)
    random.Random(3).shuffle(daemon.tables["mroute"])
    with serving(path, daemon):
        rows = ask_json(path, "show mroute")["rows"]
    keys = [(socket.inet_aton(row["group"]), row["row"]) for row in rows]  # type: ignore[attr-defined]
    assert keys == sorted(keys)
    assert len(keys) == 6000


def test_TH68_a_hundred_clients(path: str) -> None:
    with serving(path, FakeDaemon()) as server:
        clients = [connect(path) for _ in range(100)]
        refused = [drained(client) for client in clients[40:]]
        assert all(b"32 clients are connected already" in answer for answer in refused)
        assert server.bad["too_many_clients"] == 68
        for client in clients:
            client.close()
        deadline = time.monotonic() + 20
        while server._tasks and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "rows" in ask_json(path, "show status")


def test_clients_that_leave_early(path: str) -> None:
    with serving(path, many(2000)):
        for data in (b"", b"sh", b'{"comm', b'{"command": "show mroute"}\n', b"show mrt\n"):
            for _ in range(5):
                client = connect(path)
                client.sendall(data)
                client.close()
        assert "rows" in ask_json(path, "show status")


def test_the_end_of_the_daemon_ends_its_clients(path: str) -> None:
    with serving(path, FakeDaemon()):
        client = connect(path)
        client.sendall(b'{"command": "log"}\n')
        assert client.recv(100) == b'{"text": "notice"}\n'
    assert drained(client) == b""


def test_the_tables_of_commands_are_light() -> None:
    code = (
        "import sys, pimpy.cli.pimctl, pimpy.cli.tables\n"
        "heavy = {'asyncio', 'attr', 'attrs', 'pyroute2', 'prometheus_client', 'logging', 'difflib', 'pimpy.core',\n"
        "         'pimpy.wire'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
