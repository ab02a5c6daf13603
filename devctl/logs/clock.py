"""Wall-clock stamps that only grow, so that files stay sorted and readers may search and merge them."""

from __future__ import annotations

import time
from collections.abc import Callable

# One day: a file that ends further ahead was stamped by a clock that was plainly wrong, or holds a foreign line. Believing it
# would drag every later line of the stack with it.
BELIEVABLE_LEAD = 86_400 * 10**9


class Clock:
    """Nanoseconds since the epoch, strictly increasing.

    While the wall clock is behind what was given out before (it was set back), time goes on from there at the pace of the
    monotonic clock, until the wall clock has caught up.

    Args:
        wall: gives nanoseconds since the epoch.
        monotonic: gives nanoseconds that never go back.
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last = 0
        self._last_at = monotonic()

    def now(self) -> int:
        """The next stamp, at least 1 ns after the one before."""
        at = self._monotonic()
        stamp = max(self._wall(), self._last + max(1, at - self._last_at))
        self._last, self._last_at = stamp, at
        return stamp

    def continue_after(self, stamp: int) -> None:
        """Makes later stamps greater than `stamp`, the last one of a file that will be continued."""
        if self._last < stamp <= self._wall() + BELIEVABLE_LEAD:
            self._last, self._last_at = stamp, self._monotonic()


STACK_CLOCK = Clock()
"""One clock for all files of a stack: with one each, a jump would put services out of order among themselves."""
