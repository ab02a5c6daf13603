"""The cache of answers: both stores by one contract, Redis real, lost and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.backend.cache.answers import AnswerCache
from stack.backend.cache.keys import key_of, normal
from stack.backend.cache.memory import MemoryStore
from stack.backend.cache.redis_store import RedisStore
from stack.backend.cache.store import MAX_VALUE, Store
from stack.common.redis_link import RedisGone, RedisLink
from tests.stack.servers import Server, redis_server


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    # Persistent: what it holds must outlive its crash, so that forgetting late can be seen.
    with redis_server(persistent=True) as server:
        yield server


@contextlib.asynccontextmanager
async def linked(url: str | None) -> AsyncIterator[RedisLink]:
    link = RedisLink(url)
    await link.start()
    try:
        yield link
    finally:
        await link.stop()


@contextlib.asynccontextmanager
async def memory_store(_: Server) -> AsyncIterator[Store]:
    yield MemoryStore()


@contextlib.asynccontextmanager
async def redis_store(server: Server) -> AsyncIterator[Store]:
    async with linked(server.url) as link:
        store = RedisStore(link)
        await store.invalidate("*")
        yield store


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Return when `check` says so, which what it waits for cannot say by itself."""
    async with asyncio.timeout(30):
        while True:
            if await check():
                return
            await asyncio.sleep(0.005)


Maker = Callable[[Server], contextlib.AbstractAsyncContextManager[Store]]
both = pytest.mark.parametrize("make", [memory_store, redis_store], ids=["memory", "redis"])


@both
def test_what_is_kept_comes_back(make: Maker, redis: Server) -> None:
    """Any bytes under a key, the newest of them; nothing under another."""

    async def scene() -> None:
        async with make(redis) as store:
            assert await store.get("chat:m:1") is None
            await store.set("chat:m:1", b"\x00\xff", 60)
            await store.set("chat:m:1", b"\x00\xfe", 60)
            assert await store.get("chat:m:1") == b"\x00\xfe"
            assert await store.get("chat:m:2") is None

    asyncio.run(scene())


@both
def test_what_ran_out_is_gone(make: Maker, redis: Server) -> None:
    """A time to live ends by itself."""

    async def scene() -> None:
        async with make(redis) as store:
            await store.set("chat:m:1", b"x", 0.02)

            async def gone() -> bool:
                return await store.get("chat:m:1") is None

            await until(gone)
            assert await store.invalidate("*") == 0

    asyncio.run(scene())


@both
def test_a_pattern_forgets_what_fits(make: Maker, redis: Server) -> None:
    """By task, by model, by one character, all; the count is told."""

    async def scene() -> None:
        async with make(redis) as store:
            for key in ("audit:m:1", "audit:n:2", "chat:m:3", "chat:m:44"):
                await store.set(key, b"x", 60)
            assert await store.invalidate("nothing*") == 0
            assert await store.invalidate("chat:m:?") == 1
            assert await store.invalidate("*:n:*") == 1
            assert await store.get("audit:m:1") == b"x"
            assert await store.invalidate("*") == 2

    asyncio.run(scene())


def test_many_answers_are_forgotten_step_by_step(redis: Server) -> None:
    """More keys than one step of a scan looks at."""

    async def scene() -> None:
        async with redis_store(redis) as store:
            for number in range(600):
                await store.set(f"chat:m:{number}", b"x", 60)
            assert await store.invalidate("chat:*") == 600

    asyncio.run(scene())


def test_memory_is_bounded() -> None:
    """Full, what was unused for longest goes, by number and by bytes."""

    async def scene() -> None:
        store = MemoryStore(max_entries=2)
        for key in "ab":
            await store.set(key, b"x", 60)
        await store.get("a")
        await store.set("c", b"x", 60)
        assert [await store.get(key) for key in "abc"] == [b"x", None, b"x"]
        store = MemoryStore(max_bytes=1000)
        for key in "abc":
            await store.set(key, b"x" * 200, 60)
        assert [await store.get(key) is not None for key in "abc"] == [False, True, True]
        assert await store.stats() == {"entries": 2, "bytes": 1000, "evicted": 1}

    asyncio.run(scene())


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 400), st.floats(0, 3)), max_size=60))
def test_memory_counts_its_bytes(steps: list[tuple[str, int, float]]) -> None:
    """Whatever is kept and runs out, the bytes are those of the entries and within the bound."""

    async def scene() -> None:
        now = 0.0
        store = MemoryStore(max_bytes=1500, clock=lambda: now)
        for key, size, pause in steps:
            await store.set(key, b"x" * size, 2)
            now += pause
            stats = await store.stats()
            assert stats["bytes"] <= 1500
            assert (stats["bytes"] == 0) == (stats["entries"] == 0)

    asyncio.run(scene())


