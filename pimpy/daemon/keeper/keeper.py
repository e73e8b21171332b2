"""The keeper's loop: start the worker, answer it, start it again when it ends, and end when that is asked for."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from pimpy.daemon import background
from pimpy.daemon.keeper import channel, service
from pimpy.daemon.keeper.beginning import Remark
from pimpy.daemon.keeper.files import Files
from pimpy.daemon.keeper.scripts import Scripts
from pimpy.daemon.keeper.upgrade import Refused, next_program
from pimpy.daemon.keeper.workers import Spare, Worker, start

if TYPE_CHECKING:
    from pimpy.daemon.keeper.opening import Opening

BACK_OFF = (0.0, 0.1, 0.5, 2.0, 10.0)
"""Seconds before a worker is started again, by how often it ended without a healthy minute between."""
HEALTHY = 60.0
"""Seconds after which a worker counts as healthy."""
PATIENCE = 10.0
"""Seconds without a sign of life after which a worker hangs."""
FIRST_PATIENCE = 60.0
"""The same until it is ready."""
LEAVING = 5.0
"""Seconds that a worker has to leave, with good-byes or without."""
EXIT_FAILED = 1
EXIT_AGAIN = 75
"""The service manager is to start us again: it keeps the sockets."""


class Ended(Exception):
    """Somebody ended the daemon, or it cannot be: with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Keeper:
    """Holds the descriptors, and the worker's life. `asked` is the command line as `daemon.options` has it, `kept` what
    was handed to this process, `first` a process that is to be the worker, `remarks` what that is to log."""

    def __init__(self, asked: dict[str, Any], kept: dict[str, int], first: Worker, remarks: list[Remark]) -> None:
        self.asked = asked
        self.manager = service.Manager()
        self.kept = kept
        """The descriptors that outlive the worker, by name."""
        self.adopted = bool(self.kept)
        self.files = Files(asked["config"], asked["ident"])
        self.scripts = Scripts(asked.get("script"))
        self.opening: Opening | None = None
        """What has been opened; None until the first worker asks for it."""
        self.remarks = remarks
        """What the next worker is to log for us."""
        self.restarts = int(os.environ.pop("PIMPYD_RESTARTS", "0"))
        self.failures = 0
        self.was_ready = False
        self.guarding = False
        """Whether the nftables table of `register-guard` stands."""
        self.led: set[tuple[str, int]] = set()
        """The further tables that interfaces are led to."""
        self.worker: Worker | None = None
        self.spare = Spare(first)
        self._start_at: float | None = None
        self._next_ping = 0.0
        self._program: list[str] | None = None
        self._again = False
        self._signals, wake = socket.socketpair()
        for end in (self._signals, wake):
            end.setblocking(False)
        self._wake = wake  # held open as long as signals may come
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, _noted)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)

    def run(self) -> int:
        """Keep a worker running until somebody ends the daemon; the exit code."""
        if self.adopted:
            self.restarts += 1
        self._start_worker()
        from pimpy.daemon.keeper.opening import Opening  # while the worker imports what it needs

        self.opening = Opening(self)
        try:
            while True:
                self._turn()
        except Ended as end:
            return self._end(end.code)

    def keep(self, name: str, descriptor: int) -> None:
        """Keep a descriptor, here and at the service manager, in place of another one of that name."""
        self.drop(name)
        self.kept[name] = descriptor
        self.manager.store(name, descriptor)

    def drop(self, name: str) -> None:
        """Keep a descriptor no longer."""
        if name in self.kept:
            self.manager.forget(name)
            os.close(self.kept.pop(name))

    def make_room(self, name: str) -> None:
        """Have a socket that owns a table hold much; what is none is passed over."""
        from pimpy.kernel.sockets import OWNER, enlarge

        if name.startswith(OWNER) and name in self.kept:
            with socket.socket(fileno=os.dup(self.kept[name])) as owner:
                enlarge(owner)

    def pause(self, seconds: float) -> None:
        """Wait so long at most, and see to signals."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        if poll.poll(seconds * 1000 + 1):
            self._take_signals()
        if self.worker is not None:
            self.worker.heard = time.monotonic()

    def guard(self, text: str) -> None:
        """Have an nftables table let in Registers of `SOURCES|ROUTERS`, ranges with blanks between; or none at all.

        Refused if that cannot be. The ranges are parsed here: the worker is not to write rules of its own.
        """
        from pimpy.kernel import guard

        try:
            if text:
                guard.keep(*guard.read(text), self.asked["table"])
            elif self.guarding:
                guard.remove(self.asked["table"])
        except (OSError, ValueError) as problem:
            raise Refused(str(problem)) from None
        self.guarding = bool(text)

    def lead(self, text: str) -> None:
        """`FAMILY:TABLE NAME...`: have these interfaces use that table, which is one of ours; Refused if it is not."""
        from pimpy.daemon.keeper.answers import further_tables
        from pimpy.kernel import rules

        place, *names = text.split()
        found = further_tables(place)
        if not found or self.opening is None or found[0] not in self.opening.tables:
            raise Refused(f"{place} is no table of ours")
        rules.set_rules(*found[0], {name for name in names if len(name.encode()) <= 15})
        self.led.add(found[0])

    # The loop.

    def _turn(self) -> None:
        """Wait for something to happen, and see to it."""
        timeout = max(0.0, self._next_deadline() - time.monotonic())
        waited = time.monotonic()
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        if self.worker is not None:
            poll.register(self.worker.line, select.POLLIN)
        happened = {fd for fd, _ in poll.poll(min(timeout, 3600.0) * 1000 + 1)}
        if self.worker is not None and time.monotonic() - waited > timeout + 1.0:
            self.worker.heard = time.monotonic()  # it was us who did not run
        if self.worker is not None and self.worker.line.fileno() in happened:
            self._listen(self.worker)
        if self._signals.fileno() in happened:
            self._take_signals()
        self._look_after_worker()

    def _next_deadline(self) -> float:
        deadlines = [self.spare.due]
        if self.manager.watchdog is not None:
            deadlines.append(self._next_ping)
        if self._start_at is not None:
            deadlines.append(self._start_at)
        if self.worker is not None:
            deadlines.append(self.worker.heard + (PATIENCE if self.worker.ready else FIRST_PATIENCE))
        return min(deadlines)

    def _look_after_worker(self) -> None:
        now = time.monotonic()
        if self.manager.watchdog is not None and now >= self._next_ping:
            self._next_ping = now + self.manager.watchdog
            self.manager.tell("WATCHDOG=1")
        if self._start_at is not None and now >= self._start_at:
            self._start_worker()
        self.spare.start_if_due()
        worker = self.worker
        if worker is not None and now - worker.heard >= (PATIENCE if worker.ready else FIRST_PATIENCE):
            worker.hung = True
            worker.signal(signal.SIGKILL)
            worker.heard = now

    def _take_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._signals.recv(4096):
                self._signal(number)

    def _signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            if self.worker is not None and self.worker.ready:
                self.worker.signal(signal.SIGHUP)
        elif number == signal.SIGUSR1 and self.asked.get("dump"):
            self.scripts.dump(self.asked["socket_path"], self.asked["dump"])
        elif number == signal.SIGTERM and self.manager.keeps:
            self._leave()
            raise Ended(0)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._let_worker_end()
            raise Ended(0)

    # The worker's life.

    def _start_worker(self) -> None:
        self._start_at = None
        self.worker = worker = self.spare.take() or start()
        worker.begin()
        self.files.begin()
        with contextlib.suppress(OSError):  # it has ended already, which is seen like any other end
            channel.send(worker.line, "hello", repr({**self.asked, "keeper": os.getpid()}))

    def _listen(self, worker: Worker) -> None:
        """Answer what the worker said."""
        from pimpy.daemon.keeper.answers import answer

        try:
            message = channel.receive(worker.line)
        except OSError:
            message = None
        if message is None:
            self._reap(wait=True)
            return
        worker.heard = time.monotonic()
        answer(self, worker, message)

    def ready(self, worker: Worker) -> None:
        """The worker serves: tell whoever waits for that."""
        worker.ready = True
        self.files.accept()
        self.spare.want()
        if not self.was_ready:
            self.was_ready = True
            with contextlib.suppress(OSError):
                background.write_pidfile(self.asked["pidfile_path"])
            background.ready()
            self.manager.tell("READY=1")

    def _reap(self, wait: bool = False) -> None:
        """The worker ended, or closed its line, which it does not do while it lives."""
        self.scripts.reap()
        self.spare.reap()
        worker = self.worker
        if worker is None:
            return
        deadline = time.monotonic() + (LEAVING if wait else 0.0)
        while (found := os.waitpid(worker.pid, os.WNOHANG))[0] == 0:
            if not wait:
                return
            if time.monotonic() > deadline:
                worker.signal(signal.SIGKILL)
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(found[1])
        self._read_last_words(worker)
        worker.line.close()
        self.worker = None
        self._worker_ended(worker, code)

    def _read_last_words(self, worker: Worker) -> None:
        """What it still said: `ending`, or descriptors that it would have us keep."""
        from pimpy.daemon.keeper.answers import take

        worker.line.setblocking(False)
        with contextlib.suppress(OSError):
            while (message := channel.receive(worker.line)) is not None:
                take(self, worker, message)

    def _worker_ended(self, worker: Worker, code: int) -> None:
        if worker.ending:
            raise Ended(0 if code == 0 else EXIT_FAILED)
        if self._program is not None:
            self._execute()
        if self._again:
            raise Ended(EXIT_AGAIN)
        if not self.was_ready and not self.adopted:
            if code < 0:
                print(f"pimpyd: it was ended by {_signal_name(-code)} before it was ready", file=sys.stderr)
            raise Ended(code if code > 0 else EXIT_FAILED)
        now = time.monotonic()
        if worker.ready and now - worker.started >= HEALTHY:
            self.failures = 0
        pause = BACK_OFF[min(self.failures, len(BACK_OFF) - 1)]
        self.failures += 1
        self.restarts += 1
        how = f"by {_signal_name(-code)}" if code < 0 else f"with exit code {code}"
        why = f"hung for {PATIENCE:.0f} s and was ended" if worker.hung else f"ended {how}"
        lived = f"after {now - worker.started:.1f} s"
        self.remarks.append(("error", "worker_restarted", f"the worker {why} {lived}; restart {self.restarts}"))
        self._start_at = now + pause

    # Starting again as another program.

    def restart(self, program: str) -> None:
        """Execute `program` (empty: what we were started as) once the worker has left; Refused if not."""
        if self.manager.keeps and not program:
            self._again = True  # the service manager starts what it finds, whatever that is by now
        else:
            self._program = next_program(program)
        if self.worker is not None:
            self.worker.signal(signal.SIGUSR1)

    def _execute(self) -> None:
        assert self._program is not None
        self.spare.end()
        signal.set_wakeup_fd(-1)
        self._signals.close()
        self._wake.close()
        environment = service.hand_over(self.kept)
        environment["PIMPYD_RESTARTS"] = str(self.restarts)
        environment["PIMPYD_BACKGROUND"] = "1"
        os.execve(self._program[0], self._program, environment)

    # The end.

    def _leave(self) -> None:
        """Let the worker leave without a good-bye: the service manager keeps the sockets, and starts us again."""
        self.manager.tell("STOPPING=1")
        self._end_worker(signal.SIGUSR1)

    def _let_worker_end(self) -> None:
        """Let the worker say good-bye and clean up."""
        self.manager.tell("STOPPING=1")
        self._end_worker(signal.SIGUSR2)
        self.forget_all()

    def _end_worker(self, number: int) -> None:
        worker, self.worker = self.worker, None
        if worker is None:
            return
        worker.signal(number)
        deadline = time.monotonic() + LEAVING
        while os.waitpid(worker.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                worker.signal(signal.SIGKILL)
                os.waitpid(worker.pid, 0)
                return
            with contextlib.suppress(OSError):
                poll = select.poll()
                poll.register(self._signals, select.POLLIN)
                poll.poll(20)
                self._signals.recv(4096)

    def forget_all(self) -> None:
        """Close what is kept, here and at the service manager: the kernel empties its tables."""
        for name, descriptor in self.kept.items():
            self.manager.forget(name)
            os.close(descriptor)
        self.kept.clear()
        for family, table in self.led:
            with contextlib.suppress(Refused, OSError):
                self.lead(f"{family}:{table}")
        with contextlib.suppress(Refused):
            self.guard("")

    def _end(self, code: int) -> int:
        self.spare.end()
        if self.worker is not None:
            self.worker.ending = True
            self._end_worker(signal.SIGUSR2)
        if not self.manager.keeps or code not in (0, EXIT_AGAIN) or not self.kept:
            self.forget_all()
            if self.opening is not None:
                self.opening.remove_files()
        background.remove_pidfile(self.asked["pidfile_path"])
        return code


def _noted(number: int, frame: object) -> None:
    """A signal is seen by way of the wake-up descriptor."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
