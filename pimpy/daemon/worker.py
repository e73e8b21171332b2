"""The process that does the work: it gets its sockets from the keeper, gives up all rights, and routes."""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

from pimpy.daemon import memory


def main(line: int) -> NoReturn:
    """Work for the keeper at the other end of the socket `line`. Never returns."""
    memory.pause_collector()
    _import_asyncio()
    from attrs import fields

    from pimpy.daemon import app, logs
    from pimpy.daemon.keeping import Keeping
    from pimpy.daemon.options import Options
    from pimpy.kernel import _mroute

    code = 1
    try:
        _mroute.set_name("pimpyd-worker")
        keeping = Keeping(socket.socket(fileno=line))
        asked = keeping.hello()
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
