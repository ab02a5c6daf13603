"""Garbage collection that does not get between a key and its effect.

A hundred thousand log lines are as many objects; a full collection looks at each of them, which takes a third of a second, and with
lines coming and going Python would begin one every other second. Lines are in no cycles, so they are freed without it. So only the
young generations are collected by themselves, and the old one, which has what Textual leaves in cycles, when nobody waits.
"""

from __future__ import annotations

import gc
import time

# Allocations until the youngest generation is looked at, as in Python; the second follows after so many of those.
YOUNG, SECOND = 2_000, 20
NEVER = 1_000_000
QUIET = 2.0  # seconds without a key
# Seconds between two full collections: what a screen of lines leaves in cycles is some 8 MB a minute under a heavy load.
PERIOD = 30.0
LATEST = 300.0  # seconds after which it is done whoever waits


class Collector:
    """Collects the old generation when the dashboard is idle."""

    def __init__(self) -> None:
        self._used_at = time.monotonic()
        self._collected_at = time.monotonic()

    def begin(self) -> None:
        """Takes over from Python; what is there now stays for ever and is not looked at again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, SECOND, NEVER)

    def used(self) -> None:
        """Somebody has pressed a key."""
        self._used_at = time.monotonic()

    def idle(self) -> None:
        """Called each second: collects when it is time to, and nobody is at the keys."""
        now = time.monotonic()
        since = now - self._collected_at
        if (since > PERIOD and now - self._used_at > QUIET) or since > LATEST:
            gc.collect()
            self._collected_at = time.monotonic()
