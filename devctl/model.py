"""States and facts about a running stack: frozen, without I/O. `*_json` shapes are the contract that others read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class ServiceState(StrEnum):
    """Where a service is. See docs/guide.md for the picture."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"
    EXTERNAL = "external"


SETTLED_WELL = frozenset({ServiceState.READY, ServiceState.COMPLETED, ServiceState.EXTERNAL})
ENDED = frozenset({ServiceState.STOPPED, ServiceState.COMPLETED, ServiceState.FAILED})


class StackState(StrEnum):
    """The stack as a whole."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"


def stack_state(states: Mapping[str, ServiceState], *, stopping: bool) -> StackState:
    """The stack's state from its services': ready when all are ready, completed or external.

    A stopped service (somebody asked for it) makes a stack neither ready nor degraded by itself unless all are stopped.
    """
    values = set(states.values())
    if stopping:
        return StackState.STOPPING
    if values <= {ServiceState.STOPPED}:
        return StackState.STOPPED
    if values & {ServiceState.FAILED, ServiceState.UNHEALTHY, ServiceState.BACKOFF}:
        return StackState.DEGRADED
    if values <= SETTLED_WELL:
        return StackState.READY
    if values & {ServiceState.WAITING, ServiceState.STARTING}:
        return StackState.STARTING
    return StackState.DEGRADED


@dataclass(frozen=True, slots=True)
class Health:
    """The last answer of a service's probe. `checked_at` is RFC 3339 in UTC."""

    probe: str
    ok: bool
    detail: str
    checked_at: str
    failures: int = 0

    def json(self) -> dict[str, Any]:
        return {
            "probe": self.probe,
            "ok": self.ok,
            "detail": self.detail,
            "checked_at": self.checked_at,
            "failures": self.failures,
        }


@dataclass(frozen=True, slots=True)
class CheckRun:
    """Equal answers of a health check in a row. Times are RFC 3339 in UTC.

    Attributes:
        until: when the last of them came.
        count: how many they are.
        detail: of the last of them; those that differ only in how long they took are equal.
        seconds: how long the last one took.
        slowest: how long the slowest one took, in seconds.
    """

    time: str
    until: str
    count: int
    ok: bool
    detail: str
    seconds: float
    slowest: float


@dataclass(frozen=True, slots=True)
class HealthHistory:
    """How a service is checked, as JSON values of a `plan.HealthCheck` (None: it is not), and the last answers, oldest first."""

    check: Mapping[str, Any] | None
    history: tuple[CheckRun, ...] = ()

    def json(self) -> dict[str, Any]:
        return {
            "check": None if self.check is None else dict(self.check),
            "history": [asdict(run) for run in self.history],
        }


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process of a service's tree.

    Attributes:
        state: in a word: "running", "sleeping", "blocked", "stopped", "zombie"…
        cpu_percent: of one core.
        started_at: RFC 3339 in UTC; None when it ended meanwhile.
        kind: "main", "child", or "adopted": its parent ended, and devctl has it now.
    """

    pid: int
    ppid: int
    command: str
    state: str
    cpu_percent: float
    memory_bytes: int
    started_at: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """The processes of a service, parents before children; `total` counts those beyond the bound too."""

    processes: tuple[ProcessInfo, ...]
    total: int

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as `status --json` shows it. Times are RFC 3339 in UTC, memory is bytes of the whole tree."""

    name: str
    state: ServiceState
    reason: str | None = None
    pid: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    url: str | None = None
    started_at: str | None = None
    ready_at: str | None = None
    startup_seconds: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    processes: int = 0
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    health: Health | None = None
    depends_on: tuple[str, ...] = ()
    log: str = ""
    description: str = ""

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "pid": self.pid,
            "ports": dict(self.ports),
            "url": self.url,
            "started_at": self.started_at,
            "ready_at": self.ready_at,
            "startup_seconds": self.startup_seconds,
            "restarts": self.restarts,
            "exit_code": self.exit_code,
            "processes": self.processes,
            "cpu_percent": self.cpu_percent,
            "memory_bytes": self.memory_bytes,
            "health": None if self.health is None else self.health.json(),
            "depends_on": list(self.depends_on),
            "log": self.log,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class SupervisorInfo:
    """Who runs the stack."""

    pid: int
    guard_pid: int
    sweeper_pid: int
    socket: str
    version: str

    def json(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "guard_pid": self.guard_pid,
            "sweeper_pid": self.sweeper_pid,
            "socket": self.socket,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What `status --json` prints."""

    stack: str
    directory: str
    run_id: str
    state: StackState
    started_at: str
    supervisor: SupervisorInfo
    services: tuple[ServiceStatus, ...]

    def json(self) -> dict[str, Any]:
        return {
            "stack": self.stack,
            "directory": self.directory,
            "run_id": self.run_id,
            "state": self.state.value,
            "started_at": self.started_at,
            "supervisor": self.supervisor.json(),
            "services": [service.json() for service in self.services],
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a run's history (logs/events.jsonl, `GET /v1/events`).

    Attributes:
        id: grows by one, over runs too.
        time: RFC 3339 in UTC, never going back within a run.
        type: "run_started", "run_ended", "service_state", "service_exited", "service_restarting", "dependency_restarted",
            "stack_state", "reloaded", "leftovers", "log_trouble", "reaped".
        service: the service it is about, or None.
        data: facts of that type: state, reason, exit_code, signal, pid, instance, delay…
    """

    id: int
    time: str
    run_id: str
    type: str
    service: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "time": self.time,
            "run_id": self.run_id,
            "type": self.type,
            "service": self.service,
            **self.data,
        }


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process that could not be ended, and why."""

    pid: int
    command: str
    reason: str

    def json(self) -> dict[str, Any]:
        return {"pid": self.pid, "command": self.command, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a teardown did. `killed` counts the processes that had to be sent SIGKILL; `seconds` is the whole of it."""

    services: int
    processes: int
    ports: tuple[int, ...]
    seconds: float
    killed: int = 0
    survivors: tuple[Survivor, ...] = ()

    def json(self) -> dict[str, Any]:
        return {
            "services": self.services,
            "processes": self.processes,
            "ports": list(self.ports),
            "seconds": round(self.seconds, 3),
            "killed": self.killed,
            "survivors": [survivor.json() for survivor in self.survivors],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why is it not up?".

    Attributes:
        sentence: one causal sentence.
        evidence: (label, text) pairs: "check", "exit", "port", "waits for", "log"…
        chain: the services from the one asked about to the root cause.
    """

    service: str
    state: ServiceState
    sentence: str
    evidence: tuple[tuple[str, str], ...] = ()
    chain: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "state": self.state.value,
            "sentence": self.sentence,
            "evidence": [{"label": label, "text": text} for label, text in self.evidence],
            "chain": list(self.chain),
        }


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One service's start-up, in seconds since the run began; None for what has not happened."""

    service: str
    waiting_from: float
    started: float | None
    ready: float | None
    state: ServiceState
    depends_on: tuple[str, ...]
    critical: bool

    def json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "waiting_from": self.waiting_from,
            "started": self.started,
            "ready": self.ready,
            "state": self.state.value,
            "depends_on": list(self.depends_on),
            "critical": self.critical,
        }
