"""Tasks in this process: gone when it ends. For tests, and for a backend without a database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stack.backend.queue.tasks import FINAL, STATES, State, Task, TaskRecord

# With answers of a few kilobytes, some 50 MB.
MAX_FINISHED = 10_000


class MemoryTaskStore:
    """A TaskStore in a dictionary.

    Args:
        clock: Unix seconds.
        max_finished: beyond this, finished tasks are forgotten, the oldest first.
    """

    def __init__(self, clock: Callable[[], float] = time.time, max_finished: int = MAX_FINISHED) -> None:
        self._clock = clock
        self._max_finished = max_finished
        self._records: dict[str, TaskRecord] = {}
        # Ids in the order in which they were finished.
        self._finished: dict[str, None] = {}

    async def put_queued(self, task: Task) -> TaskRecord:
        return self._records.setdefault(task.id, TaskRecord(task, "queued", updated_at=self._clock()))

    async def take(self, task_id: str) -> TaskRecord | None:
        record = self._records.get(task_id)
        if record is None or record.state in FINAL:
            return record
        return self._set(replace(record, state="running", attempts=record.attempts + 1))

    async def release(self, task_id: str, error: str | None, *, counted: bool = True) -> None:
        record = self._records.get(task_id)
        if record is not None and record.state == "running":
            self._set(replace(record, state="queued", attempts=record.attempts - (not counted), error=error))

    async def finish(self, task_id: str, state: State, answer: dict[str, Any] | None, error: str | None) -> bool:
        record = self._records.get(task_id)
        if record is None or record.state in FINAL:
            return False
        self._set(replace(record, state=state, answer=answer, error=error))
        self._finished[task_id] = None
        while len(self._finished) > self._max_finished:
            self._forget(next(iter(self._finished)))
        return True

    async def get(self, task_id: str) -> TaskRecord | None:
        return self._records.get(task_id)

    async def unfinished(self, after: Task | None, limit: int) -> list[TaskRecord]:
        records = [record for record in self._records.values() if record.state not in FINAL]
        if after is not None:
            records = [record for record in records if _place(record.task) > _place(after)]
        return sorted(records, key=lambda record: _place(record.task))[:limit]

    async def counts(self) -> dict[State, int]:
        counted = Counter(record.state for record in self._records.values())
        return {state: counted[state] for state in STATES}

    async def cleanup(self, before: float) -> int:
        old = [task_id for task_id in self._finished if self._records[task_id].updated_at < before]
        for task_id in old:
            self._forget(task_id)
        return len(old)

    def _set(self, record: TaskRecord) -> TaskRecord:
        record = replace(record, updated_at=self._clock())
        self._records[record.task.id] = record
        return record

    def _forget(self, task_id: str) -> None:
        del self._finished[task_id], self._records[task_id]


def _place(task: Task) -> tuple[float, str]:
    return (task.created_at, task.id)
