"""Nothing is lost when the daemon restarts, crashes or is upgraded: issue 7, 3a, 3b and 3g."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from .helpers import footprint, in_a_row
from .kernel import mfc, vifs
from .paths import PIMPYD
from .pimpyd import QUICK, Pimpyd, wait_neighbors
from .service import (
    Service,
    comm,
    keeper,
    kill_worker,
    restarts,
    segfault,
    spare,
    wait_other_worker,
    wait_restarted,
    worker,
)
from .shell import run, wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, Stream, ssm_group

pytestmark = pytest.mark.usefixtures("pimpyd", "spares")

GROUPS = 500
RATE = 1000
REST = 0.01
"""Seconds between bursts of the streams together: each of them has a packet in half a second."""
ROUND_TRIP = 0.1
"""Seconds, ten times as long as between a DR and its RP here: until a Register-Stop, data may come both ways (3a)."""
ROOT = PIMPYD.parents[2]
KILLS = 3 if "PIMPY_SOAK" in os.environ else 1
"""How often each worker is killed; each of the three routers has one."""


def asm_group(family: int, number: int) -> str:
    base = f"239.1.{number >> 8}.{number & 255}"
    return base if family == 4 else f"ff1e::{number:x}"


def other_version(lab: Lab) -> Path:
    """Another version of the program, in a directory of its own."""
    folder = lab.claim.folder / "next"
    if not folder.exists():
        shutil.copytree(
            ROOT / "pimpy", folder / "pimpy"
        )  # with what is compiled, which stays true where nothing changed
        init = folder / "pimpy" / "__init__.py"
        init.write_text(init.read_text().replace('"0.1.0"', '"0.1.1"'))
        program = folder / "pimpyd"
        program.write_text(
            f"#!{PIMPYD.parent / 'python'}\nimport sys\nsys.path.insert(0, {str(folder)!r})\n"
            "from pimpy.cli.pimpyd import main\nmain()\n"
        )
        program.chmod(0o755)
    return folder / "pimpyd"


def reload(daemon: Service) -> None:
    """SIGHUP with a changed file, and the way back."""
    for text in (f"{QUICK}join-prune-interval 70\n", QUICK):
        daemon.config.write_text(daemon.config.read_text().replace(QUICK, text))
        before = daemon.show("status")[0]["config_time"]
        os.kill(keeper(daemon), signal.SIGHUP)
        daemon.wait_for(lambda one, before=before: one.show("status")[0]["config_time"] > before)  # type: ignore[misc]
        break


def upgrade(daemon: Service) -> None:
    before = restarts(daemon)
    daemon.pimctl("restart", str(other_version(daemon.node.lab)))
    wait_restarted(daemon, before)
    assert daemon.show("status")[0]["version"] == "0.1.1"


def pimctl_restart(daemon: Pimpyd) -> None:
    before = worker(daemon)
    daemon.pimctl("restart")
    wait_other_worker(daemon, before)


def kill_workers(daemon: Service) -> None:
    for _ in range(KILLS):
        kill_worker(daemon)


def kill_keeper(daemon: Service) -> None:
    old = keeper(daemon)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{old}").exists(), 10, "the keeper is gone")
    daemon.wait_for(lambda one: one.answers(), 30)


EVENTS: dict[str, Callable[[Service], None]] = {
    "SIGKILL": kill_workers,
    "SIGSEGV": segfault,
    "SIGHUP": reload,
    "pimctl restart": pimctl_restart,
    "service restart": lambda daemon: daemon.restart(),
    "keeper killed": kill_keeper,
    "upgrade": upgrade,
}


def total(streams: Iterable[Stream]) -> tuple[int, int, int]:
    """Received, lost and doubled packets of all streams."""
    rows = list(streams)
    return sum(s.received for s in rows), sum(s.lost for s in rows), sum(s.duplicates for s in rows)


class Load:
    """500 streams of each mode, of one family, from src to h: those of a mode are RATE packets a second."""

    def __init__(self, family: int, src: Node, host: Node) -> None:
        self.family = family
        source = src.port("r1").address(family)
        self.groups = {
            "ssm": [ssm_group(family, n + 1) for n in range(GROUPS)],
            "asm": [asm_group(family, n + 1) for n in range(GROUPS)],
        }
        wanted = [
            (source if mode == "ssm" else None, group) for mode, groups in self.groups.items() for group in groups
        ]
        self.receiver = Receiver(host.port("r3"), wanted)
        by_turns = [group for both in zip(*self.groups.values(), strict=True) for group in both]
        self.sender = Sender(src.port("r1"), by_turns, rate=RATE * len(self.groups), rest=REST)

    def wait_settled(self, last: Pimpyd) -> None:
        """Until all of them arrive, each on its own tree."""
        groups = {group for groups in self.groups.values() for group in groups}
        wait_until(lambda: self.receiver.count() == len(groups), 60, f"all streams of IPv{self.family} arrive")
        last.wait_for(lambda one: spt(one, self.family) >= groups, 60, f"all of IPv{self.family} on their own tree")

    def streams(self) -> dict[str, list[Stream]]:
        """What has arrived, by mode."""
        arrived = {group: stream for (_, group), stream in self.receiver.streams().items()}
        return {mode: [arrived[group] for group in groups if group in arrived] for mode, groups in self.groups.items()}

    def tell(self, what: str) -> None:
        for mode, streams in self.streams().items():
            received, lost, doubled = total(streams)
            print(f"IPv{self.family} {mode}: {what}: {received} received, {lost} lost, {doubled} doubled")

    def end(self) -> None:
        """Half a minute of it came whole."""
        least = min(total(streams)[0] for streams in self.streams().values())
        self.receiver.wait_for(2 * max(5 * RATE, 30 * RATE - least), 90)
        self.tell(f"at the end, of {self.sender.stop().sent} sent")
        for mode, streams in self.streams().items():
            received, lost, doubled = total(streams)
            assert (len(streams), lost) == (GROUPS, 0), (self.family, mode)
            assert doubled <= (RATE * ROUND_TRIP if mode == "asm" else 0), (self.family, mode)
            assert received >= 30 * RATE, (self.family, mode)


def test_every_way_to_restart_at_every_router_loses_nothing(lab: Lab) -> None:
    """500 (S,G) and 1,000 packets a second in each family and mode; first hop, transit (and RP) and last hop: 0 lost,
    and none doubled but, where a DR registers anew, for a round trip."""
    src, *routers, host = in_a_row(lab, "src", "r1", "r2", "r3", "h")
    rp = routers[1].port("r3")
    text = f"{QUICK}rp-address {rp.ipv4}\nrp-address {rp.ipv6}\n"
    daemons = [Service(node, text).launch() for node in routers]
    for daemon in daemons:
        daemon.wait_ready()
    wait_neighbors(daemons)
    loads = [Load(family, src, host) for family in (4, 6)]
    for load in loads:
        load.wait_settled(daemons[2])
    time.sleep(2)
    for load in loads:
        load.receiver.reset()
    for name, event in EVENTS.items():
        for daemon in daemons:
            event(daemon)
        for load in loads:
            load.tell(f"{name} at all three")
    for load in loads:
        load.end()


def spt(daemon: Pimpyd, family: int) -> set[str]:
    """The groups that have a source on its own tree."""
    return {row["group"] for row in daemon.show("mroute", family) if row["row"] == "entry" and row["is_spt"]}


def test_registers_under_way_are_late_not_lost(lab: Lab) -> None:
    """3a at the first hop: an RP that never leaves the shared tree (`spt-threshold infinity`) lives by Registers."""
    src, r1, r2, host = in_a_row(lab, "src", "r1", "r2", "h")
    rp = r2.port("r1")
    text = f"{QUICK}rp-address {rp.ipv4}\nrp-address {rp.ipv6}\nspt-threshold infinity\n"
    daemons = [Service(node, text) for node in (r1, r2)]
    for daemon in daemons:
        daemon.start()
    wait_neighbors(daemons)
    groups = {family: [asm_group(family, n + 1) for n in range(10)] for family in (4, 6)}
    receivers = {f: Receiver(host.port("r2"), [(None, group) for group in groups[f]]) for f in groups}
    senders = {f: Sender(src.port("r1"), groups[f], rate=500) for f in groups}
    for receiver in receivers.values():
        lab.wait(lambda r=receiver: r.count() == 10, 60, "all streams arrive")  # type: ignore[misc]
    time.sleep(2)
    for receiver in receivers.values():
        receiver.reset()
    kill_worker(daemons[1])
    for name in ("SIGKILL", "SIGSEGV", "pimctl restart", "service restart"):
        EVENTS[name](daemons[0])
    for family, receiver in receivers.items():
        receiver.wait_for(500, 30)
        received, lost, doubled = total(receiver.streams().values())
        states = [row["register_state"] for row in daemons[0].show("mroute", family) if row["row"] == "entry"]
        print(
            f"IPv{family}: {received} received, {lost} lost, {doubled} doubled, of {senders[family].stop().sent} sent"
        )
        assert states == ["join"] * 10, "they all live by Registers"
        assert (len(receiver.streams()), lost) == (10, 0) and doubled <= 500 * ROUND_TRIP, family


def test_the_worker_has_no_rights(lab: Lab) -> None:
    """3g, and the keeper has two capabilities; after a crash it is the same, whoever takes the worker's place."""
    daemon = Pimpyd(in_a_row(lab, "src", "r", "h")[1]).start()
    successors = []
    for spared in (False, True, False):
        facts = status(worker(daemon))
        assert set(facts["CapEff"]) == set(facts["CapPrm"]) == {"0"} and facts["CapInh"].strip("0") == ""
        assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1")
        assert "0" not in facts["Uid"].split() and "0" not in facts["Gid"].split() and not facts["Groups"]
        held = status(keeper(daemon))
        assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == 1 << 12 | 1 << 13
        if spared:
            wait_until(lambda: spare(daemon) is not None, 90, "a spare worker waits")
        successors.append(spare(daemon))
        kill_worker(daemon)
        assert successors[-1] in (None, worker(daemon))
    assert successors[1] is not None
    wait_until(lambda: spare(daemon) is not None, 90, "a spare worker waits again")
    waiting = spare(daemon)
    pimctl_restart(daemon)
    assert comm(waiting or 0) == "", "another version of the program has spare ones of its own"


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_stop_leaves_nothing_and_says_good_bye_and_a_restart_leaves_everything(lab: Lab) -> None:
    src, router, next_router, host = in_a_row(lab, "src", "r1", "r2", "h")
    before = footprint(router)
    stopped, stays = Service(router).launch(), Pimpyd(next_router).start()
    stopped.wait_ready()
    wait_neighbors([stopped, stays])
    source, group = src.port("r1").address(4), ssm_group(4)
    receiver = Receiver(host.port("r2"), [(source, group)])
    Sender(src.port("r1"), [group], rate=200)
    receiver.wait_for(50)
    table = mfc(router, 4).keys(), vifs(router, 4), vifs(router, 6)
    for _ in range(3):
        stopped.restart()
        assert (mfc(router, 4).keys(), vifs(router, 4), vifs(router, 6)) == table
        assert all(stays.neighbors(family) for family in (4, 6)), "a restart says no good-bye"
    assert stopped.stop() == 0
    assert footprint(router) == before
    assert not stopped.socket.exists()
    for family in (4, 6):
        stays.wait_for(lambda one, family=family: not one.neighbors(family), 5, "it heard the good-bye")  # type: ignore[misc]


