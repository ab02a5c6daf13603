"""The transitions. One event at a time; each ends in a state where nothing more can be done without another event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devctl.lifecycle import backoff
from devctl.lifecycle.events import (
    Action,
    Adopt,
    Adopted,
    Event,
    Exited,
    Gone,
    Healthy,
    NotAdopted,
    Probe,
    Replace,
    Restart,
    Shutdown,
    Spawned,
    SpawnFailed,
    Start,
    Stop,
    StopTree,
    Tick,
    Unhealthy,
)
from devctl.lifecycle.gate import Gate, blocker
from devctl.lifecycle.moves import RUNNING, Moves
from devctl.lifecycle.state import Reason, Service, Stack, dependents_of
from devctl.model import ServiceState as S

AT_REST = frozenset({S.STOPPED, S.COMPLETED, S.FAILED})
STARTED_WHEN_NAMED = AT_REST | {S.BACKOFF}
STARTED_FOR_OTHERS = frozenset({S.STOPPED, S.FAILED})


def step(stack: Stack, event: Event, now: float) -> tuple[Stack, tuple[Action, ...]]:
    """The stack after `event` at `now` (monotonic seconds), and what is to be done, in this order.

    Events about an instance that is no longer current, and about services that do not exist, change nothing.
    """
    work = _Work(stack, now)
    work.take(event)
    work.settle()
    return work.result()


def next_wake(stack: Stack) -> float | None:
    """When a Tick is due: the earliest end of a backoff or start period; None when nothing waits for time."""
    times = [
        at
        for service in stack.services.values()
        for at in (
            service.spawn_at if service.state is S.BACKOFF and not service.live else None,
            service.give_up_at if service.state is S.STARTING else None,
        )
        if at is not None
    ]
    return min(times, default=None)


class _Work(Moves):
    """One step: what an event does, and what follows from that."""

    # --- events ----------------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        match event:
            case Start(names, needed):
                self.start(names, needed)
            case Stop(names):
                for name in self.known(names):
                    self.stop(name)
            case Restart(names, reason):
                for name in self.known(names):
                    self.restart(name, reason)
            case Replace():
                self.replace(event)
            case Shutdown(force):
                self.shutdown(force)
            case Tick(jitter):
                self.tick(jitter)
            case _:
                service = self.services.get(event.service)
                if service is not None and service.instance == event.instance:
                    self.happened(event, service)

    def happened(self, event: Any, service: Service) -> None:
        name = event.service
        match event:
            case Spawned():
                self.spawned(name, service)
            case SpawnFailed(reason=reason, retry=retry, jitter=jitter):
                self.spawn_failed(name, service, reason, retry, jitter)
            case Adopted() if service.state is S.STARTING and not service.live:
                self.set(name, state=S.EXTERNAL, reason=None, passed=True, up_since=self.now, failures=0)
                self.actions.append(Probe(name, service.instance))
            case NotAdopted() if service.state is S.STARTING and not service.live:
                # The look took a while; a dependency may have been lost meanwhile.
                if blocker(service, self.services)[0] is Gate.OPEN:
                    self.spawn(name)
                else:
                    self.wait(name)
            case Exited(exit=exit, jitter=jitter) if service.leader:
                self.exited(name, exit, jitter)
            case Gone() if service.live:
                self.gone(name, service)
            case Healthy():
                self.healthy(name, service)
            case Unhealthy(detail=detail, jitter=jitter):
                self.unhealthy(name, service, detail, jitter)

    def known(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self.services]

    def start(self, names: Iterable[str], needed: Iterable[str]) -> None:
        if self.closing:
            return
        asked = {**dict.fromkeys(needed, STARTED_FOR_OTHERS), **dict.fromkeys(names, STARTED_WHEN_NAMED)}
        for name in self.known(asked):
            service = self.services[name]
            if service.removed:
                continue
            if service.state is S.STOPPING:
                self.set(name, wanted=True, respawn=True)
            elif service.state in asked[name] or (service.state is S.COMPLETED and not service.spec.oneshot):
                # A completed one-shot is done; a service that has ended can not be ready for those who need it.
                self.wait(name, attempts=0)

    def stop(self, name: str) -> None:
        service = self.services[name]
        self.unprobe(service, name)
        if service.live:
            self.set(
                name,
                state=S.STOPPING,
                wanted=False,
                respawn=False,
                again=False,
                give_up_at=None,
                spawn_at=None,
                blocked=False,
                reason=None,
            )
        elif service.state is not S.STOPPED or service.wanted:
            # The instance number moves on, so that an answer to an Adopt that is still out is ignored.
            self.set(
                name,
                state=S.STOPPED,
                wanted=False,
                respawn=False,
                again=False,
                instance=service.instance + (service.state is S.STARTING),
                give_up_at=None,
                spawn_at=None,
                blocked=False,
                reason=None,
            )

    def replace(self, event: Replace) -> None:
        if self.closing:
            return
        for name in list(self.services):
            if name not in event.services:
                self.set(name, removed=True)
                self.stop(name)
        for name, spec in event.services.items():
            if name not in self.services:
                self.services[name] = Service(spec, instance=self.forgotten.get(name, 0))
                continue
            self.set(name, removed=False)
            # Before the new definition is in place: what is under way is that of the old one.
            if name in event.changed and self.services[name].wanted:
                self.restart(name, "its definition changed")
            self.set(name, spec=spec)
        # The manifest's order is what people see. What is being removed still stops before what it depends on.
        order = {name: self.services[name] for name in event.services}
        self.services = {**order, **{name: s for name, s in self.services.items() if name not in order}}
        self.dependents = dependents_of({name: service.spec for name, service in self.services.items()})
        self.start((), event.start)

    def shutdown(self, force: bool) -> None:
        self.closing = True
        for name, service in list(self.services.items()):
            if service.state is S.STOPPING:
                self.set(name, wanted=False, respawn=False)
            elif service.live and service.state in AT_REST:
                # Its outcome is known and stays; its tree is being ended already.
                self.set(name, wanted=False)
            elif service.live or service.state not in AT_REST:
                self.stop(name)
            else:
                self.set(name, wanted=False)
            if force and service.live:
                self.set(name, stop_sent=True)
                self.actions.append(StopTree(name, service.instance, force=True))

    def tick(self, jitter: float) -> None:
        for name, service in list(self.services.items()):
            if service.state is S.STARTING and service.give_up_at is not None and service.give_up_at <= self.now:
                period = service.spec.healthcheck.start_period if service.spec.healthcheck else 0.0
                self.unprobe(service, name)
                last = f": {service.detail}" if service.detail else ""
                self.fail(name, Reason("not_ready", f"was not ready after {period:g} s{last}"), jitter)
            elif service.state is S.BACKOFF and service.spawn_at is not None and service.spawn_at <= self.now:
                self.touched.append(name)

    def spawned(self, name: str, service: Service) -> None:
        if not service.live:
            return
        self.set(name, leader=True)
        if service.state is not S.STARTING or service.spec.oneshot:
            return
        check = service.spec.healthcheck
        if check is None:
            self.set(name, state=S.READY, reason=None, passed=True, up_since=self.now)
        else:
            self.set(name, give_up_at=self.now + check.start_period)
            self.actions.append(Probe(name, service.instance))

    def spawn_failed(self, name: str, service: Service, reason: str, retry: bool, jitter: float) -> None:
        if not service.live:
            return
        if service.state is not S.STARTING:
            self.gone(name, service)
            return
        self.set(name, live=False)
        cause = Reason("spawn", reason)
        if retry:
            self.fail(name, cause, jitter)
        else:
            self.set(name, state=S.FAILED, reason=cause, give_up_at=None)

    def exited(self, name: str, exit: Any, jitter: float) -> None:
        self.unprobe(self.services[name], name)
        service = self.set(name, leader=False, exit=exit)
        if service.state not in RUNNING:
            return
        success = backoff.succeeded(service.spec, exit)
        early = service.spec.healthcheck is not None and not service.spec.oneshot and not service.passed
        reason = Reason("exited", f"{exit} before it was ready" if early else str(exit))
        self.fail(name, reason, jitter, success=success and not early)

    def gone(self, name: str, service: Service) -> None:
        self.unprobe(service, name)
        service = self.set(name, live=False, leader=False, stop_sent=False)
        if service.state is S.STOPPING:
            if service.respawn and service.wanted and not self.closing:
                self.wait(name, again=True)
            else:
                self.set(name, state=S.STOPPED, respawn=False)
        elif service.state in RUNNING:
            self.set(name, state=S.FAILED, reason=Reason("lost", "ended, nobody could tell how"), give_up_at=None)

    def healthy(self, name: str, service: Service) -> None:
        if service.state is S.STARTING and service.leader:
            self.set(name, state=S.READY, reason=None, passed=True, failures=0, up_since=self.now, give_up_at=None)
        elif service.state is S.UNHEALTHY:
            self.set(name, state=S.READY, reason=None, failures=0)
        elif service.failures:
            self.set(name, failures=0)

    def unhealthy(self, name: str, service: Service, detail: str, jitter: float) -> None:
        if service.state not in RUNNING and service.state is not S.EXTERNAL:
            return
        service = self.set(name, failures=service.failures + 1, detail=detail)
        retries = service.spec.healthcheck.retries if service.spec.healthcheck else 1
        reason = Reason("unhealthy", f"fails its health check: {detail}")
        if service.state is S.UNHEALTHY:
            self.set(name, reason=reason)
        elif service.failures < retries or service.state is S.STARTING:
            return
        elif service.state is S.EXTERNAL:
            self.unprobe(service, name)
            self.wait(name, reason=Reason("lost", f"the reused instance is gone: {detail}"))
        elif service.spec.on_unhealthy == "restart":
            self.unprobe(service, name)
            self.fail(name, reason, jitter, unhealthy=True)
        else:
            self.set(name, state=S.UNHEALTHY, reason=reason)

    # --- consequences ----------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Follows every change to its neighbours until nothing moves."""
        while self.touched:
            names = list(dict.fromkeys(self.touched))
            self.touched.clear()
            for name in names:
                service = self.services.get(name)
                if service is None:
                    continue
                self.consider(name)
                for dependent in self.dependents.get(name, ()):
                    self.consider(dependent)
                for edge in service.spec.depends_on:
                    self.consider_stop(edge.service)

    def consider(self, name: str) -> None:
        service = self.services.get(name)
        if service is None:
            return
        if service.removed and not service.live and service.state in AT_REST:
            self.forget(name)
            return
        self.consider_stop(name)
        if not self.closing and service.wanted:
            self.consider_start(name, service)

    def forget(self, name: str) -> None:
        """Drops a removed service, but not its last instance number: a late event must not touch a service that comes back."""
        self.forgotten = {**self.forgotten, name: self.services.pop(name).instance}
        self.dependents = dependents_of({name: service.spec for name, service in self.services.items()})

    def consider_start(self, name: str, service: Service) -> None:
        waits = service.state is S.WAITING
        due = service.state is S.BACKOFF and service.spawn_at is not None and service.spawn_at <= self.now
        if not (waits or due or service.blocked) or (due and service.live):
            return
        verdict, reason = blocker(service, self.services)
        if verdict is Gate.NEVER:
            if service.reason != reason or service.state is not S.FAILED:
                self.set(name, state=S.FAILED, reason=reason, blocked=True, spawn_at=None)
        elif service.blocked:
            self.wait(name)
        elif verdict is Gate.SHUT:
            if due:
                self.wait(name)
        elif not service.live:
            service = self.set(name, restarts=service.restarts + service.again, again=False)
            if service.spec.reuse and service.spec.healthcheck is not None:
                service = self.set(name, state=S.STARTING, instance=service.instance + 1, spawn_at=None, failures=0)
                self.actions.append(Adopt(name, service.instance))
            else:
                self.spawn(name)

    def consider_stop(self, name: str) -> None:
        """Sends the StopTree that is owed: at once for what ended by itself, in reverse dependency order for what is asked."""
        service = self.services.get(name)
        if service is None or not service.live or service.stop_sent:
            return
        if service.state is S.STOPPING:
            for dependent in self.dependents.get(name, ()):
                other = self.services.get(dependent)
                if other is not None and other.live and other.state is S.STOPPING:
                    return
        elif service.state not in (S.BACKOFF, S.FAILED, S.COMPLETED, S.WAITING):
            return
        self.set(name, stop_sent=True)
        self.actions.append(StopTree(name, service.instance))
