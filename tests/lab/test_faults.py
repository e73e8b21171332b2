"""What a host can do to the daemon (reliability.md, section 5), where the kernel can do it in a namespace."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from .helpers import in_a_row, is_up, plug, unplug
from .kernel import forwards, mfc, vifs
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .service import keeper, kill_worker, restarts, spare, wait_restarted, worker
from .sharing import Shared, shared_by_a_file
from .shell import LabError, run, wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, reports, ssm_group

pytestmark = pytest.mark.usefixtures("pimpyd", "spares")


class Stand:
    """A stream through one router. Tests share one, unless they end its worker: it is then started later each time."""

    def __init__(self, lab: Lab, kind: type[Pimpyd] = Pimpyd) -> None:
        self.lab, self.intact = lab, False
        self.src, self.router, self.host = in_a_row(lab, "src", "r", "h")
        self.daemon = kind(self.router)
        self.daemon.start()
        self.key = self.src.port("r").address(4), ssm_group(4)
        self.receiver = Receiver(self.host.port("r"), [self.key])
        self.sender = Sender(self.src.port("r"), [self.key[1]], rate=500)
        self.receiver.wait_for(100)
        self.receiver.reset()

    def assert_nothing_lost(self) -> None:
        self.receiver.wait_for(200)
        stream = self.receiver.stream(*self.key)
        assert (stream.lost, stream.duplicates) == (0, 0), stream
        self.receiver.reset()
        self.intact = True


shared = shared_by_a_file(Stand)


@pytest.fixture
def stand(shared: Shared[Stand]) -> Stand:
    return shared.take()


def test_a_storm_of_signals(stand: Stand) -> None:
    """Among them reloads of a file with an error: the old one stays, and nothing is lost."""
    before, held, good = restarts(stand.daemon), keeper(stand.daemon), stand.daemon.config.read_text()
    for number in range(1500):
        if number in (500, 1000):
            stand.daemon.config.write_text("bogus\n" if number == 500 else good)
        os.kill(held, (signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)[number % 4])
        time.sleep(0.0005)
    os.kill(held, signal.SIGHUP)
    stand.daemon.wait_for(lambda one: one.answers() and one.show("status")[0]["config_ok"], 30)
    assert "the old configuration stays" in stand.daemon.log() and restarts(stand.daemon) == before
    stand.assert_nothing_lost()


def test_a_worker_that_hangs_is_ended(stand: Stand) -> None:
    """SIGSTOP: ten seconds without a sign of life, then another worker."""
    before = restarts(stand.daemon)
    os.kill(worker(stand.daemon), signal.SIGSTOP)
    began = time.monotonic()
    wait_restarted(stand.daemon, before, 60)
    assert time.monotonic() - began > 9
    assert "hung for 10 s and was ended" in stand.daemon.log()
    stand.assert_nothing_lost()


def test_a_keeper_that_was_stopped_ends_no_worker(stand: Stand) -> None:
    """Nor one that a host which slept finds silent: it was the keeper that did not run."""
    before, pid, held = restarts(stand.daemon), worker(stand.daemon), keeper(stand.daemon)
    os.kill(held, signal.SIGSTOP)
    time.sleep(12)
    os.kill(held, signal.SIGCONT)
    time.sleep(1)
    assert worker(stand.daemon) == pid and restarts(stand.daemon) == before
    stand.assert_nothing_lost()


def test_a_worker_that_dies_again_and_again_is_started_later_and_later(lab: Lab) -> None:
    stand = Stand(lab)
    for _ in range(3):
        kill_worker(stand.daemon)
    ended = time.monotonic()
    before = restarts(stand.daemon)
    os.kill(worker(stand.daemon), signal.SIGKILL)
    wait_restarted(stand.daemon, before, 60)
    assert time.monotonic() - ended > 2, "the fourth end within a minute: 2 s"
    stand.assert_nothing_lost()


class Poor(Pimpyd):
    """A daemon that may have few descriptors."""

    def command_line(self) -> list[str]:
        return ["prlimit", f"--nofile={DESCRIPTORS}:", *super().command_line()]


DESCRIPTORS = 44


def test_out_of_descriptors(lab: Lab) -> None:
    """Clients of the control socket that cannot be taken wait; routing goes on."""
    stand = Stand(lab, kind=Poor)
    highest = max(int(name) for name in os.listdir(f"/proc/{worker(stand.daemon)}/fd"))
    assert DESCRIPTORS - 12 < highest + 1 < DESCRIPTORS, highest
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(stand.daemon.socket))
        time.sleep(1)
        second = stand.key[0], ssm_group(4, 2)
        stand.receiver.join(second)
        Sender(stand.src.port("r"), [second[1]], rate=100)
        lab.wait(lambda: stand.receiver.stream(*second).received, 20, "a new stream is forwarded all the same")
    stand.daemon.wait_for(lambda one: one.answers(), 30)
    assert restarts(stand.daemon) == 0
    stand.assert_nothing_lost()


def test_when_memory_runs_out_the_worker_goes_first(lab: Lab) -> None:
    """The keeper's unit makes it the last to go; the worker does not inherit that."""
    stand = Stand(lab)
    path = Path(f"/proc/{keeper(stand.daemon)}/oom_score_adj")
    try:
        path.write_text("-500")
    except PermissionError:
        pytest.skip("this host lets nobody lower oom_score_adj (CAP_SYS_RESOURCE)")
    kill_worker(stand.daemon)
    assert Path(f"/proc/{worker(stand.daemon)}/oom_score_adj").read_text() == "0\n"
    assert path.read_text() == "-500\n"
    stand.assert_nothing_lost()