class One:
    """A router between two hosts, which several tests share. A worker that died is started later each time, so few of
    them may end one."""

    def __init__(self, lab: Lab) -> None:
        src, router, self.host = in_a_row(lab, "src", "r", "h")
        self.port, self.daemon = src.port("r"), Pimpyd(router).start()

    def mend(self) -> None:
        """What a test before has left behind ends."""
        self.daemon.config.write_text(QUICK)
        if self.daemon.process.returncode is not None:
            self.daemon.start()

    def receive(self, source: str, groups: Iterable[str]) -> Receiver:
        return Receiver(self.host.port("r"), [(source, group) for group in groups])


@pytest.fixture(scope="module")
def standing(standing_lab: Lab) -> One:
    return One(standing_lab)


@pytest.fixture
def one(standing: One) -> One:
    standing.mend()
    return standing


def test_many_restarts_leave_no_trace(one: One) -> None:
    """3d, fewer rounds than in `make soak`: descriptors, vifs and entries as before, memory too."""
    daemon, source, group = one.daemon, one.port.address(4), ssm_group(4, 100)
    receiver = one.receive(source, [group])
    sender = Sender(one.port, [group], rate=200)
    receiver.wait_for(50)
    pimctl_restart(daemon)
    time.sleep(1)
    receiver.reset()
    before = trace(daemon)
    for _ in range(ROUNDS):
        before_ = restarts(daemon)
        os.kill(keeper(daemon), signal.SIGUSR1)  # the keeper does not heed it
        daemon.ask("restart")
        wait_restarted(daemon, before_)
    after = trace(daemon)
    stream = receiver.stream()
    print(f"{ROUNDS} restarts: {before} -> {after}; {stream.received} received, {stream.lost} lost")
    assert after[:4] == before[:4]
    assert after[4] < before[4] * 1.1 + 1000 and after[5] < before[5] * 1.1 + 2000
    assert (stream.lost, stream.duplicates) == (0, 0)
    sender.stop()
    receiver.stop()


