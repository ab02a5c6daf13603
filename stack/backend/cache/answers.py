"""The cache of answers: Redis first, this process's memory when Redis is away, and what both were good for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from stack.backend.cache.memory import MemoryStore
from stack.backend.cache.redis_store import RedisStore
from stack.backend.cache.store import MAX_VALUE
from stack.common.log import Log
from stack.common.metrics import CACHE_OPERATIONS
from stack.common.redis_link import RedisGone, RedisLink

log = Log("stack.cache")

# Invalidations remembered for a Redis that is away; with more, everything in it is forgotten.
_MAX_MISSED = 32

# Seconds between two tries at a Redis that is there and refuses, as when its disk is full.
_AGAIN = 1.0


class AnswerCache:
    """A component of the service. It needs nothing and never fails: without Redis it has its memory.

    Args:
        link: the connection to Redis, started before this.
        memory: what to keep answers in as well.
    """

    name = "cache"

    def __init__(self, link: RedisLink, memory: MemoryStore | None = None) -> None:
        self._link = link
        self._memory = memory or MemoryStore()
        self._redis = RedisStore(link)
        self._missed: list[str] = []
        self._catching_up: asyncio.Task[None] | None = None
        self._hits: dict[str, int] = {"redis": 0, "memory": 0}
        self._misses = 0
        self._kept = 0
        self._invalidated = 0
        self._failures = 0
        link.on_change(self._redis_changed)

    async def start(self) -> None:
        """Say which store is in use."""
        log.info("Answers are cached", store=self._store())

    async def stop(self) -> None:
        """Give up what is still to be forgotten in Redis."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.gather(self._catching_up, return_exceptions=True)
        if self._missed:
            log.warning("Redis may still hold answers that were to be forgotten", patterns=self._missed)

    def state(self) -> dict[str, Any]:
        """For the health answer: `degraded` while a Redis that is configured is away."""
        status = "ok" if self._link.available or not self._link.configured else "degraded"
        return {"status": status, "detail": f"answers are kept in {self._store()}"}

    async def get(self, key: str) -> bytes | None:
        """What is kept under `key`, or None."""
        value, where = await self._from_redis(key), "redis"
        if value is None:
            value, where = await self._memory.get(key), "memory"
        if value is None:
            self._misses += 1
        else:
            self._hits[where] += 1
        CACHE_OPERATIONS.labels("get", "miss" if value is None else "hit").inc()
        return value

    async def set(self, key: str, value: bytes, time_to_live: float) -> None:
        """Keep `value` for so many seconds, unless it is too long to be kept."""
        if len(value) > MAX_VALUE:
            CACHE_OPERATIONS.labels("set", "too_long").inc()
            return
        # Here as well: so nothing is lost with Redis.
        await self._memory.set(key, value, time_to_live)
        where = "memory"
        if self._link.configured:
            try:
                await self._redis.set(key, value, time_to_live)
                where = "redis"
            except RedisGone:
                self._failures += 1
        self._kept += 1
        CACHE_OPERATIONS.labels("set", where).inc()

    async def invalidate(self, pattern: str) -> dict[str, Any]:
        """Forget what is kept under keys that fit `pattern` (see `store.PATTERN`).

        Returns: `{"invalidated", "pending"}`: how many answers, and whether Redis has to be told when it is back.
        """
        here = await self._memory.invalidate(pattern)
        there, pending = 0, False
        if self._link.configured:
            try:
                there = await self._redis.invalidate(pattern)
            except RedisGone:
                pending = True
                self._failures += 1
                self._missed = [*self._missed, pattern] if len(self._missed) < _MAX_MISSED else ["*"]
                # It may be there and only have said no.
                self._redis_changed(self._link.available)
        # Mostly the same answers: Redis has all that memory has, but for what was kept while it was away.
        count = max(here, there)
        self._invalidated += count
        CACHE_OPERATIONS.labels("invalidate", "pending" if pending else "ok").inc()
        log.info("Forgot cached answers", pattern=pattern, count=count, pending=pending)
        return {"invalidated": count, "pending": pending}

    async def stats(self) -> dict[str, Any]:
        """Counts since the start, and what the stores hold."""
        hits = sum(self._hits.values())
        asked = hits + self._misses
        redis: dict[str, Any] | None = None
        with contextlib.suppress(RedisGone):
            redis = await self._redis.stats()
        return {
            "store": self._store(),
            "hits": hits,
            "hits_by_store": dict(self._hits),
            "misses": self._misses,
            "hit_rate": round(hits / asked, 4) if asked else None,
            "kept": self._kept,
            "invalidated": self._invalidated,
            "redis_failures": self._failures,
            "memory": await self._memory.stats(),
            "redis": redis,
        }

    async def health(self) -> dict[str, Any]:
        """`{"status", "detail", "store", "redis", "pending_invalidations"}`."""
        return {**self.state(), "store": self._store(), "redis": self._link.state(), "pending_invalidations": len(self._missed)}

    @property
    def _in_step(self) -> bool:
        """Whether Redis may be read: not while it holds what is to be forgotten."""
        return not self._missed

    def _store(self) -> str:
        return "redis" if self._link.available and self._in_step else "memory"

    def _redis_changed(self, available: bool) -> None:
        if available and self._missed and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Forget in Redis what was to be forgotten while it was away."""
        while self._missed:
            pattern = self._missed[0]
            try:
                await self._redis.invalidate(pattern)
            except RedisGone:
                if not self._link.available:
                    # Its next return begins this anew.
                    return
                await asyncio.sleep(_AGAIN)
            else:
                self._missed = [each for each in self._missed if each != pattern]
        log.info("Redis has forgotten what it missed")

    async def _from_redis(self, key: str) -> bytes | None:
        if not self._link.configured or not self._in_step:
            return None
        try:
            return await self._redis.get(key)
        except RedisGone:
            self._failures += 1
            return None
