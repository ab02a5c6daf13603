"""The queue on a real NATS server: ten at a time, again after a failure, dead after five."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import nats
import pytest

from stack.backend.queue import nats_queue
from stack.backend.queue.memory_store import MemoryTaskStore
from stack.backend.queue.nats_session import DEAD_STREAM, DEAD_SUBJECT, STREAM, SUBJECT
from stack.backend.queue.tasks import MAX_ATTEMPTS, StoreGone, Task
from stack.common.errors import ApiError
from stack.common.log import request_id
from tests.stack.queue_desk import GUARD, Desk, clear, job, until_messages
from tests.stack.servers import Server, nats_server


@pytest.fixture(scope="module")
def running_server() -> Iterator[Server]:
    with nats_server() as server:
        yield server


@pytest.fixture
def server(running_server: Server) -> Server:
    """The module's server, with no streams left from another test."""
    asyncio.run(clear(running_server))
    return running_server


def test_a_task_is_answered_and_acknowledged(server: Server) -> None:
    """It is done in the store, its message leaves the stream, and it carries the id of its request."""

    async def scene() -> None:
        desk, store, ids = Desk(), MemoryTaskStore(), []

        async def note(_: Task) -> None:
            ids.append(request_id.get())

        desk.behave = note
        async with desk.queue(store, server.url) as queue:
            accepted = await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)
            await until_messages(server, STREAM, 0)
            record = await queue.get("job-1", "ann")
            assert await queue.get("job-1", "bob") is None
            stats = await queue.stats()
        assert accepted.state == "queued"
        assert record is not None
        assert (record.state, record.answer) == ("done", {"text": "about question 1"})
        assert [each.state for each in desk.records] == ["queued", "running", "done"]
        assert ids == ["request-1"]
        assert (stats["queue"], stats["running"], stats["tasks"]["done"]) == ("nats", 0, 1)
        assert stats["server"] == {"pending": 0, "unacknowledged": 0, "dead_letters": 0}

    asyncio.run(scene())


def test_ten_at_a_time(server: Server) -> None:
    """Of 25 tasks ten begin; each end lets another one in."""

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Semaphore(0)
        desk.behave = lambda _: gate.acquire()  # type: ignore[assignment,return-value]
        async with desk.queue(MemoryTaskStore(), server.url) as queue:
            for number in range(25):
                await queue.submit(job(number))
            await desk.until(lambda: len(desk.calls) == 10)
            assert (await queue.stats())["running"] == 10
            gate.release()
            await desk.until(lambda: len(desk.calls) == 11)
            for _ in range(24):
                gate.release()
            await desk.until(lambda: len(desk.ended) == 25)
        assert desk.peak == 10
        assert set(desk.calls.values()) == {1}

    asyncio.run(scene())


def test_what_comes_beyond_the_limit_is_put_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that nobody asked for are negatively acknowledged and delivered again when there is room."""
    monkeypatch.setattr(nats_queue, "NAK_DELAY", 0.05)

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        desk.behave = lambda _: gate.wait()  # type: ignore[assignment,return-value]
        async with desk.queue(MemoryTaskStore(), server.url, limit=2, ack_wait=600) as queue:
            carrier: Any = queue._carrier
            await carrier._session.pull(3)
            for number in range(5):
                await queue.submit(job(number))
            await desk.until(lambda: len(desk.calls) == 2)
            gate.set()
            # Without the NAK they would stay away for the ten minutes of ack_wait.
            await desk.until(lambda: len(desk.ended) == 5)
        assert desk.peak == 2

    asyncio.run(scene())


def test_a_failed_attempt_is_repeated(server: Server) -> None:
    """The second attempt succeeds; the first one's error is not kept."""

    async def scene() -> None:
        desk = Desk()

        async def fail_once(task: Task) -> None:
            if desk.calls[task.id] == 1:
                raise ApiError(503, "models_unavailable", "No model answers.")

        desk.behave = fail_once
        store = MemoryTaskStore()
        async with desk.queue(store, server.url, retry_delay=0.02) as queue:
            await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)
        record = await store.get("job-1")
        assert record is not None
        assert (record.state, record.attempts, record.error) == ("done", 2, None)
        assert [each.error for each in desk.records] == [None, None, "No model answers.", "No model answers.", None]

    asyncio.run(scene())


