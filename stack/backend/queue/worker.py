"""Working on one task, whichever way it came: taken, answered, finished; or tried again later, or given up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stack.backend.queue.tasks import FINAL, MAX_ATTEMPTS, State, StoreGone, Task, TaskRecord, TaskStore
from stack.common.errors import ApiError
from stack.common.log import Log, request_id
from stack.common.metrics import QUEUE_RUNNING, QUEUE_TASKS

log = Log("stack.backend.queue")

Answerer = Callable[[Task], Awaitable[dict[str, Any]]]
"""Answers a task with JSON. An ApiError of status 400 to 499, 408 and 429 excepted, refuses it for good; any other failure is
worth another attempt."""

Listener = Callable[[TaskRecord], None]
"""Told about each change of a task's state."""

# Seconds for one attempt. The orchestrator has tighter ones for each provider; this one keeps a stuck task from holding a place.
ATTEMPT_TIMEOUT = 120.0

# Seconds until the second attempt; doubled for each further one. All five take a quarter of a minute.
RETRY_DELAY = 1.0

# Seconds until a message is looked at again whose task this process works on already, or whose store is away.
BUSY_DELAY = 2.0

# Seconds between attempts to store an answer while the store is away.
STORE_DELAY = 0.5

# Seconds for putting a task back when the service stops; the whole component has two.
_RELEASE_TIMEOUT = 0.4

# Characters of an error that are kept with a task.
_MAX_ERROR = 500


@dataclass(frozen=True, slots=True)
class Finished:
    """The task has its final state, now or since earlier."""

    record: TaskRecord


@dataclass(frozen=True, slots=True)
class Again:
    """The task has to be looked at again in `delay` seconds."""

    delay: float


class Worker:
    """Works on tasks.

    Args:
        store: where they are kept.
        answerer: who answers them.
        retry_delay: seconds until the second attempt.
        attempt_timeout: seconds for one attempt.
    """

    def __init__(
        self,
        store: TaskStore,
        answerer: Answerer,
        *,
        retry_delay: float = RETRY_DELAY,
        attempt_timeout: float = ATTEMPT_TIMEOUT,
    ) -> None:
        self._store = store
        self._answerer = answerer
        self._retry_delay = retry_delay
        self._attempt_timeout = attempt_timeout
        self._running: set[str] = set()
        self._listeners: list[Listener] = []

    @property
    def running(self) -> int:
        """How many tasks are worked on now."""
        return len(self._running)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each task that begins, is put back, or ends. It must not block or raise."""
        self._listeners.append(listener)

    def tell(self, record: TaskRecord) -> None:
        """Tell the listeners about a task."""
        for listener in self._listeners:
            listener(record)

    async def work(self, task_id: str) -> Finished | Again | None:
        """Try a task once. None when the store does not know it.

        When cancelled, the task is put back first and the attempt does not count.
        """
        if task_id in self._running:
            return Again(BUSY_DELAY)
        self._running.add(task_id)
        QUEUE_RUNNING.set(len(self._running))
        previous = request_id.set("")
        try:
            return await self._work(task_id)
        except StoreGone as error:
            log.warning("A task waits for the database", task=task_id, reason=str(error))
            return Again(BUSY_DELAY)
        except Exception as error:
            # Nothing that happens to one task may end the work on the others. Its attempts are counted, so it ends as well.
            log.error("The work on a task failed", task=task_id, exc_info=error)
            return Again(BUSY_DELAY)
        finally:
            request_id.reset(previous)
            self._running.discard(task_id)
            QUEUE_RUNNING.set(len(self._running))

    async def _work(self, task_id: str) -> Finished | Again | None:
        record = await self._store.take(task_id)
        if record is None:
            return None
        if record.state in FINAL:
            return Finished(record)
        request_id.set(record.task.request_id)
        if record.attempts > MAX_ATTEMPTS:
            # Its process ended in the middle of every attempt: perhaps because of it.
            return await self._finish(record, "dead", error=record.error or "The service ended during each attempt.")
        self.tell(record)
        try:
            async with asyncio.timeout(self._attempt_timeout):
                answer = await self._answerer(record.task)
            return await self._finish(record, "done", answer=answer)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreGone, TimeoutError):
                async with asyncio.timeout(_RELEASE_TIMEOUT):
                    await self._store.release(task_id, None, counted=False)
            raise
        except StoreGone:
            raise
        except Exception as error:
            return await self._failed(record, error)

    async def _failed(self, record: TaskRecord, error: Exception) -> Finished | Again:
        reason = _sentence(error)
        if isinstance(error, ApiError) and 400 <= error.status_code < 500 and error.status_code not in (408, 429):
            return await self._finish(record, "failed", error=reason)
        log.warning("An attempt at a task failed", task=record.task.id, attempt=record.attempts, reason=reason)
        if record.attempts >= MAX_ATTEMPTS:
            return await self._finish(record, "dead", error=reason)
        await self._store.release(record.task.id, reason)
        QUEUE_TASKS.labels("redelivered").inc()
        self.tell(TaskRecord(record.task, "queued", record.attempts, error=reason, updated_at=record.updated_at))
        return Again(self._retry_delay * 2 ** (record.attempts - 1))

    async def _finish(
        self, record: TaskRecord, state: State, *, answer: dict[str, Any] | None = None, error: str | None = None
    ) -> Finished:
        """Store the outcome, however long the store stays away: the answer has been paid for."""
        while True:
            try:
                first = await self._store.finish(record.task.id, state, answer, error)
                # Not the first: another backend answered it meanwhile, and that answer stands.
                known = None if first else await self._store.get(record.task.id)
                break
            except StoreGone:
                await asyncio.sleep(STORE_DELAY)
        finished = known or TaskRecord(record.task, state, record.attempts, answer, error, time.time())
        if first:
            QUEUE_TASKS.labels(state).inc()
            (log.info if state == "done" else log.error)(f"A task is {state}", task=record.task.id, attempts=record.attempts)
            self.tell(finished)
        return Finished(finished)


def _sentence(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "No answer in time."
    text = str(error.detail) if isinstance(error, ApiError) else str(error)
    # Databases store neither NUL nor half a character.
    return (text or type(error).__name__)[:_MAX_ERROR].replace("\0", "").encode("utf-8", "replace").decode()
