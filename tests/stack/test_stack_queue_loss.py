"""The queue while its NATS server is killed, hangs, comes back empty or late: nothing is lost, nothing answered twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import nats
import pytest

from stack.backend.queue import nats_queue
from stack.backend.queue.memory_store import MemoryTaskStore
from stack.backend.queue.nats_session import STREAM
from stack.backend.queue.tasks import QueueGone, Task
from tests.stack.queue_desk import Desk, available, clear, degraded, insist, job, until_messages
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


def test_a_killed_server_loses_nothing(server: Server) -> None:
    """kill -9 under 200 tasks, twice: every accepted one is answered, each once, still at most ten at a time."""

    async def scene() -> None:
        desk = Desk()

        async def work(_: Task) -> None:
            await asyncio.sleep(0.004)

        desk.behave = work
        store = MemoryTaskStore()
        async with desk.queue(store, server.url, ack_wait=1.0) as queue:
            jobs = [job(number) for number in range(200)]
            clients = [asyncio.create_task(_insist_on(queue, jobs[start::8])) for start in range(8)]
            for share in (40, 110):
                await desk.until(lambda share=share: len(desk.ended) >= share)  # type: ignore[misc]
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await asyncio.gather(*clients)
            await desk.until(lambda: len(desk.ended) == 200)
            # What was delivered twice is acknowledged without being answered twice.
            await until_messages(server, STREAM, 0)
            counts = await store.counts()
        assert counts["done"] == 200
        assert set(desk.ended.values()) == {1}
        assert set(desk.calls.values()) == {1}
        assert desk.peak <= 10

    asyncio.run(scene())


async def _insist_on(queue: Any, jobs: list[Task]) -> None:
    for each in jobs:
        await insist(queue, each)


def test_a_lost_server_refuses_at_once_and_keeps_what_it_has(server: Server) -> None:
    """While it is away new tasks are refused, accepted ones wait, those under way end; on its return the rest is answered."""

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        desk.behave = lambda _: gate.wait()  # type: ignore[assignment,return-value]
        async with desk.queue(MemoryTaskStore(), server.url, limit=1, ack_wait=0.5) as queue:
            await queue.submit(job(1))
            await desk.until(lambda: desk.calls["job-1"] == 1)
            await queue.submit(job(2))
            await asyncio.to_thread(server.kill)
            await degraded(queue)
            assert "NATS at 127.0.0.1" in queue.state()["detail"]
            with pytest.raises(QueueGone):
                await queue.submit(job(3))
            gate.set()
            await desk.until(lambda: desk.ended["job-1"] == 1)
            assert desk.calls["job-2"] == 0
            await asyncio.to_thread(server.start)
            await desk.until(lambda: desk.ended["job-2"] == 1)
            await until_messages(server, STREAM, 0)
        assert set(desk.calls.values()) == {1}

    asyncio.run(scene())


def test_a_server_that_hangs_is_given_up(server: Server) -> None:
    """A stopped process answers nothing: the task that met it is answered after its return, later ones are refused at once."""

    async def scene() -> None:
        desk, accepted = Desk(), []
        async with desk.queue(MemoryTaskStore(), server.url, ack_wait=0.5) as queue:
            server.pause()
            try:
                # SIGSTOP reaches the server's threads one by one: the first task may still be published.
                with contextlib.suppress(QueueGone):
                    for number in range(1000):
                        await queue.submit(job(number))
                        accepted.append(f"job-{number}")
            finally:
                server.resume()
            await desk.until(lambda: len(desk.ended) == len(accepted))
        assert 1 <= len(accepted) < 1000
        assert set(desk.ended) == set(accepted)

    asyncio.run(scene())


def test_a_server_that_comes_back_empty_is_filled_again(server: Server) -> None:
    """What the store holds unfinished is published again, so that a lost disk loses no task."""

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        desk.behave = lambda _: gate.wait()  # type: ignore[assignment,return-value]
        async with desk.queue(MemoryTaskStore(), server.url, limit=1, ack_wait=0.5) as queue:
            for number in range(3):
                await queue.submit(job(number))
            await desk.until(lambda: desk.now == 1)
            client = await nats.connect(server.url)
            await client.jetstream().delete_stream(STREAM)
            await client.close()
            gate.set()
            await desk.until(lambda: len(desk.ended) == 3)
        assert set(desk.ended.values()) == {1}

    asyncio.run(scene())


def test_an_emptied_stream_is_filled_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that somebody removed leave tasks of which the server knows nothing: those are published anew."""
    monkeypatch.setattr(nats_queue, "FORGOTTEN", 0.3)

    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        desk.behave = lambda _: gate.wait()  # type: ignore[assignment,return-value]
        async with desk.queue(MemoryTaskStore(), server.url, limit=1, ack_wait=0.5) as queue:
            for number in range(3):
                await queue.submit(job(number))
            await desk.until(lambda: desk.now == 1)
            client = await nats.connect(server.url)
            await client.jetstream().purge_stream(STREAM)
            await client.close()
            gate.set()
            await desk.until(lambda: len(desk.ended) == 3)
        assert set(desk.calls.values()) == {1}

    asyncio.run(scene())


def test_a_server_that_comes_late_is_used_then(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away at the start: this process works alone and says so; when the server comes, the queue moves there."""
    monkeypatch.setattr("stack.backend.queue.queue._LOOK", 0.05)

    async def scene() -> None:
        desk = Desk()
        server.kill()
        try:
            async with desk.queue(MemoryTaskStore(), server.url) as queue:
                assert queue.state()["status"] == "degraded"
                await queue.submit(job(1))
                await desk.until(lambda: desk.ended["job-1"] == 1)
                await asyncio.to_thread(server.start)
                await available(queue)
                await queue.submit(job(2))
                await desk.until(lambda: desk.ended["job-2"] == 1)
                assert (await queue.stats())["queue"] == "nats"
        finally:
            if not _runs(server):
                server.start()

    asyncio.run(scene())


def _runs(server: Server) -> bool:
    return server._process is not None
