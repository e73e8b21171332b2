"""The Debian package: installed by apt with Debian's own dependencies, its daemon takes a stream from source to host.

The root that it is installed into is an overlay, above this host's root or above a Debian of a later release, so
nothing stays. No service manager runs there. Installing takes minutes and the archive: `make deb-test` does it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import needs
from .helpers import in_a_row
from .paths import FRR_ROOT, ROOT
from .shell import Process, wait_until
from .topology import Lab
from .traffic import Receiver, Sender, ssm_group

INSTALLS = pytest.mark.skipif("PIMPY_PACKAGE" not in os.environ, reason="make deb-test installs it")
ROOTS = {"this": Path("/"), "later": FRR_ROOT}
"""Debian 12, where `make test` runs, and the root of Debian 13 that tests/prepare made."""
INSTALL = """
mount -t tmpfs tmpfs "$1"; mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" "$1/root"
cd "$1/root"; mount -t proc proc proc; mount --rbind /dev dev
mkdir -p run/lab; mount -t tmpfs tmpfs run
cp "$3" tmp/pimpy.deb; cp -L /etc/resolv.conf etc/resolv.conf || :
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d; chmod 755 usr/sbin/policy-rc.d
chroot . apt-get -q -y update || :
DEBIAN_FRONTEND=noninteractive chroot . apt-get -q -y install --no-install-recommends /tmp/pimpy.deb
chroot . pimpyd --check /etc/pimpyd.conf
echo INSTALLED; exec sleep 600
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run([str(ROOT / "contrib" / "debian" / "build"), str(folder)], check=True, capture_output=True)
    (found,) = folder.glob("pimpy_*.deb")
    yield found


def test_the_package_has_what_a_package_has(package: Path) -> None:
    def said(*words: str) -> str:
        return subprocess.run(["dpkg-deb", *words, str(package)], check=True, capture_output=True, text=True).stdout

    files = said("-c")
    for name in ("usr/sbin/pimpyd", "usr/bin/pimctl", "lib/systemd/system/pimpyd.service", "etc/pimpyd.conf"):
        assert f"./{name}\n" in files
    for name in ("man8/pimpyd.8.gz", "man8/pimctl.8.gz", "man5/pimpyd.conf.5.gz", "schemas/show-mroute.json"):
        assert name in files
    assert "__pycache__" not in files and "native/" not in files
    assert "conffiles" in said("-I")


@INSTALLS
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ROOTS)
def test_it_is_installed_by_apt_and_routes(lab: Lab, package: Path, tmp_path: Path, name: str) -> None:
    needs.need_lab()
    if not (ROOTS[name] / "etc" / "debian_version").exists():
        pytest.skip(f"no Debian at {ROOTS[name]}")
    src, r1, h = in_a_row(lab, "src", "r1", "h")
    mount = tmp_path / "mount"
    mount.mkdir()
    argv = ["unshare", "--mount", "bash", "-euc", INSTALL, "install", str(mount), str(ROOTS[name]), str(package)]
    holder = lab.start_process("install", argv, tmp_path / "install.log")
    wait_until(lambda: "INSTALLED" in holder.output(), 300, "the package is installed", holder.check_alive)

    def inside(*words: str) -> list[str]:
        """The command in the root, at the router."""
        enter = ["nsenter", f"--mount=/proc/{_pid(holder)}/ns/mnt", f"--net=/run/netns/{r1.namespace}"]
        return [*enter, "chroot", str(mount / "root"), *words]

    lab.start_process("packaged", inside("pimpyd", "-n"), tmp_path / "pimpyd.log")

    def answers() -> bool:
        return subprocess.run(inside("pimctl", "show", "status"), capture_output=True, check=False).returncode == 0

    wait_until(answers, 30, "the packaged daemon answers")
    source, group = src.port(r1).ipv4, ssm_group(4)
    receiver = Receiver(h.port(r1), [(source, group)])
    Sender(src.port(r1), [group])
    receiver.wait_for(50)
    done = subprocess.run(inside("pimctl", "explain", source, group), capture_output=True, text=True, check=False)
    assert "flows through this router" in done.stdout, done


def _pid(holder: Process) -> int:
    return holder.pid
