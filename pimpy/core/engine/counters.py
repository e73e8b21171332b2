"""Counters: plain ints, keyed by what the metrics' labels need."""

from __future__ import annotations

CounterKey = tuple[str, str, str, str, str]
"""(interface name, protocol, `rx` or `tx`, message type, reason); the reason is empty for what was taken or sent."""


class Counters:
    """What was received, sent and refused. Only ever grows, and only by names that this program chose."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[CounterKey, int] = {}

    def add(self, interface: str, protocol: str, direction: str, kind: str, reason: str = "", amount: int = 1) -> None:
        """Count one message (or `amount` entries of one)."""
        key = (interface, protocol, direction, kind, reason)
        self.values[key] = self.values.get(key, 0) + amount

    def count(self, key: CounterKey) -> None:
        """Count one, by a key that stands ready."""
        self.values[key] = self.values.get(key, 0) + 1

    def total(self, protocol: str, direction: str, kind: str, reason: str = "") -> int:
        """The sum over all interfaces."""
        return sum(
            value for (_, *labels), value in self.values.items() if labels == [protocol, direction, kind, reason]
        )
