"""What every session store does, shown by each of them: in memory, in a real Redis, and switching between the two."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis

from stack.common.redis_link import RedisGone, RedisLink
from stack.router.redis_sessions import RedisSessionStore
from stack.router.sessions import TIME_TO_LIVE, MemorySessionStore, Session, SessionStore, Turn
from stack.router.switching_sessions import SwitchingSessionStore
from tests.stack.servers import Server, redis_server

HELLO = Session("a").with_turns(Turn("user", "hello"), Turn("assistant", "good day"))


class Clock:
    """Time as the stores see it; `pass_time` moves it, in memory and in Redis."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.redis: Redis | None = None

    def __call__(self) -> float:
        return self.now

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if self.redis is None:
            return
        for key in await self.redis.keys("*"):
            left = await self.redis.pttl(key)
            if left >= 0 and left <= seconds * 1000:
                await self.redis.delete(key)
            elif left >= 0:
                await self.redis.pexpire(key, int(left - seconds * 1000))
        for session_id in await self.redis.zrange("assistant:sessions", 0, -1):
            await self.redis.zincrby("assistant:sessions", -seconds, session_id)


Scene = Callable[[SessionStore, Clock], Awaitable[None]]


@contextlib.asynccontextmanager
async def in_memory(url: str) -> AsyncIterator[tuple[SessionStore, Clock]]:
    clock = Clock()
    yield MemorySessionStore(clock=clock), clock


@contextlib.asynccontextmanager
async def in_redis(url: str) -> AsyncIterator[tuple[SessionStore, Clock]]:
    clock = Clock()
    link = RedisLink(url)
    await link.start()
    clock.redis = Redis.from_url(url)
    await clock.redis.flushdb()
    yield RedisSessionStore(link), clock
    await clock.redis.aclose()
    await link.stop()


@contextlib.asynccontextmanager
async def switching(url: str) -> AsyncIterator[tuple[SessionStore, Clock]]:
    clock = Clock()
    link = RedisLink(url)
    await link.start()
    clock.redis = Redis.from_url(url)
    await clock.redis.flushdb()
    store = SwitchingSessionStore(link, RedisSessionStore(link), MemorySessionStore(clock=clock))
    await store.start()
    yield store, clock
    await store.stop()
    await clock.redis.aclose()
    await link.stop()


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    """A Redis server for this module."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=[in_memory, in_redis, switching], ids=["memory", "redis", "switching"])
def play(request: pytest.FixtureRequest, redis: Server) -> Callable[[Scene], None]:
    """Plays a scene with an empty store."""

    def play(scene: Scene) -> None:
        async def whole() -> None:
            async with request.param(redis.url) as (store, clock):
                await scene(store, clock)

        asyncio.run(whole())

    return play


def test_a_saved_session_is_loaded(play: Callable[[Scene], None]) -> None:
    """What was saved comes back as it was, whatever characters it has; another is not there."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        text = "naïve \u2028 “quotes” \\ \x00 🫖\n[1, 2]"
        session = Session("a", summary=(Turn("user", "earlier"),), length=9).with_turns(Turn("user", text), Turn("assistant", ""))
        await store.save(session)
        assert await store.load("a") == session
        assert session.length == 11
        assert await store.load("b") is None

    play(scene)


def test_a_later_save_replaces(play: Callable[[Scene], None]) -> None:
    """A session is what was saved last."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        await store.save(HELLO)
        longer = HELLO.with_turns(Turn("user", "and?"), Turn("assistant", "nothing"))
        await store.save(longer)
        assert await store.load("a") == longer
        assert (await store.get_stats())["sessions"] == 1

    play(scene)


def test_sessions_run_out_after_half_an_hour(play: Callable[[Scene], None]) -> None:
    """30 minutes without use end a session; a load in between begins them anew."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        await store.save(HELLO)
        await clock.pass_time(TIME_TO_LIVE - 1)
        assert await store.load("a") is not None
        await clock.pass_time(TIME_TO_LIVE - 1)
        assert await store.exists("a")
        await clock.pass_time(1)
        assert not await store.exists("a")
        assert await store.load("a") is None

    play(scene)


