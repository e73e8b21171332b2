"""A real Prometheus scrapes a running pimpyd, and its answers are those of pimpyd itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from . import needs
from .helpers import Flow, eventually, in_a_row, start_flow
from .paths import PROMETHEUS, PROMTOOL, ROOT
from .pimpyd import FAMILIES as NAMES
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .shell import LabError, Process, wait_until
from .topology import Lab, Node

pytestmark = pytest.mark.usefixtures("pimpyd", "prometheus")
FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode(), end='')"


@pytest.fixture
def prometheus() -> None:
    needs.need_prometheus()


def fetch(node: Node, url: str) -> str:
    """What a URL gives, asked for at a node."""
    return node.run(sys.executable, "-I", "-c", FETCH, url)


class Prometheus:
    """Debian's Prometheus at a node; scrapes `target` twice a second."""

    def __init__(self, node: Node, target: str) -> None:
        self.node = node
        folder = node.folder / "prometheus"
        folder.mkdir()
        config = folder / "prometheus.yml"
        job = {"job_name": "pimpyd", "static_configs": [{"targets": [target]}]}
        every = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        config.write_text(json.dumps({"global": every, "scrape_configs": [job]}))  # JSON is YAML
        argv = [f"--config.file={config}", f"--storage.tsdb.path={folder}", "--web.listen-address=127.0.0.1:9090"]
        self.process: Process = node.start("prometheus", str(PROMETHEUS), *argv)
        wait_until(lambda: self.value("up") == 1, 60, "Prometheus scrapes", self.process.check_alive)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; none as long as it does not answer."""
        with contextlib.suppress(LabError):
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
    daemon, below = Pimpyd(r1, f"{QUICK}metrics {listen}\n").start(), Pimpyd(r2).start()
    wait_neighbors([daemon, below])
    prometheus = Prometheus(r1, listen)
    prometheus.wait_for("sum(pimpy_pim_neighbors)", len(daemon.show("neighbors")))
    streams = [start_flow(src.port("r1"), h.port("r2"), family, number=number) for number in (1, 2, 3)]
    af = f'af="{NAMES[family]}"'
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
