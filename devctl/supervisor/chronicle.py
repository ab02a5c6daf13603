"""What the engine remembers of a run for those who ask: times, health, what was left behind. Most of it also becomes history."""

from __future__ import annotations

from dataclasses import dataclass

from devctl.health import ProbeResult
from devctl.lifecycle import ExitStatus, Service
from devctl.model import Health, ServiceState
from devctl.process import system
from devctl.supervisor.checks import Checks
from devctl.supervisor.clock import Clock
from devctl.supervisor.history import History
from devctl.supervisor.timeline import Marks

S = ServiceState
# How many commands of what was left behind are named.
NAMED_LEFTOVERS = 5


@dataclass(slots=True)
class Times:
    """Of the current instance: RFC 3339 for people, seconds since the run began for arithmetic."""

    started_at: str | None = None
    ready_at: str | None = None
    started: float | None = None
    startup_seconds: float | None = None


class Chronicle:
    """One for a run."""

    def __init__(self, history: History, clock: Clock) -> None:
        self.health: dict[str, Health] = {}
        self.checks = Checks()
        self.marks: dict[str, Marks] = {}
        self.times: dict[str, Times] = {}
        self.left_behind: dict[str, str] = {}
        self._history = history
        self._clock = clock

    def waits(self, name: str) -> None:
        """The service is to start, for the first time in this run or anew."""
        self.marks[name] = Marks(waiting=self._clock.seconds())

    def started(self, name: str) -> None:
        """A new instance begins; what was known of the old one no longer holds."""
        now = self._clock.seconds()
        self.left_behind.pop(name, None)
        self.times[name] = Times(started_at=self._clock.now(), started=now)
        marks = self.marks.setdefault(name, Marks())
        if marks.started is None:
            marks.started = now

    def changed(self, name: str, old: Service | None, new: Service) -> None:
        """The lifecycle moved. Changes of mere detail are not history."""
        before = old.state if old is not None else None
        if before is new.state and (old is None or old.reason == new.reason or new.state is S.UNHEALTHY):
            return
        if new.state is S.WAITING:
            self.marks.setdefault(name, Marks(waiting=self._clock.seconds()))
        became_ready = new.state in (S.READY, S.EXTERNAL) or (new.state is S.COMPLETED and new.spec.oneshot)
        if became_ready and before not in (S.UNHEALTHY, new.state):
            self._ready(name)
        self._history.record(
            "service_state",
            name,
            state=new.state.value,
            previous=before.value if before else None,
            reason=new.reason.text if new.reason else None,
            instance=new.instance,
            restarts=new.restarts,
        )

    def exited(self, name: str, instance: int, pid: int, exit: ExitStatus) -> None:
        """The leader of an instance ended."""
        self._history.record("service_exited", name, exit_code=exit.code, signal=exit.signal, pid=pid, instance=instance)

    def probed(self, name: str, kind: str, result: ProbeResult) -> None:
        """A health check answered."""
        last = self.health.get(name)
        now = self._clock.now()
        failures = 0 if result.ok else (last.failures if last is not None else 0) + 1
        self.health[name] = Health(kind, result.ok, result.detail, now, failures)
        self.checks.add(name, result, now)

    def left(self, name: str, pids: list[int]) -> None:
        """The leader ended and these were still there."""
        named = ", ".join(f"{system.command_line(pid, 60)} (pid {pid})" for pid in pids[:NAMED_LEFTOVERS])
        self.left_behind[name] = f"{len(pids)} process{'es' * (len(pids) != 1)}: {named}"
        self._history.record("leftovers", name, processes=len(pids), commands=named)

    def trouble(self, name: str, text: str) -> None:
        """Output could not be kept."""
        self._history.record("log_trouble", name, reason=text)

    def _ready(self, name: str) -> None:
        now = self._clock.seconds()
        times = self.times.setdefault(name, Times())
        times.ready_at = self._clock.now()
        times.startup_seconds = now - times.started if times.started is not None else 0.0
        marks = self.marks.setdefault(name, Marks())
        if marks.ready is None:
            marks.ready = now
