"""What the tools take and give. The SDK makes the JSON Schemas from these, so every field says what it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

MAX_NAMES = 300
"""Services that one call may name; as many as any stack we know has."""

MAX_LINES = 1000
"""Log lines and events of one answer. A model reads no more of them with profit."""

MAX_WAIT = 600.0
"""Seconds that one call may wait; who waits longer asks again."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Level = Literal["trace", "debug", "info", "warn", "error", "fatal"]
Condition = Literal["ready", "stopped", "unhealthy", "completed"]


class Service(BaseModel):
    """One service, now."""

    name: str
    state: str = Field(
        description="waiting, starting, ready, unhealthy, backoff, stopping, stopped, completed, failed or external; "
        "ready, completed and external are well"
    )
    reason: str | None = Field(description="Why it is in this state, where that says more than the state")
    url: str | None
    ports: dict[str, int]
    pid: int | None
    started_at: str | None = Field(description="RFC 3339, UTC")
    restarts: int
    exit_code: int | None
    processes: int
    cpu_percent: float = Field(description="Of the whole process tree; 100 is one core")
    memory_bytes: int = Field(description="Of the whole process tree")
    health: str | None = Field(description="What its health check said last")
    depends_on: list[str]

    @classmethod
    def of(cls, status: dict[str, Any]) -> Service:
        """From `ServiceStatus.json()`."""
        health = status["health"]
        return cls(**{**status, "health": None if health is None else health["detail"]})


class StackReport(BaseModel):
    """A stack and its services."""

    running: bool
    summary: str = Field(description="All of it in one sentence")
    stack: str | None
    directory: str | None
    state: str = Field(description="starting, ready (all are well), degraded, stopping or stopped")
    started_at: str | None
    services: list[Service]


class Line(BaseModel):
    """One line that a service wrote."""

    time: str = Field(description="RFC 3339, UTC")
    service: str
    stream: str = Field(description="stdout or stderr")
    level: str | None = Field(description="As the line itself states it")
    text: str


class Lines(BaseModel):
    """Log lines, oldest first."""

    summary: str
    lines: list[Line]
    truncated: bool = Field(description="More matched than is shown, or a long line was cut: ask for less, or more precisely")


class Evidence(BaseModel):
    """One fact."""

    label: str
    text: str


class Why(BaseModel):
    """Why a service is in the state it is in."""

    service: str
    state: str
    sentence: str
    evidence: list[Evidence]
    chain: list[str] = Field(description="From the service asked about to the root cause")


class Reasons(BaseModel):
    """Explanations."""

    summary: str
    services: list[Why]


class Happened(BaseModel):
    """One event."""

    id: int
    time: str = Field(description="RFC 3339, UTC")
    type: str
    service: str | None
    text: str


class Events(BaseModel):
    """What happened, oldest first."""

    summary: str
    events: list[Happened]
    truncated: bool = Field(description="Older ones were left out")


class Changed(BaseModel):
    """What became of the services that were started, stopped or restarted, dependents included."""

    summary: str
    services: list[Service]


class Waited(BaseModel):
    """How waiting ended."""

    summary: str
    done: bool = Field(description="The condition holds for all of them")
    timed_out: bool
    impossible: list[str] = Field(description="Services for which it can no longer happen")
    services: list[Service]


class Flaw(BaseModel):
    """One thing wrong in a manifest."""

    file: str
    line: int = Field(description="1-based; 0 when unknown")
    column: int = Field(description="1-based; 0 when unknown")
    message: str
    help: str


class Checked(BaseModel):
    """What is wrong with the manifest, and what is in it."""

    ok: bool
    summary: str
    files: list[str]
    services: list[str]
    problems: list[Flaw]
