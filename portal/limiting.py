"""Rate limits, counted in this process: signing in by account and by address, links by address, API by token."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from portal.config import LimitsSection
from portal.errors import ConfigError, TooMany


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the tightest limit, for the headers RateLimit and RateLimit-Policy."""

    name: str
    limit: int
    window_s: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """Return the two headers of the IETF's draft, in structured fields."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={self.window_s}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset_s}',
        }


class Limiter:
    """Counts hits; several windows of one name make the longer waits of somebody who goes on."""

    def __init__(self, settings: LimitsSection, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970; the storage counts by the machine's own."""
        self._clock = clock
        self._rules: dict[str, list[RateLimitItem]] = {}
        for name in ("login_per_account", "login_per_address", "link_per_address", "token"):
            try:
                self._rules[name] = parse_many(getattr(settings, name))
            except ValueError as error:
                raise ConfigError([f"limits.{name}: expected such as 5/minute; 30/hour: {error}"]) from error
        self._storage = MemoryStorage()
        self._strategy = MovingWindowRateLimiter(self._storage)

    def hit(self, name: str, who: str) -> Allowance:
        """Count one, or raise TooMany if a window is full; then nothing is counted."""
        rules = self._rules[name]
        self.check(name, who)
        for rule in rules:
            self._strategy.hit(rule, name, who)
        return min((self._allowance(rule, name, who) for rule in rules), key=lambda each: each.remaining)

    def check(self, name: str, who: str) -> None:
        """Raise TooMany if a window is full, without counting."""
        full = [rule for rule in self._rules[name] if not self._strategy.test(rule, name, who)]
        if full:
            raise TooMany(max(self._allowance(rule, name, who).reset_s for rule in full))

    def forget(self, name: str, who: str) -> None:
        """Begin anew with somebody: he signed in."""
        for rule in self._rules[name]:
            self._strategy.clear(rule, name, who)

    def close(self) -> None:
        """End the storage's own thread."""
        self._storage.reset()

    def _allowance(self, rule: RateLimitItem, name: str, who: str) -> Allowance:
        stats = self._strategy.get_window_stats(rule, name, who)
        return Allowance(
            name=name.replace("_", "-"),
            limit=rule.amount,
            window_s=rule.get_expiry(),
            remaining=stats.remaining,
            reset_s=max(1, int(stats.reset_time - self._clock()) + 1),
        )
