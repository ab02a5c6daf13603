"""A circuit breaker: a provider that keeps failing is left alone for a while, then tried with one request.

closed → (failures in a row) → open → (rest) → half open: one request is let through → closed when it succeeds, open again when
it fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]

# Three attempts of one request and two of the next: not one unlucky request alone.
_FAILURES = 5

# Seconds. Long enough that an overloaded provider feels it, short enough that its return is soon noticed.
_REST = 30.0


class Breaker:
    """Counts a provider's failures.

    Args:
        failures: in a row, that open it.
        rest: seconds that it stays open.
        clock: seconds, never going back.
    """

    def __init__(self, failures: int = _FAILURES, rest: float = _REST, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = failures
        self._rest = rest
        self._clock = clock
        self._opens_again = 0.0
        self._broken = False
        self._probe: Attempt | None = None
        self.failures = 0
        """In a row, up to now."""

    @property
    def state(self) -> State:
        if not self._broken:
            return "closed"
        return "half_open" if self._probe or self._clock() >= self._opens_again else "open"

    def attempt(self) -> Attempt | None:
        """Leave to send a request now, or None. What came of it must be told to the attempt. Half open, there is one at a time."""
        if not self._broken:
            return Attempt(self)
        if self._probe is not None or self._clock() < self._opens_again:
            return None
        self._probe = Attempt(self)
        return self._probe

    def _ended(self, attempt: Attempt) -> None:
        if attempt is self._probe:
            self._probe = None

    def _succeeded(self) -> None:
        self.failures = 0
        self._broken = False

    def _failed(self, rest: float | None) -> None:
        self.failures += 1
        if rest is not None or self._broken or self.failures >= self._threshold:
            self._broken = True
            self._opens_again = max(self._opens_again, self._clock() + (self._rest if rest is None else rest))


class Attempt:
    """Leave for one request; one of its methods is to be called, once."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def succeeded(self) -> None:
        """The request was answered."""
        self._breaker._ended(self)
        self._breaker._succeeded()

    def failed(self, rest: float | None = None) -> None:
        """The request failed.

        Args:
            rest: seconds that the provider itself asked for; the breaker opens at once for that long.
        """
        self._breaker._ended(self)
        self._breaker._failed(rest)

    def abandoned(self) -> None:
        """Whoever asked gave up, or the request itself was at fault: it says nothing about the provider."""
        self._breaker._ended(self)
