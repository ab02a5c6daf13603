"""The queue in this process: what is used without NATS.

Tasks outlive the process in the store, and are taken up again at its next start.
"""

from __future__ import annotations

import asyncio

from stack.backend.queue.tasks import StoreGone, Task, TaskStore
from stack.backend.queue.worker import Again, Worker
from stack.common.log import Log

log = Log("stack.backend.queue")

# Tasks read from the store at once.
PAGE = 200

# Seconds until a store that is away at the start is asked again.
STORE_WAIT = 1.0


class MemoryQueue:
    """Works on tasks in the order in which they come.

    Args:
        worker: works on each.
        store: what is left there from earlier is taken up at the start.
        limit: how many at a time.
    """

    def __init__(self, worker: Worker, store: TaskStore, limit: int) -> None:
        self._worker = worker
        self._store = store
        self._limit = limit
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        # Those in `_waiting`: nothing is listed twice.
        self._listed: set[str] = set()
        self._work: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def available(self) -> bool:
        """Whether tasks can be accepted now."""
        return not self._stopping

    async def start(self) -> None:
        self._work = [asyncio.create_task(self._serve()) for _ in range(self._limit)]
        self._work.append(asyncio.create_task(self._take_up()))

    async def stop(self, patience: float) -> None:
        """End it; what is worked on gets `patience` seconds, and is put back then."""
        self._stopping = True
        # Wakes the idle ones: an empty id is nobody's.
        for _ in self._work:
            self._waiting.put_nowait("")
        if self._work:
            await asyncio.wait(self._work, timeout=patience)
        for each in self._work:
            each.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def submit(self, task: Task) -> None:
        """Work on a task that the store holds already."""
        self._list(task.id)

    def detail(self) -> str:
        """For people, one phrase."""
        return "in-process"

    async def _serve(self) -> None:
        while True:
            task_id = await self._waiting.get()
            if self._stopping:
                return
            self._listed.discard(task_id)
            outcome = await self._worker.work(task_id)
            if isinstance(outcome, Again):
                asyncio.get_running_loop().call_later(outcome.delay, self._list, task_id)

    def _list(self, task_id: str) -> None:
        if task_id not in self._listed:
            self._listed.add(task_id)
            self._waiting.put_nowait(task_id)

    async def _take_up(self) -> None:
        last: Task | None = None
        count = 0
        while True:
            try:
                page = await self._store.unfinished(last, PAGE)
            except StoreGone:
                await asyncio.sleep(STORE_WAIT)
                continue
            if not page:
                break
            for record in page:
                self._list(record.task.id)
            last, count = page[-1].task, count + len(page)
        if count:
            log.info("Took up tasks from earlier", tasks=count)
