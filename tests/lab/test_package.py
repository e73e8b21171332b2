"""The Debian package: installed by apt with Debian's own dependencies, its daemon takes a stream from source to host;
and so does what the steps of contrib/docker/Dockerfile make of it.

The roots that it is installed into are overlays above the smallest Debian 12 and 13 (tests/prepare package), so nothing
stays. No service manager runs there. Installing takes minutes and the archive: `make deb-test` does it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import needs
from .helpers import in_a_row
from .paths import FRR_ROOT, PLAIN_ROOT, ROOT
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, ssm_group

INSTALLS = pytest.mark.skipif("PIMPY_PACKAGE" not in os.environ, reason="make deb-test installs it")
ROOTS = {"Debian 12": PLAIN_ROOT, "Debian 13": FRR_ROOT}
STAND = """
mount -t tmpfs tmpfs "$1"; mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" "$1/root"
cd "$1/root"; mount -t proc proc proc; mount --rbind /dev dev
mkdir -p run/lab; mount -t tmpfs tmpfs run
cp "$3" tmp/; cp -L /etc/resolv.conf etc/resolv.conf || :
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d; chmod 755 usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
chroot . sh -euc "$4"
echo INSTALLED; exec sleep 600
"""
INSTALL = """
apt-get -q -y update || :
apt-get -q -y install --no-install-recommends /tmp/pimpy_*.deb
pimpyd --check /etc/pimpyd.conf
"""
DOCKER = ROOT / "contrib" / "docker"


class Root:
    """An overlay above the root of a Debian, with the package in its /tmp, where `steps` have been run by a shell."""

    def __init__(self, lab: Lab, folder: Path, below: Path, package: Path, steps: str) -> None:
        needs.need_lab()
        assert (below / "etc" / "debian_version").exists(), f"no Debian at {below}: tests/prepare package makes it"
        self.mount = folder / "mount"
        self.mount.mkdir()
        argv = ["unshare", "--mount", "bash", "-euc", STAND, "stand", *map(str, (self.mount, below, package)), steps]
        self.holder = lab.start_process("install", argv, folder / "install.log")
        wait_until(lambda: "INSTALLED" in self.holder.output(), 300, "it is installed", self.holder.check_alive)

    def at(self, node: Node, *words: str) -> list[str]:
        """The command as it runs in the root, in the node's network namespace."""
        enter = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--net=/run/netns/{node.namespace}"]
        return [*enter, "chroot", str(self.mount / "root"), *words]


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


NAMES = ("pimd", "smcrouted", "smcroutectl", "igmpproxy", "mcproxy", "pim6sd", "pim6stat")
SHIM = """#!/bin/sh
case ${{0##*/}} in
update-alternatives) exec {tool} --root {root} "$@" ;;
esac
"""


def test_the_names_it_stands_in_for_are_alternatives(package: Path, tmp_path: Path) -> None:
    """They come and go with it; where the real program has its file, that stays."""
    root, control, shims = tmp_path / "root", tmp_path / "control", tmp_path / "shims"
    subprocess.run(["dpkg-deb", "-e", str(package), str(control)], check=True)
    for folder in ("usr/sbin", "etc/alternatives", "var/lib/dpkg/alternatives", "var/log"):
        (root / folder).mkdir(parents=True)
    shims.mkdir()
    tool = shutil.which("update-alternatives")
    for name in ("update-alternatives", "getent", "python3", "systemctl", "find"):
        (shims / name).write_text(SHIM.format(tool=tool, root=root))
        (shims / name).chmod(0o755)
    (root / "usr/sbin/pimpyd").write_text("")
    (root / "usr/sbin/igmpproxy").write_text("theirs")

    def runs(script: str, word: str) -> None:
        environment = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"}
        subprocess.run([str(control / script), word], env=environment, check=True, capture_output=True)

    runs("postinst", "configure")
    for name in NAMES:
        if name != "igmpproxy":
            assert os.readlink(root / "usr/sbin" / name) == f"/etc/alternatives/{name}"
            assert os.readlink(root / "etc/alternatives" / name) == "/usr/sbin/pimpyd"
    runs("prerm", "remove")
    assert sorted(path.name for path in (root / "usr/sbin").iterdir()) == ["igmpproxy", "pimpyd"]
    assert (root / "usr/sbin/igmpproxy").read_text() == "theirs"


def assert_it_routes(lab: Lab, folder: Path, root: Root, daemon: list[str], healthy: list[str]) -> None:
    """The daemon, started as told, takes a stream from a source to a host, once the command `healthy` succeeds."""
    src, r1, h = in_a_row(lab, "src", "r1", "h")
    lab.start_process("packaged", root.at(r1, *daemon), folder / "pimpyd.log")

    def is_healthy() -> bool:
        return subprocess.run(root.at(r1, *healthy), capture_output=True, check=False).returncode == 0

    wait_until(is_healthy, 30, "the packaged daemon answers")
    source, group = src.port(r1).ipv4, ssm_group(4)
    receiver = Receiver(h.port(r1), [(source, group)])
    Sender(src.port(r1), [group])
    receiver.wait_for(50)
    explain = root.at(r1, "pimctl", "explain", source, group)
    done = subprocess.run(explain, capture_output=True, text=True, check=False)
    assert "flows through this router" in done.stdout, done


@INSTALLS
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ROOTS)
def test_it_is_installed_by_apt_and_routes(lab: Lab, package: Path, tmp_path: Path, name: str) -> None:
    root = Root(lab, tmp_path, ROOTS[name], package, INSTALL)
    assert_it_routes(lab, tmp_path, root, ["pimpyd", "-n"], ["pimctl", "show", "status"])


def dockerfile() -> dict[str, str]:
    """The Dockerfile's instructions by their word, each of which it has once."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.partition(" ") for line in text.replace("\\\n", "").splitlines()]
    assert len({word for word, _, _ in lines}) == len(lines)
    return {word: rest.strip() for word, _, rest in lines}


@INSTALLS
@pytest.mark.timeout(400)
def test_the_steps_of_the_image_make_a_router(lab: Lab, package: Path, tmp_path: Path) -> None:
    """With no capabilities but those that the Compose file adds. No registry is asked: its base is a root made here."""
    steps = dockerfile()
    assert steps["FROM"] == "debian:12-slim" and steps["COPY"] == "dist/pimpy_*.deb /tmp/"
    root = Root(lab, tmp_path, PLAIN_ROOT, package, steps["RUN"])
    assert not list((root.mount / "root" / "tmp").glob("*.deb"))
    added = re.search(r"cap_add: \[(.*)\]", (DOCKER / "compose.yml").read_text())
    assert added and all(name in (DOCKER / "Dockerfile").read_text() for name in added[1].split(", "))
    allowed = ",".join(["-all", *(f"+{name.lower()}" for name in added[1].split(", "))])
    entry = ["setpriv", f"--bounding-set={allowed}", *json.loads(steps["ENTRYPOINT"])]
    _, _, check = steps["HEALTHCHECK"].partition(" CMD ")
    assert_it_routes(lab, tmp_path, root, entry, json.loads(check))
