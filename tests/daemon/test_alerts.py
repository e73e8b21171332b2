"""The shipped alerts and dashboard: promtool agrees, each alert fires on its symptom, and all metrics exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from lab import needs
from lab.paths import PROMTOOL

CONTRIB = Path(__file__).parents[2] / "contrib"
RULES = CONTRIB / "prometheus" / "pimpy.rules.yml"
TESTS = CONTRIB / "prometheus" / "pimpy.rules.test.yml"
DASHBOARD = CONTRIB / "grafana" / "pimpy.json"
OTHERS = {"process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes", "up"}


def known() -> set[str]:
    """The metrics of pimpyd.8, which another test holds to those of the daemon."""
    text = (CONTRIB.parent / "man" / "pimpyd.8").read_text()
    return set(re.findall(r"^\.It Li (pimpy_\w+)", text, re.MULTILINE)) | OTHERS


def named(text: str) -> set[str]:
    """The metrics that an expression names."""
    return set(re.findall(r"\b(?:pimpy|process)_[a-z_]+", text))


@pytest.mark.parametrize("argv", [("check", "rules", RULES.name), ("test", "rules", TESTS.name)])
def test_promtool(argv: tuple[str, ...]) -> None:
    needs.need_prometheus()
    done = subprocess.run([str(PROMTOOL), *argv], capture_output=True, text=True, cwd=RULES.parent, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr


def test_each_alert_is_provoked_and_quiet_in_health() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(alerts) == len(set(alerts)) == 22
    tests = TESTS.read_text()
    provoked = re.findall(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n", tests)
    quiet = re.findall(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts: \[\]\n", tests)
    assert set(provoked) == set(quiet) == set(alerts)


def test_all_metrics_exist() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(expressions) > 15
    for text in (*expressions, *re.findall(r"expr: '(.*)'", RULES.read_text())):
        assert named(text) <= known(), f"{text}: {sorted(named(text) - known())}"


def test_the_dashboard_can_be_imported_anywhere() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] == "pimpy"
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel} == {
        "${DS_PROMETHEUS}"
    }
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
