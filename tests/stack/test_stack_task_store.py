"""What every store of tasks promises: the one in memory, the one in SQLite, the one in PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.backend.database.database import Database
from stack.backend.queue.memory_store import MemoryTaskStore
from stack.backend.queue.sql_store import SqlTaskStore
from stack.backend.queue.tasks import StoreGone, Task, TaskStore
from tests.stack.servers import postgres_server

Scene = Callable[[TaskStore], Coroutine[Any, Any, None]]
Play = Callable[[Scene], None]


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres_server() as server:
        yield server.url


@contextlib.asynccontextmanager
async def _sql(url: str | None, directory: Path) -> AsyncIterator[SqlTaskStore]:
    database = Database(url, directory)
    await database.start()
    try:
        yield SqlTaskStore(database)
    finally:
        await database.stop()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Plays a scene with a store of each kind. PostgreSQL's is shared: each scene uses ids of its own."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None

    def run(scene: Scene) -> None:
        async def main() -> None:
            if request.param == "memory":
                await scene(MemoryTaskStore())
            else:
                async with _sql(url, tmp_path) as store:
                    await scene(store)

        asyncio.run(main())

    return run


def test_a_task_is_put_once(play: Play) -> None:
    """The second one with an id leaves the first as it is, and gets to see it."""

    async def scene(store: TaskStore) -> None:
        first = Task("once", "ann", "chat", "hello", "request-1", 1000.5)
        assert (await store.put_queued(first)).task == first
        record = await store.put_queued(Task("once", "bob", "audit", "other"))
        assert (record.task, record.state, record.attempts) == (first, "queued", 0)
        assert await store.get("nowhere") is None
        assert await store.take("nowhere") is None

    play(scene)


def test_a_task_is_finished_once(play: Play) -> None:
    """Each taking counts an attempt; the first outcome stays, and a finished task is not taken again."""

    async def scene(store: TaskStore) -> None:
        await store.put_queued(Task("finish", "ann", "chat", "hello"))
        await store.take("finish")
        again = await store.take("finish")
        assert again is not None
        assert (again.state, again.attempts) == ("running", 2)
        assert await store.finish("finish", "done", {"text": "hi", "usage": {"tokens": 2}}, None)
        assert not await store.finish("finish", "dead", None, "too late")
        record = await store.take("finish")
        assert record is not None
        assert (record.state, record.attempts, record.error) == ("done", 2, None)
        assert record.answer == {"text": "hi", "usage": {"tokens": 2}}
        await store.release("finish", "no")
        assert await store.get("finish") == record

    play(scene)


def test_a_released_task_is_queued_again(play: Play) -> None:
    """With its attempt counted when it failed, or not when the service was stopped."""

    async def scene(store: TaskStore) -> None:
        await store.put_queued(Task("release", "ann", "chat", "hello"))
        await store.take("release")
        await store.release("release", "no model")
        await store.take("release")
        await store.release("release", None, counted=False)
        record = await store.get("release")
        assert record is not None
        assert (record.state, record.attempts, record.error) == ("queued", 1, None)

    play(scene)


def test_unfinished_tasks_come_page_by_page(play: Play) -> None:
    """Oldest first, queued and running ones, each once."""

    async def scene(store: TaskStore) -> None:
        # In the future: after those of the other scenes.
        start = time.time() + 1000
        for number in range(5):
            # The last three at the same moment: then the id decides.
            await store.put_queued(Task(f"page-{number}", "ann", "chat", "hello", created_at=start + min(number, 2)))
        await store.take("page-1")
        await store.finish("page-3", "failed", None, "no")
        begin = Task("", "", "", "", created_at=start)
        first = await store.unfinished(begin, 2)
        second = await store.unfinished(first[-1].task, 2)
        assert [record.task.id for record in first + second] == ["page-0", "page-1", "page-2", "page-4"]
        assert await store.unfinished(second[-1].task, 2) == []

    play(scene)


def test_old_tasks_are_forgotten(play: Play) -> None:
    """Finished ones only; counts follow."""

    async def scene(store: TaskStore) -> None:
        before = await store.counts()
        await store.put_queued(Task("old-1", "ann", "chat", "hello"))
        await store.put_queued(Task("old-2", "ann", "chat", "hello"))
        await store.finish("old-1", "done", {}, None)
        counts = await store.counts()
        assert (counts["queued"] - before["queued"], counts["done"] - before["done"]) == (1, 1)
        assert await store.cleanup(time.time() - 60) == 0
        assert await store.cleanup(time.time() + 60) >= 1
        assert await store.get("old-1") is None
        assert await store.get("old-2") is not None

    play(scene)


def test_the_memory_is_bounded() -> None:
    """Beyond the bound the task that was finished first is forgotten."""

    async def scene() -> None:
        store = MemoryTaskStore(max_finished=1)
        for name in ("a", "b"):
            await store.put_queued(Task(name, "ann", "chat", "hello"))
            await store.finish(name, "done", {}, None)
        assert await store.get("a") is None
        assert await store.get("b") is not None

    asyncio.run(scene())


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    """Every call raises StoreGone, which the queue waits for."""

    async def scene() -> None:
        store = SqlTaskStore(Database(None, tmp_path))
        with pytest.raises(StoreGone):
            await store.get("a")

    asyncio.run(scene())
