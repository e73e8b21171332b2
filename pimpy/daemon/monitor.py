"""`pimctl monitor`: what happens, as it happens, to everybody who watches.

The core tells of changes of its state only while somebody listens. A listener that does not keep up loses events,
and is told how many; nothing waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pimpy.core.engine.effects import DelMfc, Effect, Notice, SetMfc
from pimpy.core.interface import REGISTER_MASK
from pimpy.core.router import Router
from pimpy.wire.family import Address, format_address
from pimpy.wire.record import define, field

if TYPE_CHECKING:
    from pimpy.daemon.rows import EventRow

CAPACITY = 10_000
"""Events that one listener may be behind."""
BATCH = 500
"""Events that are written at once."""

EVENTS = {
    "joined": "an entry is wanted: Joins go to `address` on `interface` as soon as one is known",
    "rpf_changed": "Joins of an entry go to `address` on `interface` from now on, or to nobody",
    "left": "an entry is not wanted any more",
    "join_received": "a router on `interface` joined",
    "join_ended": "the last router on `interface` that had joined pruned, or fell silent",
    "member_joined": "a host on `interface` asks for it",
    "member_left": "no host on `interface` asks for it any more",
    "register_started": "the source's data goes to the RP `address` in Registers",
    "register_stopped": "the RP `address` has told that it needs no Registers",
    "register_ended": "this router has nothing to register any more",
    "rp_changed": "the group's RP is `address` now, or none",
    "forwarding": "the kernel's entry changed: see `text`",
    "not_forwarding": "the kernel's entry went",
    "lost": "this listener was too slow; `text` tells how many events it lost",
}
"""The words of `event` beside the reason words of the log (neighbor_up, dr_change, ...), and what they mean."""


@define
class Listener:
    """One who watches."""

    queue: deque[EventRow] = field(init=False, factory=deque)
    lost: int = field(init=False, default=0)
    _news: asyncio.Event = field(init=False, factory=asyncio.Event)

    def put(self, row: EventRow) -> None:
        """Here is an event."""
        if len(self.queue) >= CAPACITY:
            self.lost += 1
        else:
            self.queue.append(row)
        self._news.set()

    async def take(self) -> list[EventRow]:
        """The next events, as soon as there are any."""
        await self._news.wait()
        rows = [self.queue.popleft() for _ in range(min(BATCH, len(self.queue)))]
        if not self.queue:
            self._news.clear()
            if self.lost:
                rows.append(_event(None, "lost", text=f"{self.lost} events"))
                self.lost = 0
        return rows


@define
class Monitor:
    """All who watch one daemon."""

    routers: list[Router] = field(init=False, factory=list)
    _listeners: set[Listener] = field(init=False, factory=set)

    def subscribe(self) -> Listener:
        """A new listener; `unsubscribe` ends it."""
        listener = Listener()
        self._listeners.add(listener)
        for router in self.routers:
            router.pim.told = self._told_of(router)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        """It listens no longer."""
        self._listeners.discard(listener)
        if not self._listeners:
            for router in self.routers:
                router.pim.told = None

    def notice(self, family: str, said: Notice) -> None:
        """What the core tells the operator."""
        if not self._listeners:
            return
        name, colon, text = said.text.partition(": ")
        if colon and " " not in name:
            self._put(_event(family, said.reason, interface=name, text=text))
        else:
            self._put(_event(family, said.reason, text=said.text))

    def effects(self, router: Router, effects: Sequence[Effect]) -> None:
        """What the kernel is told about entries."""
        if not self._listeners:
            return
        for effect in effects:
            if isinstance(effect, SetMfc):
                incoming = ", ".join(_names(router, 1 << effect.iif)) or "nowhere"
                outgoing = ", ".join(_names(router, effect.oifs)) or "nowhere"
                self._entry(router, "forwarding", effect.source, effect.group, f"from {incoming} to {outgoing}")
            elif isinstance(effect, DelMfc):
                self._entry(router, "not_forwarding", effect.source, effect.group, None)

    def _entry(self, router: Router, what: str, source: Address, group: Address, text: str | None) -> None:
        self._put(_event(router.family.name, what, group, source, text=text))

    def _told_of(self, router: Router) -> Callable[[str, Address, Address | None, str | None, Address | None], None]:
        def told(
            what: str, group: Address, source: Address | None, interface: str | None, address: Address | None
        ) -> None:
            self._put(_event(router.family.name, what, group, source, interface, address))

        return told

    def _put(self, row: EventRow) -> None:
        for listener in self._listeners:
            listener.put(row)


def _event(
    family: str | None,
    what: str,
    group: Address | None = None,
    source: Address | None = None,
    interface: str | None = None,
    address: Address | None = None,
    text: str | None = None,
) -> EventRow:
    from pimpy.daemon.rows import EventRow  # nobody watches while the daemon starts

    return EventRow(time.time(), family, what, interface, _text(group), _text(source), _text(address), text)


def _text(address: Address | None) -> str | None:
    return None if address is None else format_address(address)


def _names(router: Router, vifs: int) -> list[str]:
    names = list(router.vifs.names(vifs))
    return ["register", *names] if vifs & REGISTER_MASK and router.pim.register_vif else names
