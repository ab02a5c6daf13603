"""The queue without a server, and its endpoints; the database is SQLite's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stack.backend.auth.guard import Principal, require
from stack.backend.database.database import Database
from stack.backend.queue import queue as queue_module
from stack.backend.queue.memory_store import MemoryTaskStore
from stack.backend.queue.queue import Queue
from stack.backend.queue.sql_store import SqlTaskStore
from stack.backend.queue.tasks import MAX_ATTEMPTS, MAX_PAYLOAD, QueueGone, Refused, Task
from stack.backend.routes import queue as routes
from stack.common.contract import SESSION_ID
from stack.common.errors import HANDLERS, ApiError
from stack.common.settings import SettingError
from stack.common.web import RequestContext
from tests.stack.queue_desk import Desk, job


@contextlib.asynccontextmanager
async def sqlite(directory: Path) -> AsyncIterator[SqlTaskStore]:
    database = Database(None, directory)
    await database.start()
    try:
        yield SqlTaskStore(database)
    finally:
        await database.stop()


def test_tasks_are_answered_in_this_process(tmp_path: Path) -> None:
    """Without a server ten tasks at a time are worked on here, and the queue says that all is well."""

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Semaphore(0)
        desk.behave = lambda _: gate.acquire()  # type: ignore[assignment,return-value]
        async with sqlite(tmp_path) as store, desk.queue(store) as queue:
            for number in range(12):
                await queue.submit(job(number))
            await desk.until(lambda: desk.now == 10)
            assert queue.state() == {"status": "ok", "detail": "in-process", "running": 10}
            for _ in range(12):
                gate.release()
            await desk.until(lambda: len(desk.ended) == 12)
            stats = await queue.stats()
        assert desk.peak == 10
        assert (stats["queue"], stats["tasks"]["done"], stats["server"]) == ("in-process", 12, None)

    asyncio.run(scene())


def test_tasks_outlive_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited and what was under way at the end is answered after the next start, in the order in which it came."""
    monkeypatch.setattr(queue_module, "PATIENCE", 0.02)

    async def scene() -> None:
        first, second = Desk(), Desk()
        first.behave = lambda _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
        async with sqlite(tmp_path) as store:
            async with first.queue(store, limit=1) as queue:
                for number in range(3):
                    await queue.submit(job(number))
                await first.until(lambda: first.now == 1)
            async with second.queue(store, limit=1):
                await second.until(lambda: len(second.ended) == 3)
            record = await store.get("job-0")
        assert list(second.ended) == ["job-0", "job-1", "job-2"]
        assert record is not None
        assert record.attempts == 1

    asyncio.run(scene())


def test_a_stop_lets_short_work_end() -> None:
    """What is nearly done is done; nothing new is accepted meanwhile."""

    async def scene() -> None:
        desk, gate, store = Desk(), asyncio.Event(), MemoryTaskStore()
        desk.behave = lambda _: gate.wait()  # type: ignore[assignment,return-value]
        async with desk.queue(store, limit=1) as queue:
            await queue.submit(job(1))
            await desk.until(lambda: desk.now == 1)
            stopping = asyncio.create_task(queue.stop())
            await asyncio.sleep(0)
            with pytest.raises(QueueGone):
                await queue.submit(job(2))
            gate.set()
            await stopping
        assert desk.ended == {"job-1": 1}

    asyncio.run(scene())


def test_failures_are_repeated_and_given_up() -> None:
    """An attempt without an answer in time is one that failed; after five the task is dead."""

    async def scene() -> None:
        desk, store = Desk(), MemoryTaskStore()
        desk.behave = lambda _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
        async with desk.queue(store, retry_delay=0.001, attempt_timeout=0.005) as queue:
            await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)
        record = await store.get("job-1")
        assert record is not None
        assert (record.state, record.attempts, record.error) == ("dead", MAX_ATTEMPTS, "No answer in time.")
        assert desk.calls["job-1"] == MAX_ATTEMPTS

    asyncio.run(scene())


def test_a_task_that_ends_its_process_is_given_up(tmp_path: Path) -> None:
    """Attempts that no answer and no error followed count: after five of them the task is not tried again."""

    async def scene() -> None:
        desk = Desk()
        async with sqlite(tmp_path) as store:
            await store.put_queued(job(1))
            for _ in range(MAX_ATTEMPTS):
                await store.take("job-1")
            async with desk.queue(store):
                await desk.until(lambda: desk.ended["job-1"] == 1)
            record = await store.get("job-1")
        assert record is not None
        assert (record.state, desk.calls["job-1"]) == ("dead", 0)
        assert record.error == "The service ended during each attempt."

    asyncio.run(scene())


