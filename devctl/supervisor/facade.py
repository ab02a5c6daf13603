"""What clients may ask of a running stack. The control API's `Supervisor` protocol, by shape."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from devctl import lifecycle as lc
from devctl.errors import UsageError
from devctl.logs.query import read
from devctl.logs.times import parse_time
from devctl.model import (
    ENDED,
    SETTLED_WELL,
    Event,
    Explanation,
    HealthHistory,
    ProcessTree,
    Receipt,
    ServiceState,
    ServiceStatus,
    StackState,
    StackStatus,
    SupervisorInfo,
    TimelineEntry,
    stack_state,
)
from devctl.plan import Plan, ServiceSpec
from devctl.process import ports, reap
from devctl.process.record import Record
from devctl.supervisor.chronicle import Times
from devctl.supervisor.engine import Engine
from devctl.supervisor.explain import cause_chain, explain, reason
from devctl.supervisor.metrics import Metrics, Usage
from devctl.supervisor.processes import ProcessTable
from devctl.supervisor.timeline import timeline
from devctl.version import __version__

S = ServiceState
# Above every kill that was measured; what is left after it hangs in the kernel or is not ours to signal.
KILL_TIMEOUT = 10.0
# Lines of the root cause's log that are evidence.
EVIDENCE_LINES = 8


class Lease:
    """A client's hold on the stack."""

    def __init__(self, released: Callable[[Lease, bool], None]) -> None:
        self._released = released

    def release(self, detach: bool) -> None:
        """Ends the hold; without `detach` the stack is stopped when nobody else holds it."""
        self._released(self, detach)


