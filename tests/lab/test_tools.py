"""pimctl join, send and ping over a real router, beside Debian's ssmping and asmping."""

from __future__ import annotations

import json
import shutil
from subprocess import PIPE, Popen

import pytest

from pimpy.cli import fields

from .helpers import in_a_row, run_to_end
from .paths import PIMCTL
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver

pytestmark = pytest.mark.usefixtures("pimpyd")

RP = "rp-address 10.0.1.2 239.0.0.0/8\nrp-address fd00:0:0:1::2 ff1e::/16\n"


def at(node: Node, *words: str) -> Popen[str]:
    return Popen(node.inside([str(PIMCTL), *words]), stdout=PIPE, stderr=PIPE, text=True)


def need(program: str) -> str:
    found = shutil.which(program)
    assert found is not None, "tests/prepare installs ssmping"
    return found


def test_streams_and_pings_with_our_tools_and_with_debians(lab: Lab) -> None:
    src, r1, h = in_a_row(lab, "src", "r1", "h")
    Pimpyd(r1, QUICK + RP).start()
    for family, group, shared in ((4, "232.1.1.1", "239.1.1.234"), (6, "ff3e::8000:1", "ff1e::ea")):
        source = src.port(r1).address(family)
        joined = [
            at(h, "-j", "join", group, source, "-I", "r1", "--count", "50", "--seconds", "30"),
            at(h, "-j", "join", shared, "-I", "r1", "--count", "20", "--seconds", "30"),
        ]
        sending = [at(src, "send", to, "-I", "r1", "--rate", "100", "--seconds", "30") for to in (group, shared)]
        for process, to, least in zip(joined, (group, shared), (50, 20), strict=True):
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            row = json.loads(out)
            assert set(row) == set(json.loads(fields.read("join"))["properties"])
            assert (row["source_address"], row["group"], row["ttl"]) == (source, to, 15)
            assert row["packets"] >= least
            assert (row["lost"], row["duplicates"]) == (0, 0)
            assert 0 <= row["delay"] < 5
        for process in sending:
            process.terminate()
            process.communicate(timeout=10)
    _pings(src, r1, h)


def _pings(src: Node, r1: Node, h: Node) -> None:
    """Each program against the other's answerer."""
    for ours in (True, False):
        argv = [str(PIMCTL), "ping", "--answer"] if ours else [need("ssmpingd")]
        answerer = src.start("answerer", *argv)
        wait_until(lambda: src.run("ss", "-lun").count(":4321") >= 1 or None, 10, "the answerer listens")
        for family in (4, 6):
            source = src.port(r1).address(family)
            done = run_to_end(h, PIMCTL, "-j", "ping", source, "-I", "r1", "-c", "4", "--interval", "0.5")
            tally = json.loads(done.out)
            assert (tally["sent"], tally["unicast"]) == (4, 4), done
            assert tally["multicast"] >= 2, "the first may find no tree yet"
            assert done.code == 0
            if ours:
                theirs = run_to_end(h, need("ssmping"), f"-{family}", "-I", "r1", "-c", "2", source)
                assert f"multicast from {source}, seq=" in theirs.out, theirs.out
        if ours:
            asm = run_to_end(h, need("asmping"), "-4", "-I", "r1", "-c", "2", "239.1.1.234", src.port(r1).ipv4)
            assert "multicast from" in asm.out, asm.out
        else:
            done = run_to_end(h, PIMCTL, "ping", src.port(r1).ipv4, "239.1.1.234", "-I", "r1", "-c", "4")
            assert "multicast from" in done.out, done
        answerer.stop()


def test_wrong_words_and_nobody_there(lab: Lab) -> None:
    src, r1, h = in_a_row(lab, "src", "r1", "h")
    assert run_to_end(h, PIMCTL, "join", "10.0.0.1").code == 2
    assert run_to_end(h, PIMCTL, "join", "239.1.1.1", "-I", "eth9").said.startswith(
        "Error: no interface is called 'eth9'"
    )
    done = run_to_end(h, PIMCTL, "join", "239.1.1.1", "-I", "r1", "--seconds", "0.3")
    assert (done.code, done.out) == (
        1,
        "nothing arrived from anybody to 239.1.1.1, port 4321; another port is heard by --port N\n",
    )
    assert done.said.count("joining (*,239.1.1.1) on r1, port 4321") == 1
    assert (
        "pimctl join 232.1.1.1 SOURCE"
        in run_to_end(h, PIMCTL, "join", "232.1.1.1", "-I", "r1", "--seconds", "0.1").said
    )
    assert run_to_end(h, PIMCTL, "ping").code == run_to_end(h, PIMCTL, "ping", "--answer", "10.0.0.1").code == 2
    done = run_to_end(h, PIMCTL, "ping", r1.port(h).ipv4, "-c", "1", "--interval", "0.2")
    assert (done.code, done.out) == (1, "1 asked, 0 answers by unicast, 0 by multicast\n")
    receiver = Receiver(h.port(r1), [(None, "239.1.1.1")], udp_port=4321)
    assert src.number != h.number and receiver.received() == 0