def test_an_interface_that_moves_to_another_namespace(stand: Stand) -> None:
    """It is as if it were removed; it comes back as another one."""
    other = stand.src
    stand.router.ip("link", "set", "dev", "h", "netns", other.namespace)
    stand.daemon.wait_for(lambda one: not is_up(one, 4, "h"))
    assert "h" not in vifs(stand.router, 4).values()
    assert forwards(stand.router, *stand.key) == frozenset()
    run(["ip", "-n", other.namespace, "link", "set", "dev", "h", "netns", stand.router.namespace])
    port = stand.router.port("h")
    stand.router.ip("link", "set", "dev", "h", "up")
    stand.router.ip("address", "replace", f"{port.ipv4}/24", "dev", "h")
    stand.daemon.wait_for(lambda one: is_up(one, 4, "h"))
    stand.lab.wait(lambda: forwards(stand.router, *stand.key) == {"h"}, 30, "the stream flows again")
    port.restore_addresses()
    stand.receiver.reset()
    stand.assert_nothing_lost()


def test_interfaces_that_change_while_no_worker_is_there(lab: Lab) -> None:
    """One is removed and one made: the new one gets no stream that only the old one had."""
    src, router, host, other = lab.host("src"), lab.router("r"), lab.host("h"), lab.host("x")
    lab.link(src, router)
    lab.link(router, host)
    old = lab.link(router, other)
    lab.start()
    daemon = Pimpyd(router).start()
    key = src.port("r").address(4), ssm_group(4)
    here, there = Receiver(host.port("r"), [key]), Receiver(other.port("r"), [key])
    Sender(src.port("r"), [key[1]], rate=500)
    here.wait_for(50)
    there.wait_for(50)
    here.reset()
    before = restarts(daemon)
    os.kill(worker(daemon), signal.SIGSTOP)
    there.stop()
    router.ip("link", "delete", old.ports[router].name)
    router.ip("link", "add", "new", "type", "veth", "peer", "name", "far")
    router.ip("link", "set", "dev", "far", "up")
    router.ip("address", "add", "10.9.9.1/24", "dev", "new")
    router.ip("link", "set", "dev", "new", "up")
    os.kill(worker(daemon), signal.SIGKILL)
    wait_restarted(daemon, before)
    daemon.wait_for(lambda one: is_up(one, 4, "new"))
    assert forwards(router, *key) == {"h"}
    sent = tx(router, "new")
    time.sleep(1)
    assert tx(router, "new") - sent < 100, "Hellos and queries, no stream"
    here.wait_for(200)
    assert here.stream(*key).lost == 0


def tx(node: Node, name: str) -> int:
    """Packets that left an interface."""
    return int(node.ip_json("-s", "link", "show", "dev", name)[0]["stats64"]["tx"]["packets"])


def test_a_burst_of_new_streams(stand: Stand) -> None:
    """5,000 sources' worth of upcalls at once: each is answered, those wanted flow, none is lost in a socket."""
    groups = [ssm_group(4, n) for n in range(1000, 3000)]
    Sender(stand.src.port("r"), groups, rate=20000, count=4000)
    stand.lab.wait(lambda: len(mfc(stand.router, 4)) > 2000, 60, "each stream has an entry")
    assert all(entry.iif == "src" for entry in mfc(stand.router, 4).values())
    stand.assert_nothing_lost()


