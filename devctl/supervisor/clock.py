"""Wall-clock times for people and files, which never go back though the clock may."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Times of one run. Durations are monotonic; the wall clock may jump forward (a suspended laptop), never back."""

    def __init__(self) -> None:
        self._last = 0.0
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Seconds since the run began, by the monotonic clock."""
        return time.monotonic() - self._start

    def now(self) -> str:
        """The time as RFC 3339 in UTC with milliseconds."""
        self._last = max(self._last, time.time())
        return rfc3339(self._last)


def rfc3339(epoch: float) -> str:
    """Seconds since the epoch as "2026-11-20T23:50:01.123Z"."""
    # One whole number first: fromtimestamp rounds fractions up, into the next second now and then.
    seconds, milliseconds = divmod(int(epoch * 1000), 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds:03d}Z"