class Facade:
    """One for a run.

    Args:
        on_ended: called once when the stack is down and its receipt is known.
    """

    def __init__(self, engine: Engine, record: Record, socket: Path, on_ended: Callable[[], None]) -> None:
        self._engine = engine
        self._record = record
        self._socket = socket
        self._on_ended = on_ended
        self._metrics = Metrics(engine.roster)
        self._processes = ProcessTable()
        self._leases: set[Lease] = set()
        self._ending: asyncio.Task[Receipt] | None = None
        self._state: StackState | None = None

    # --- facts ------------------------------------------------------------------------------------------------------------------

    def status(self) -> StackStatus:
        engine = self._engine
        usage = self._metrics.usage()
        now = time.monotonic()
        return StackStatus(
            stack=engine.plan.name,
            directory=engine.plan.directory,
            run_id=engine.run_id,
            state=self.state(),
            started_at=self._record.started_at,
            supervisor=SupervisorInfo(
                pid=os.getpid(),
                guard_pid=self._record.guard.pid,
                sweeper_pid=self._record.sweeper.pid,
                socket=str(self._socket),
                version=__version__,
            ),
            services=tuple(self._service(name, usage, now) for name in engine.stack.services),
        )

    def state(self) -> StackState:
        """The stack's own state."""
        states = {name: service.state for name, service in self._engine.stack.services.items()}
        return stack_state(states, stopping=self._engine.stack.closing)

    def service(self, name: str) -> ServiceStatus:
        self._engine.service(name)
        return self._service(name, self._metrics.usage(), time.monotonic())

    def spec(self, name: str) -> ServiceSpec:
        return self._engine.service(name).spec

    def environment(self, name: str) -> dict[str, str]:
        instance = self._engine.instances.get(name)
        if instance is not None and instance.spec == self.spec(name):
            return dict(instance.environment)
        return self._engine.environment(self.spec(name))

    def health(self, name: str) -> HealthHistory:
        return self._engine.chronicle.checks.history(name, self.spec(name).healthcheck)

    def processes(self, name: str) -> ProcessTree:
        self._engine.service(name)
        instance = self._engine.instances.get(name)
        leader = instance.pid if instance is not None else None
        return self._processes.tree(self._engine.roster.members(self._engine.index(name)), leader)

    def explain(self, name: str) -> Explanation:
        engine = self._engine
        engine.service(name)
        services = engine.stack.services
        root = cause_chain(name, services)[-1]
        own = set(engine.roster.members(engine.index(root))) if root in engine.specs else set()
        holders = []
        if services[root].state in (S.FAILED, S.BACKOFF, S.STARTING, S.UNHEALTHY):
            for port in engine.ports.get(root, {}).values():
                holder = ports.holder(port)
                if holder is not None and holder.pid not in own:
                    holders.append(str(holder))
        settled = services[root].state in (S.READY, S.COMPLETED, S.EXTERNAL, S.STOPPED)
        # The file also has what earlier runs and instances wrote, which explains nothing now.
        began = engine.chronicle.times.get(root, Times()).started_at or self._record.started_at
        source = [(root, engine.log_path(root))]
        tail = [] if settled else [entry.text for entry in read(source, since=parse_time(began), tail=EVIDENCE_LINES)]
        return explain(
            name,
            services,
            engine.chronicle.health,
            time.monotonic(),
            log_tail=tail,
            port_holders=holders,
            leftovers=engine.chronicle.left_behind.get(root),
        )

    def timeline(self) -> list[TimelineEntry]:
        engine = self._engine
        return timeline(engine.specs, engine.chronicle.marks, {name: s.state for name, s in engine.stack.services.items()})

    def events(self, after: int = 0) -> list[Event]:
        return self._engine.history.after(after)

    def follow_events(self, after: int | None) -> AsyncIterator[Event]:
        return self._engine.history.follow(after)

    def log_files(self) -> Mapping[str, Path]:
        return {name: self._engine.log_path(name) for name in self._engine.specs}

    # --- operations -------------------------------------------------------------------------------------------------------------

    async def start(self, names: Sequence[str], *, with_dependencies: bool = True) -> list[str]:
        self._check(names)
        needed = self._closure(names, self._dependencies) if with_dependencies else []
        self._engine.dispatch(lc.Start(tuple(names), tuple(name for name in needed if name not in names)))
        return list(names)

    async def stop(self, names: Sequence[str], *, with_dependents: bool = False) -> list[str]:
        wanted = self._select(names, with_dependents)
        self._engine.dispatch(lc.Stop(tuple(wanted)))
        # What somebody starts again meanwhile is no longer ours to wait for.
        await self._engine.until(lambda: all(not (s := self._engine.service(n)).live or s.state is not S.STOPPING for n in wanted))
        return wanted

    async def restart(self, names: Sequence[str], *, with_dependents: bool = False) -> list[str]:
        wanted = self._select(names, with_dependents)
        self._engine.dispatch(lc.Restart(tuple(wanted)))
        await self._engine.until(lambda: all(self._engine.service(name).state is not S.STOPPING for name in wanted))
        return wanted

    async def signal(self, name: str, signal_name: str) -> None:
        self._engine.service(name)
        full = signal_name.upper() if signal_name.upper().startswith("SIG") else f"SIG{signal_name.upper()}"
        if full not in signal.Signals.__members__:
            raise UsageError(f"{signal_name!r} is no signal", "name one such as SIGHUP or USR1 (`kill -l` lists them)")
        instance = self._engine.instances.get(name)
        if instance is not None:
            instance.signal(signal.Signals[full])

    async def reload(self, plan: Plan) -> dict[str, list[str]]:
        return self._engine.reload(plan)

    async def wait(self, names: Sequence[str], condition: str) -> dict[str, Any]:
        self._check(names)
        while True:
            services = {name: self._engine.service(name) for name in names}
            open_names = [name for name, service in services.items() if not _meets(service, condition)]
            impossible = [name for name in open_names if _never(services[name], condition, self._engine.stack.closing)]
            if not open_names or impossible:
                break
            await self._engine.changed()
        usage = self._metrics.usage()
        now = time.monotonic()
        return {
            "done": not open_names,
            "services": [self._service(name, usage, now).json() for name in names],
            "impossible": impossible,
        }

    async def shutdown(self, *, force: bool = False) -> Receipt:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(force))
        elif force:
            self._engine.dispatch(lc.Shutdown(force=True))
        return await asyncio.shield(self._ending)

    def acquire_lease(self) -> Lease:
        lease = Lease(self._released)
        self._leases.add(lease)
        return lease

    # --- inside -----------------------------------------------------------------------------------------------------------------

    async def _end(self, force: bool) -> Receipt:
        engine = self._engine
        began = time.monotonic()
        trees = engine.roster.trees()
        running = [name for name, service in engine.stack.services.items() if service.live]
        used = sorted({port for name in running for port in engine.ports.get(name, {}).values()})
        count = sum(len(tree) for tree in trees.values())
        engine.dispatch(lc.Shutdown(force))
        engine.abandon_adoptions()
        await engine.until(lambda: not engine.alive())
        # Nothing is spawned any more and every service's tree is gone; what is left belongs to nobody, and goes too.
        empty, refused, _ = reap.kill_children(time.monotonic() + KILL_TIMEOUT)
        survivors = () if empty else reap.survivors({*refused, *engine.refused}, "could not be ended")
        receipt = Receipt(len(running), count, tuple(used), time.monotonic() - began, engine.killed, survivors)
        engine.history.record("run_ended", None, receipt=receipt.json())
        engine.history.end()
        self._on_ended()
        return receipt

    def _released(self, lease: Lease, detach: bool) -> None:
        if lease not in self._leases:
            return
        self._leases.discard(lease)
        if not detach and not self._leases and self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(force=False))

    def _service(self, name: str, usage: Mapping[int, Usage], now: float) -> ServiceStatus:
        engine = self._engine
        service = engine.stack.services[name]
        spec = service.spec
        instance = engine.instances.get(name)
        used = usage.get(engine.index(name), Usage())
        times = engine.chronicle.times.get(name, Times())
        began = service.instance > 0 or service.state is S.EXTERNAL
        return ServiceStatus(
            name=name,
            state=service.state,
            reason=reason(name, engine.stack.services, engine.chronicle.health, now),
            pid=instance.pid if instance is not None and service.live else None,
            ports=engine.ports.get(name, {}),
            url=spec.url,
            started_at=times.started_at if began else None,
            ready_at=times.ready_at if began else None,
            startup_seconds=round(times.startup_seconds, 3) if began and times.startup_seconds is not None else None,
            restarts=service.restarts,
            exit_code=_exit_code(service.exit),
            processes=used.processes,
            cpu_percent=used.cpu_percent,
            memory_bytes=used.memory_bytes,
            health=engine.chronicle.health.get(name) if service.live or service.state is S.EXTERNAL else None,
            depends_on=tuple(edge.service for edge in spec.depends_on),
            log=self._log_name(name),
            description=spec.description,
        )

    def _log_name(self, name: str) -> str:
        path = str(self._engine.log_path(name)) if name in self._engine.specs else ""
        return os.path.relpath(path, self._engine.plan.directory) if path.startswith(self._engine.plan.directory + os.sep) else path

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            self._engine.service(name)

    def _select(self, names: Sequence[str], with_dependents: bool) -> list[str]:
        self._check(names)
        dependents = self._closure(names, lambda name: self._engine.stack.dependents.get(name, ())) if with_dependents else []
        return list(dict.fromkeys([*names, *(name for name in dependents if self._engine.service(name).wanted)]))

    def _dependencies(self, name: str) -> Sequence[str]:
        return [edge.service for edge in self._engine.service(name).spec.depends_on if edge.service in self._engine.stack.services]

    @staticmethod
    def _closure(names: Sequence[str], neighbours: Callable[[str], Sequence[str]]) -> list[str]:
        found = list(dict.fromkeys(names))
        for name in found:
            found += [other for other in neighbours(name) if other not in found]
        return found


def _meets(service: lc.Service, condition: str) -> bool:
    state = service.state
    match condition:
        case "ready":
            return state in SETTLED_WELL
        case "stopped":
            return state in ENDED and not service.live
        case "completed":
            return state is S.COMPLETED
        case _:
            return state is S.UNHEALTHY


def _never(service: lc.Service, condition: str, closing: bool) -> bool:
    """Whether the condition can not come true unless somebody intervenes."""
    if condition == "stopped":
        return False
    return service.state in ENDED or (service.state is S.STOPPING and (closing or not service.respawn))


def _exit_code(exit: lc.ExitStatus | None) -> int | None:
    if exit is None:
        return None
    # As a shell says it: 128 + the signal's number.
    return exit.code if exit.signal is None else 128 + exit.signal
