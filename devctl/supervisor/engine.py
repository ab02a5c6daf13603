"""The asyncio shell around the lifecycle: it carries actions out, and turns what happens into events.

There is one queue of events and one state. An event is stepped to its end before the next is looked at, so nothing here has to be
locked, and what a task reports late is told by its instance number.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devctl import lifecycle as lc
from devctl.errors import DevctlError, UnknownService
from devctl.health import ExecResult, ProbeResult, probe_once
from devctl.logs.store import ServiceLog
from devctl.manifest.envfile import read_env_files
from devctl.model import ServiceState
from devctl.plan import LogProbe, NotifyProbe, Plan, ServiceSpec, expand, expand_urls
from devctl.process import ports, system
from devctl.process.roster import Roster, Stopped
from devctl.process.spawn import PassingSpawnError, SpawnRequest
from devctl.supervisor.assign import assign_ports
from devctl.supervisor.chronicle import Chronicle
from devctl.supervisor.clock import Clock
from devctl.supervisor.environment import service_environment
from devctl.supervisor.history import History
from devctl.supervisor.instance import Instance, run_command

S = ServiceState


class Engine:
    """Runs one stack.

    Args:
        plan: as the client sent it.
        runtime: the stack's private runtime directory.
        log_dir: absolute; exists.
    """

    def __init__(
        self, plan: Plan, roster: Roster, history: History, clock: Clock, *, run_id: str, runtime: Path, log_dir: Path
    ) -> None:
        self.plan = plan
        self.roster = roster
        self.history = history
        self.run_id = run_id
        self.log_dir = log_dir
        self.ports: dict[str, dict[str, int]] = assign_ports(plan, {})
        self.specs: dict[str, ServiceSpec] = {}
        self.stack = lc.new_stack({})
        self.instances: dict[str, Instance] = {}
        self.chronicle = Chronicle(history, clock)
        self.killed = 0
        self.refused: dict[int, str] = {}
        self._runtime = runtime
        self._caller = dict(os.environ)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[lc.Event] = deque()
        self._stepping = False
        self._spawns: deque[lc.Spawn] = deque()
        self._spawning = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._adopting: dict[str, asyncio.Task[None]] = {}
        self._indices: dict[str, int] = {}
        self._logs: dict[str, ServiceLog] = {}
        self._changed: set[asyncio.Future[None]] = set()
        self._take_plan(plan)
        self.stack = lc.new_stack(self.specs)

    # --- what is asked for ------------------------------------------------------------------------------------------------------

    def dispatch(self, event: lc.Event) -> None:
        """Takes an event; its consequences are under way when this returns."""
        self._queue.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._queue:
                self._step(self._queue.popleft())
        finally:
            self._stepping = False
        self._arm()
        for future in self._changed:
            if not future.done():
                future.set_result(None)
        self._changed.clear()

    async def changed(self) -> None:
        """Returns after the next event."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._changed.add(future)
        try:
            await future
        finally:
            self._changed.discard(future)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once `condition` holds; it is looked at after every event."""
        while not condition():
            await self.changed()

    def reload(self, plan: Plan) -> dict[str, list[str]]:
        """Makes the running stack match `plan`. Returns the names by what was done to them."""
        old = dict(self.specs)
        old_env = {name: self._current_env_files(spec) for name, spec in old.items() if name in self.instances}
        self.ports = assign_ports(plan, self.ports)
        self.plan = plan
        self._take_plan(plan)
        done: dict[str, list[str]] = {"started": [], "restarted": [], "stopped": [], "unchanged": []}
        for name, spec in self.specs.items():
            service = self.stack.services.get(name)
            if service is None or service.removed or service.state in (S.STOPPED, S.FAILED) or not service.wanted:
                done["started"].append(name)
            elif spec != old.get(name) or self._env_files_changed(name, old_env.get(name)):
                done["restarted"].append(name)
            else:
                done["unchanged"].append(name)
        done["stopped"] = [name for name, service in self.stack.services.items() if name not in self.specs and service.wanted]
        for name in done["started"]:
            self.chronicle.waits(name)
        self.dispatch(lc.Replace(self.specs, tuple(done["started"]), tuple(done["restarted"])))
        self.history.record("reloaded", None, **done)
        return done

    def environment(self, spec: ServiceSpec, notify_socket: str | None = None) -> dict[str, str]:
        """What a service finds, its env files read just now. Raises ManifestError for a bad one."""
        return service_environment(
            spec,
            caller=self._caller,
            from_files=read_env_files(spec.env_files, self._caller) if spec.env_files else {},
            stack=self.plan.name,
            run_id=self.run_id,
            notify_socket=notify_socket,
        )

    def service(self, name: str) -> lc.Service:
        """Raises UnknownService."""
        service = self.stack.services.get(name)
        if service is None:
            known = ", ".join(self.stack.services) or "none"
            raise UnknownService(f"there is no service {name!r} in the stack {self.plan.name}", f"its services: {known}")
        return service

    def log(self, name: str) -> ServiceLog:
        """The log that all instances of a service share."""
        if name not in self._logs:
            spec = self.specs[name]
            directory = Path(spec.logging.dir) if spec.logging.dir != self.plan.logging.dir else self.log_dir
            self._logs[name] = ServiceLog(
                directory / f"{name}.log",
                spec.logging,
                on_trouble=lambda text: self.chronicle.trouble(name, text),
            )
        return self._logs[name]

    def log_path(self, name: str) -> Path:
        """Where the log of a service is."""
        return self.log(name).path

    def alive(self) -> bool:
        """Whether any service may have processes."""
        return any(service.live for service in self.stack.services.values()) or bool(self._adopting)

    def abandon_adoptions(self) -> None:
        """Stops looking at what is not ours."""
        for task in list(self._adopting.values()):
            task.cancel()
        self._adopting.clear()

    def close(self) -> None:
        """Lets go of everything; nothing runs any more."""
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for log in self._logs.values():
            log.close()

    # --- stepping ---------------------------------------------------------------------------------------------------------------

    def _step(self, event: lc.Event) -> None:
        before = self.stack
        self.stack, actions = lc.step(before, event, self._loop.time())
        if isinstance(event, lc.Exited):
            instance = self._instance(event.service, event.instance)
            if instance is not None and instance.child is not None:
                self.chronicle.exited(event.service, event.instance, instance.child.pid, event.exit)
        for name, service in self.stack.services.items():
            old = before.services.get(name)
            if old is not service:
                self.chronicle.changed(name, old, service)
        for action in actions:
            self._perform(action)

    def _perform(self, action: lc.Action) -> None:
        match action:
            case lc.Spawn():
                self._spawns.append(action)
                self._spawn_soon()
            case lc.StopTree():
                self._stop(action)
            case lc.Probe(service=name, instance=number):
                self._probe(name, number)
            case lc.Unprobe(service=name, instance=number):
                if (instance := self._instance(name, number)) is not None:
                    instance.unprobe()
                self._forget_adoption(name)
            case lc.Adopt(service=name, instance=number):
                self._adopting[name] = self._task(self._adopt(name, number))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = lc.next_wake(self.stack)
        if due is not None:
            self._timer = self._loop.call_at(due, lambda: self.dispatch(lc.Tick(random.random())))

    # --- starting ---------------------------------------------------------------------------------------------------------------

    def _spawn_soon(self) -> None:
        if not self._spawning and self._spawns:
            self._spawning = True
            self._loop.call_soon(self._spawn_next)

    def _spawn_next(self) -> None:
        """One spawn, then the loop has a turn: a start of 300 services must not hold up output, probes or a Ctrl-C."""
        self._spawning = False
        if not self._spawns:
            return
        action = self._spawns.popleft()
        try:
            self._spawn(action.service, action.instance)
        finally:
            self._spawn_soon()

    def _spawn(self, name: str, number: int) -> None:
        spec = self.specs[name]
        self.chronicle.health.pop(name, None)
        notify = self._runtime / f"notify-{self._index(name)}" if _is_notify(spec) else None
        try:
            for port in self.ports.get(name, {}).values():
                if (holder := ports.holder(port)) is not None:
                    raise PassingSpawnError(str(holder), holder.mend())
            environment = self.environment(spec, str(notify) if notify else None)
            index = self._index(name)
            instance = Instance(number, spec, environment, (index, index + 1), self.log(name), self.roster)
            instance.start(lambda status: self.dispatch(lc.Exited(name, number, status, random.random())), notify)
        except DevctlError as error:
            retry = isinstance(error, PassingSpawnError)
            self.log(name).append("stderr", f"devctl: {error}\n".encode("utf-8", "replace"))
            self.dispatch(lc.SpawnFailed(name, number, _one_line(error), retry, random.random()))
            return
        self.instances[name] = instance
        self.chronicle.started(name)
        self.dispatch(lc.Spawned(name, number))

    async def _adopt(self, name: str, number: int) -> None:
        spec = self.specs[name]
        found = False
        try:
            check = spec.healthcheck
            if check is not None and not isinstance(check.probe, LogProbe | NotifyProbe):
                result = await probe_once(check.probe, check.timeout, run_exec=self._runner(name))
                found = result.ok
                if found:
                    self.chronicle.probed(name, check.probe.kind, result)
        except DevctlError:
            found = False  # such as an exec probe whose program is missing: the start will say it
        finally:
            self._adopting.pop(name, None)
        self.dispatch(lc.Adopted(name, number) if found else lc.NotAdopted(name, number))

    def _runner(self, name: str) -> Callable[[tuple[str, ...], float], Any]:
        async def run(argv: tuple[str, ...], timeout: float) -> ExecResult:
            spec = self.specs[name]
            request = SpawnRequest(argv, self.environment(spec), spec.working_dir, self._index(name) + 1)
            return await run_command(self.roster, request, timeout)

        return run

    # --- health -----------------------------------------------------------------------------------------------------------------

    def _probe(self, name: str, number: int) -> None:
        check = self.specs[name].healthcheck if name in self.specs else None
        kind = check.probe.kind if check is not None else ""

        def report(result: ProbeResult) -> None:
            self.chronicle.probed(name, kind, result)
            if result.ok:
                self.dispatch(lc.Healthy(name, number))
            else:
                self.dispatch(lc.Unhealthy(name, number, result.detail, random.random()))

        instance = self._instance(name, number)
        if instance is not None:
            instance.probe(report)
        elif self.stack.services[name].state is S.EXTERNAL:
            self._adopting[f"{name}:watch"] = self._task(self._watch_external(name, number, report))

    async def _watch_external(self, name: str, number: int, report: Callable[[ProbeResult], None]) -> None:
        check = self.specs[name].healthcheck
        assert check is not None
        while True:
            await asyncio.sleep(check.interval)
            report(await probe_once(check.probe, check.timeout, run_exec=self._runner(name)))

    def _forget_adoption(self, name: str) -> None:
        task = self._adopting.pop(f"{name}:watch", None)
        # The report that made the reused instance unhealthy comes from this very task; it must not cancel itself.
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        elif task is not None:
            self._loop.call_soon(task.cancel)

    # --- stopping ---------------------------------------------------------------------------------------------------------------

    def _stop(self, action: lc.StopTree) -> None:
        name, number = action.service, action.instance
        instance = self._instance(name, number)
        if instance is None:
            # Not spawned yet, and now it never will be.
            self._spawns = deque(spawn for spawn in self._spawns if spawn.service != name)
            self.dispatch(lc.Gone(name, number))
            return
        if action.force:
            instance.force.set()
        if not instance.ending:
            instance.ending = True
            self._task(self._end(name, instance))

    async def _end(self, name: str, instance: Instance) -> None:
        if not instance.leader_lives and (left := self.roster.members(instance.index)):
            self.chronicle.left(name, left)
        stopped = Stopped()
        try:
            stopped = await instance.end()
        finally:
            self.killed += stopped.killed
            for pid in stopped.refused:
                self.refused[pid] = system.command_line(pid)
            self.dispatch(lc.Gone(name, instance.number))

    # --- odds and ends ----------------------------------------------------------------------------------------------------------

    def _take_plan(self, plan: Plan) -> None:
        urls = expand_urls(plan, self.ports)
        self.specs = {name: expand(spec, self.ports, urls) for name, spec in plan.services.items()}
        for name in plan.services:
            self._index(name)

    def _index(self, name: str) -> int:
        """The dye of a service; the next one is that of its health commands. Kept for the run."""
        if name not in self._indices:
            self._indices[name] = 1 + 2 * len(self._indices)
            self.roster.name(name, self._indices[name])
        return self._indices[name]

    def index(self, name: str) -> int:
        """The owner under which the roster knows a service."""
        return self._indices[name]

    def _instance(self, name: str, number: int) -> Instance | None:
        instance = self.instances.get(name)
        return instance if instance is not None and instance.number == number else None

    def _task(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _current_env_files(self, spec: ServiceSpec) -> Mapping[str, str] | None:
        instance = self.instances.get(spec.name)
        return instance.environment if instance is not None else None

    def _env_files_changed(self, name: str, running: Mapping[str, str] | None) -> bool:
        """Whether a restart would give the service another environment: an edited env file counts as a change."""
        spec = self.specs[name]
        if running is None or not spec.env_files:
            return False
        try:
            return self.environment(spec, running.get("NOTIFY_SOCKET")) != dict(running)
        except DevctlError:
            return True


def _is_notify(spec: ServiceSpec) -> bool:
    return spec.healthcheck is not None and isinstance(spec.healthcheck.probe, NotifyProbe)


def _one_line(error: DevctlError) -> str:
    return f"{error.what} ({error.mend})" if error.mend else error.what
