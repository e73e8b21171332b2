"""The systemd unit: how exposed it is, and its command line under its capabilities with a stand-in for systemd."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from pimpy.cli.pimpyd import parser

from .helpers import in_a_row
from .paths import PIMPYD, ROOT
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab
from .traffic import Receiver, Sender, ssm_group

UNIT = ROOT / "contrib" / "systemd" / "pimpyd.service"
MOST_EXPOSURE = 2.5


def setting(name: str) -> list[str]:
    """The values of a setting of the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_the_sandbox_is_tight() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    argv = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for pimpyd\.service: ([0-9.]+)", done.stdout + done.stderr)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSURE


def test_the_command_line_is_one() -> None:
    (line,) = setting("ExecStart")
    said = parser().parse_args([word for word in line.split()[1:] if not word.startswith("$")])
    assert said.foreground and said.syslog
    assert setting("KillMode") == ["mixed"], "the keeper alone is told to end"


@pytest.mark.usefixtures("pimpyd")
def test_it_serves_under_the_capabilities_of_the_unit_and_tells_the_service_manager(lab: Lab, tmp_path: Path) -> None:
    src, r1, h = in_a_row(lab, "src", "r1", "h")
    (line,), (capabilities,) = setting("ExecStart"), setting("CapabilityBoundingSet")
    words = [word for word in line.split()[1:] if not word.startswith("$")]
    bounding = ",".join(["-all", *(f"+{name.lower().removeprefix('cap_')}" for name in capabilities.split())])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(tmp_path / "notify")
        manager.bind(path)
        manager.settimeout(30)
        daemon = Pimpyd(r1, QUICK)
        own = daemon.command_line()[1:]
        environment = [f"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=2000000"]
        limits = ["setpriv", f"--bounding-set={bounding}", "--no-new-privs"]
        argv = ["env", *environment, *limits, str(PIMPYD), *words, *own[1:]]
        daemon.process = r1.start("unit", *argv)
        said = ""
        while "READY=1" not in said:
            said += manager.recv(4096).decode() + "\n"
        while "WATCHDOG=1" not in said:
            said += manager.recv(4096).decode() + "\n"
        source, group = src.port(r1).ipv4, ssm_group(4)
        receiver = Receiver(h.port(r1), [(source, group)])
        Sender(src.port(r1), [group])
        receiver.wait_for(20)
        assert not any(_capabilities(pid) & ~_mask(capabilities) for pid in daemon.pids())
        assert min(_capabilities(pid) for pid in daemon.pids()) == 0, "the worker has none"
        daemon.stop()
        wait_until(lambda: "STOPPING=1" in _heard(manager), 10, "it says that it ends")


def _heard(manager: socket.socket) -> str:
    manager.settimeout(1)
    try:
        return manager.recv(4096).decode()
    except TimeoutError:
        return ""


def _capabilities(pid: int) -> int:
    found = re.search(r"^CapEff:\s+([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1], 16)


def _mask(names: str) -> int:
    numbers = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}
    return sum(1 << numbers[name] for name in names.split())
