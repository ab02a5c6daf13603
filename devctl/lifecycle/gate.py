"""May a service start? What its dependencies say."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from devctl.lifecycle.state import Reason, Service
from devctl.model import ServiceState
from devctl.plan import Condition, Dependency

UP = frozenset({ServiceState.READY, ServiceState.EXTERNAL})
RUNS = frozenset({ServiceState.READY, ServiceState.UNHEALTHY, ServiceState.EXTERNAL, ServiceState.COMPLETED})


class Gate(Enum):
    """OPEN: the condition holds. SHUT: it may still come to hold. NEVER: it can not, unless somebody intervenes."""

    OPEN = "open"
    SHUT = "shut"
    NEVER = "never"


def gate(edge: Dependency, services: Mapping[str, Service]) -> tuple[Gate, Reason | None]:
    """What one dependency says; with NEVER comes the reason, which names the cause down the chain."""
    target = services.get(edge.service)
    if target is None:
        return (Gate.NEVER if edge.required else Gate.OPEN), _because(edge, "is not part of the stack")
    if _holds(edge.condition, target):
        return Gate.OPEN, None
    why = _why_never(edge.condition, target)
    if why is None:
        return Gate.SHUT, None
    return (Gate.NEVER if edge.required else Gate.OPEN), _because(edge, why)


def blocker(service: Service, services: Mapping[str, Service]) -> tuple[Gate, Reason | None]:
    """The most severe answer of all dependencies of `service`."""
    worst: tuple[Gate, Reason | None] = (Gate.OPEN, None)
    for edge in service.spec.depends_on:
        answer = gate(edge, services)
        if answer[0] is Gate.NEVER:
            return answer
        if answer[0] is Gate.SHUT:
            worst = answer
    return worst


def _holds(condition: Condition, target: Service) -> bool:
    if condition is Condition.STARTED:
        return target.state in RUNS or (target.state is ServiceState.STARTING and target.leader)
    if condition is Condition.COMPLETED:
        return target.state is ServiceState.COMPLETED
    return target.state in UP or (target.state is ServiceState.COMPLETED and target.spec.oneshot)


def _why_never(condition: Condition, target: Service) -> str | None:
    if target.state is ServiceState.FAILED:
        text = target.reason.text if target.reason else "failed"
        return f"which {text}" if target.blocked else f"failed: {text}"
    if target.state is ServiceState.STOPPED and not target.wanted:
        return "is stopped"
    if target.state is ServiceState.COMPLETED:
        return "has ended, so it will not become ready"
    if target.state is ServiceState.EXTERNAL and condition is Condition.COMPLETED:
        return "is reused, so it will not complete"
    return None


def _because(edge: Dependency, why: str) -> Reason:
    joint = ", " if why.startswith("which ") else ", which " if why.startswith(("failed", "is ", "has ")) else " "
    return Reason("dependency", f"needs {edge.service}{joint}{why}", edge.service)
