"""The user's regular expressions on a service's text, bounded in length and in time.

A bound on the text is not enough: `(a+)+$` needs hours for 40 characters. CPython's matcher looks for signals while it works, so
a timer of the process's own CPU time can end it (Modules/_sre: MAYBE_CHECK_SIGNALS). That works in the main thread, where the
supervisor's event loop runs; elsewhere only the text is bounded.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType

MATCH_BUDGET = 0.1  # seconds of CPU for one call: the longest that the event loop may stand still for somebody's pattern
STRIKES = 3  # calls over the budget after which a pattern is given up: 0.3 s of standing still in its whole life


class PatternTooSlow(Exception):
    """The pattern needs too long for this text, or did so too often before."""


class _OutOfTime(BaseException):
    """Raised by the timer inside the matcher."""


class Pattern:
    """A compiled pattern with its budget.

    Args:
        source: Python `re` syntax. Raises re.error when it is none.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._search = re.compile(source).search
        self._strikes = 0

    @property
    def given_up(self) -> bool:
        """It ran out of time so often that it is not tried any more."""
        return self._strikes >= STRIKES

    def found(self, texts: Iterable[str]) -> bool:
        """Whether one of `texts` holds a match.

        Raises:
            PatternTooSlow: after MATCH_BUDGET seconds of CPU for all of them, and at once when the pattern is given up.
        """
        if self.given_up:
            raise PatternTooSlow
        try:
            return _within_budget(lambda: any(map(self._search, texts)))
        except _OutOfTime:
            self._strikes += 1
            raise PatternTooSlow from None

    def complaint(self) -> str:
        """What to tell the user after PatternTooSlow."""
        return f"the pattern {self.source!r} backtracks for over {MATCH_BUDGET * 1000:.0f} ms on this text; make it simpler"


class _Alarm:
    """The handler of SIGVTALRM, and whether a matcher is to be interrupted.

    It is never taken away again: a signal that arrives late, over another thread, would then end the process.
    """

    def __init__(self) -> None:
        self.armed = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.armed:
            self.armed = False
            raise _OutOfTime


_alarm = _Alarm()


def _within_budget(search: Callable[[], bool]) -> bool:
    if threading.current_thread() is not threading.main_thread():
        return search()
    if signal.getsignal(signal.SIGVTALRM) is not _alarm:
        signal.signal(signal.SIGVTALRM, _alarm)
    try:
        _alarm.armed = True
        # The process's own CPU time, as real time would count what others take. SIGALRM and SIGPROF have other users.
        signal.setitimer(signal.ITIMER_VIRTUAL, MATCH_BUDGET)
        return search()
    finally:
        _alarm.armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
