"""How often something may be tried: a leaking bucket for each name or address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from stack.common.errors import ApiError

# About 1 MB. Beyond it the bucket that was used longest ago is forgotten.
_MAX_KEYS = 10_000


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Attempts:
    """Lets through `limit` tries at once, and as many again in `seconds`.

    Args:
        limit: at least 1.
        seconds: in which a full bucket runs empty.
        max_keys: buckets held at most.
        clock: seconds, never going back.
    """

    def __init__(self, limit: int, seconds: float, max_keys: int = _MAX_KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._rate = limit / seconds
        self._max_keys = max_keys
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> None:
        """Count a try before it is made: many at once get no more of them.

        Raises:
            ApiError: 429 with Retry-After in seconds.
        """
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(0.0, now))
        self._buckets.move_to_end(key)
        bucket.level = max(0.0, bucket.level - (now - bucket.at) * self._rate)
        bucket.at = now
        over = bucket.level + 1 - self._limit
        # A try that is refused is not counted: whoever waits as long as told is let through.
        if over > 0:
            wait = math.ceil(over / self._rate)
            raise ApiError(429, "too_many_attempts", f"Too many attempts; try again in {wait} s.", {"Retry-After": str(wait)})
        bucket.level += 1
        while len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)

    def give_back(self, key: str) -> None:
        """A try was none to be counted: it succeeded."""
        if (bucket := self._buckets.get(key)) is not None:
            bucket.level = max(0.0, bucket.level - 1)
