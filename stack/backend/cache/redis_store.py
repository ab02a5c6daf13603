"""Answers in Redis: shared by processes, and kept over a restart of this one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from redis.asyncio import Redis

from stack.common.redis_link import RedisLink

# Others may use the same Redis.
_PREFIX = "assistant:answer:"

# Keys that one step of a scan looks at: a millisecond of Redis's time.
_STEP = 500


class RedisStore:
    """A `Store`. Every method raises `redis_link.RedisGone` while there is no Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def get(self, key: str) -> bytes | None:
        async def use(client: Redis) -> bytes | None:
            # Bytes, as the link's client decodes nothing.
            return cast("bytes | None", await client.get(_PREFIX + key))

        return await self._link.call(use)

    async def set(self, key: str, value: bytes, time_to_live: float) -> None:
        async def use(client: Redis) -> None:
            await client.set(_PREFIX + key, value, px=max(1, int(time_to_live * 1000)))

        await self._link.call(use)

    async def invalidate(self, pattern: str) -> int:
        """Forget what fits. Each step is a call of its own, so that a large Redis does not pass the time limit of one."""
        cursor, removed = 0, 0
        while True:
            cursor, dropped = await self._link.call(self._dropping(pattern, cursor))
            removed += dropped
            if not cursor:
                return removed

    async def stats(self) -> dict[str, Any]:
        async def use(client: Redis) -> dict[str, Any]:
            memory = await client.info("memory")
            return {"keys_in_database": await client.dbsize(), "bytes": int(memory["used_memory"])}

        return await self._link.call(use)

    def _dropping(self, pattern: str, cursor: int) -> Callable[[Redis], Awaitable[tuple[int, int]]]:
        async def use(client: Redis) -> tuple[int, int]:
            further, keys = await client.scan(cursor, match=_PREFIX + pattern, count=_STEP)
            return int(further), int(await client.unlink(*keys)) if keys else 0

        return use