def test_asking_whether_a_session_exists_does_not_keep_it(play: Callable[[Scene], None]) -> None:
    """Only use keeps a session alive."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        await store.save(HELLO)
        await clock.pass_time(TIME_TO_LIVE - 1)
        await store.exists("a")
        await clock.pass_time(1)
        assert not await store.exists("a")

    play(scene)


def test_cleanup_counts_what_ran_out(play: Callable[[Scene], None]) -> None:
    """Clean-up drops exactly the expired sessions."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        await store.save(HELLO)
        await clock.pass_time(TIME_TO_LIVE)
        # Not by save, which may clean up itself.
        assert await store.cleanup_expired() == 1
        await store.save(Session("new"))
        assert await store.cleanup_expired() == 0

    play(scene)


def test_delete_says_whether_there_was_one(play: Callable[[Scene], None]) -> None:
    """A session can be deleted once, and is gone then."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        await store.save(HELLO)
        assert await store.delete("a")
        assert await store.load("a") is None
        assert not await store.exists("a")
        assert not await store.delete("a")

    play(scene)


def test_stats_count_the_sessions(play: Callable[[Scene], None]) -> None:
    """The store tells its kind and how many sessions it holds, without those that ran out."""

    async def scene(store: SessionStore, clock: Clock) -> None:
        await store.save(Session("old"))
        await clock.pass_time(TIME_TO_LIVE)
        await store.save(Session("b"))
        await store.save(Session("c"))
        # Asking for what is not there counts nothing.
        await store.load("nobody")
        stats = await store.get_stats()
        assert stats["store"] == ("memory" if isinstance(store, MemorySessionStore) else "redis")
        assert stats["sessions"] == 2
        assert await store.ping()

    play(scene)


def test_redis_itself_ends_a_session(redis: Server) -> None:
    """The time to live is Redis's own: nobody has to clean up."""

    async def scene() -> None:
        link = RedisLink(redis.url)
        await link.start()
        store = RedisSessionStore(link, time_to_live=0.02)
        await store.save(Session("short"))
        async with asyncio.timeout(10):
            while await store.exists("short"):  # noqa: ASYNC110  # Redis tells nobody
                await asyncio.sleep(0.005)
        await link.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"length":1,"summary":[],"history":[["user"]]}', '{"length":1e999}'])
def test_what_is_no_session_in_redis_is_none(redis: Server, text: str) -> None:
    """What somebody else wrote under a session's key is as good as absent."""

    async def scene() -> None:
        link = RedisLink(redis.url)
        await link.start()
        await link.call(lambda client: client.set("assistant:session:odd", text))
        assert await RedisSessionStore(link).load("odd") is None
        await link.stop()

    asyncio.run(scene())


def test_the_redis_store_refuses_without_redis() -> None:
    """Without Redis its store raises, and its ping says no."""

    async def scene() -> None:
        store = RedisSessionStore(RedisLink(None))
        with pytest.raises(RedisGone, match="no Redis is configured"):
            await store.load("a")
        assert not await store.ping()

    asyncio.run(scene())


def test_memory_is_bounded() -> None:
    """Beyond its bound the session unused for longest goes."""

    async def scene() -> None:
        store = MemorySessionStore(max_sessions=2)
        await store.save(Session("a"))
        await store.save(Session("b"))
        await store.load("a")
        await store.save(Session("c"))
        assert [await store.exists(name) for name in "abc"] == [True, False, True]

    asyncio.run(scene())


def test_a_peek_leaves_the_time_to_live() -> None:
    """Looking into a session is no use of it."""

    async def scene() -> None:
        clock = Clock()
        store = MemorySessionStore(clock=clock)
        await store.save(HELLO)
        await clock.pass_time(TIME_TO_LIVE - 1)
        assert store.peek("a") == HELLO
        await clock.pass_time(1)
        assert store.peek("a") is None

    asyncio.run(scene())
