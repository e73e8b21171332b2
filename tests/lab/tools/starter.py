"""Starts the lab's tools: each is a fork of this program, which has imported all that they need.

A Python of its own would take each of them some fifty milliseconds of a processor's time before it does anything, and
a run of the tests starts more than a thousand. The library's side of it is starting.py: it sends one line of JSON and
three descriptors over a Unix socket, whose number is the argument, and gets the number of the process. What ends here
is not waited for until the next one is asked for, so that its number is nobody else's until it is known.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15

sys.path.insert(0, os.path.dirname(__file__))
TOOLS = {name: importlib.import_module(name) for name in ("mcast", "reports", "wave")}
LIBC = ctypes.CDLL(None, use_errno=True)


def serve(requests: socket.socket) -> None:
    """Until nobody can ask any more."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, 4096, 3)
        if not data:
            return
        bury()
        pid = os.fork()
        if not pid:
            requests.close()
            become(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.sendall(b"%d\n" % pid)


def bury() -> None:
    """Lets go of those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """The tool that is asked for, to its end."""
    code = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.setsid()
        LIBC.prctl(PR_SET_NAME, f"lab-{request['tool']}".encode())
        if not request["outlive"]:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        enter(request["namespace"])
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        TOOLS[request["tool"]].main()
        sys.stdout.flush()
        code = 0
    except BrokenPipeError:
        pass  # nobody listens any more
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def enter(namespace: str) -> None:
    with open(f"/run/netns/{namespace}") as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns({namespace})")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
