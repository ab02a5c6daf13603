"""The in-memory session store, on a clock that the tests turn."""

from __future__ import annotations

import asyncio

import pytest

from stack.router.sessions import MAX_HISTORY, TIME_TO_LIVE, MemorySessionStore, Session, Turn


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemorySessionStore:
    return MemorySessionStore(clock=clock)


def test_a_saved_session_is_loaded(store: MemorySessionStore) -> None:
    """What was saved comes back as it was."""

    async def scene() -> None:
        session = Session("a").with_turns(Turn("user", "hello"))
        await store.save(session)
        assert await store.load("a") == session
        assert await store.load("b") is None

    asyncio.run(scene())


def test_sessions_run_out_after_half_an_hour(store: MemorySessionStore, clock: Clock) -> None:
    """30 minutes without use end a session; a load in between begins them anew."""

    async def scene() -> None:
        await store.save(Session("a"))
        clock.now += TIME_TO_LIVE - 1
        assert await store.load("a") is not None
        clock.now += TIME_TO_LIVE - 1
        assert await store.exists("a")
        clock.now += 1
        assert not await store.exists("a")
        assert await store.load("a") is None

    asyncio.run(scene())


def test_asking_whether_a_session_exists_does_not_keep_it(store: MemorySessionStore, clock: Clock) -> None:
    """Only use keeps a session alive."""

    async def scene() -> None:
        await store.save(Session("a"))
        clock.now += TIME_TO_LIVE - 1
        await store.exists("a")
        clock.now += 1
        assert not await store.exists("a")

    asyncio.run(scene())


def test_cleanup_counts_what_ran_out(store: MemorySessionStore, clock: Clock) -> None:
    """Clean-up drops exactly the expired sessions."""

    async def scene() -> None:
        await store.save(Session("old"))
        clock.now += TIME_TO_LIVE
        # Not by save, which would clean up itself.
        assert await store.cleanup_expired() == 1
        await store.save(Session("new"))
        assert await store.cleanup_expired() == 0

    asyncio.run(scene())


def test_delete_says_whether_there_was_one(store: MemorySessionStore) -> None:
    """A session can be deleted once."""

    async def scene() -> None:
        await store.save(Session("a"))
        assert await store.delete("a")
        assert not await store.delete("a")

    asyncio.run(scene())


def test_the_store_is_bounded(clock: Clock) -> None:
    """Beyond its bound the session unused for longest goes."""

    async def scene() -> None:
        store = MemorySessionStore(max_sessions=2, clock=clock)
        await store.save(Session("a"))
        await store.save(Session("b"))
        await store.load("a")
        await store.save(Session("c"))
        assert [await store.exists(name) for name in "abc"] == [True, False, True]

    asyncio.run(scene())


def test_history_is_bounded() -> None:
    """The oldest messages of a long conversation are dropped."""
    session = Session("a")
    for number in range(MAX_HISTORY):
        session = session.with_turns(Turn("user", f"question {number}"), Turn("assistant", f"reply {number}"))
    assert len(session.history) == MAX_HISTORY
    assert session.history[-1].text == f"reply {MAX_HISTORY - 1}"


def test_stats_and_ping(store: MemorySessionStore) -> None:
    """The store tells its kind and how much it holds."""

    async def scene() -> None:
        await store.save(Session("a").with_turns(Turn("user", "x"), Turn("assistant", "y")))
        assert await store.get_stats() == {"store": "memory", "sessions": 1, "messages": 2}
        assert await store.ping()

    asyncio.run(scene())
