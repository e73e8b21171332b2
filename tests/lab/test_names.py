"""pimpyd under the names of mcproxy and pim6sd: their files, what they print, their signals and dumps."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from .paths import PIMPYD
from .pimpyd import Pimpyd
from .proxies import Program
from .topology import Lab, Node
from .traffic import Receiver, Sender

pytestmark = pytest.mark.usefixtures("pimpyd")

MCPROXY = """
protocol {protocol};
table wanted {{ ({groups} | *); }};
pinstance tv: src ==> a b;
pinstance tv upstream src in whitelist table wanted;
pinstance tv upstream * in rulematching first;
"""


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_mcproxy(lab: Lab, family: int) -> None:
    r, src, a, b = lab.router("r"), lab.host("src"), lab.host("a"), lab.host("b")
    for node in (src, a, b):
        lab.link(node, r)
    lab.start()
    r.sysctl(ipv4__conf__src__rp_filter=2)
    names = ("239.1.0.0/16", "239.1.1.1", "239.2.2.2") if family == 4 else ("ff0e:1::/32", "ff0e:1::1", "ff0e:2::1")
    text = MCPROXY.format(protocol="IGMPv3" if family == 4 else "MLDv2", groups=names[0])
    daemon = Program(r, "mcproxy", text).start("-r", "-s", "-f", "/run/mcproxy.conf", interfaces=3, family=family)
    other = "/proc/net/ip6_mr_vif" if family == 4 else "/proc/net/ip_mr_vif"
    assert len(r.run("cat", other).splitlines()) == 1, "the other family's table is left alone"
    receiver = Receiver(a.port("r"), [(None, names[1]), (None, names[2])])
    sender = Sender(src.port("r"), list(names[1:]), rate=200)
    receiver.wait_for(50)
    assert {group for _, group in receiver.streams()} == {names[1]}, "the white list"
    assert r.read_sysctl("ipv4/conf/src/rp_filter") == "0"
    source = src.port("r").address(family)
    lab.wait(lambda: f"\t{source} ==> a\n" in daemon.process.output(), 20, "the status tells of the stream")
    status = daemon.process.output()
    assert "@@##-- proxy instance tv (table:0,lifetime:" in status
    assert f"-- group address: {names[1]}\n" in status and "is querier: true\n" in status
    sender.stop()
    assert daemon.stop(signal.SIGINT) == 0
    assert r.read_sysctl("ipv4/conf/src/rp_filter") == "2", "as before"


PIM6SD = """
log all;
phyint r1 enable;
hello_period 5;
static_rp ff1e::/16 2001:db8::1 priority 3;
"""


def test_pim6sd_and_its_dump(lab: Lab) -> None:
    r1, r2, h = lab.router("r1"), lab.router("r2"), lab.host("h")
    lab.link(r1, r2), lab.link(r2, h)
    lab.start()
    daemon = Program(r2, "pim6sd", PIM6SD).start("-n", "-f", "/run/pim6sd.conf", interfaces=2, family=6)
    Pimpyd(r1).start()
    neighbor = r1.port("r2").link_local
    lab.wait(lambda: any(row["address"] == neighbor for row in daemon.ask("show neighbors")), 30, "neighbours")
    group, source = "ff3e::8000:1", "2001:db8:9::1"
    Receiver(h.port("r2"), [(source, group)])
    lab.wait(lambda: any(row["row"] == "group" for row in daemon.ask("show mld groups")), 20, "a member")
    os.kill(daemon.process.pid, signal.SIGUSR1)
    dump = daemon.run / "pim6sd.dump"
    lab.wait(dump.exists, 20, "the dump is written")
    text = dump.read_text()
    sections = ("Multicast Interface Table", "PIM Neighbor List", "MLD Querier List", "Reported MLD Group")
    for section in (*sections, "Multicast Routing Table", "RP-Set"):
        assert section in text, text
    assert neighbor in text and group in text and source in text
    assert "2001:db8::1(none)\n     ff1e::/16                                3    65535 65535\n" in text
    assert f" {source:<15} {group:<15} NULL            " in text, text
    assert "Leaves   oifs: l..." in text, text
    shown = _stat(r2, daemon)
    assert "PIM Neighbor List" in shown and neighbor in shown
    assert len(r2.run("cat", "/proc/net/ip_mr_vif").splitlines()) == 1, "IPv4 is left alone"
    assert daemon.stop() == 0


def _stat(node: Node, daemon: Program) -> str:
    """What pim6stat shows."""
    link = daemon._link().with_name("pim6stat")
    if not link.is_symlink():
        link.symlink_to(PIMPYD)
    argv = ["sh", "-ec", 'mount --bind "$1" /run && shift && exec "$@"', "x", str(daemon.run), str(link), "-d"]
    return node.run(*argv)


@pytest.mark.parametrize(
    ("name", "args", "text", "code"),
    [
        ("mcproxy", ("-h",), "", 0),
        ("mcproxy", ("-x",), "", 2),
        ("mcproxy", ("-f", "FILE"), "foo;", 78),
        ("pim6sd", ("-x",), "", 1),
        ("pim6sd", ("-v",), "", 0),
        ("pim6sd", ("-n", "-f", "FILE"), "foo;", 255),
        ("pim6sd", ("-n", "-f", "FILE", "stray"), "", 1),
        ("pim6stat", ("-p", "0x"), "", 1),
        ("smcroutectl", ("-u", "/nonexistent/s", "show"), "", 1),
    ],
)
def test_exit_codes(tmp_path: Path, name: str, args: tuple[str, ...], text: str, code: int) -> None:
    (tmp_path / name).symlink_to(PIMPYD)
    file = tmp_path / "f.conf"
    file.write_text(text)
    argv = [str(tmp_path / name), *(arg.replace("FILE", str(file)) for arg in args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done


def test_mcproxy_checks_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "mcproxy").symlink_to(PIMPYD)
    done = subprocess.run([str(tmp_path / "mcproxy"), "-c"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "IPv4 multicast routing: ok" in done.stdout


def test_the_dialect_is_named_and_why(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("quickleave\nphyint a upstream\n")
    done = subprocess.run([PIMPYD, "--check", str(file)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"{file}: dialect igmpproxy (line 1 has a word that only igmpproxy has)"
