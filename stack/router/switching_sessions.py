"""Conversations in Redis while it is there, and in memory while it is not.

Memory always has a copy of what passed through here, so that a conversation goes on when Redis is lost in its midst. What changes
meanwhile is noted, and written to Redis when it returns. A conversation belongs to one router at a time: of two that wrote to the
same one during an outage, the last to write back would win.
"""

from __future__ import annotations

import asyncio
from typing import Any

from stack.common.log import Log
from stack.common.redis_link import RedisGone, RedisLink
from stack.router.redis_sessions import RedisSessionStore
from stack.router.sessions import MAX_SESSIONS, MemorySessionStore, Session

log = Log("stack.router.sessions")

# Seconds until the next try when Redis is there and refuses to write, as with a full disk.
_RETRY = 1.0


class SwitchingSessionStore:
    """Sessions in Redis or in memory, a component of the router; see `SessionStore`. No method fails for want of Redis.

    Args:
        link: the connection that tells which.
        redis: the store for when it is there.
        memory: the store for when it is not; nobody else writes to it.
    """

    name = "sessions"

    def __init__(self, link: RedisLink, redis: RedisSessionStore, memory: MemorySessionStore) -> None:
        self._link = link
        self._redis = redis
        self._memory = memory
        # The sessions for which memory, and not Redis, has the truth; True for those that were deleted. Oldest first.
        self._unwritten: dict[str, bool] = {}
        # Held while such a session is written, so that an older state does not overtake a newer one on its way to Redis.
        self._writing = asyncio.Lock()
        self._due = asyncio.Event()
        self._refused = False
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Say which store is in use, and follow the changes."""
        self._link.on_change(self._on_change)
        log.info("Using Redis session store" if self._link.available else "Using in-memory session store")
        self._writer = asyncio.create_task(self._write_when_due())

    async def stop(self) -> None:
        """Write what is still to be written, if that can be."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        try:
            await self._write_back()
        except RedisGone as error:
            log.warning("Conversations end with this process", count=len(self._unwritten), reason=str(error))

    def state(self) -> dict[str, Any]:
        """For the health answer: conversations can be held either way."""
        return {"status": "ok", "store": self._store, "unwritten": len(self._unwritten)}

    async def save(self, session: Session) -> None:
        await self._memory.save(session)
        try:
            if session.session_id in self._unwritten:
                async with self._writing:
                    await self._redis.save(session)
                    self._written(session.session_id)
            else:
                await self._redis.save(session)
        except RedisGone as error:
            self._note(session.session_id, False, error)

    async def load(self, session_id: str) -> Session | None:
        held = await self._memory.load(session_id)
        if session_id in self._unwritten:
            return held
        try:
            found = await self._redis.load(session_id)
        except RedisGone:
            return held
        if held is not None and (found is None or found.length < held.length):
            # Redis came back without it, or with less of it. The next save puts that right.
            return held
        if found is not None and found != held:
            await self._memory.save(found)
        return found

    async def delete(self, session_id: str) -> bool:
        held = await self._memory.delete(session_id)
        try:
            async with self._writing:
                found = await self._redis.delete(session_id)
                self._written(session_id)
        except RedisGone as error:
            self._note(session_id, True, error)
            return held
        return held or found

    async def exists(self, session_id: str) -> bool:
        held = await self._memory.exists(session_id)
        if held or session_id in self._unwritten:
            return held
        try:
            return await self._redis.exists(session_id)
        except RedisGone:
            return held

    async def cleanup_expired(self) -> int:
        dropped = await self._memory.cleanup_expired()
        try:
            return await self._redis.cleanup_expired()
        except RedisGone:
            return dropped

    async def get_stats(self) -> dict[str, Any]:
        try:
            stats = await self._redis.get_stats()
        except RedisGone:
            stats = await self._memory.get_stats()
        return {**stats, "unwritten": len(self._unwritten)} if self._link.configured else stats

    async def ping(self) -> bool:
        return True

    @property
    def _store(self) -> str:
        return "redis" if self._link.available else "memory"

    def _on_change(self, available: bool) -> None:
        if available:
            log.info("Using Redis session store", to_write_back=len(self._unwritten))
            self._due.set()
        else:
            log.warning("Using in-memory session store until Redis returns")

    def _note(self, session_id: str, deleted: bool, error: RedisGone) -> None:
        """Remember that Redis does not know yet. Bounded as memory is: beyond that, what is oldest is gone there as well."""
        if not self._link.configured:
            return
        self._unwritten.pop(session_id, None)
        self._unwritten[session_id] = deleted
        while len(self._unwritten) > MAX_SESSIONS:
            del self._unwritten[next(iter(self._unwritten))]
        if self._link.available:
            if not self._refused:
                log.warning("Redis did not keep a conversation; memory does meanwhile", reason=str(error))
            self._refused = True
            self._due.set()

    def _written(self, session_id: str) -> None:
        self._unwritten.pop(session_id, None)
        self._refused = False

    async def _write_when_due(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                count = await self._write_back()
            except RedisGone:
                # Away again, its return says so. Still there, it may take what it refused.
                if self._link.available:
                    await asyncio.sleep(_RETRY)
                    self._due.set()
            else:
                if count:
                    log.info("Wrote conversations back to Redis", count=count)

    async def _write_back(self) -> int:
        """Bring Redis up to date; how many sessions that took. Raises RedisGone, with the rest still noted."""
        count = 0
        for session_id in list(self._unwritten):
            async with self._writing:
                # It may have been saved or deleted since, which has written it.
                if session_id not in self._unwritten:
                    continue
                session = self._memory.peek(session_id)
                if session is not None:
                    await self._redis.save(session)
                elif self._unwritten[session_id]:
                    await self._redis.delete(session_id)
                self._written(session_id)
                count += 1
        return count
