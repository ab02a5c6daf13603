"""What the dashboard knows of a stack: the supervisor's status as values, in orders and words of its own. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from devctl.model import ENDED, SETTLED_WELL, ServiceState

S = ServiceState

SORTS = ("manifest", "name", "worst", "cpu", "memory", "restarts")

# How much a state needs somebody's eyes; the first the most.
_WORST = (S.FAILED, S.UNHEALTHY, S.BACKOFF, S.STOPPING, S.STARTING, S.WAITING, S.READY, S.EXTERNAL, S.COMPLETED, S.STOPPED)
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service, as `model.ServiceStatus.json` tells it. Memory in bytes, CPU in percent of one core.

    Attributes:
        waiting_on: the dependencies that keep it waiting.
    """

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
    health_ok: bool | None = None
    health_detail: str = ""
    depends_on: tuple[str, ...] = ()
    description: str = ""
    waiting_on: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it can be reached: its port or ports; "" when nowhere."""
        return " ".join(f":{port}" for port in self.ports.values())

    def words(self) -> str:
        """What is to say about its state, in a few words; "" when the state says it all."""
        if self.state is S.WAITING and self.waiting_on:
            return f"for {', '.join(self.waiting_on)}"
        if self.reason and self.state not in (S.READY, S.COMPLETED):
            return self.reason
        return self.health_detail


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One answer to `GET /v1/status`."""

    stack: str
    directory: str
    run_id: str
    state: str
    started_at: str
    services: tuple[ServiceView, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the answer's JSON. Raises LookupError, TypeError or ValueError when it is none."""
        states = {item["name"]: ServiceState(item["state"]) for item in data["services"]}
        return cls(
            stack=str(data["stack"]),
            directory=str(data["directory"]),
            run_id=str(data["run_id"]),
            state=str(data["state"]),
            started_at=str(data["started_at"]),
            services=tuple(_service(item, states) for item in data["services"]),
        )

    def ended(self) -> Self:
        """The same after the supervisor has gone: nothing runs any more."""
        final = ENDED | {S.EXTERNAL}
        gone = tuple(
            view if view.state in final else replace(view, state=S.STOPPED, reason=None, pid=None) for view in self.services
        )
        return replace(self, state="stopped", services=gone)

    def counts(self) -> list[tuple[str, int]]:
        """How many services are in each state, those that need eyes first."""
        found = [(state, sum(view.state is state for view in self.services)) for state in _WORST]
        return [(str(state.value), number) for state, number in found if number]


def _service(item: Mapping[str, Any], states: Mapping[str, ServiceState]) -> ServiceView:
    health = item.get("health") or {}
    depends_on = tuple(str(name) for name in item["depends_on"])
    state = states[item["name"]]
    waits = tuple(name for name in depends_on if states.get(name) not in SETTLED_WELL) if state is S.WAITING else ()
    return ServiceView(
        name=str(item["name"]),
        state=state,
        reason=item["reason"],
        pid=item["pid"],
        ports=dict(item["ports"]),
        url=item["url"],
        started_at=item["started_at"],
        ready_at=item["ready_at"],
        startup_seconds=item["startup_seconds"],
        restarts=int(item["restarts"]),
        exit_code=item["exit_code"],
        processes=int(item["processes"]),
        cpu_percent=float(item["cpu_percent"]),
        memory_bytes=int(item["memory_bytes"]),
        health_ok=health.get("ok"),
        health_detail=str(health.get("detail", "")),
        depends_on=depends_on,
        description=str(item.get("description", "")),
        waiting_on=waits,
    )


def ordered(services: Sequence[ServiceView], sort: str) -> list[ServiceView]:
    """The services in one of the `SORTS`; equal ones stay in the manifest's order."""
    if sort == "name":
        return sorted(services, key=lambda view: view.name)
    if sort == "worst":
        return sorted(services, key=lambda view: _WORST.index(view.state))
    if sort == "cpu":
        return sorted(services, key=lambda view: -view.cpu_percent)
    if sort == "memory":
        return sorted(services, key=lambda view: -view.memory_bytes)
    if sort == "restarts":
        return sorted(services, key=lambda view: -view.restarts)
    return list(services)


def matching(services: Iterable[ServiceView], text: str) -> list[ServiceView]:
    """The services that every word of `text` is found in: in name, state, port or description. Case does not count."""
    words = text.lower().split()

    def fits(view: ServiceView) -> bool:
        whole = f"{view.name} {view.state.value} {view.place} {view.description}".lower()
        return all(word in whole for word in words)

    return [view for view in services if fits(view)]


class Trend:
    """The last values of something, as a line of bars.

    Args:
        length: values that are kept.
    """

    def __init__(self, length: int = 60) -> None:
        self._values: deque[float] = deque(maxlen=length)

    def add(self, value: float) -> None:
        """Takes the newest value."""
        self._values.append(max(0.0, value))

    def text(self, width: int, least: float = 0.0) -> str:
        """The newest values as bars, `width` cells, padded at the left.

        Args:
            least: what a full bar stands for at least, so that noise does not look like a load.
        """
        if width <= 0:
            return ""
        values = list(self._values)[-width:]
        top = max([least, *values])
        bars = "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] if top else _BARS[0] for value in values)
        return bars.rjust(width)
