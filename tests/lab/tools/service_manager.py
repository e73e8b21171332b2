"""A stand-in for systemd: starts a service, keeps descriptors for it (FDSTORE), starts it again when it ends.

usage: service_manager.py FOLDER WORDS...          words on standard input: restart, stop

It speaks sd_notify and LISTEN_FDS as systemd 252 does. What the service wrote stands in its own log; this program says
a line for each `READY=1`. When it is told to stop, it ends the service with SIGTERM, runs `WORDS[0] --good-bye` as
ExecStopPost does, and only then closes what it kept.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
import time

RESTART_SECONDS = 0.1


class Manager:
    def __init__(self, folder: str, words: list[str]) -> None:
        self.words = words
        self.path = os.path.join(folder, "notify.sock")
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path)
        os.chmod(self.path, 0o666)
        self.kept: list[tuple[str, int]] = []
        self.pid = 0

    def start(self) -> None:
        pid = os.fork()
        if pid:
            self.pid = pid
            return
        environment = {**os.environ, "NOTIFY_SOCKET": self.path, "FDSTORE": "512"}
        moved = [os.dup2(fd, 1000 + index, False) for index, (_, fd) in enumerate(self.kept)]
        for index, fd in enumerate(moved):
            os.dup2(fd, 3 + index, True)
        environment |= {
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDS": str(len(self.kept)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in self.kept),
        }
        os.execve(self.words[0], self.words, environment)

    def hear(self) -> None:
        data, ancillary, _, _ = self.notify.recvmsg(4096, 4096)
        fds = array.array("i")
        for level, kind, body in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(body[: len(body) // fds.itemsize * fds.itemsize])
        said = dict(line.partition("=")[::2] for line in data.decode().splitlines())
        name = said.get("FDNAME", "stored")
        if said.get("FDSTORE") == "1":
            self.kept += [(name, fd) for fd in fds]
        elif "FDSTOREREMOVE" in said:
            for _, fd in [pair for pair in self.kept if pair[0] == name]:
                os.close(fd)
            self.kept = [pair for pair in self.kept if pair[0] != name]
        if "READY" in said:
            print("ready", self.pid, flush=True)

    def hear_all(self) -> None:
        while select.select([self.notify], [], [], 0)[0]:
            self.hear()

    def end(self) -> None:
        """SIGTERM to all processes of the service, as a manager does by default."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
        for pid in (*children, self.pid):
            os.kill(pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        self.hear_all()

    def stop(self) -> None:
        self.end()
        os.spawnv(os.P_WAIT, self.words[0], [self.words[0], "--good-bye", *self.words[1:]])
        for _, fd in self.kept:
            os.close(fd)

    def run(self) -> None:
        self.start()
        while True:
            readable, _, _ = select.select([self.notify, sys.stdin], [], [], 0.02)
            if self.notify in readable:
                self.hear()
            if sys.stdin in readable:
                word = sys.stdin.readline().strip()
                if word == "restart":
                    self.end()
                    self.start()
                else:
                    self.stop()
                    return
            elif os.waitpid(self.pid, os.WNOHANG)[0]:
                self.hear_all()
                time.sleep(RESTART_SECONDS)
                self.start()


if __name__ == "__main__":
    Manager(sys.argv[1], sys.argv[2:]).run()
