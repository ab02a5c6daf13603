"""The start-up as a Gantt chart: in text, and as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from devctl.cli.style import Style, cells, pad, seconds

Entry = dict[str, Any]
"""TimelineEntry.json()."""

LEAST_BAR = 10  # cells; below this a chart says nothing
TOOK = 11  # cells of the longest time or state: "59 min 59 s"
ROW, HEAD, LABEL, CHART, TAIL = 26, 56, 160, 720, 130  # SVG units: one is a pixel at 100 %


def span(entries: Sequence[Entry]) -> float:
    """Seconds from the run's begin to its last known moment; never 0."""
    moments = [entry[key] for entry in entries for key in ("waiting_from", "started", "ready") if entry[key] is not None]
    return float(max([*moments, 0.001]))


def text(entries: Sequence[Entry], style: Style, width: int) -> list[str]:
    """The lines: waiting is dotted, starting is solid, and the critical path is marked."""
    if not entries:
        return ["nothing has been started yet"]
    wait, work, mark = ("·", "█", "◀ critical") if style.unicode else (".", "#", "< critical")
    whole = span(entries)
    names = max(cells(entry["service"]) for entry in entries)
    room = max(LEAST_BAR, min(width, 160) - names - TOOK - len(mark) - 3 * 2)
    lines = []
    for entry in entries:
        begin = _cell(entry["waiting_from"], whole, room)
        started = _cell(entry["started"], whole, room)
        end = _cell(entry["ready"], whole, room) if entry["ready"] is not None else room
        if entry["started"] is None:
            bar = " " * begin + style.paint(wait * (room - begin), "dim")
            took = entry["state"]
        else:
            solid = max(1, end - started)
            started = min(started, room - solid)  # what has begun just now is one cell, and that must fit
            begin = min(begin, started)
            colours = ("red",) if entry["state"] in ("failed", "unhealthy") else ("yellow",) if entry["critical"] else ("green",)
            bar = " " * begin + style.paint(wait * max(0, started - begin), "dim") + style.paint(work * solid, *colours)
            bar += " " * (room - max(begin, started) - solid)
            took = seconds(entry["ready"] - entry["started"]) if entry["ready"] is not None else entry["state"]
        lines.append(f"{pad(entry['service'], names)}  {bar}  {took:>{TOOK}}  {mark if entry['critical'] else ''}".rstrip())
    path = [entry["service"] for entry in entries if entry["critical"]]
    summary = f"{seconds(whole)} in all"
    if path:
        summary += f"; critical path: {(' → ' if style.unicode else ' -> ').join(path)}"
    return [*lines, "", summary]


def _cell(moment: float | None, whole: float, room: int) -> int:
    return 0 if moment is None else min(room, round(moment / whole * room))


def svg(entries: Sequence[Entry], title: str) -> str:
    """The same chart as a picture that stands alone."""
    whole = span(entries)
    height = HEAD + ROW * len(entries) + 20
    width = LABEL + CHART + TAIL

    def x(moment: float) -> float:
        return round(LABEL + moment / whole * CHART, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}: start-up</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600">{escape(title)}: ready after {seconds(whole)}</text>',
    ]
    for tick in range(5):
        moment = whole * tick / 4
        parts.append(f'<line x1="{x(moment)}" y1="{HEAD - 6}" x2="{x(moment)}" y2="{height - 16}" stroke="#e2e5ea"/>')
        parts.append(f'<text x="{x(moment)}" y="{HEAD - 10}" fill="#66707f" text-anchor="middle">{seconds(moment)}</text>')
    for index, entry in enumerate(entries):
        parts += _svg_row(entry, HEAD + index * ROW, whole, x)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _svg_row(entry: Entry, top: int, whole: float, x: Any) -> list[str]:
    begin, started = entry["waiting_from"], entry["started"]
    end = entry["ready"] if entry["ready"] is not None else whole
    failed = entry["state"] in ("failed", "unhealthy")
    colour = "#c0392b" if failed else "#d98a00" if entry["critical"] else "#2a8f5c"
    weight = ' font-weight="600"' if entry["critical"] else ""
    parts = [f'<text x="{LABEL - 12}" y="{top + 17}" text-anchor="end"{weight}>{escape(entry["service"])}</text>']
    waited = x(whole if started is None else started) - x(begin)
    parts.append(f'<rect x="{x(begin)}" y="{top + 11}" width="{max(0, waited):.1f}" height="3" fill="#c3c9d2"/>')
    took = entry["state"]
    if started is not None:
        parts.append(
            f'<rect x="{x(started)}" y="{top + 4}" width="{max(2.0, x(end) - x(started)):.1f}" height="17" rx="3" fill="{colour}"/>'
        )
        if entry["ready"] is not None:
            took = seconds(end - started)
    parts.append(f'<text x="{LABEL + CHART + 10}" y="{top + 17}" fill="#444c57">{escape(took)}</text>')
    return parts
