"""A supervisor without processes: it keeps states, events and leases in memory and does what it is told at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from devctl.control.interface import WaitFor
from devctl.errors import UnknownService, UsageError
from devctl.model import (
    CheckRun,
    Event,
    Explanation,
    Health,
    HealthHistory,
    ProcessInfo,
    ProcessTree,
    Receipt,
    ServiceState,
    ServiceStatus,
    StackState,
    StackStatus,
    SupervisorInfo,
    Survivor,
    TimelineEntry,
)
from devctl.plan import HealthCheck, HttpProbe, Plan, ServiceSpec

TIME = "2026-11-20T23:50:01.123456Z"
RUN_ID = "r1"


class FakeLease:
    """Remembers how it was released; `released` is set then."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.detached: bool | None = None
        self.times = 0

    def release(self, detach: bool) -> None:
        self.detached = detach
        self.times += 1
        self.released.set()


class FakeSupervisor:
    """Implements `devctl.control.interface.Supervisor`."""

    def __init__(self, log_dir: Path, names: Sequence[str] = ("router", "backend"), *, memory: int = 1000) -> None:
        self.log_dir = log_dir
        self.states = dict.fromkeys(names, ServiceState.READY)
        self.calls: list[tuple[Any, ...]] = []
        self.leases: list[FakeLease] = []
        self.shutdown_gate = asyncio.Event()
        self.shutdown_gate.set()
        self.failure: Exception | None = None
        self.waiting = 0
        self._changed = asyncio.Event()
        self._events: deque[Event] = deque(maxlen=memory)
        self._last = 0

    def emit(self, type: str = "service_state", service: str | None = None, **data: Any) -> Event:
        """Adds an event and wakes everyone."""
        self._last += 1
        event = Event(self._last, TIME, RUN_ID, type, service, data)
        self._events.append(event)
        self.wake()
        return event

    def wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def set_state(self, name: str, state: ServiceState) -> None:
        self.states[name] = state
        self.emit("service_state", name, state=state.value)

    def status(self) -> StackStatus:
        if self.failure is not None:
            raise self.failure
        info = SupervisorInfo(pid=100, guard_pid=99, sweeper_pid=98, socket="/run/s", version="0.1.0")
        services = tuple(self.service(name) for name in self.states)
        return StackStatus("assistant", "/srv/assistant", RUN_ID, StackState.READY, TIME, info, services)

    def service(self, name: str) -> ServiceStatus:
        if name not in self.states:
            raise UnknownService(f"there is no service {name!r}", f"services: {', '.join(self.states)}")
        return ServiceStatus(
            name=name,
            state=self.states[name],
            pid=123,
            ports={"default": 8888},
            url="http://127.0.0.1:8888",
            started_at=TIME,
            ready_at=TIME,
            startup_seconds=1.9,
            restarts=2,
            processes=2,
            cpu_percent=0.4,
            memory_bytes=48234496,
            health=Health("http", True, "200 in 3 ms", TIME),
            depends_on=("router",) if name == "backend" else (),
            log=str(self.log_dir / f"{name}.log"),
        )

    def spec(self, name: str) -> ServiceSpec:
        self.service(name)
        return ServiceSpec(name=name, argv=("python", "-m", name), command=f"python -m {name}", working_dir="/srv")

    def environment(self, name: str) -> dict[str, str]:
        self.service(name)
        return {"PORT": "8888", "ODD": "caf\udce9"}

    def health(self, name: str) -> HealthHistory:
        self.service(name)
        check = asdict(HealthCheck(HttpProbe("http://127.0.0.1:8888/")))
        return HealthHistory(check, (CheckRun(TIME, TIME, 3, True, "200 in 3 ms", 0.003, 0.004),))

    def processes(self, name: str) -> ProcessTree:
        self.service(name)
        return ProcessTree((ProcessInfo(123, 100, f"python -m {name}", "sleeping", 0.4, 48234496, TIME, "main"),), 1)

    async def start(self, names: Sequence[str], *, with_dependencies: bool = True) -> list[str]:
        return self._do("start", names, with_dependencies, ServiceState.READY)

    async def stop(self, names: Sequence[str], *, with_dependents: bool = False) -> list[str]:
        return self._do("stop", names, with_dependents, ServiceState.STOPPED)

    async def restart(self, names: Sequence[str], *, with_dependents: bool = False) -> list[str]:
        return self._do("restart", names, with_dependents, ServiceState.STARTING)

    def _do(self, verb: str, names: Sequence[str], option: bool, state: ServiceState) -> list[str]:
        for name in names:
            self.service(name)
        self.calls.append((verb, list(names), option))
        for name in names:
            self.set_state(name, state)
        return list(names)

    async def signal(self, name: str, signal_name: str) -> None:
        self.service(name)
        if not signal_name.startswith("SIG"):
            raise UsageError(f"{signal_name!r} is no signal", "use a name such as SIGHUP")
        self.calls.append(("signal", name, signal_name))

    async def reload(self, plan: Plan) -> dict[str, list[str]]:
        self.calls.append(("reload", plan))
        return {"started": [], "restarted": ["backend"], "stopped": [], "unchanged": ["router"]}

    async def shutdown(self, *, force: bool = False) -> Receipt:
        self.calls.append(("shutdown", force))
        self.wake()
        await self.shutdown_gate.wait()
        survivor = Survivor(7, "sudo thing", "not permitted")
        return Receipt(services=2, processes=5, ports=(8888,), seconds=0.25, killed=1, survivors=(survivor,))

    async def wait(self, names: Sequence[str], condition: WaitFor) -> dict[str, Any]:
        self.waiting += 1
        self.wake()
        try:
            while True:
                changed = self._changed
                done = all(self.states[name] == condition for name in names)
                impossible = [name for name in names if self.states[name] == ServiceState.FAILED]
                if done or impossible:
                    services = [self.service(name).json() for name in names]
                    return {"done": done, "services": services, "impossible": impossible}
                await changed.wait()
        finally:
            self.waiting -= 1
            self.wake()

    def explain(self, name: str) -> Explanation:
        self.service(name)
        return Explanation(name, self.states[name], "it waits for router", (("waits for", "router"),), (name, "router"))

    def timeline(self) -> list[TimelineEntry]:
        return [TimelineEntry(name, 0.0, 0.1, None, state, (), True) for name, state in self.states.items()]

    def events(self, after: int = 0) -> list[Event]:
        return [event for event in self._events if event.id > after]

    async def follow_events(self, after: int | None) -> AsyncIterator[Event]:
        seen = self._last if after is None else after
        while True:
            changed = self._changed
            for event in self.events(seen):
                seen = event.id
                yield event
            if changed is self._changed:
                await changed.wait()

    def log_files(self) -> dict[str, Path]:
        return {name: self.log_dir / f"{name}.log" for name in self.states}

    def acquire_lease(self) -> FakeLease:
        self.leases.append(FakeLease())
        self.wake()
        return self.leases[-1]

    async def until(self, condition: Any) -> None:
        """Waits until `condition()` holds, looking whenever something changes here."""
        while not condition():
            await self._changed.wait()
