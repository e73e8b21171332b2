"""/metrics: the families, the HTTP server, promtool, and a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon, interface, mroute, neighbor, serving
from lab import needs
from prometheus_client.parser import text_string_to_metric_families
from routing_daemon import Routing

from pimpy.core.rows import MrouteRow, Row
from pimpy.daemon.exposition import Family
from pimpy.daemon.metrics import MetricsServer
from pimpy.daemon.stream_series import Selection


@contextmanager
def served(backend: FakeDaemon) -> Iterator[MetricsServer]:
    """A metrics server in a thread of its own, on any free port."""
    loop = asyncio.new_event_loop()
    server = MetricsServer(("127.0.0.1", 0), backend)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(5)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def page(server: MetricsServer, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return str(answer.read().decode())


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, metric: str, **labels: str) -> float:
    return values(text)[metric, frozenset(labels.items())]


def raw(server: MetricsServer, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        pieces = []
        while piece := client.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def test_the_families() -> None:
    with served(FakeDaemon()) as server:
        text = page(server)
    assert value(text, "pimpy_config_last_reload_successful") == 1
    assert value(text, "pimpy_config_last_reload_success_timestamp_seconds") == 1_700_000_000
    assert value(text, "pimpy_pim_neighbors", af="ipv4", interface="a2") == 1
    assert value(text, "pimpy_pim_neighbor_up", af="ipv6", interface="a2", neighbor="fe80::12:2") == 1
    assert value(text, "pimpy_pim_interface_up", af="ipv4", interface="t5") == 0
    assert value(text, "pimpy_pim_interface_is_dr", af="ipv4", interface="a1") == 1
    assert value(text, "pimpy_pim_messages_total", af="ipv4", interface="a2", direction="rx", type="hello") == 17
    gmp = {"interface": "b2", "protocol": "mld", "direction": "tx", "type": "query"}
    assert value(text, "pimpy_gmp_messages_total", **gmp) == 5
    bad = {"af": "ipv4", "interface": "a2", "protocol": "pim", "type": "hello", "reason": "bad_checksum"}
    assert value(text, "pimpy_rx_errors_total", **bad) == 2
    no_alert = {"af": "ipv6", "interface": "b2", "protocol": "mld", "type": "v2_report", "reason": "mld_no_ra"}
    assert value(text, "pimpy_rx_errors_total", **no_alert) == 1
    assert value(text, "pimpy_state_entries", af="ipv4", kind="sg") == 2
    assert value(text, "pimpy_state_entries", af="ipv4", kind="starg") == 0
    assert value(text, "pimpy_state_entries", af="ipv4", kind="gmp_group") == 2
    assert value(text, "pimpy_state_entries", af="ipv6", kind="gmp_source") == 2
    watch = {"watch": "cam", "af": "ipv4", "source": "*", "group": "239.1.1.1"}
    assert value(text, "pimpy_watch_up", **watch) == 0
    assert value(text, "pimpy_watch_packets_total", **watch) == 2500
    assert text.count("pimpy_watch_up{") == 1, "what is pending is not judged"
    assert value(text, "pimpy_pim_expected_neighbor_up", af="ipv4", interface="a2", neighbor="10.0.12.9") == 0
    assert value(text, "pimpy_vifs", af="ipv4") == 2
    assert value(text, "pimpy_vifs_limit", af="ipv4") == 32
    assert value(text, "pimpy_gmp_groups", interface="b2", protocol="igmp") == 2
    assert value(text, "pimpy_gmp_is_querier", interface="b1", protocol="igmp") == 0
    assert value(text, "pimpy_mroute_entries", af="ipv4", state="resolved") == 2
    assert value(text, "pimpy_mroute_entries", af="ipv6", state="unresolved") == 0
    assert value(text, "pimpy_mroute_packets_total", af="ipv4", interface="a2") == 2468
    assert value(text, "process_open_fds") > 3
    (build,) = [key for key in values(text) if key[0] == "pimpy_build_info"]
    assert {name for name, _ in build[1]} == {"version", "python", "kernel"}
    assert not any("w0" in line for line in text.splitlines()), "an interface that is off has no series"


def test_every_name_is_prefixed_and_told_once() -> None:
    with served(FakeDaemon()) as server:
        text = page(server)
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert all(name.startswith(("pimpy_", "process_")) for name in names)


def test_only_some_names() -> None:
    with served(FakeDaemon()) as server:
        text = page(server, "/metrics?name[]=pimpy_vifs&name[]=process_open_fds")
    assert {name for name, _ in values(text)} == {"pimpy_vifs", "process_open_fds"}


def test_promtool_has_no_complaint() -> None:
    needs.need_program("promtool")
    with served(FakeDaemon()) as server:
        pages = page(server), page(server, "/metrics/mroute")
    for text in pages:
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_default_page_costs_next_to_nothing_per_entry() -> None:
    """Of 10,000 streams that all flow: entries are counted, not told, and no Hello waits for a scrape."""
    daemon = Routing(10_000)
    seconds = []
    with served(daemon) as server:
        for daemon.packets in range(100, 1000, 100):
            began = time.process_time()
            text = page(server, "/metrics?name[]=pimpy_mroute_packets_total&name[]=pimpy_state_entries")
            seconds.append(time.process_time() - began)
            if len(seconds) > 2 and min(seconds) < 0.1:
                break
    assert value(text, "pimpy_mroute_packets_total", af="ipv4", interface="up") == daemon.packets * 10_000
    assert value(text, "pimpy_state_entries", af="ipv4", kind="sg") == 10_000
    print([f"{each:.3f}" for each in seconds])
    assert min(seconds) < 0.1


def test_text_is_escaped() -> None:
    family = Family("x", "gauge", "Help.")
    family.add(1.5, name='a"b\\c\nd')
    assert family.text() == '# HELP pimpy_x Help.\n# TYPE pimpy_x gauge\npimpy_x{name="a\\"b\\\\c\\nd"} 1.5\n'
    (parsed,) = text_string_to_metric_families(family.text())
    assert parsed.samples[0].labels == {"name": 'a"b\\c\nd'}
    assert Family("y", "gauge", "Nothing.").text() == ""


def test_neighbours_with_a_series_are_limited() -> None:
    rows = [neighbor("a", f"10.1.{number >> 8}.{number & 255}") for number in range(1500)]
    with served(FakeDaemon({"neighbors": rows, "interfaces": [interface("a", neighbor_count=1500)]})) as server:
        text = page(server)
    assert text.count("pimpy_pim_neighbor_up{") == 1000
    assert value(text, "pimpy_pim_neighbors", af="ipv4", interface="a") == 1500


def test_streams_have_series_of_their_own_where_they_are_asked_for() -> None:
    with served(FakeDaemon()) as server:
        text, default = page(server, "/metrics/mroute"), page(server)
    assert "232.1.1.1" not in default
    stream = {"af": "ipv4", "source": "10.0.1.10", "group": "232.1.1.1"}
    known = {name for name, labels in values(text) if frozenset(stream.items()) <= labels}
    assert known >= {
        "pimpy_stream_info",
        "pimpy_stream_joined",
        "pimpy_stream_packets_total",
        "pimpy_stream_bytes_total",
    }
    entry = next(row for row in FakeDaemon().rows("mroute") if isinstance(row, MrouteRow) and row.group == "232.1.1.1")
    assert entry.packets is not None and entry.wrong_if is not None
    assert value(text, "pimpy_stream_packets_total", **stream) == entry.packets - entry.wrong_if
    assert value(text, "pimpy_stream_wrong_interface_packets_total", **stream) == entry.wrong_if
    assert value(text, "pimpy_stream_outgoing_interfaces", **stream) == entry.outgoing_count
    (info,) = [labels for name, labels in values(text) if name == "pimpy_stream_info" and set(stream.items()) <= labels]
    assert dict(info)["incoming_interface"] == entry.incoming_interface and dict(info)["mode"] == entry.mode
    assert value(text, "pimpy_stream_left_out") == 0


@pytest.mark.parametrize(
    ("query", "groups", "left_out"),
    [
        ("", 6, 0),
        ("?limit=4", 4, 2),
        ("?group=232.0.1.0/24", 2, 0),
        ("?group=232.0.1.0/24&limit=1", 1, 1),
        ("?group=232.0.0.2", 2, 0),
        ("?source=10.9.0.0/16", 3, 0),
        ("?source=10.9.0.1&group=232.0.0.0/24", 2, 0),
        ("?group=ff00::/8", 0, 0),
    ],
)
def test_which_streams_are_told(query: str, groups: int, left_out: int) -> None:
    rows: list[Row] = [
        mroute(source, f"232.0.{n}") for source in ("10.9.0.1", "10.8.0.1") for n in ("0.1", "0.2", "1.1")
    ]
    rows.append(mroute("*", "232.0.0.1", is_rpt=True))
    with served(FakeDaemon({"mroute": rows})) as server:
        text = page(server, f"/metrics/mroute{query}")
    assert len([name for name, _ in values(text) if name == "pimpy_stream_info"]) == groups
    assert value(text, "pimpy_stream_left_out") == left_out


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("group=10", "group is an address or a range"),
        ("group=232.0.0.1/8", "group is an address or a range"),
        ("source=%22%0a", "source is an address or a range"),
        ("limit=0", "limit is 1 to"),
        ("limit=99999999", "limit is 1 to"),
        ("limit=", "limit is 1 to"),
        ("limit=1&limit=2", "limit stands there 2 times"),
        ("name[]=x", "unknown parameter 'name[]'"),
    ],
)
def test_what_no_stream_is_asked_for_by(query: str, words: str) -> None:
    with served(FakeDaemon()) as server:
        answer = raw(server, f"GET /metrics/mroute?{query} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and words.encode() in answer


def test_other_paths_and_methods() -> None:
    with served(FakeDaemon()) as server:
        assert raw(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert raw(server, b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")
        head = raw(server, b"HEAD /metrics HTTP/1.0\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"GET /metrics\r\n\r\n", b"x" * 20000, b"\xff\x00\r\n\r\n", b"GET //[x HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_request(data: bytes) -> None:
    with served(FakeDaemon()) as server:
        try:
            answer = raw(server, data)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert "pimpy_build_info" in page(server)


def test_a_bug_in_the_daemon_is_an_error_of_the_scrape(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeDaemon):
        def counters(self):  # type: ignore[no-untyped-def]
            raise KeyError("x")

    with served(Broken()) as server:
        assert raw(server, b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 500 ")


def test_bad_clients_of_the_control_socket_are_told(tmp_path: Path) -> None:
    path = str(tmp_path / "p.sock")
    with serving(path, FakeDaemon()) as control, served(FakeDaemon()) as server:
        server.control = control
        assert "pimpy_control_errors_total" not in page(server)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"bogus\n")
            client.recv(100)
        assert value(page(server), "pimpy_control_errors_total", reason="refused") == 1


def test_an_occupied_address_is_named() -> None:
    with served(FakeDaemon()) as server:

        async def second() -> None:
            await MetricsServer(("127.0.0.1", server.port), FakeDaemon()).start()

        with pytest.raises(OSError, match=rf"cannot serve metrics on 127.0.0.1:{server.port}: .* name another address"):
            asyncio.run(second())


def test_twenty_thousand_entries_leave_the_loop_to_others() -> None:
    rows = [mroute(group=f"232.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(20_000)]

    async def scrape() -> tuple[int, bytes]:
        server = MetricsServer(("127.0.0.1", 0), FakeDaemon({"mroute": rows}))
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(others())
        body = await server.streams(Selection(limit=20_000))
        task.cancel()
        return turns, body

    turns, body = asyncio.run(scrape())
    assert body.count(b"pimpy_stream_info{") == 20_000
    assert turns >= 40


def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    needs.need_program("prometheus")
    with served(FakeDaemon()) as server:
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
            f"- {{job_name: pimpy, static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]}}\n"
        )
        port = free_port()
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert query(port, "sum(pimpy_pim_neighbors)") == 2
            assert query(port, 'sum(pimpy_state_entries{kind="sg"})') == 3
            assert query(port, 'up{job="pimpy"}') == 1
        finally:
            process.terminate()
            process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def query(port: int, expression: str) -> float:
    """The answer of Prometheus, once it has one."""
    from urllib.parse import quote

    deadline = time.monotonic() + 30
    while True:
        try:
            url = f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
            if found:
                return float(found[0]["value"][1])
        except OSError:
            pass
        assert time.monotonic() < deadline, f"no answer to {expression}"
        time.sleep(0.3)