def test_a_task_that_always_fails_is_a_dead_letter(server: Server) -> None:
    """After five attempts it is dead, with the reason, and its message moves to llm.dead."""

    async def scene() -> None:
        desk = Desk()

        async def fail(_: Task) -> None:
            raise RuntimeError("the model is in pieces")

        desk.behave = fail
        store = MemoryTaskStore()
        async with desk.queue(store, server.url, retry_delay=0.01) as queue:
            await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)
            await until_messages(server, STREAM, 0)
        record = await store.get("job-1")
        assert record is not None
        assert (record.state, record.attempts, record.error) == ("dead", MAX_ATTEMPTS, "the model is in pieces")
        client = await nats.connect(server.url)
        letter = await client.jetstream().get_last_msg(DEAD_STREAM, DEAD_SUBJECT)
        await client.close()
        assert Task.from_payload(letter.data or b"") == record.task

    asyncio.run(scene())


def test_a_task_that_is_refused_is_not_repeated(server: Server) -> None:
    """A 4xx of the orchestrator will be the same the next time: failed at once, and no dead letter."""

    async def scene() -> None:
        desk = Desk()

        async def refuse(_: Task) -> None:
            raise ApiError(400, "unknown_model", "There is no such model.")

        desk.behave = refuse
        async with desk.queue(MemoryTaskStore(), server.url) as queue:
            await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)
            await until_messages(server, STREAM, 0)
            assert (await queue.stats())["server"]["dead_letters"] == 0
        assert (desk.records[-1].state, desk.records[-1].error) == ("failed", "There is no such model.")

    asyncio.run(scene())


def test_a_message_that_is_no_task_is_a_dead_letter(server: Server) -> None:
    """It is moved out of the way; the next one is answered, though no request of ours brought it."""

    async def scene() -> None:
        desk = Desk()
        async with desk.queue(MemoryTaskStore(), server.url):
            client = await nats.connect(server.url)
            for payload in (b"\xff{", b"[1]", json.dumps({"id": "../x", "account_id": "a", "task": "chat", "prompt": ""}).encode()):
                await client.jetstream().publish(SUBJECT, payload)
            await client.jetstream().publish(SUBJECT, job(1).payload())
            await client.close()
            await desk.until(lambda: desk.ended["job-1"] == 1)
            await until_messages(server, DEAD_STREAM, 3)
            await until_messages(server, STREAM, 0)

    asyncio.run(scene())


def test_a_backend_that_ends_leaves_its_tasks_to_the_next(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task under way when the service stops is put back without a counted attempt, and answered by the next backend at once."""
    monkeypatch.setattr("stack.backend.queue.queue.PATIENCE", 0.05)

    async def scene() -> None:
        desk, store = Desk(), MemoryTaskStore()
        desk.behave = lambda _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
        async with desk.queue(store, server.url, ack_wait=600) as queue:
            await queue.submit(job(1))
            await queue.submit(job(2))
            await desk.until(lambda: desk.now == 2)
        assert (await store.counts())["queued"] == 2
        second = Desk()
        async with second.queue(store, server.url, ack_wait=600):
            await second.until(lambda: len(second.ended) == 2)
        record = await store.get("job-1")
        assert record is not None
        assert (record.state, record.attempts) == ("done", 1)

    asyncio.run(scene())


def test_two_backends_share_the_work(server: Server) -> None:
    """Two queues over one store and one server answer every task once."""

    async def scene() -> None:
        store, first, second = MemoryTaskStore(), Desk(), Desk()

        async def work(_: Task) -> None:
            await asyncio.sleep(0.002)

        first.behave = second.behave = work
        async with first.queue(store, server.url) as queue, second.queue(store, server.url):
            for number in range(60):
                await queue.submit(job(number))
            async with asyncio.timeout(GUARD):
                while (await store.counts())["done"] < 60:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert first.ended + second.ended == {f"job-{number}": 1 for number in range(60)}
        assert first.calls
        assert second.calls

    asyncio.run(scene())


class _Absent(MemoryTaskStore):
    """A store that is away for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    async def finish(self, *arguments: Any) -> bool:
        if self.away:
            raise StoreGone("away")
        return await super().finish(*arguments)


def test_an_answer_waits_for_the_database(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be stored is kept until it can, and its question is not asked again."""
    monkeypatch.setattr("stack.backend.queue.worker.STORE_DELAY", 0.01)

    async def scene() -> None:
        desk, store = Desk(), _Absent()
        async with desk.queue(store, server.url, ack_wait=0.3) as queue:
            store.away = True
            await queue.submit(job(1))
            await desk.until(lambda: desk.calls["job-1"] == 1)
            # Longer than ack_wait: being alive is what keeps the message from being delivered again.
            await asyncio.sleep(0.5)
            store.away = False
            await desk.until(lambda: desk.ended["job-1"] == 1)
            await until_messages(server, STREAM, 0)
        assert desk.calls["job-1"] == 1

    asyncio.run(scene())
