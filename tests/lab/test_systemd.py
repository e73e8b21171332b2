"""The Debian package under systemd itself, process 1 of namespaces of its own: what the unit says holds (issue 7, 3a).

It boots in the root that the package was installed into, in the network namespace of a router. Installing takes minutes
and the archive: `make deb-test` does it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .helpers import in_a_row
from .kernel import mfc, vifs
from .paths import PLAIN_ROOT
from .shell import wait_until
from .test_package import INSTALL, INSTALLS, Root
from .test_package import package as package
from .topology import Lab, Node
from .traffic import Receiver, Sender, ssm_group

STEPS = f"""{INSTALL}
apt-get -q -y install --no-install-recommends systemd systemd-sysv dbus
"""
GROUP = f"pimpy-lab-{os.getpid()}"
BOOT = """
cd "$1"; mount --make-rprivate /; mount --bind . .; cd "$1"
mkdir -p mnt/groups; mount -t cgroup2 cgroup2 mnt/groups
mkdir -p "mnt/groups/$2"; echo $$ >"mnt/groups/$2/cgroup.procs"
exec unshare --pid --cgroup --uts --ipc --mount --fork --kill-child bash -euc "$3" boot "$1"
"""
"""In a control group of its own, which it takes for the root of all."""
INNER = """
cd "$1"; mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
for one in run tmp dev; do mount -t tmpfs tmpfs $one; done
for one in null zero full random urandom tty; do touch dev/$one; mount --bind /dev/$one dev/$one; done
mkdir dev/pts dev/shm dev/mqueue dev/hugepages; mount -t devpts devpts dev/pts; mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd; ln -s pts/ptmx dev/ptmx; touch dev/console
for one in systemd-udevd systemd-networkd systemd-resolved systemd-logind systemd-timesyncd systemd-modules-load; do
    ln -sf /dev/null etc/systemd/system/$one.service
done
: >etc/machine-id; rm -f usr/sbin/policy-rc.d; mkdir -p mnt/old
pivot_root . mnt/old; umount -l /mnt/old
export container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec /lib/systemd/systemd --system --log-target=journal </dev/null
"""
"""Its own processes and devices; nothing of the host's is left in sight."""


class Machine:
    """A Debian that has booted in the network namespace of a node."""

    def __init__(self, lab: Lab, folder: Path, root: Root, node: Node) -> None:
        enter = ["nsenter", f"--mount=/proc/{root.holder.pid}/ns/mnt", f"--net=/run/netns/{node.namespace}"]
        words = ["unshare", "--mount", "bash", "-euc", BOOT, "boot", str(root.mount / "root"), GROUP, INNER]
        self.process = lab.start_process("systemd", [*enter, *words], folder / "boot.log")
        wait_until(self.has_booted, 60, "it has booted", self.process.check_alive)

    def run(self, *words: str) -> str:
        """What a command says that runs there."""
        pid = self.process.pid
        (first,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        kinds = [f"--{kind}" for kind in ("mount", "pid", "net", "uts", "ipc", "cgroup")]
        argv = ["nsenter", "--target", first, *kinds, "--wd=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.strip()

    def has_booted(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self.run("systemctl", "is-system-running") in ("running", "degraded")
        return False

    def is_active(self) -> bool:
        return self.shown("ActiveState") == "active"

    def shown(self, name: str) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", "pimpyd", "--value", "-p", name)


@pytest.fixture(autouse=True)
def groups() -> Iterator[None]:
    """Control groups go when their processes are gone, if the host shows them anywhere."""
    yield
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            for folder, _, _ in os.walk(Path(line.split()[4]) / GROUP, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


@INSTALLS
@pytest.mark.timeout(400)
def test_no_way_to_start_it_again_loses_anything(lab: Lab, package: Path, tmp_path: Path) -> None:
    """`systemctl restart`, `pimctl restart`, a killed keeper: the manager keeps the sockets. A stop leaves nothing."""
    src, r, h = in_a_row(lab, "src", "r", "h")
    machine = Machine(lab, tmp_path, Root(lab, tmp_path, PLAIN_ROOT, package, STEPS), r)
    machine.run("systemctl", "restart", "pimpyd")
    wait_until(machine.is_active, 30, "it is ready")
    source, group = src.port(r).ipv4, ssm_group(4)
    receiver = Receiver(h.port(r), [(source, group)])
    Sender(src.port(r), [group], rate=500)
    receiver.wait_for(500, 60)
    receiver.reset()
    for command in ("systemctl restart pimpyd", "pimctl restart", "kill -9 $0", "systemctl restart pimpyd"):
        before = machine.shown("MainPID")
        machine.run("sh", "-c", command, before)
        wait_until(lambda before=before: machine.shown("MainPID") not in ("0", before), 30, "another one")  # type: ignore[misc]
        wait_until(machine.is_active, 30, "it is ready again")
        receiver.wait_for(2500, 60)
    stream = receiver.stream()
    assert (stream.lost, stream.duplicates) == (0, 0), stream
    assert "pimpyd" in machine.run("pimctl", "show", "status") and machine.shown("Result") == "success"
    machine.run("systemctl", "stop", "pimpyd")
    assert not mfc(r, 4) and not vifs(r, 4) and not vifs(r, 6)
    assert machine.shown("ActiveState") == "inactive"
