"""The state that the lifecycle steps through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from devctl.lifecycle.events import ExitStatus
from devctl.model import ServiceState
from devctl.plan import ServiceSpec


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a service is where it is.

    Attributes:
        kind: "exited", "not_ready", "spawn", "dependency", "unhealthy", "asked", "lost".
        text: for people, without a final full stop.
        cause: for kind "dependency": the service to look at next.
    """

    kind: str
    text: str
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Attributes:
        wanted: somebody wants it to run; a stop clears it.
        instance: how many times it was started (or adopted).
        live: processes of `instance` may exist; it is set before the spawn and cleared by Gone only.
        leader: the first process of `instance` runs.
        stop_sent: a StopTree for `instance` is out.
        respawn: start again once the old tree is gone.
        passed: `instance` was ready once.
        blocked: failed only because a dependency can not become what it must; mends itself when that changes.
        again: the next start counts as a restart.
        attempts: consecutive automatic restarts, for backoff and limits.
        failures: consecutive failed checks.
        detail: what the last failed check said.
        spawn_at: in backoff: when to try again (monotonic seconds).
        give_up_at: while starting: when the start period ends.
        up_since: since when the instance is ready.
        removed: no longer in the manifest; forgotten once gone.
    """

    spec: ServiceSpec
    state: ServiceState = ServiceState.STOPPED
    reason: Reason | None = None
    wanted: bool = False
    instance: int = 0
    live: bool = False
    leader: bool = False
    stop_sent: bool = False
    respawn: bool = False
    passed: bool = False
    blocked: bool = False
    again: bool = False
    restarts: int = 0
    attempts: int = 0
    failures: int = 0
    detail: str = ""
    exit: ExitStatus | None = None
    spawn_at: float | None = None
    give_up_at: float | None = None
    up_since: float | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """All services.

    Attributes:
        dependents: name → those that depend on it directly.
        closing: nothing is started any more; never goes back.
        forgotten: removed service → its last instance number, should one of that name come back.
    """

    services: Mapping[str, Service]
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    closing: bool = False
    forgotten: Mapping[str, int] = field(default_factory=dict)


def new_stack(specs: Mapping[str, ServiceSpec]) -> Stack:
    """A stack in which nothing runs and nothing is wanted."""
    return Stack({name: Service(spec) for name, spec in specs.items()}, dependents_of(specs))


def dependents_of(specs: Mapping[str, ServiceSpec]) -> dict[str, tuple[str, ...]]:
    """Name → names that depend on it directly."""
    found: dict[str, list[str]] = {}
    for name, spec in specs.items():
        for edge in spec.depends_on:
            found.setdefault(edge.service, []).append(name)
    return {name: tuple(names) for name, names in found.items()}
