"""The process that does the work: it gets its sockets from the keeper, gives up all rights, and routes."""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

from pimpy.daemon import memory


def main(line: int, spare: bool = False) -> NoReturn:
    """Work for the keeper at the other end of the socket `line`, once it says so. Never returns.

    A spare process may have long to wait: it imports what a worker would import later.
    """
    memory.pause_collector()
    from pimpy.kernel import _mroute

    _mroute.set_name("pimpyd-spare" if spare else "pimpyd-worker")
    _import_asyncio()
    from pimpy.daemon import app, later, logs
    from pimpy.daemon.keeper.privileges import be_taken_first
    from pimpy.daemon.keeping import Keeping
    from pimpy.daemon.options import Options
    from pimpy.wire.record import fields, prepare

    code = 1
    try:
        keeping = Keeping(socket.socket(fileno=line))
        if spare:
            be_taken_first()
            later.import_all()
            prepare()
        asked = keeping.hello()
        _mroute.set_name("pimpyd-worker")
        known = {attribute.name for attribute in fields(Options)}
        options = Options(**{name: value for name, value in asked.items() if name in known})
        code = app.run(options, keeping, asked["keeper"])
    except Exception:
        sys.excepthook(*sys.exc_info())
    logs.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _import_asyncio() -> None:
    """The event loop without TLS, which nobody here speaks: the library behind it takes 10 ms to load."""
    sys.modules["ssl"] = None  # type: ignore[assignment]
    import asyncio  # noqa: F401

    del sys.modules["ssl"]