@pytest.mark.parametrize("answer", [{"text": object()}, ValueError("\0 and \ud800")])
def test_an_answer_that_cannot_be_stored_hurts_nobody_else(tmp_path: Path, answer: Any) -> None:
    """What is no JSON is a failed attempt, and an error's text is made storable."""

    async def scene() -> None:
        async def answerer(task: Task) -> dict[str, Any]:
            if task.id == "job-2":
                return {"text": "fine"}
            if isinstance(answer, Exception):
                raise answer
            return dict(answer)

        desk = Desk()
        async with sqlite(tmp_path) as store:
            queue = Queue(store, answerer, retry_delay=0.001, limit=1)
            queue.listen(desk.hear)
            await queue.start()
            await queue.submit(job(1))
            await queue.submit(job(2))
            await desk.until(lambda: len(desk.ended) == 2)
            await queue.stop()
            dead, done = await store.get("job-1"), await store.get("job-2")
        assert dead is not None
        assert done is not None
        assert (dead.state, done.state) == ("dead", "done")
        assert dead.error

    asyncio.run(scene())


def test_the_same_task_again_is_the_same_task() -> None:
    """It is answered once, however often it is sent; another question under its id is refused."""

    async def scene() -> None:
        desk = Desk()
        async with desk.queue(MemoryTaskStore()) as queue:
            await queue.submit(job(1))
            await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)
            assert (await queue.submit(job(1))).state == "done"
            with pytest.raises(Refused):
                await queue.submit(Task("job-1", "bob", "chat", "question 1"))
        assert desk.calls == {"job-1": 1}

    asyncio.run(scene())


