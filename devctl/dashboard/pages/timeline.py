"""The start-up of the whole stack as a chart, and the chain of services that decided how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from textual.content import Content

from devctl.dashboard.pages.paper import BAD, BUSY, DIM, GOOD, STRONG, Paper, clean, fit
from devctl.timeline_chart import FAILED, GOING_ON, Bar, bars, critical_path, span
from devctl.wording import seconds

NAMES = 20  # cells of a name at most
TOOK = 11  # cells of the longest time or state: "59 min 59 s"
MARK = "◀ critical"
LEAST_BAR = 10  # cells; below this a chart says nothing and only the numbers are shown
COLOURS = {"failed": BAD, "critical": BUSY, "plain": GOOD}


def page(entries: Sequence[Mapping[str, Any]], width: int, *, now: float | None = None, selected: str | None = None) -> Content:
    """Waiting is dotted, starting is solid, and the critical path is marked.

    Args:
        entries: TimelineEntry.json() of every service.
        now: seconds since the run began: bars of what is not ready yet reach up to it.
        selected: the service whose name stands out.
    """
    paper = Paper(width)
    if not entries:
        paper.note("nothing has been started yet")
        return paper.content()
    path = critical_path(entries)
    summary: list[str | tuple[str, str]] = [(_summary(entries, now), STRONG)]
    going_on = any(entry["ready"] is None and entry["state"] in GOING_ON for entry in entries)
    if path:
        summary += [(f"; critical path{' so far' if going_on else ''}: ", DIM), " → ".join(clean(name) for name in path)]
    paper.line(*summary)
    names = min(NAMES, max(cell_len(clean(entry["service"])) for entry in entries))
    marked = width - names - TOOK - len(MARK) - 6 >= 2 * LEAST_BAR
    room = width - names - TOOK - 4 - (len(MARK) + 2 if marked else 2)
    for bar in bars(entries, max(room, 1), now):
        paper.line(*_row(bar, names, marked, chart=room >= LEAST_BAR, selected=selected))
    return paper.content()


def _summary(entries: Sequence[Mapping[str, Any]], now: float | None) -> str:
    whole = seconds(span(entries, now))
    ready = sum(entry["ready"] is not None for entry in entries)
    if ready == len(entries):
        return f"all ready after {whole}"
    failed = sum(entry["state"] in FAILED for entry in entries)
    return f"{ready} of {len(entries)} ready after {whole}" + (f", {failed} failed" if failed else "")


def _row(bar: Bar, names: int, marked: bool, *, chart: bool, selected: str | None) -> list[str | tuple[str, str]]:
    style = f"{STRONG} underline" if bar.service == selected else ""
    name = clean(bar.service)
    parts: list[str | tuple[str, str]] = [(fit(name, names), style), "  "]
    if chart:
        parts += [
            " " * bar.before,
            ("·" * bar.waiting, DIM),
            ("█" * bar.starting, COLOURS[bar.tone]),
            " " * bar.after,
            "  ",
        ]
    parts.append((bar.state if bar.took is None else seconds(bar.took)).rjust(TOOK))
    if bar.critical:
        parts.append((f"  {MARK}" if marked else " ◀", BUSY))
    return parts
