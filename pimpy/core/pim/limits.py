"""How much of something a second is taken, each one's share apart from all others' (RFC 5059 6.5; Y2, Y4)."""

from __future__ import annotations

from typing import Generic, TypeVar

from pimpy.wire.record import define, field

Key = TypeVar("Key")

MAX_SHARES = 1024
"""Who is told apart; all others have one share together."""


@define
class Bucket:
    """A token bucket: `rate` things a second, as many at once after a second's rest. Times in seconds."""

    rate: float
    tokens: float
    since: float

    def take(self, now: float) -> bool:
        """Whether one more is within the rate; if so it is counted."""
        self._fill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def full(self, now: float) -> bool:
        """Whether nothing was taken lately: a new one would serve as well."""
        self._fill(now)
        return self.tokens >= self.rate

    def _fill(self, now: float) -> None:
        self.tokens = min(self.rate, self.tokens + (now - self.since) * self.rate)
        self.since = now


@define
class Shares(Generic[Key]):
    """A bucket for each of those who ask, made when it is needed; `rate` 0 means without limit."""

    rate: float
    _shares: dict[Key | None, Bucket] = field(factory=dict)

    def take(self, key: Key | None, now: float) -> bool:
        """Whether one more of `key` is within the rate; None for those who are not told apart."""
        if not self.rate:
            return True
        bucket = self._shares.get(key)
        if bucket is None:
            if len(self._shares) >= MAX_SHARES:
                self._forget_idle(now)
            if len(self._shares) >= MAX_SHARES and key is not None:
                return self.take(None, now)
            bucket = self._shares[key] = Bucket(self.rate, self.rate, now)
        return bucket.take(now)

    def set_rate(self, rate: float) -> None:
        """Another rate from now on; everybody begins anew."""
        if rate != self.rate:
            self.rate = rate
            self._shares.clear()

    def _forget_idle(self, now: float) -> None:
        self._shares = {key: bucket for key, bucket in self._shares.items() if not bucket.full(now)}
