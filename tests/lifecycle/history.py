"""A notebook for event histories: write what happens, read where everything ended up."""

from __future__ import annotations

from typing import Any

from devctl import lifecycle as lc
from devctl.lifecycle import ExitStatus, Service
from devctl.plan import Condition, Dependency, HealthCheck, RestartMode, RestartPolicy, ServiceSpec, TcpProbe

STARTED, HEALTHY, COMPLETED = Condition.STARTED, Condition.HEALTHY, Condition.COMPLETED
CHECK = HealthCheck(TcpProbe("127.0.0.1:1"), retries=2, start_period=30.0)
ON_FAILURE = RestartPolicy(RestartMode.ON_FAILURE)
ALWAYS = RestartPolicy(RestartMode.ALWAYS)


def spec(name: str, *needs: str | Dependency, check: bool = False, **options: Any) -> ServiceSpec:
    """A service; `check` gives it a health check that two failures in a row break."""
    edges = tuple(need if isinstance(need, Dependency) else Dependency(need) for need in needs)
    if check:
        options.setdefault("healthcheck", CHECK)
    return ServiceSpec(name, ("run", name), f"run {name}", "/", depends_on=edges, **options)


class History:
    """A stack, and the actions that were called for since the last look, as ("spawn", "web")."""

    def __init__(self, *specs: ServiceSpec) -> None:
        self.stack = lc.new_stack({item.name: item for item in specs})
        self.now = 1000.0
        self.jitter = 0.5  # right in the middle: no jitter
        self._actions: list[lc.Action] = []

    # --- requests ---------------------------------------------------------------------------------------------------------------

    def start(self, *names: str, needed: tuple[str, ...] = ()) -> None:
        """Without names: everything."""
        self.take(lc.Start(names or tuple(self.stack.services), needed))

    def stop(self, *names: str) -> None:
        self.take(lc.Stop(names))

    def restart(self, *names: str) -> None:
        self.take(lc.Restart(names))

    def replace(self, *specs: ServiceSpec, start: tuple[str, ...] = (), changed: tuple[str, ...] = ()) -> None:
        self.take(lc.Replace({item.name: item for item in specs}, start, changed))

    def shutdown(self, *, force: bool = False) -> None:
        self.take(lc.Shutdown(force))

    # --- what happens -----------------------------------------------------------------------------------------------------------

    def spawned(self, *names: str) -> None:
        for name in names:
            self.take(lc.Spawned(name, self[name].instance))

    def spawn_failed(self, name: str, reason: str = "no such program", *, retry: bool = False) -> None:
        self.take(lc.SpawnFailed(name, self[name].instance, reason, retry, self.jitter))

    def adopted(self, name: str) -> None:
        self.take(lc.Adopted(name, self[name].instance))

    def not_adopted(self, name: str) -> None:
        self.take(lc.NotAdopted(name, self[name].instance))

    def healthy(self, *names: str) -> None:
        for name in names:
            self.take(lc.Healthy(name, self[name].instance))

    def unhealthy(self, name: str, times: int = 1) -> None:
        for _ in range(times):
            self.take(lc.Unhealthy(name, self[name].instance, "connection refused", self.jitter))

    def exited(self, name: str, code: int | None = None, signal: int | None = None) -> None:
        self.take(lc.Exited(name, self[name].instance, ExitStatus(code, signal), self.jitter))

    def gone(self, *names: str) -> None:
        for name in names:
            self.take(lc.Gone(name, self[name].instance))

    def ended(self, name: str, code: int | None = None, signal: int | None = None) -> None:
        """The leader exits and nothing of its tree is left."""
        self.exited(name, code, signal)
        self.gone(name)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.take(lc.Tick(self.jitter))

    def wake(self) -> float:
        """Goes to the next point in time at which something is due; returns how many seconds that took."""
        due = lc.next_wake(self.stack)
        assert due is not None
        waited, self.now = due - self.now, due
        self.take(lc.Tick(self.jitter))
        return waited

    def up(self, *names: str) -> None:
        """Each has been asked to start, is spawned and, where it has a check, healthy."""
        for name in names:
            self.spawned(name)
            if self[name].spec.healthcheck is not None:
                self.healthy(name)

    def take(self, event: lc.Event) -> None:
        self.stack, actions = lc.step(self.stack, event, self.now)
        self._actions += actions

    # --- outcome ----------------------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Service:
        return self.stack.services[name]

    def state(self, name: str) -> str:
        return self[name].state.value

    @property
    def states(self) -> dict[str, str]:
        return {name: service.state.value for name, service in self.stack.services.items()}

    def why(self, name: str) -> str:
        reason = self[name].reason
        return reason.text if reason is not None else ""

    def actions(self) -> list[tuple[str, str]]:
        """What was called for since the last look, oldest first."""
        names = {lc.Spawn: "spawn", lc.Adopt: "adopt", lc.Probe: "probe", lc.Unprobe: "unprobe"}
        found = []
        for action in self._actions:
            if isinstance(action, lc.StopTree):
                found.append(("kill" if action.force else "stop", action.service))
            else:
                found.append((names[type(action)], action.service))
        self._actions.clear()
        return found


def history_of(*specs: ServiceSpec) -> History:
    """A history in which everything has been asked to start."""
    history = History(*specs)
    history.start()
    return history
