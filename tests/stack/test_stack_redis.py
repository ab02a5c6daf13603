"""Redis comes and goes while it is used: the link to it, and conversations that lose nothing by that."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from stack.common.redis_link import TIMEOUT, RedisGone, RedisLink
from stack.common.settings import SettingError
from stack.router.redis_sessions import RedisSessionStore
from stack.router.sessions import MemorySessionStore, Session, Turn
from stack.router.switching_sessions import SwitchingSessionStore
from tests.stack.conftest import Launcher, Service
from tests.stack.servers import GUARD, Server, redis_server

T = TypeVar("T")

# Seconds between the link's looks in these tests, to see a return soon.
OFTEN = 0.02


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A Redis server that no test ends."""
    with redis_server() as server:
        yield server


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(url, OFTEN)
    await link.start()
    try:
        yield link
    finally:
        await link.stop()


@contextlib.asynccontextmanager
async def storing(link: RedisLink) -> AsyncIterator[SwitchingSessionStore]:
    store = SwitchingSessionStore(link, RedisSessionStore(link), MemorySessionStore())
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD):
        while not condition():  # noqa: ASYNC110  # nothing tells when a store has written
            await asyncio.sleep(0.005)


def turns(number: int) -> tuple[Turn, Turn]:
    return Turn("user", f"question {number}"), Turn("assistant", f"reply {number}")


def ping(client: Redis) -> Awaitable[Any]:
    return client.ping()


def test_without_an_address_there_is_no_redis() -> None:
    """No Redis is no trouble: every call is refused, and the health answer says that all is well."""

    async def scene() -> None:
        async with connected("") as link:
            assert not link.configured
            assert link.state() == {"status": "ok", "detail": "not configured"}
            with pytest.raises(RedisGone):
                await link.call(ping)

    asyncio.run(scene())


@pytest.mark.parametrize("url", ["localhost:6379", "http://:secret@127.0.0.1", "redis://:secret@127.0.0.1:many/0"])
def test_a_wrong_address_is_named_without_its_password(url: str) -> None:
    """What cannot be an address is refused at the start, and a password in it is not repeated."""
    with pytest.raises(SettingError, match="REDIS_URL") as caught:
        RedisLink(url)
    assert "secret" not in str(caught.value)


def test_a_kill_and_a_return_are_noticed() -> None:
    """Killed: calls are refused at once. Back: they work. Both are told."""

    async def scene() -> None:
        with redis_server() as redis:
            async with connected(redis.url) as link:
                changes: list[bool] = []
                link.on_change(changes.append)
                assert link.state()["status"] == "ok"
                redis.kill()
                with pytest.raises(RedisGone):
                    await link.call(ping)
                assert not link.available
                assert link.state()["status"] == "unreachable"
                redis.start()
                await until(lambda: link.available)
                assert await link.call(ping)
                assert changes == [False, True]

    asyncio.run(scene())


def test_a_loss_is_noticed_without_use() -> None:
    """The watch finds it, not the next user."""

    async def scene() -> None:
        with redis_server() as redis:
            async with connected(redis.url) as link:
                redis.stop()
                await until(lambda: not link.available)

    asyncio.run(scene())


def test_it_may_come_later() -> None:
    """A Redis that is not there at the start is used once it is."""

    async def scene() -> None:
        with redis_server() as redis:
            redis.kill()
            async with connected(redis.url) as link:
                assert not link.available
                redis.start()
                await until(lambda: link.available)

    asyncio.run(scene())


def test_a_redis_that_hangs_is_given_up() -> None:
    """A stopped process keeps its connections and answers nothing: one timeout, then it is away, and then it is back."""

    async def scene() -> None:
        with redis_server() as redis:
            async with connected(redis.url) as link:
                redis.pause()
                async with asyncio.timeout(GUARD):
                    answers = await asyncio.gather(*(link.call(ping) for _ in range(50)), return_exceptions=True)
                assert all(isinstance(answer, RedisGone) for answer in answers)
                assert not link.available
                redis.resume()
                await until(lambda: link.available)

    asyncio.run(scene())


