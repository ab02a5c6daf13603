"""A store of answers: bytes under a key, for a time."""

from __future__ import annotations

import re
from typing import Any, Protocol

PATTERN = re.compile(r"[A-Za-z0-9_.:*?-]{1,100}")
"""What an invalidation may name: `*` for anything, `?` for one character. The same to Redis and to `fnmatch`."""

MAX_VALUE = 512 * 1024
"""Bytes of a kept answer; longer ones are not kept."""


class Store(Protocol):
    """Where answers are kept. What ran out is as good as absent."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""

    async def set(self, key: str, value: bytes, time_to_live: float) -> None:
        """Keep a value for so many seconds."""

    async def invalidate(self, pattern: str) -> int:
        """Forget what is kept under keys that fit `pattern` (see PATTERN) and return how many those were."""

    async def stats(self) -> dict[str, Any]:
        """`entries`, and what else it knows of itself."""