ROUNDS = int(os.environ.get("PIMPY_RESTARTS") or (1000 if "PIMPY_SOAK" in os.environ else 10))


def trace(daemon: Pimpyd) -> tuple[int, int, dict[int, str], int, int, int]:
    """The keeper's and the worker's descriptors, vifs, entries, and the memory of both in KiB."""
    time.sleep(0.5)
    held, works = keeper(daemon), worker(daemon)
    keeps, routes = (int(status(pid)["VmRSS"].split()[0]) for pid in (held, works))
    counts = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (held, works)]
    return (
        counts[0] - (spare(daemon) is not None),
        counts[1],
        vifs(daemon.node, 4),
        len(mfc(daemon.node, 4)),
        keeps,
        routes,
    )


def test_new_receivers_of_the_gap_are_served_at_once(one: One) -> None:
    """3b: a report that comes while no worker is there waits in the kept socket."""
    for family in (4, 6):
        new_receivers_of_the_gap_are_served_at_once(one, family)


def new_receivers_of_the_gap_are_served_at_once(one: One, family: int) -> None:
    daemon, source = one.daemon, one.port.address(family)
    first, second = ssm_group(family, 1), ssm_group(family, 2)
    receiver = one.receive(source, [first])
    sender = Sender(one.port, [first, second], rate=1000)
    receiver.wait_for(100)
    pid, before = worker(daemon), restarts(daemon)
    os.kill(pid, signal.SIGSTOP)  # as if it had just died: it reads nothing more
    joined = receiver.join((source, second))
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    killed = time.time()
    wait_restarted(daemon, before)
    wait_until(lambda: receiver.stream(source, second).received, 10, "the new receiver is served")
    served = receiver.stream(source, second).first_time
    print(f"IPv{family}: served {served - killed:.3f} s after the kill, {served - joined:.3f} s after the join")
    assert served - killed < 10
    assert receiver.stream(source, first).lost == 0
    sender.stop()
    receiver.stop()