def test_a_refusal_is_no_loss(shared: Server) -> None:
    """An error answer concerns its call alone."""

    async def scene() -> None:
        async with connected(shared.url) as link:
            with pytest.raises(RedisGone, match="unknown command"):
                await link.call(lambda client: client.execute_command("NONSENSE"))
            assert link.available

    asyncio.run(scene())


@pytest.mark.parametrize("persistent", [True, False], ids=["persistent", "empty"])
def test_a_conversation_goes_on_through_a_kill(persistent: bool) -> None:
    """What was said before, during and after the loss is all there, in Redis too, whether or not Redis kept its part."""

    async def scene() -> None:
        with redis_server(persistent=persistent) as redis:
            async with connected(redis.url) as link, storing(link) as store:
                session = Session("a").with_turns(*turns(0))
                await store.save(session)
                redis.kill()
                assert await store.load("a") == session
                session = session.with_turns(*turns(1))
                await store.save(session)
                assert (await store.get_stats())["store"] == "memory"
                redis.start()
                await until(lambda: link.available and not store.state()["unwritten"])
                assert await RedisSessionStore(link).load("a") == session
                assert await store.load("a") == session

    asyncio.run(scene())


def test_what_redis_forgot_is_remembered() -> None:
    """A Redis that comes back empty does not end the conversations that were not used meanwhile."""

    async def scene() -> None:
        with redis_server() as redis:
            async with connected(redis.url) as link, storing(link) as store:
                session = Session("a").with_turns(*turns(0))
                await store.save(session)
                redis.kill()
                redis.start()
                await until(lambda: link.available)
                assert await store.load("a") == session

    asyncio.run(scene())


def test_a_conversation_deleted_meanwhile_stays_deleted() -> None:
    """Deleted while Redis was away: it does not come back with Redis."""

    async def scene() -> None:
        with redis_server(persistent=True) as redis:
            async with connected(redis.url) as link, storing(link) as store:
                await store.save(Session("a").with_turns(*turns(0)))
                redis.kill()
                assert await store.delete("a")
                redis.start()
                await until(lambda: link.available and not store.state()["unwritten"])
                assert await store.load("a") is None
                assert not await RedisSessionStore(link).exists("a")

    asyncio.run(scene())


def test_a_redis_that_is_full_loses_nothing() -> None:
    """While Redis refuses to write, memory keeps the conversation; when it writes again, it gets it."""

    async def scene() -> None:
        with redis_server() as redis:
            async with connected(redis.url) as link, storing(link) as store:
                await link.call(lambda client: client.config_set("maxmemory", 1))
                session = Session("a").with_turns(*turns(0))
                await store.save(session)
                assert await store.load("a") == session
                assert store.state()["unwritten"] == 1
                await link.call(lambda client: client.config_set("maxmemory", 0))
                await until(lambda: not store.state()["unwritten"])
                assert await RedisSessionStore(link).load("a") == session

    asyncio.run(scene())


def test_kills_under_use_lose_and_double_nothing() -> None:
    """20 conversations at once, while Redis is killed and comes back again and again: each has every turn once, in order."""

    async def converse(store: SwitchingSessionStore, name: str, stop: asyncio.Event) -> int:
        number = 0
        while not stop.is_set():
            session = await store.load(name) or Session(name)
            session = session.with_turns(*turns(number))
            await store.save(session)
            assert session.length == 2 * (number + 1)
            number += 1
            await asyncio.sleep(0.002)
        return number

    async def scene() -> None:
        with redis_server() as redis:
            async with connected(redis.url) as link, storing(link) as store:
                stop = asyncio.Event()
                names = [f"s{number}" for number in range(20)]
                talks = [asyncio.create_task(converse(store, name, stop)) for name in names]
                for _ in range(3):
                    redis.kill()
                    await until(lambda: not link.available and store.state()["unwritten"] == len(names))
                    await asyncio.to_thread(redis.start)
                    await until(lambda: link.available and not store.state()["unwritten"])
                stop.set()
                counts = await asyncio.gather(*talks)
                await until(lambda: not store.state()["unwritten"])
                for name, count in zip(names, counts, strict=True):
                    found = await RedisSessionStore(link).load(name)
                    assert found is not None
                    assert found.history == tuple(turn for number in range(count) for turn in turns(number))

    asyncio.run(scene())