def test_a_full_disk_and_a_reader_that_reads_nothing(lab: Lab) -> None:
    """Neither the pid file that cannot be written nor a log that nobody reads holds the daemon up."""
    src, router, host = in_a_row(lab, "src", "r", "h")
    daemon = Pimpyd(router, QUICK, ["-l", "debug", "-d", "all"])
    line = [word if not word.endswith("pimpyd.pid") else "/dev/full/pimpyd.pid" for word in daemon.command_line()]
    reading, writing = os.pipe()
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *router.inside(line)], stderr=writing)
    try:
        os.close(writing)
        wait_until(daemon.answers, 20, "it answers")
        key = src.port("r").address(4), ssm_group(4)
        receiver = Receiver(host.port("r"), [key])
        Sender(src.port("r"), [key[1]], rate=100)
        receiver.wait_for(400, 30)
        assert daemon.answers() and receiver.stream(*key).lost == 0
    finally:
        process.terminate()
        assert process.wait(10) == 0
        os.close(reading)


def test_flaps_renames_and_recreations_end_as_a_fresh_start(lab: Lab) -> None:
    """3e, fewer rounds than in `make soak`: 4 interfaces, under traffic; no packet on a link that never joined."""
    src, router, quiet = lab.host("src"), lab.router("r"), lab.host("q")
    hosts = [lab.host(f"h{n}") for n in range(4)]
    lab.link(src, router)
    lab.link(router, quiet)
    links = [lab.link(router, host) for host in hosts]
    lab.start()
    daemon = Pimpyd(router).start()
    key = src.port("r").address(4), ssm_group(4)
    receivers = [Receiver(host.port("r"), [key]) for host in hosts]
    never = tx(router, "q")
    Sender(src.port("r"), [key[1]], rate=500)
    for receiver in receivers:
        receiver.wait_for(50)
    for round_ in range(FLAPS):
        place = round_ % 4
        host = hosts[place]
        if round_ % 9 == 8:
            receivers[place].stop()
            unplug(links[place])
            plug(links[place])
            lab.reroute(host)
            receivers[place] = Receiver(host.port("r"), [key])
            continue
        router.ip("link", "set", "dev", host.name, "down")
        if round_ % 3 == 0:
            router.ip("link", "set", "dev", host.name, "name", "tmp0")
            router.ip("link", "set", "dev", "tmp0", "name", host.name)
        if round_ % 10 == 9:
            with suppress(LabError):  # it may not have been started again yet
                os.kill(worker(daemon), signal.SIGKILL)
        router.port(host).set_up(True)
    daemon.wait_for(lambda one: one.answers() and one.outgoing(*key) == {h.name for h in hosts}, 90)
    assert forwards(router, *key) == {host.name for host in hosts}
    assert tx(router, "q") - never < 200, "only Hellos and queries"
    daemon.stop()
    fresh = Pimpyd(router).start()
    fresh.wait_for(lambda one: one.outgoing(*key) == {h.name for h in hosts}, 90)
    assert set(vifs(router, 4).values()) == {"src", "q", *(h.name for h in hosts)}


FLAPS = int(os.environ.get("PIMPY_FLAPS") or (1000 if "PIMPY_SOAK" in os.environ else 40))


def test_neighbours_stay_through_a_restart(lab: Lab) -> None:
    """Their Hellos of the gap are heard, and ours come before they would miss one."""
    _, r1, r2, _ = in_a_row(lab, "src", "r1", "r2", "h")
    one, other = Pimpyd(r1).start(), Pimpyd(r2).start()
    wait_neighbors([one, other])
    kill_worker(one)
    wait_neighbors([one, other])
    assert "neighbor_down" not in other.log()


class Narrow(Pimpyd):
    """A daemon that gets little more memory than one that has just started has."""

    limit = 0

    def command_line(self) -> list[str]:
        return ["prlimit", f"--as={self.limit}:", *super().command_line()]


def test_out_of_memory(lab: Lab) -> None:
    """A flood of reports, and no memory for it: what flows goes on, and a worker serves."""
    src, router, host = in_a_row(lab, "src", "r", "h")
    plain = Pimpyd(router).start()
    plain.wait_for(spare, 30)  # by then all is imported
    pages = int(Path(f"/proc/{worker(plain)}/statm").read_text().split()[0])
    plain.stop()
    Narrow.limit = pages * resource.getpagesize() + (4 << 20)
    daemon = Narrow(router).start()
    key = src.port("r").address(4), ssm_group(4)
    receiver = Receiver(host.port("r"), [key])
    Sender(src.port("r"), [key[1]], rate=500)
    receiver.wait_for(100)
    receiver.reset()
    reports(host.port("r"), key[0], ssm_group(4, 5000), 20000, times=1, pause=0.0)
    said = ("no_memory", "broken", "worker_restarted")
    lab.wait(lambda: any(reason in daemon.log() for reason in said), 60, "memory runs out")
    daemon.wait_for(lambda one: one.answers(), 60)
    receiver.wait_for(1000)
    assert (receiver.stream(*key).lost, receiver.stream(*key).duplicates) == (0, 0)