def test_a_table_flushed_by_another_program_is_whole_within_a_second(one: One) -> None:
    for family in (4, 6):
        a_flushed_table_is_whole_within_a_second(one, family)


def a_flushed_table_is_whole_within_a_second(one: One, family: int) -> None:
    daemon, source = one.daemon, one.port.address(family)
    groups = [ssm_group(family, 10 + n) for n in range(51)]

    def entries() -> int:
        return sum(group in groups for _, group in mfc(daemon.node, family))

    receiver = one.receive(source, groups)
    sender = Sender(one.port, groups[1:], rate=1000)  # of a stream that flows, the kernel itself asks again
    wait_until(lambda: receiver.count() == 50 and entries() == 51, 20, "the table stands")
    for how in (FLUSH, REMOVE):
        drift = daemon.show("status")[0]["drift"]
        out = daemon.node.run(str(PIMPYD.parent / "python"), "-c", how, str(family), *(groups[0], source), timeout=10)
        assert "done" in out
        wait_until(lambda: entries() == 51, 10, "the table is whole again")
        daemon.wait_for(lambda one, drift=drift: one.show("status")[0]["drift"] > drift)  # type: ignore[misc]
    receiver.reset()
    receiver.wait_for(1000)
    assert total(receiver.streams().values())[1:] == (0, 0)
    assert "mroute_kernel_drift" in daemon.log()
    sender.stop()
    receiver.stop()