class Flaky(RedisLink):
    """A link to a real Redis that is lost when a test says so: before a call is made, or after it, with its answer."""

    fate = "well"

    async def call(self, use: Callable[[Redis], Awaitable[T]]) -> T:
        if self.fate == "answer lost":
            await super().call(use)
        if self.fate != "well":
            raise RedisGone("as the test wants it")
        return await super().call(use)

    def become(self, fate: str) -> None:
        was, self.fate = self.fate, fate
        if (was == "well") != (fate == "well"):
            for listener in self._listeners:
                listener(fate == "well")


ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["say", "delete", "load"]), st.sampled_from("ab")),
    st.tuples(st.just("become"), st.sampled_from(["well", "away", "answer lost"])),
    st.tuples(st.just("forget"), st.just("")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, max_size=25))
def test_any_history_of_losses_ends_in_the_same_conversations(shared: Server, actions: list[tuple[str, str]]) -> None:
    """Whatever comes between, calls whose answer is lost and a Redis that forgets included, every load tells what was said."""

    async def scene() -> None:
        link = Flaky(shared.url, GUARD)
        await link.start()
        await link.call(lambda client: client.flushdb())
        said: dict[str, Session] = {}
        async with storing(link) as store:
            for number, (action, what) in enumerate(actions):
                if action == "become":
                    link.become(what)
                elif action == "forget" and link.fate == "well":
                    await link.call(lambda client: client.flushdb())
                elif action == "say":
                    said[what] = (await store.load(what) or Session(what)).with_turns(*turns(number))
                    await store.save(said[what])
                elif action == "delete":
                    assert await store.delete(what) == (said.pop(what, None) is not None)
                elif action == "load":
                    assert await store.load(what) == said.get(what)
            link.become("away")
            link.become("well")
            await until(lambda: not store.state()["unwritten"])
            for name in "ab":
                assert await store.load(name) == said.get(name)
        await link.stop()

    asyncio.run(scene())


def test_a_router_uses_redis_and_does_without() -> None:
    """A running router: conversations outlive its restart and Redis's kill, its health and its log say how things stand."""
    launcher = Launcher()
    question = {"session_id": "a", "message": "what does depends_on do?"}

    def length(router: Service) -> int:
        return int(router.post("/route", question).json()["history_length"])

    try:
        with redis_server(persistent=True) as redis:
            router = launcher.spawn("router", REDIS_URL=redis.url)
            router.wait_line(r"\[INFO\] \[OK\] Redis connected")
            router.wait_line("Using Redis session store")
            router.wait_line("Router ready")
            assert length(router) == 2
            assert router.get("/health").json()["components"]["sessions"]["store"] == "redis"

            redis.kill()
            assert length(router) == 4
            router.wait_line(r"\[WARNING\] Redis is away")
            router.wait_line(r"\[WARNING\] Using in-memory session store until Redis returns")
            health = router.get("/health")
            assert (health.status_code, health.json()["status"]) == (200, "degraded")
            assert health.json()["components"]["redis"]["status"] == "unreachable"
            assert health.json()["components"]["sessions"]["store"] == "memory"

            redis.start()
            router.wait_line("Wrote conversations back to Redis")
            assert router.get("/health").json()["status"] == "ok"
            assert router.stop(signal.SIGKILL) == -signal.SIGKILL
            router = launcher.start("router", REDIS_URL=redis.url)
            router.wait_line("Router ready")
            assert length(router) == 6
    finally:
        launcher.close()


def test_a_busy_process_is_no_lost_redis(shared: Server) -> None:
    """When this process itself has no time for longer than the timeout, the answer that waits unread still counts."""

    async def scene() -> None:
        async with connected(shared.url) as link:

            async def busy(client: Redis) -> Any:
                asyncio.get_running_loop().call_soon(time.sleep, 1.3 * TIMEOUT)
                await client.ping()
                return await client.ping()

            assert await link.call(busy)
            assert link.available

    asyncio.run(scene())
