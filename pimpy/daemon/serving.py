"""One table of the kernel being served: opened, taken over, read and left, be it a family's main table or a further."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from pimpy.config.model import Config
from pimpy.core.engine.effects import Notice
from pimpy.core.engine.events import Configured, Event, Shutdown
from pimpy.core.router import Router
from pimpy.core.traffic import Meter
from pimpy.daemon import logs
from pimpy.daemon.driver import Driver
from pimpy.daemon.keeping import Given, Keeping
from pimpy.daemon.monitor import Monitor
from pimpy.daemon.reading import Reading
from pimpy.kernel.adapter import Adapter
from pimpy.kernel.netlink import Netlink
from pimpy.kernel.sockets import EXIT_FAILED, Memberships, kept_sockets, place
from pimpy.wire.family import Family
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.daemon.recorder import Recorder

log = logging.getLogger("pimpy")


@define
class Served:
    """A table with its router, what reads it and what turns it."""

    family: Family
    table: int
    adapter: Adapter
    driver: Driver
    recorder: Recorder | None
    meter: Meter = field(factory=Meter)
    led: set[str] = field(factory=set)
    """Of a further table: the interfaces that the kernel leads there."""
    heard: Callable[[Sequence[Event]], None] | None = None
    """Told of what was read, once it is handled."""
    reading: Reading = field(init=False)

    def __post_init__(self) -> None:
        adapter, driver = self.adapter, self.driver
        self.reading = Reading(adapter.datagrams(), adapter.receive, lambda: driver.portion, self._feed, driver.now)
        adapter.moved = self.reading.instead

    @property
    def router(self) -> Router:
        """Its core."""
        return self.driver.router

    def start(self, config: Config, *, adopts: bool) -> None:
        """Take over what an earlier worker left, if it `adopts`, follow `config`, and read from now on."""
        began = time.monotonic()
        adopted = self.adapter.adopt() if adopts else []
        self.driver.feed([Configured(config), *adopted, *self.adapter.start()])
        self.driver.catch_up()
        self.adapter.begin()
        if adopted:
            took = (time.monotonic() - began) * 1000
            text = "%s: %d entries of an earlier worker taken over in %.0f ms"
            log.info(text, self.family.name, self.router.health.adopted, took, extra={"reason": "taken_over"})
        self.reading.start()
        for fd in self._notices():
            asyncio.get_running_loop().add_reader(fd, self._noticed, fd)

    def _notices(self) -> list[int]:
        """The descriptors that tell of this host: what they say is never left to wait."""
        return [fd for fd in self.adapter.filenos() if fd not in self.reading.datagrams]

    def _noticed(self, fd: int) -> None:
        if events := self.adapter.receive(fd, self.driver.portion):
            self._feed(events)

    def _feed(self, events: Sequence[Event]) -> None:
        self.driver.feed(events)
        if self.heard is not None:
            self.heard(events)

    def look(self) -> None:
        """See how fast streams flow; OSError if the kernel does not tell."""
        self.meter.look(self.adapter.counters(), self.driver.now())

    def stop(self) -> None:
        """Say good-bye, and leave the table as it was."""
        self._record_state()
        self.driver.feed([Shutdown()])
        self.driver.close()
        self.reading.stop()
        for fd in self._notices():
            asyncio.get_running_loop().remove_reader(fd)
        self._record_state()
        self.adapter.close()

    def _record_state(self) -> None:
        if self.recorder is not None:
            self.recorder.state(self.router)


def serve(
    family: Family,
    table: int,
    given: Given,
    keeping: Keeping,
    monitor: Monitor,
    notice: Callable[[Notice], None],
    recorder: Recorder | None,
) -> Served:
    """A router for a table whose sockets the keeper gave; `start` is to come."""
    sockets = kept_sockets(family, table, given.kept)
    assert sockets is not None, "the keeper names the tables whose sockets it gave"
    seed = int.from_bytes(os.urandom(8), "big")
    router = Router(family, Random(seed))
    notices = socket.socket(fileno=given.kept[f"notices{place(family.name, table)}"])
    memberships = Memberships(family, table, given.kept, keeping.keep, keeping.drop)
    errors = given.kept.get(f"errors{place(family.name, table)}")  # PIM routes by the main table alone
    heard = None if errors is None else socket.socket(fileno=errors)
    adapter = Adapter(family, sockets, Netlink(family, notices=notices), memberships, heard, paused=True)
    adapter.make_room = keeping.make_room
    driver = Driver(router, adapter, notice, recorder, watch=monitor.effects)
    driver.broken = _end_as_a_crash
    monitor.routers.append(router)
    if recorder is not None:
        recorder.begins(router, seed)
    return Served(family, table, adapter, driver, recorder)


def _end_as_a_crash() -> None:
    """The core is not what it should be any more: the keeper starts another worker, and nothing is said or removed."""
    logs.close()
    os._exit(EXIT_FAILED)
