"""When to ask next: pure arithmetic on a monotonic clock that the caller reads.

Before the first success the gap between two probes is a fixed share of the time already waited: 2 %, from 2 ms up to 100 ms. A
service that takes 200 ms is found within 4 ms, one that takes 2 s within 40 ms, and none is found later than 100 ms after it
could answer. Since the gap grows with the wait, a minute of waiting costs about 800 probes. A cheap signal (the service wrote
something) brings the gap back down to a tenth of that for a while, as it often comes just before or after the port opens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SHORTEST_GAP = 0.002  # seconds: below this the event loop's own latency is most of it
LONGEST_GAP = 0.1  # seconds: promised in docs/guide.md
SHARE = 0.02  # gap ÷ time waited
NUDGED_SHARE = 0.002  # the same right after a signal; 1/10, so that a chatty service cannot make us ask more than that
SHARE_AFTER_NUDGE = 0.1  # gap ÷ time since the signal: how fast its effect wears off
CROWD_GAP = 0.0005  # seconds of gap for each service that is starting: at most 2000 probes a second for up to 200 of them

# Waking up costs as much as a probe: services asked together cost 0.2 ms each, one by one 0.5 to 0.7 ms.
SLOT = 0.5  # seconds: half of the default interval


@dataclass(slots=True)
class StartCadence:
    """The rhythm before the first success.

    Args:
        started: when the first probe was due; the same clock as every other time here, in seconds.
        fixed: seconds from the start of one probe to the start of the next (`start_interval`); None adapts.
        busy_share: gap ÷ duration of the last probe, at least. 1 leaves a slow server half of its time to itself; commands get 2.
        ceiling: the longest gap in seconds that a slow probe can bring about.
    """

    started: float
    fixed: float | None = None
    busy_share: float = 1.0
    ceiling: float = LONGEST_GAP
    nudged: float = float("-inf")

    def nudge(self, now: float) -> None:
        """Something happened that may mean the service is ready."""
        self.nudged = now

    def after(self, began: float, ended: float, now: float, crowd: int = 1) -> float:
        """When the next probe is due.

        Args:
            began, ended: the last probe's times.
            now: the present; at or after `ended`.
            crowd: how many services are starting, this one included.
        """
        if self.fixed is not None:
            return max(began + self.fixed, ended)
        waited = ended - self.started
        floor = max(SHORTEST_GAP, NUDGED_SHARE * waited)
        gap = min(max(floor, SHARE * waited), max(floor, SHARE_AFTER_NUDGE * (now - self.nudged)))
        gap = min(max(gap, CROWD_GAP * crowd), LONGEST_GAP)
        return ended + max(gap, min(self.busy_share * (ended - began), self.ceiling))


def next_on_grid(scheduled: float, interval: float, now: float) -> float:
    """The next time after `now` on the grid `scheduled` + n * `interval`, n ≥ 1.

    The schedule does not drift with the length of probes. Slots that passed meanwhile (a slow probe, a stopped process) are
    skipped, not made up for.
    """
    due = scheduled + interval
    if due > now:
        return due
    missed = (now - scheduled) // interval
    return max(scheduled + (missed + 1) * interval, now)


def together(due: float, interval: float) -> float:
    """`due` put off to the next slot that all services of this process share, unless `interval` is shorter than two of them."""
    return math.ceil(due / SLOT) * SLOT if interval >= 2 * SLOT else due
