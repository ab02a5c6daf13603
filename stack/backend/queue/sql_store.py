"""Tasks in the database: the table `tasks`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any, cast

from sqlalchemy import Row, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stack.backend.database.database import Database
from stack.backend.database.tables import tasks
from stack.backend.queue.tasks import FINAL, STATES, State, StoreGone, Task, TaskRecord
from stack.common.errors import ApiError


class SqlTaskStore:
    """A TaskStore in the database. Each call is one transaction.

    Args:
        database: started by its owner.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_queued(self, task: Task) -> TaskRecord:
        now = time.time()
        values = {
            "id": task.id,
            "account_id": task.account_id,
            "task": task.task,
            "request": json.dumps({"prompt": task.prompt, "request_id": task.request_id}),
            "state": "queued",
            "attempts": 0,
            "created": task.created_at,
            "updated": now,
        }
        async with self._transaction("put_task") as connection:
            inserted = await connection.execute(_insert_or_leave(connection).values(values).returning(tasks.c.id))
            if inserted.one_or_none() is not None:
                return TaskRecord(task, "queued", updated_at=now)
            row = (await connection.execute(select(tasks).where(tasks.c.id == task.id))).one()
        return _record(row)

    async def take(self, task_id: str) -> TaskRecord | None:
        values = {"state": "running", "attempts": tasks.c.attempts + 1, "updated": time.time()}
        async with self._transaction("take_task") as connection:
            await connection.execute(update(tasks).where(tasks.c.id == task_id, _UNFINISHED).values(values))
            row = (await connection.execute(select(tasks).where(tasks.c.id == task_id))).one_or_none()
        return None if row is None else _record(row)

    async def release(self, task_id: str, error: str | None, *, counted: bool = True) -> None:
        values = {"state": "queued", "error": error, "attempts": tasks.c.attempts - int(not counted), "updated": time.time()}
        async with self._transaction("release_task") as connection:
            await connection.execute(update(tasks).where(tasks.c.id == task_id, tasks.c.state == "running").values(values))

    async def finish(self, task_id: str, state: State, answer: dict[str, Any] | None, error: str | None) -> bool:
        values = {"state": state, "answer": None if answer is None else json.dumps(answer), "error": error, "updated": time.time()}
        async with self._transaction("finish_task") as connection:
            changed = await connection.execute(update(tasks).where(tasks.c.id == task_id, _UNFINISHED).values(values))
        return bool(changed.rowcount)

    async def get(self, task_id: str) -> TaskRecord | None:
        async with self._transaction("get_task") as connection:
            row = (await connection.execute(select(tasks).where(tasks.c.id == task_id))).one_or_none()
        return None if row is None else _record(row)

    async def unfinished(self, after: Task | None, limit: int) -> list[TaskRecord]:
        query = select(tasks).where(_UNFINISHED).order_by(tasks.c.created, tasks.c.id).limit(limit)
        if after is not None:
            later = and_(tasks.c.created == after.created_at, tasks.c.id > after.id)
            query = query.where(or_(tasks.c.created > after.created_at, later))
        async with self._transaction("unfinished_tasks") as connection:
            rows = (await connection.execute(query)).all()
        return [_record(row) for row in rows]

    async def counts(self) -> dict[State, int]:
        async with self._transaction("count_tasks") as connection:
            rows = (await connection.execute(select(tasks.c.state, func.count()).group_by(tasks.c.state))).all()
        counted = {state: int(count) for state, count in rows}
        return {state: counted.get(state, 0) for state in STATES}

    async def cleanup(self, before: float) -> int:
        async with self._transaction("forget_tasks") as connection:
            gone = await connection.execute(delete(tasks).where(tasks.c.state.in_(FINAL), tasks.c.updated < before))
        return int(gone.rowcount)

    @contextlib.asynccontextmanager
    async def _transaction(self, operation: str) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._database.transaction(operation) as connection:
                yield connection
        except ApiError as error:
            raise StoreGone(str(error.detail)) from error


_UNFINISHED = tasks.c.state.in_(("queued", "running"))


def _insert_or_leave(connection: AsyncConnection) -> Any:
    """An INSERT that leaves a row with the same id as it is; each database has its own words for that."""
    if connection.dialect.name == "postgresql":
        return postgresql_insert(tasks).on_conflict_do_nothing()
    return sqlite_insert(tasks).on_conflict_do_nothing()


def _record(row: Row[Any]) -> TaskRecord:
    request = json.loads(row.request)
    task = Task(row.id, row.account_id, row.task, request["prompt"], request["request_id"], row.created)
    answer = None if row.answer is None else json.loads(row.answer)
    return TaskRecord(task, cast(State, row.state), row.attempts, answer, row.error, row.updated)
