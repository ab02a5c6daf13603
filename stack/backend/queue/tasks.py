"""Tasks of the queue and the store that keeps them.

The store decides: it knows which tasks were accepted, how often each was tried, and what came out. NATS, or the list in memory,
only says which one to look at next; so a message that comes twice, late or never again changes nothing that was promised.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from stack.common.contract import SESSION_ID

State = Literal["queued", "running", "done", "failed", "dead"]

STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "dead")

FINAL: frozenset[State] = frozenset({"done", "failed", "dead"})
"""States that a task does not leave: answered, refused for good, given up after MAX_ATTEMPTS."""

MAX_ATTEMPTS = 5
"""How often a task is tried. A provider that failed five times over a quarter of a minute is a case for people."""

ACK_WAIT = 6.0
"""Seconds until a message that nobody acknowledges is delivered again: to another backend, when this one was killed. A living one
says every fifth of it that it is still at it."""

# Bytes of a task as a message: the 64 KiB of a request body, and room for what JSON makes of it.
MAX_PAYLOAD = 256 * 1024


# Characters; account ids and correlation ids have up to 64.
_MAX_NAME = 128

# Unix seconds: the year 5138. The calendar of datetime ends in 9999.
_LATEST = 1e11


class StoreGone(Exception):
    """The store cannot be reached now. It may come back; nothing was changed as far as one can know."""


class QueueGone(Exception):
    """The queue cannot accept tasks now; the message says why, for people."""


class Refused(Exception):
    """The task cannot be accepted as it is.

    Args:
        code: a short name for programs.
        message: for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Task:
    """A question to be answered later.

    Attributes:
        id: 1 to 64 characters; the same id again is the same task.
        account_id: whose it is; nobody else sees it.
        task: what kind of question, such as `chat` or `audit`.
        prompt: the question.
        request_id: the correlation id of the request that brought it.
        created_at: Unix seconds.
    """

    id: str
    account_id: str
    task: str
    prompt: str
    request_id: str = ""
    created_at: float = field(default_factory=time.time)

    def same_question(self, other: Task) -> bool:
        """Whether `other` asks the same for the same account, so that one answer serves both."""
        return (self.account_id, self.task, self.prompt) == (other.account_id, other.task, other.prompt)

    def payload(self) -> bytes:
        """The task as a message."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def from_payload(cls, payload: bytes) -> Task:
        """The task in a message.

        Raises:
            ValueError: it holds none.
        """
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"over {MAX_PAYLOAD} bytes")
        try:
            task = cls(**json.loads(payload))
        except (TypeError, RecursionError) as error:
            raise ValueError("no task") from error
        texts = (task.id, task.account_id, task.task, task.prompt, task.request_id)
        if not all(isinstance(text, str) for text in texts) or not isinstance(task.created_at, int | float):
            raise ValueError("a field of another type")
        names = (task.account_id, task.task, task.request_id)
        # What a database would refuse, or nobody can read: the first belongs into no row, the second into no log.
        if not SESSION_ID.fullmatch(task.id) or not all(name.isprintable() and len(name) <= _MAX_NAME for name in names):
            raise ValueError("an id or a name that is none")
        if not 0 <= task.created_at <= _LATEST:
            raise ValueError("a time that is none")
        return task


def new_id() -> str:
    """An id for a task that came without one."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What the store knows of a task.

    Attributes:
        attempts: how often it was begun.
        answer: what came out, as JSON; only when done.
        error: one sentence; only when failed or dead, or why the last attempt has to be repeated.
        updated_at: Unix seconds.
    """

    task: Task
    state: State
    attempts: int = 0
    answer: dict[str, Any] | None = None
    error: str | None = None
    updated_at: float = 0.0


class TaskStore(Protocol):
    """Where tasks are kept. Every method may raise StoreGone."""

    async def put_queued(self, task: Task) -> TaskRecord:
        """Keep a new task as queued. One with this id that is there already stays as it is, and is what comes back."""

    async def take(self, task_id: str) -> TaskRecord | None:
        """Mark a task running and count the attempt. A finished one is left as it is. None when there is no such task."""

    async def release(self, task_id: str, error: str | None, *, counted: bool = True) -> None:
        """Mark a running task queued again; with `counted=False` the attempt is taken back."""

    async def finish(self, task_id: str, state: State, answer: dict[str, Any] | None, error: str | None) -> bool:
        """Give a task its final state, once: False when it had one already."""

    async def get(self, task_id: str) -> TaskRecord | None:
        """What is known of a task."""

    async def unfinished(self, after: Task | None, limit: int) -> list[TaskRecord]:
        """Tasks without a final state, oldest first, that come after `after`."""

    async def counts(self) -> dict[State, int]:
        """How many tasks are in each state."""

    async def cleanup(self, before: float) -> int:
        """Forget the finished tasks not touched since `before` (Unix seconds) and return how many those were."""
