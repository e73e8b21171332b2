"""A real Prometheus scrapes a running pimpyd, and its answers are those of pimpyd itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from functools import partial
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from . import needs
from .helpers import Flow, eventually, in_a_row, start_flow
from .kernel import mfc
from .namespace import inside
from .paths import PROMETHEUS, PROMTOOL, ROOT
from .pimpyd import FAMILIES as NAMES
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import Process, wait_until
from .topology import Lab, Node
from .traffic import Sender, reports, ssm_group
from .waves import longest_silence

pytestmark = pytest.mark.usefixtures("pimpyd", "prometheus")
STREAMS = 10_000
HOLD = 3.5
"""Seconds after which a neighbour gives up a router that says Hello every second."""


@pytest.fixture
def prometheus() -> None:
    needs.need_prometheus()


def fetch(node: Node, url: str) -> str:
    """What a URL gives, asked for at a node."""

    def ask() -> str:
        with urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    return inside(node.namespace, ask)


class Prometheus:
    """Debian's Prometheus at a node; scrapes `target` twice a second, or up to `streams` of its entries every three."""

    def __init__(self, node: Node, target: str, streams: int = 0) -> None:
        self.node = node
        folder = node.folder / "prometheus"
        folder.mkdir()
        config = folder / "prometheus.yml"
        jobs: list[dict[str, Any]] = [{"job_name": "pimpyd", "static_configs": [{"targets": [target]}]}]
        if streams:
            slowly = {"scrape_interval": "3s", "scrape_timeout": "3s", "params": {"limit": [str(streams)]}}
            jobs = [{**jobs[0], **slowly, "metrics_path": "/metrics/mroute"}]
        every = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        config.write_text(json.dumps({"global": every, "scrape_configs": jobs}))  # JSON is YAML
        argv = [f"--config.file={config}", f"--storage.tsdb.path={folder}", "--web.listen-address=127.0.0.1:9090"]
        self.process: Process = node.start("prometheus", str(PROMETHEUS), *argv)
        wait_until(lambda: self.value("up") == 1, 60, "Prometheus scrapes", self.process.check_alive)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; none as long as it does not answer."""
        with contextlib.suppress(OSError):  # refused or late
            answer = json.loads(fetch(self.node, f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}"))
            result: list[dict[str, Any]] = answer["data"]["result"]
            return result
        return []

    def value(self, expression: str) -> float | None:
        """The one sample's value; None if there is not exactly one."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def wait_for(self, expression: str, value: float | None) -> None:
        """Until a query has that value. It takes a scrape."""
        wait_until(lambda: self.value(expression) == value, 30, f"{expression} == {value}", self.process.check_alive)