FLUSH = """
import socket, struct, sys
four = sys.argv[1] == "4"
s = socket.socket(socket.AF_INET if four else socket.AF_INET6, socket.SOCK_RAW, 2 if four else 58)
s.setsockopt(0 if four else 41, 212, 15)
print("done")
"""
"""MRT_FLUSH of everything, by a program that does not own the table."""

REMOVE = """
import ipaddress, socket, struct, sys
family = 128 if sys.argv[1] == "4" else 129
group, source = (ipaddress.ip_address(word).packed for word in sys.argv[2:])
def attribute(kind, data): return struct.pack("=HH", 4 + len(data), kind) + data
table = 253 if family == 128 else 254
bits = 8 * len(group)
body = struct.pack("=BBBBBBBBI", family, bits, bits, 0, table, 17, 0, 5, 0)
body += attribute(1, group) + attribute(2, source) + attribute(15, struct.pack("=I", table))
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.send(struct.pack("=IHHII", 16 + len(body), 25, 5, 1, 0) + body)
answer = s.recv(4096)
error = struct.unpack_from("=i", answer, 16)[0]
if error == -95 and family == 129:  # this kernel cannot remove IPv6 entries by netlink: flush them
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
    s.setsockopt(41, 212, 1)
    error = 0
print("done" if not error else error)
"""
"""RTM_DELROUTE of one entry."""


def test_programs_that_are_no_pimpyd_are_not_executed(one: One) -> None:
    daemon = one.daemon
    before = restarts(daemon)
    broken = daemon.node.folder / "broken" / "pimpyd"
    broken.parent.mkdir()
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o755)
    loose = daemon.node.folder / "loose" / "pimpyd"
    loose.parent.mkdir()
    loose.write_text("#!/bin/true\n")
    loose.chmod(0o777)
    for program, why in (
        ("/bin/sh", "it is not called pimpyd"),
        ("bin/pimpyd", "named by its whole path"),
        (broken, "-v does not work"),
        (loose, "others than root can change it"),
    ):
        with pytest.raises(Exception, match=why):
            daemon.pimctl("restart", str(program))
    assert restarts(daemon) == before


def test_a_bad_file_does_not_end_a_daemon_whose_worker_dies(one: One) -> None:
    """What was in force stays, though the file on the disk has an error by now."""
    daemon = one.daemon
    daemon.config.write_text(f"{QUICK}bogus\n")
    kill_worker(daemon)
    (row,) = daemon.show("status")
    assert row["hello_interval"] == 5
    assert "what was in force stays" in daemon.log()
    with pytest.raises(Exception, match="nothing is restarted"):
        daemon.pimctl("restart")


def test_what_waits_for_the_worker_dies_with_the_keeper(one: One) -> None:
    """Without a service manager a killed keeper takes all with it, and another one can start at once."""
    daemon = one.daemon
    pid = worker(daemon)
    daemon.process.send(signal.SIGKILL)
    daemon.process.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5, "the worker ends with its keeper")
    assert not vifs(daemon.node, 4)
    other = Pimpyd(daemon.node).start()
    assert other.stop() == 0
    assert run(["true"]) == ""
