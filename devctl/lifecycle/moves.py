"""The moves that transitions are made of: what one service does next, and the actions that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from devctl.lifecycle import backoff
from devctl.lifecycle.events import Action, Spawn, Unprobe
from devctl.lifecycle.state import Reason, Service, Stack
from devctl.model import ServiceState as S

RUNNING = frozenset({S.STARTING, S.READY, S.UNHEALTHY})


class Moves:
    """One step in progress: a copy of the services, the actions so far, and the names whose neighbours must be looked at."""

    def __init__(self, stack: Stack, now: float) -> None:
        self.services = dict(stack.services)
        self.dependents = stack.dependents
        self.closing = stack.closing
        self.forgotten = stack.forgotten
        self.now = now
        self.actions: list[Action] = []
        self.touched: list[str] = []

    def result(self) -> tuple[Stack, tuple[Action, ...]]:
        return Stack(self.services, self.dependents, self.closing, self.forgotten), tuple(self.actions)

    def set(self, name: str, **changes: Any) -> Service:
        service = self.services[name] = replace(self.services[name], **changes)
        self.touched.append(name)
        return service

    def restart(self, name: str, reason: str) -> None:
        service = self.services[name]
        if self.closing or service.removed:
            return
        if not service.live:
            if service.state is S.EXTERNAL:
                self.unprobe(service, name)
            self.wait(name, attempts=0, again=service.instance > 0)
            return
        self.unprobe(service, name)
        self.set(
            name,
            state=S.STOPPING,
            wanted=True,
            respawn=True,
            attempts=0,
            give_up_at=None,
            spawn_at=None,
            blocked=False,
            reason=Reason("asked", reason),
        )

    def wait(self, name: str, **changes: Any) -> None:
        self.set(
            name,
            **{
                "state": S.WAITING,
                "wanted": True,
                "reason": None,
                "blocked": False,
                "respawn": False,
                "spawn_at": None,
                "give_up_at": None,
                "failures": 0,
                **changes,
            },
        )

    def fail(self, name: str, reason: Reason, jitter: float, *, success: bool = False, unhealthy: bool = False) -> None:
        """The current instance is over, not because somebody asked: restart it, or give up."""
        service = self.services[name]
        if service.up_since is not None and self.now - service.up_since >= service.spec.restart.reset_after:
            service = self.set(name, attempts=0)
        if backoff.restarts(service.spec, success=success, attempts=service.attempts, unhealthy=unhealthy):
            attempts = service.attempts + 1
            due = self.now + backoff.delay(service.spec.restart, attempts, jitter)
            self.set(
                name, state=S.BACKOFF, reason=reason, attempts=attempts, again=True, spawn_at=due, give_up_at=None, up_since=None
            )
            return
        limit = service.spec.restart.max_attempts
        if not success and limit is not None and service.attempts >= limit:
            reason = replace(reason, text=f"{reason.text}; gave up after {limit} restart{'s' * (limit != 1)}")
        self.set(name, state=S.COMPLETED if success else S.FAILED, reason=reason, give_up_at=None, up_since=None)

    def spawn(self, name: str) -> None:
        service = self.services[name]
        again = service.passed or service.exit is not None
        service = self.set(
            name,
            state=S.STARTING,
            instance=service.instance + 1,
            live=True,
            leader=False,
            stop_sent=False,
            passed=False,
            failures=0,
            detail="",
            up_since=None,
            spawn_at=None,
            give_up_at=None,
            exit=None,
        )
        self.actions.append(Spawn(name, service.instance))
        if again:
            self.restart_dependents(name)

    def restart_dependents(self, name: str) -> None:
        for dependent in self.dependents.get(name, ()):
            service = self.services[dependent]
            follows = any(edge.service == name and edge.restart for edge in service.spec.depends_on)
            if follows and service.live and service.state in RUNNING:
                self.restart(dependent, f"its dependency {name} was restarted")

    def unprobe(self, service: Service, name: str) -> None:
        probing = service.state in RUNNING and service.leader and not service.spec.oneshot
        if service.spec.healthcheck is not None and (probing or service.state is S.EXTERNAL):
            self.actions.append(Unprobe(name, service.instance))
