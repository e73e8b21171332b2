"""Registers that the core need not see: it knows what they say, and asked that they be counted only."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from pimpy.core.engine.effects import QuietRegister
from pimpy.core.engine.events import RegistersRepeated
from pimpy.kernel import _mroute
from pimpy.wire import pim
from pimpy.wire.family import Address, Family
from pimpy.wire.record import frozen

Message = tuple[int, int, Address, Address, int, bool, bytes]
"""(kind, ifindex, source, destination, TTL, router alert, data), as `_mroute.receive` tells it."""

_LENGTH_AT = {4: 10, 16: 12}
"""Where the packet inside has its length: all of it in IPv4, less its header in IPv6."""


@lru_cache(maxsize=1024)
def _header(family: Family, dr: Address, rp: Address) -> bytes:
    """What stands before the packet inside a Register of `dr` to `rp` whose flags are clear."""
    return pim.encode(family, dr, rp, pim.Register(False, False, b""))


@frozen
class Quiet:
    """What a Register that is only counted looks like, until a time on the clock of `QuietRegisters`."""

    dr: Address
    rp: Address
    header: bytes
    until: float


class QuietRegisters:
    """The (S,G) whose Registers say nothing new. As many as the core has (S,G), which makes and forgets them."""

    def __init__(self, family: Family, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._family = family
        self._quiet: dict[bytes, Quiet] = {}
        self._key = pim.inner_channel(family)
        self._version = 4 if family.size == 4 else 6
        self._length = slice(_LENGTH_AT[family.size], _LENGTH_AT[family.size] + 2)
        self._headers = pim.REGISTER_HEADER + (0 if family.size == 4 else family.ip_header)

    def set(self, effect: QuietRegister) -> None:
        """From now on, and for so long."""
        quiet = Quiet(effect.dr, effect.rp, _header(self._family, effect.dr, effect.rp), self._clock() + effect.seconds)
        self._quiet[effect.source + effect.group] = quiet

    def delete(self, source: Address, group: Address) -> None:
        """No longer; nothing if it is so."""
        self._quiet.pop(source + group, None)

    def sift(self, messages: list[Message]) -> tuple[list[Message], list[RegistersRepeated]]:
        """The messages that the core has to see, and how many of the others there are."""
        if not self._quiet:
            return messages, []
        now, heard = self._clock(), []
        counts: dict[tuple[int, Address], int] = {}
        for message in messages:
            if self._is_quiet(message, now):
                where = message[1], message[3]
                counts[where] = counts.get(where, 0) + 1
            else:
                heard.append(message)
        return heard, [RegistersRepeated(*where, count) for where, count in counts.items()]

    def _is_quiet(self, message: Message, now: float) -> bool:
        kind, _, source, destination, _, _, data = message
        quiet = self._quiet.get(data[self._key])
        if quiet is None or kind != _mroute.PIM or now >= quiet.until:
            return False
        if not data.startswith(quiet.header) or (source, destination) != (quiet.dr, quiet.rp):
            return False
        sound = int.from_bytes(data[self._length], "big") + self._headers == len(data)
        return sound and data[pim.REGISTER_HEADER] >> 4 == self._version
