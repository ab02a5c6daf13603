"""Answers in this process: gone when it ends."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

# An answer has a few kilobytes: some thousands of them. The service as a whole is to stay under 200 MB.
_MAX_BYTES = 16 * 1024 * 1024
_MAX_ENTRIES = 4096

# Bytes that an entry takes beside its value: key, tuple, place in the dictionary.
_OVERHEAD = 300


class MemoryStore:
    """A `Store`. Full, it forgets what was unused for longest.

    Args:
        max_bytes: of values and what holds them.
        max_entries: values.
        clock: seconds, never going back.
    """

    def __init__(
        self, max_bytes: int = _MAX_BYTES, max_entries: int = _MAX_ENTRIES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._clock = clock
        # Ordered by last use. Each with the moment at which it runs out.
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._evicted = 0

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, ends = entry
        if self._clock() >= ends:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, time_to_live: float) -> None:
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (value, self._clock() + time_to_live)
        self._bytes += len(value) + _OVERHEAD
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))
            self._evicted += 1

    async def invalidate(self, pattern: str) -> int:
        self._drop_expired()
        fitting = [key for key in self._entries if fnmatchcase(key, pattern)]
        for key in fitting:
            self._drop(key)
        return len(fitting)

    async def stats(self) -> dict[str, Any]:
        self._drop_expired()
        return {"entries": len(self._entries), "bytes": self._bytes, "evicted": self._evicted}

    def _drop(self, key: str) -> None:
        value, _ = self._entries.pop(key)
        self._bytes -= len(value) + _OVERHEAD

    def _drop_expired(self) -> None:
        # Times to live differ, so the order of use says nothing about who runs out first.
        now = self._clock()
        for key in [key for key, (_, ends) in self._entries.items() if now >= ends]:
            self._drop(key)
