"""Questions answered later: `/api/assistant/jobs`, and the queue's numbers at `/api/queue/stats`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from stack.backend.auth.guard import Principal, require
from stack.backend.queue.queue import Queue
from stack.backend.queue.tasks import QueueGone, Refused, State, StoreGone, Task, TaskRecord, new_id
from stack.backend.routes.llm import Prompt
from stack.backend.routes.llm import Task as Kind
from stack.common.contract import SessionId
from stack.common.errors import ApiError
from stack.common.log import request_id


class JobRequest(BaseModel):
    """A question to be answered later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Kind = "chat"
    prompt: Prompt
    id: SessionId | None = Field(default=None, description="Sent again after a lost answer, the same id makes no second job")


class JobAccepted(BaseModel):
    """The job, as accepted or as it is already."""

    id: str
    state: State


class Job(BaseModel):
    """What became of a job."""

    id: str
    task: str
    state: State
    attempts: int
    answer: dict[str, Any] | None = Field(description="When done")
    error: str | None = Field(description="When failed or dead, and why the last attempt is repeated")
    created: str
    updated: str


class QueueStats(BaseModel):
    """The queue's numbers."""

    queue: Literal["nats", "in-process"]
    available: bool
    detail: str
    limit: int
    running: int
    tasks: dict[State, int]
    server: dict[str, int] | None = Field(description="What NATS says of its messages; none without it")


_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Not signed in"},
    422: {"description": "The request makes no sense"},
    503: {"description": "The queue or the database cannot be used now"},
}

_TAKEN: dict[int | str, dict[str, Any]] = {409: {"description": "The id belongs to another job"}}

Asking = Annotated[Principal, Depends(require)]


def router(queue: Queue) -> APIRouter:
    """The endpoints of the queue."""
    routes = APIRouter(prefix="/api", tags=["queue"], responses=_ERRORS)

    @routes.post(
        "/assistant/jobs",
        status_code=202,
        summary="Ask, and fetch the answer later",
        responses={409: {"description": "The id is taken"}},
    )
    async def submit(body: JobRequest, response: Response, principal: Asking) -> JobAccepted:
        """Accept a question. Once accepted it is answered, whatever ends or restarts meanwhile."""
        task = Task(body.id or new_id(), principal.account_id, body.task, body.prompt, request_id.get())
        try:
            record = await queue.submit(task)
        except QueueGone as error:
            raise ApiError(503, "queue_unavailable", str(error), {"Retry-After": "1"}) from error
        except StoreGone as error:
            raise _store_gone(error) from error
        except Refused as error:
            raise ApiError(409, error.code, str(error)) from error
        response.headers["Location"] = f"/api/assistant/jobs/{record.task.id}"
        return JobAccepted(id=record.task.id, state=record.state)

    @routes.get("/assistant/jobs/{job_id}", summary="What became of a job", responses={404: {"description": "There is none"}})
    async def job(job_id: Annotated[SessionId, Path()], principal: Asking) -> Job:
        """The job's state, and its answer when it has one. Jobs are kept for a week after their end."""
        try:
            record = await queue.get(job_id, principal.account_id)
        except StoreGone as error:
            raise _store_gone(error) from error
        if record is None:
            raise ApiError(404, "unknown_job", "There is no such job, or it ended more than a week ago.")
        return _job(record)

    @routes.get("/queue/stats", summary="The queue's numbers")
    async def stats(principal: Asking) -> QueueStats:
        """How many jobs wait, run and ended, and what carries them."""
        try:
            return QueueStats.model_validate(await queue.stats())
        except StoreGone as error:
            raise _store_gone(error) from error

    return routes


def _job(record: TaskRecord) -> Job:
    return Job(
        id=record.task.id,
        task=record.task.task,
        state=record.state,
        attempts=record.attempts,
        answer=record.answer,
        error=record.error,
        created=_moment(record.task.created_at),
        updated=_moment(record.updated_at),
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _store_gone(error: StoreGone) -> ApiError:
    return ApiError(503, "database_unavailable", str(error), {"Retry-After": "1"})
