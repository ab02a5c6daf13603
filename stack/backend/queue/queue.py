"""The queue as the backend sees it: NATS when its server is there, else this process; and what was asked, answered or given up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from stack.backend.queue.memory_queue import MemoryQueue
from stack.backend.queue.tasks import ACK_WAIT, QueueGone, Refused, StoreGone, Task, TaskRecord, TaskStore
from stack.backend.queue.worker import ATTEMPT_TIMEOUT, RETRY_DELAY, Answerer, Listener, Worker
from stack.common.log import Log
from stack.common.metrics import QUEUE_TASKS
from stack.common.settings import SettingError

# NATS's client brings 15 MB and a tenth of a second with it, for those who have a server only.
if TYPE_CHECKING:
    from stack.backend.queue.nats_queue import NatsQueue
    from stack.backend.queue.nats_session import Session

log = Log("stack.backend.queue")

LIMIT = 10
"""Tasks at a time. More would only share a provider's rate among themselves."""

MAX_WAITING = 10_000
"""Unfinished tasks that are kept. Ten at a time and a second each, that is a quarter of an hour."""

# Seconds for what is under way when the service stops. The component has two for everything.
PATIENCE = 0.8

# Seconds between two looks for a NATS server that was away at the start.
_LOOK = 2.0

# Seconds for which a count of the unfinished tasks is believed.
_COUNT_AGE = 1.0

# Finished tasks are kept for a week, and looked through every hour.
_KEEP = 7 * 24 * 3600.0
_CLEANUP = 3600.0


class _Carrier(Protocol):
    @property
    def available(self) -> bool: ...

    async def submit(self, task: Task) -> None: ...

    async def stop(self, patience: float) -> None: ...

    def detail(self) -> str: ...


class Queue:
    """A component: accepts tasks and works on them, at most `limit` at a time.

    Args:
        store: where tasks are kept.
        answerer: who answers them.
        nats_url: `nats://host:port`; None works in this process.
        limit: tasks at a time.
        retry_delay: seconds until the second attempt at a task, doubled for each further one.
        ack_wait: seconds until a message that nobody works on is delivered again.

    Raises:
        SettingError: the URL is none.
    """

    name = "queue"

    def __init__(
        self,
        store: TaskStore,
        answerer: Answerer,
        nats_url: str | None = None,
        *,
        limit: int = LIMIT,
        retry_delay: float = RETRY_DELAY,
        attempt_timeout: float = ATTEMPT_TIMEOUT,
        ack_wait: float = ACK_WAIT,
    ) -> None:
        self._store = store
        self._worker = Worker(store, answerer, retry_delay=retry_delay, attempt_timeout=attempt_timeout)
        self._limit = limit
        self._local = MemoryQueue(self._worker, store, limit)
        self._nats: NatsQueue | None = None
        if nats_url:
            from stack.backend.queue.nats_queue import NatsQueue

            self._nats = NatsQueue(_checked(nats_url), self._worker, store, limit, ack_wait)
        self._carrier: _Carrier = self._local
        self._stopping = False
        self._background: list[asyncio.Task[None]] = []
        self._unfinished = 0
        self._counted = float("-inf")

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each task that is accepted, begins, is put back, or ends. It must not block or raise."""
        self._worker.listen(listener)

    async def start(self) -> None:
        """Choose and begin. A NATS server that is away is no failure: the process works alone until it comes."""
        self._background = [asyncio.create_task(self._clean())]
        if self._nats is None:
            log.info("Using in-process queue")
            await self._local.start()
            return
        try:
            session = await self._nats.connect()
        except QueueGone as error:
            log.warning("NATS cannot be reached; using in-process queue", server=self._nats.server, reason=str(error))
            await self._local.start()
            self._background.append(asyncio.create_task(self._await_nats(self._nats)))
        else:
            await self._switch(self._nats, session)

    async def stop(self) -> None:
        """Accept nothing more, let what is under way end, put the rest back."""
        self._stopping = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.gather(self._carrier.stop(PATIENCE), self._local.stop(PATIENCE))

    def state(self) -> dict[str, Any]:
        """For the health answer."""
        degraded = not self._accepts or (self._nats is not None and self._carrier is self._local)
        detail = self._carrier.detail()
        if self._nats is not None and self._carrier is self._local:
            detail += ": NATS could not be reached yet"
        return {"status": "degraded" if degraded else "ok", "detail": detail, "running": self._worker.running}

    async def submit(self, task: Task) -> TaskRecord:
        """Accept a task: from here on it is answered, or given up after MAX_ATTEMPTS, whatever ends meanwhile.

        The same task again (by id, account and question) is the one that is there.

        Raises:
            QueueGone: nothing can be accepted now.
            Refused: the id belongs to another task.
            StoreGone: the store is away; whether it was accepted can be asked later.
        """
        if not self._accepts:
            QUEUE_TASKS.labels("refused").inc()
            raise QueueGone("The queue's server cannot be reached now; try again in a moment.")
        if await self._count() >= MAX_WAITING:
            QUEUE_TASKS.labels("refused").inc()
            raise QueueGone(f"{MAX_WAITING} tasks wait already; try again later.")
        record = await self._store.put_queued(task)
        if not record.task.same_question(task):
            raise Refused("id_taken", "Another task has this id. Choose one, or leave it out.")
        if record.state != "queued":
            return record
        if record.task.created_at == task.created_at:
            self._unfinished += 1
            QUEUE_TASKS.labels("accepted").inc()
            self._worker.tell(record)
        await self._carrier.submit(record.task)
        return record

    async def get(self, task_id: str, account_id: str) -> TaskRecord | None:
        """What is known of an account's task. Raises StoreGone."""
        record = await self._store.get(task_id)
        return record if record is not None and record.task.account_id == account_id else None

    async def stats(self) -> dict[str, Any]:
        """Numbers for people and programs. Raises StoreGone."""
        return {
            "queue": "in-process" if self._carrier is self._local else "nats",
            "available": self._accepts,
            "detail": self._carrier.detail(),
            "limit": self._limit,
            "running": self._worker.running,
            "tasks": await self._store.counts(),
            "server": await self._nats.info() if self._nats is not None else None,
        }

    @property
    def _accepts(self) -> bool:
        return self._carrier.available and not self._stopping

    async def _count(self) -> int:
        """How many tasks are unfinished, not older than a second."""
        if time.monotonic() - self._counted > _COUNT_AGE:
            counts = await self._store.counts()
            self._unfinished = counts["queued"] + counts["running"]
            self._counted = time.monotonic()
        return self._unfinished

    async def _switch(self, nats: NatsQueue, session: Session) -> None:
        self._carrier = nats
        await nats.start(session)

    async def _await_nats(self, nats: NatsQueue) -> None:
        """Move over to NATS when it comes. What waits here is published there from the store; what is under way ends here."""
        while True:
            await asyncio.sleep(_LOOK)
            try:
                session = await nats.connect()
            except QueueGone:
                continue
            await self._switch(nats, session)
            log.info("NATS is there: leaving the in-process queue")
            await self._local.stop(ATTEMPT_TIMEOUT)
            return

    async def _clean(self) -> None:
        while True:
            try:
                if count := await self._store.cleanup(time.time() - _KEEP):
                    log.info("Forgot old tasks", tasks=count)
            except StoreGone as error:
                log.warning("Old tasks could not be forgotten now", reason=str(error))
            await asyncio.sleep(_CLEANUP)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("nats", "tls") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        # Without its value: it may hold a password.
        raise SettingError("NATS_URL: give an address such as nats://127.0.0.1:4222")
    return url
