"""The start-up as bars on a row of cells: what the command line and the dashboard draw alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Entry = Mapping[str, Any]
"""TimelineEntry.json()."""

Tone = Literal["failed", "critical", "plain"]

FAILED = frozenset({"failed", "unhealthy"})
GOING_ON = frozenset({"waiting", "starting", "backoff"})


@dataclass(frozen=True, slots=True)
class Bar:
    """One service's bar: so many cells of nothing, of waiting, of starting, and of nothing again.

    Attributes:
        took: seconds from its start until it was ready; None when it is not, or has not been started.
    """

    service: str
    before: int
    waiting: int
    starting: int
    after: int
    took: float | None
    state: str
    tone: Tone
    critical: bool


def span(entries: Sequence[Entry], now: float | None = None) -> float:
    """Seconds from the run's begin to its last known moment, or to `now` while a service is still to become ready; never 0."""
    moments = [entry[key] for entry in entries for key in ("waiting_from", "started", "ready") if entry[key] is not None]
    if now is not None and any(entry["ready"] is None and entry["state"] in GOING_ON for entry in entries):
        moments.append(now)
    return float(max([*moments, 0.001]))


def bars(entries: Sequence[Entry], room: int, now: float | None = None) -> list[Bar]:
    """One bar an entry, each exactly `room` cells long."""
    whole = span(entries, now)
    return [_bar(entry, whole, room) for entry in entries]


def critical_path(entries: Sequence[Entry]) -> list[str]:
    """The services that decided how long it took, in the order of their starts."""
    return [entry["service"] for entry in entries if entry["critical"]]


def _bar(entry: Entry, whole: float, room: int) -> Bar:
    begin = _cell(entry["waiting_from"], whole, room)
    took = None
    if entry["started"] is None:
        cells = (begin, room - begin, 0, 0)
    else:
        end = room if entry["ready"] is None else _cell(entry["ready"], whole, room)
        started = _cell(entry["started"], whole, room)
        solid = max(1, end - started)
        started = min(started, room - solid)  # what has begun just now is one cell, and that must fit
        begin = min(begin, started)
        cells = (begin, started - begin, solid, room - started - solid)
        if entry["ready"] is not None:
            took = entry["ready"] - entry["started"]
    tone: Tone = "failed" if entry["state"] in FAILED else "critical" if entry["critical"] else "plain"
    return Bar(entry["service"], *cells, took, entry["state"], tone, entry["critical"])


def _cell(moment: float, whole: float, room: int) -> int:
    return min(room, round(moment / whole * room))
