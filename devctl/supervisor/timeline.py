"""The start-up of a stack: who waited for whom, and which chain of services decided how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devctl.model import ServiceState, TimelineEntry
from devctl.plan import ServiceSpec


@dataclass(slots=True)
class Marks:
    """When things first happened to a service, in seconds since the run began; None for not yet."""

    waiting: float = 0.0
    started: float | None = None
    ready: float | None = None


def timeline(
    specs: Mapping[str, ServiceSpec], marks: Mapping[str, Marks], states: Mapping[str, ServiceState]
) -> list[TimelineEntry]:
    """One entry a service, in the manifest's order."""
    critical = critical_path(specs, marks)
    return [
        TimelineEntry(
            service=name,
            waiting_from=round(marks[name].waiting, 4),
            started=_round(marks[name].started),
            ready=_round(marks[name].ready),
            state=states[name],
            depends_on=tuple(edge.service for edge in specs[name].depends_on),
            critical=name in critical,
        )
        for name in specs
        if name in marks
    ]


def critical_path(specs: Mapping[str, ServiceSpec], marks: Mapping[str, Marks]) -> set[str]:
    """From the service that was ready last, back through the dependency that was ready last each time."""
    path: set[str] = set()
    candidates = list(marks)
    while ready := [(at, name) for name in candidates if name in marks and (at := marks[name].ready) is not None]:
        _, last = max(ready)
        if last in path or last not in specs:
            break
        path.add(last)
        candidates = [edge.service for edge in specs[last].depends_on]
    return path


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
