"""The connection to Redis: used while it is there, refused at once while it is not, watched all the time.

Redis is optional everywhere. Who uses it has something else for the time without, and learns of both changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from stack.common.log import Log
from stack.common.settings import SettingError

log = Log("stack.redis")

T = TypeVar("T")

TIMEOUT = 0.5
"""Seconds for one use of Redis. A healthy one near by answers in under a millisecond."""

INTERVAL = 1.0
"""Seconds between two looks. As often as devctl looks at a service."""

# Uses at the same time; further ones wait for their turn. Redis answers one after the other anyway.
_AT_ONCE = 16

# Seconds by which a timer may be late before it is this process that is slow, and not Redis.
_LATE = 0.05

# How often a use that timed out in a slow process gets TIMEOUT once more. A Redis that hangs is still found in two seconds.
_EXTENSIONS = 3


class RedisGone(Exception):
    """Redis cannot be used now: it is not configured, not there, or refuses. The message says which."""


class RedisLink:
    """The connection, a component of the service.

    Args:
        url: such as `redis://127.0.0.1:6379/0`; None or empty when there is no Redis, which is never an error.
        interval: seconds between two looks whether it is there.

    Raises:
        SettingError: it is no address of a Redis.

    Attributes:
        configured: whether there is to be a Redis.
        available: whether it can be used, as far as is known.
    """

    name = "redis"

    def __init__(self, url: str | None, interval: float = INTERVAL) -> None:
        self.configured = bool(url)
        self.available = False
        self._interval = interval
        self._listeners: list[Callable[[bool], None]] = []
        self._watcher: asyncio.Task[None] | None = None
        self._reason = "not connected yet"
        self._client: Redis | None = _client(url) if url else None
        self._turns = asyncio.Semaphore(_AT_ONCE)
        # Set by a use that had no answer, for a look at once.
        self._doubted = asyncio.Event()

    def __repr__(self) -> str:
        return f"<RedisLink is {self.state()['detail']}>"

    async def start(self) -> None:
        """Connect, or find within TIMEOUT that nobody answers; then watch. Raises nothing."""
        if self._client is None:
            return
        if not await self._look():
            log.warning("Redis is away", reason=self._reason)
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Close the connections. Every later `call` is refused."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        client, self._client = self._client, None
        self.available = False
        if client is not None:
            self._reason = "stopped"
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    def state(self) -> dict[str, Any]:
        """For the health answer. Without a Redis to be, all is well."""
        if not self.configured:
            return {"status": "ok", "detail": "not configured"}
        if self.available:
            return {"status": "ok", "detail": "connected"}
        return {"status": "unreachable", "detail": self._reason}

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(available)` at each change, in the event loop. It must be quick and raise nothing."""
        self._listeners.append(listener)

    async def call(self, use: Callable[[Redis], Awaitable[T]]) -> T:
        """What `use(client)` returns, within TIMEOUT from its turn. Answers come as bytes.

        It may have happened although it failed: the answer can get lost on the way. So let `use` do what can be done twice.

        Raises:
            RedisGone: at once while Redis is known to be away, and when it fails in between.
        """
        self._refuse_without()
        async with self._turns:
            # It may have been lost while this one waited.
            return await self._use(self._refuse_without(), use)

    def _refuse_without(self) -> Redis:
        if self._client is None or not self.available:
            raise RedisGone(self._reason if self.configured else "no Redis is configured")
        return self._client

    async def _use(self, client: Redis, use: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            async with _patience():
                return await use(client)
        except TimeoutError as error:
            # One slow answer is no loss. The watch finds out.
            self._doubted.set()
            raise RedisGone(f"no answer within {TIMEOUT:g} s") from error
        except (RedisConnectionError, OSError) as error:
            reason = _words(error)
            await self._changed(False, reason)
            raise RedisGone(reason) from error
        except RedisError as error:
            # It is there and says no, as when its memory or its disk is full. The next call may do.
            raise RedisGone(_words(error)) from error

    async def _look(self) -> bool:
        assert self._client is not None
        try:
            await self._use(self._client, lambda client: client.ping())
        except RedisGone as error:
            if isinstance(error.__cause__, TimeoutError):
                await self._changed(False, str(error))
            self._reason = str(error)
            return False
        await self._changed(True, "")
        return True

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._doubted.wait()
            await self._look()
            self._doubted.clear()

    async def _changed(self, available: bool, reason: str) -> None:
        self._reason = reason
        if self.available == available:
            return
        self.available = available
        if available:
            log.info("[OK] Redis connected")
        else:
            log.warning("Redis is away", reason=reason)
        for listener in self._listeners:
            listener(available)
        if not available and self._client is not None:
            # What it held open is of no use to its successor. Calls under way find out by themselves.
            with contextlib.suppress(RedisError, OSError):
                await self._client.connection_pool.disconnect(inuse_connections=False)


@contextlib.asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """A timeout after TIMEOUT seconds, as `asyncio.timeout`, but longer when it is this process that had no time.

    After half a second of other work the answer may be there unread, and Redis would be taken for lost whenever a service is busy.
    """
    loop = asyncio.get_running_loop()
    extensions = _EXTENSIONS
    timer: asyncio.TimerHandle | None = None

    def arm() -> None:
        nonlocal timer
        due = loop.time() + TIMEOUT
        timer = loop.call_at(due, check, due)

    def check(due: float) -> None:
        nonlocal extensions
        if loop.time() - due > _LATE and extensions:
            extensions -= 1
            arm()
        else:
            timeout.reschedule(loop.time())

    async with asyncio.timeout(None) as timeout:
        arm()
        try:
            yield
        finally:
            assert timer is not None
            timer.cancel()


def _client(url: str) -> Redis:
    try:
        return Redis.from_url(
            url,
            # `_patience` is the only timeout.
            socket_timeout=None,
            socket_connect_timeout=None,
            # Whoever asks has something else to turn to: that beats waiting for a second try.
            retry=Retry(NoBackoff(), 0),
            # The older protocol: the newer one adds a round trip to each connection and gives us nothing.
            protocol=2,
        )
    except ValueError as error:
        # Without the value: it may hold a password.
        raise SettingError("REDIS_URL: give an address such as redis://127.0.0.1:6379/0") from error


def _words(error: Exception) -> str:
    """An error in a bounded phrase. The client's own messages name host and port, never the password."""
    return (str(error) or type(error).__name__)[:200]