def assert_well_formed(page: str) -> None:
    """That promtool has nothing to say about it."""
    argv = [str(PROMTOOL), "check", "metrics"]
    done = subprocess.run(argv, input=page, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("family", [4, 6])
def test_prometheus_knows_what_pimpyd_knows(lab: Lab, family: int) -> None:
    """Neighbours and tree entries of both families, while they come and go; scraped over IPv4 and IPv6."""
    src, r1, r2, h = in_a_row(lab, "src", "r1", "r2", "h")
    listen = {4: "127.0.0.1:9353", 6: "[::1]:9353"}[family]
    neighbor = r2.port("r1").pim_address(family)
    alarms = f"watch first group {ssm_group(family)} interval 2\nexpect-neighbor {neighbor} r2\n"
    daemon, below = Pimpyd(r1, f"{QUICK}metrics {listen}\n{alarms}").start(), Pimpyd(r2).start()
    wait_neighbors([daemon, below])
    prometheus = Prometheus(r1, listen)
    prometheus.wait_for("sum(pimpy_pim_neighbors)", len(daemon.show("neighbors")))
    streams = [start_flow(src.port("r1"), h.port("r2"), family, number=number) for number in (1, 2, 3)]
    af = f'af="{NAMES[family]}"'
    prometheus.wait_for("pimpy_pim_expected_neighbor_up", 1)
    prometheus.wait_for("pimpy_watch_up", 1)
    prometheus.wait_for(f'pimpy_state_entries{{{af},kind="sg"}}', 3)
    prometheus.wait_for(f'pimpy_mroute_entries{{{af},state="resolved"}}', 3)
    assert prometheus.value('sum(pimpy_state_entries{kind="sg"})') == len(entries(daemon)) == 3
    (up,) = prometheus.query(f"pimpy_pim_neighbor_up{{{af}}}")
    assert (up["metric"]["interface"], up["metric"]["neighbor"]) == ("r2", r2.port("r1").pim_address(family))
    assert_counted(prometheus, streams, af)
    assert_well_formed(fetch(r1, f"http://{listen}/metrics"))
    if family == 4:
        assert_dashboard(prometheus)
    streams[0].receiver.leave()
    prometheus.wait_for(f'pimpy_state_entries{{{af},kind="sg"}}', 2)
    below.stop()
    eventually(daemon, lambda: not daemon.show("neighbors"), "the neighbour is gone")
    prometheus.wait_for("sum(pimpy_pim_neighbors)", 0)
    prometheus.wait_for("pimpy_pim_neighbor_up", None)
    prometheus.wait_for("pimpy_pim_expected_neighbor_up", 0)
    streams[0].sender.stop()
    prometheus.wait_for("pimpy_watch_up", 0)
    assert "watch first: " in daemon.log() and f"the neighbour {neighbor} on r2 is missing" in daemon.log()
    prometheus.wait_for(f'pimpy_state_entries{{{af},kind="sg"}}', 0)
    assert_well_formed(fetch(r1, f"http://{listen}/metrics"))
    assert daemon.stop() == 0
    prometheus.wait_for("up", 0)


def assert_dashboard(prometheus: Prometheus) -> None:
    """That every query of the shipped dashboard gives data here."""
    dashboard = json.loads((ROOT / "contrib" / "grafana" / "pimpy.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$job", "pimpyd").replace("$__rate_interval", "10s")
            query = query.replace("$instance", ".*").replace("$interface", ".*")
            wait_until(partial(prometheus.query, query), 30, f"{panel['title']}: {query} gives data")


def entries(daemon: Pimpyd) -> list[dict[str, Any]]:
    return [row for row in daemon.show("mroute") if row["row"] == "entry"]


def assert_counted(prometheus: Prometheus, streams: list[Flow], af: str) -> None:
    """That the packets of the streams are counted: not fewer than have arrived, not more than were sent."""
    name = f'pimpy_mroute_packets_total{{{af},interface="src"}}'
    arrived = sum(flow.receiver.received() for flow in streams)
    wait_until(lambda: (prometheus.value(name) or 0) >= arrived, 30, "the packets that have arrived are counted")
    counted = prometheus.value(name)
    assert counted is not None and counted <= sum(flow.sender.sent().sent for flow in streams)


def test_ten_thousand_streams_are_scraped_while_hellos_stay_on_time(lab: Lab) -> None:
    """n - r - h, and the source at r: all entries each two seconds, those of one group alone, and n never loses r."""
    src, n, r, h = lab.host("src"), lab.router("n"), lab.router("r"), lab.host("h")
    lab.link(src, r)
    watched, edge = lab.link(n, r), lab.lan("edge", r, h)
    lab.start()
    text = "hello-interval 1\ntriggered-hello-delay 0\n"
    daemon, other = Pimpyd(r, f"{text}metrics 127.0.0.1:9353\n").start(), Pimpyd(n, text).start()
    wait_neighbors([daemon, other])
    source, group = src.port(r).address(4), ssm_group(4)
    reports(h.port(edge), source, group, STREAMS, times=1)
    eventually(daemon, lambda: len(mfc(r, 4)) == STREAMS, "all entries stand", 60)
    prometheus = Prometheus(r, "127.0.0.1:9353", STREAMS * 2)
    capture, began = watched.capture("pim or ip6"), time.time()
    prometheus.wait_for("count(pimpy_stream_info)", STREAMS)
    prometheus.wait_for("pimpy_stream_left_out", 0)
    Sender(src.port(r), [group], rate=100)
    wait_until(lambda: (prometheus.value("max(pimpy_stream_packets_total)") or 0) > 100, 30, "packets are counted")
    assert prometheus.value("count(pimpy_stream_packets_total > 0)") == 1
    time.sleep(max(0.0, began + 8 - time.time()))
    assert prometheus.value("up") == 1
    url = f"http://127.0.0.1:9353/metrics/mroute?group={group}&source={source}"
    assert fetch(r, url).count("pimpy_stream_info{") == 1
    assert_well_formed(fetch(r, url))
    (row,) = other.show("neighbors", 4)
    assert row["up_time"] > time.time() - began, "n never lost r"
    count, silence = longest_silence(capture, 4, r, began, time.time() - 1)
    print(f"{count} Hellos, {silence:.2f} s between two at most")
    assert silence < HOLD