def test_without_redis_memory_is_the_cache() -> None:
    """No Redis configured is a healthy cache; it counts its hits and misses."""

    async def scene() -> None:
        cache = AnswerCache(RedisLink(None))
        assert await cache.get("chat:m:1") is None
        await cache.set("chat:m:1", b"x", 60)
        assert await cache.get("chat:m:1") == b"x"
        await cache.set("chat:m:2", b"x" * (MAX_VALUE + 1), 60)
        assert await cache.get("chat:m:2") is None
        stats = await cache.stats()
        assert (stats["store"], stats["hits"], stats["misses"], stats["hit_rate"], stats["kept"]) == ("memory", 1, 2, 0.3333, 1)
        assert (stats["redis"], stats["redis_failures"]) == (None, 0)
        assert (await cache.health())["status"] == "ok"
        assert await cache.invalidate("*") == {"invalidated": 1, "pending": False}

    asyncio.run(scene())


def test_redis_is_shared(redis: Server) -> None:
    """What one process keeps, another finds, also after the first has ended; what one forgets, no other has."""

    async def scene() -> None:
        async with linked(redis.url) as one:
            await RedisStore(one).invalidate("*")
            await AnswerCache(one).set("chat:m:1", b"x", 60)
        async with linked(redis.url) as two:
            cache = AnswerCache(two)
            assert await cache.get("chat:m:1") == b"x"
            stats = await cache.stats()
            assert (stats["store"], stats["hits_by_store"]) == ("redis", {"redis": 1, "memory": 0})
            assert stats["redis"]["keys_in_database"] == 1
            assert (await cache.invalidate("chat:*"))["invalidated"] == 1
            assert await cache.get("chat:m:1") is None

    asyncio.run(scene())


def test_a_lost_redis_loses_nothing_and_forgets_late(redis: Server) -> None:
    """Killed, its answers come from memory; what is invalidated meanwhile is gone from Redis before it is read again."""

    async def scene() -> None:
        changes: asyncio.Queue[bool] = asyncio.Queue()
        async with linked(redis.url) as link, linked(redis.url) as other:
            link.on_change(changes.put_nowait)
            cache = AnswerCache(link)
            await cache.set("chat:m:old", b"old", 60)
            await cache.set("audit:m:kept", b"kept", 60)
            await asyncio.to_thread(redis.kill)
            assert await cache.get("audit:m:kept") == b"kept"
            assert (cache.state()["status"], (await cache.health())["store"]) == ("degraded", "memory")
            await cache.set("chat:m:new", b"new", 60)
            assert await cache.invalidate("chat:m:old") == {"invalidated": 1, "pending": True}
            await asyncio.to_thread(redis.start)
            async with asyncio.timeout(30):
                while not await changes.get():
                    pass

            async def caught_up() -> bool:
                assert await cache.get("chat:m:old") is None
                return bool((await cache.health())["store"] == "redis")

            await until(caught_up)
            assert await cache.get("chat:m:old") is None
            assert await cache.get("chat:m:new") == b"new"

            async def back() -> bool:
                return other.available

            await until(back)
            assert await RedisStore(other).get("chat:m:old") is None
            assert await RedisStore(other).get("audit:m:kept") == b"kept"
            await cache.stop()

    asyncio.run(scene())


def test_a_hanging_redis_does_not_hang_the_cache(redis: Server) -> None:
    """Stopped in its tracks, it costs one time limit, then nothing."""

    async def scene() -> None:
        async with linked(redis.url) as link:
            cache = AnswerCache(link)
            redis.pause()
            try:
                async with asyncio.timeout(30):
                    await cache.set("chat:m:1", b"x", 60)
                    assert await cache.get("chat:m:1") == b"x"
                with pytest.raises(RedisGone):
                    await RedisStore(link).get("chat:m:1")
            finally:
                redis.resume()

    asyncio.run(scene())


@pytest.mark.parametrize("other", ["a\r\nb ", "  a\nb", "a \nb\n\n"])
def test_texts_that_mean_the_same_are_the_same(other: str) -> None:
    """Line ends and spaces at the ends make no other question."""
    assert normal(other) == normal("a\nb")


def test_accents_have_one_form() -> None:
    """A letter with its accent, and a letter followed by one."""
    assert normal("caf\u00e9") == normal("cafe\u0301")


def test_keys_tell_requests_apart() -> None:
    """Task and model stand in the key; whatever else differs changes its digest, the order of fields does not."""
    key = key_of("audit", "org/model:1", {"a": 1, "b": "x"})
    assert key.startswith("audit:org_model_1:")
    assert len(key.rpartition(":")[2]) == 64
    assert key == key_of("audit", "org/model:1", {"b": "x", "a": 1})
    assert key != key_of("audit", "org/model:1", {"b": "y", "a": 1})
    assert key != key_of("chat", "org/model:1", {"b": "x", "a": 1})