def test_a_full_queue_accepts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_WAITING unfinished tasks new ones are refused."""
    monkeypatch.setattr(queue_module, "MAX_WAITING", 2)

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        desk.behave = lambda _: gate.wait()  # type: ignore[assignment,return-value]
        async with desk.queue(MemoryTaskStore()) as queue:
            await queue.submit(job(1))
            await queue.submit(job(2))
            with pytest.raises(QueueGone, match="wait already"):
                await queue.submit(job(3))
            gate.set()

    asyncio.run(scene())


@pytest.mark.parametrize("url", ["http://127.0.0.1:4222", "nats://", "nats://host:0", "nats://host:x", "nats://user:hush@[::1"])
def test_a_wrong_url_is_said_without_its_password(url: str) -> None:
    """It is refused when the service is put together."""
    with pytest.raises(SettingError, match="NATS_URL") as refused:
        Queue(MemoryTaskStore(), Desk().answer, url)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "INFO"),
        (b"INFO {\r\n", "json"),
        (b"INFO " + b"x" * 100_000, ""),
        (b"", ""),
        (
            b'INFO {"server_id":"x","version":"2.9.10","max_payload":1048576,"jetstream":false}\r\nPONG\r\n',
            "no answer within 0.2 s",
        ),
        (b"-ERR 'Authorization Violation'\r\n", ""),
    ],
    ids=["http", "no-json", "endless", "closes", "silent", "refuses"],
)
def test_what_is_no_server_is_not_used(
    says: bytes, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever answers in place of a NATS server with JetStream: the queue works without, says why, and stops in time."""
    monkeypatch.setattr("stack.backend.queue.nats_session.TIMEOUT", 0.2)
    monkeypatch.setattr(queue_module, "_LOOK", 0.01)

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if b"PONG" in says:
                await reader.read()
        writer.close()

    async def scene() -> None:
        desk = Desk()
        server = await asyncio.start_server(impostor, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, desk.queue(MemoryTaskStore(), f"nats://user:hush@127.0.0.1:{port}") as queue:
            assert queue.state()["status"] == "degraded"
            await queue.submit(job(1))
            await desk.until(lambda: desk.ended["job-1"] == 1)

    asyncio.run(scene())
    said = [record for record in caplog.records if "NATS cannot be reached" in record.getMessage()]
    assert len(said) == 1
    assert reason in str(vars(said[0])["fields"]["reason"])
    assert "hush" not in str([vars(record) for record in caplog.records])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
names = st.from_regex(SESSION_ID, fullmatch=True)
trees = st.recursive(st.none() | texts | st.floats(), st.lists, max_leaves=5)


@settings(max_examples=50)
@given(st.builds(Task, names, names, names, texts, names, st.floats(0, 1e10)))
def test_a_task_survives_the_way_through_a_message(task: Task) -> None:
    """It comes out as it went in."""
    assert Task.from_payload(task.payload()) == task


@settings(max_examples=50)
@given(st.binary(max_size=200) | trees.map(lambda tree: json.dumps(tree).encode()))
@example(Task("a", "b", "c", "", created_at=float("nan")).payload())
@example(Task("a", "b\0", "c", "").payload())
@example(b"[" * 100_000)
@example(b"x" * (MAX_PAYLOAD + 1))
@example(b'{"id": "a", "account_id": "b", "task": "chat", "prompt": 7}')
def test_other_messages_are_refused(payload: bytes) -> None:
    """Any bytes that are no task raise ValueError, and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011
        Task.from_payload(payload)


@contextlib.asynccontextmanager
async def served(queue: Queue, account: str = "ann") -> AsyncIterator[httpx.AsyncClient]:
    """The endpoints, asked by somebody signed in."""
    app = FastAPI(exception_handlers={**HANDLERS})
    app.include_router(routes.router(queue))
    app.dependency_overrides[require] = lambda: Principal(account, account, "session", admin=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(RequestContext(app)), base_url="http://backend") as client:
        yield client


def test_a_job_over_http() -> None:
    """Accepted with 202 and an address, at which its answer is found later, by its owner only."""

    async def scene() -> None:
        desk, trace = Desk(), {"X-Request-ID": "trace-me-9"}
        async with desk.queue(MemoryTaskStore()) as queue, served(queue) as client, served(queue, "bob") as other:
            accepted = await client.post(
                "/api/assistant/jobs", json={"task": "audit", "prompt": " look ", "id": "my-job"}, headers=trace
            )
            assert (accepted.status_code, accepted.json()) == (202, {"id": "my-job", "state": "queued"})
            await desk.until(lambda: desk.ended["my-job"] == 1)
            address = accepted.headers["location"]
            job = (await client.get(address)).json()
            assert (job["state"], job["task"], job["attempts"]) == ("done", "audit", 1)
            assert job["answer"] == {"text": "about look"}
            assert job["created"].endswith("Z")
            assert desk.records[-1].task.request_id == "trace-me-9"
            again = await client.post("/api/assistant/jobs", json={"task": "audit", "prompt": "look", "id": "my-job"})
            assert again.json() == {"id": "my-job", "state": "done"}
            assert (await other.get(address)).json()["error"]["code"] == "unknown_job"
            taken = await other.post("/api/assistant/jobs", json={"prompt": "look", "id": "my-job"})
            assert (taken.status_code, taken.json()["error"]["code"]) == (409, "id_taken")
            stats = (await client.get("/api/queue/stats")).json()
            assert (stats["queue"], stats["tasks"]["done"], stats["server"]) == ("in-process", 1, None)

    asyncio.run(scene())


def test_what_cannot_be_accepted_over_http(tmp_path: Path) -> None:
    """Input that makes no sense is 422; a queue or a database that is away is 503, with the time to try again."""

    async def scene() -> None:
        queue = Queue(SqlTaskStore(Database(None, tmp_path)), Desk().answer)
        async with served(queue) as client:
            for body in ({"prompt": ""}, {"prompt": "x", "task": "poetry"}, {"prompt": "x", "id": "a/b"}):
                assert (await client.post("/api/assistant/jobs", json=body)).status_code == 422
            for answer in (
                await client.post("/api/assistant/jobs", json={"prompt": "x"}),
                await client.get("/api/assistant/jobs/a"),
                await client.get("/api/queue/stats"),
            ):
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
                assert answer.headers["retry-after"] == "1"
            await queue.stop()
            away = await client.post("/api/assistant/jobs", json={"prompt": "x"})
            assert (away.status_code, away.json()["error"]["code"]) == (503, "queue_unavailable")

    asyncio.run(scene())


def test_a_refusal_for_good_is_not_repeated() -> None:
    """A 4xx other than 408 and 429 fails the task at once; a 429 is repeated."""

    async def scene() -> None:
        desk = Desk()

        async def refuse(task: Task) -> None:
            if task.id == "job-1":
                raise ApiError(422, "no", "No.")
            if desk.calls["job-2"] == 1:
                raise ApiError(429, "slow_down", "Later.")

        desk.behave = refuse
        store = MemoryTaskStore()
        async with desk.queue(store, retry_delay=0.001) as queue:
            await queue.submit(job(1))
            await queue.submit(job(2))
            await desk.until(lambda: len(desk.ended) == 2)
            one, two = await store.get("job-1"), await store.get("job-2")
        assert one is not None
        assert two is not None
        assert [(one.state, one.attempts, one.error), (two.state, two.attempts, two.error)] == [
            ("failed", 1, "No."),
            ("done", 2, None),
        ]

    asyncio.run(scene())
