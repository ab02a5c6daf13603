"""A queue with an answerer that a test steers, and the events to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats

from stack.backend.queue.queue import Queue
from stack.backend.queue.tasks import QueueGone, Task, TaskRecord, TaskStore
from tests.stack.servers import Server

# Seconds until a test gives up. Only a hang meets it.
GUARD = 30.0


class Desk:
    """Answers tasks, and notes what happens to each.

    Attributes:
        calls: how often each task was given to the answerer.
        ended: how often each task was told to have ended.
        peak: the most tasks at the same time.
        behave: what the answerer does before it answers; tests replace it.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.records: list[TaskRecord] = []
        self.now = self.peak = 0
        self.behave: Callable[[Task], Awaitable[None]] = _at_once
        self._changed = asyncio.Event()

    async def answer(self, task: Task) -> dict[str, Any]:
        self.calls[task.id] += 1
        self.now += 1
        self.peak = max(self.peak, self.now)
        self._changed.set()
        try:
            await self.behave(task)
        finally:
            self.now -= 1
        return {"text": f"about {task.prompt}"}

    def hear(self, record: TaskRecord) -> None:
        self.records.append(record)
        if record.state in ("done", "failed", "dead"):
            self.ended[record.task.id] += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at after each call and each event."""
        async with asyncio.timeout(GUARD):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @contextlib.asynccontextmanager
    async def queue(self, store: TaskStore, url: str | None = None, **options: Any) -> AsyncIterator[Queue]:
        """A queue that this desk answers, started."""
        queue = Queue(store, self.answer, url, **options)
        queue.listen(self.hear)
        await queue.start()
        try:
            yield queue
        finally:
            await queue.stop()


async def _at_once(_: Task) -> None:
    await asyncio.sleep(0)


async def available(queue: Queue) -> None:
    """Wait until the queue accepts tasks. There is nothing to await from outside, so it is asked again and again."""
    await _state(queue, "ok")


async def degraded(queue: Queue) -> None:
    """Wait until the queue reports that its server is away."""
    await _state(queue, "degraded")


async def _state(queue: Queue, status: str) -> None:
    async with asyncio.timeout(GUARD):
        while queue.state()["status"] != status:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def insist(queue: Queue, task: Task) -> int:
    """Submit a task until it is accepted, as a client would; returns how often it was refused."""
    refused = 0
    async with asyncio.timeout(GUARD):
        while True:
            try:
                await queue.submit(task)
                return refused
            except QueueGone:
                refused += 1
                await asyncio.sleep(0.02)


def job(number: int | str) -> Task:
    """A task with this number."""
    return Task(f"job-{number}", "ann", "chat", f"question {number}", f"request-{number}")


async def clear(server: Server) -> None:
    """Delete every stream."""
    client = await nats.connect(server.url)
    for info in await client.jetstream().streams_info():
        await client.jetstream().delete_stream(info.config.name or "")
    await client.close()


async def messages(server: Server, stream: str) -> int:
    client = await nats.connect(server.url)
    try:
        return (await client.jetstream().stream_info(stream)).state.messages
    finally:
        await client.close()


async def until_messages(server: Server, stream: str, count: int) -> None:
    """Wait until a stream holds so many messages; the server tells nobody of acknowledgements, so it is asked."""
    async with asyncio.timeout(GUARD):
        while await messages(server, stream) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
