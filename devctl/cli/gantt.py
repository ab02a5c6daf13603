"""The start-up as a Gantt chart: in text, and as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from devctl.cli.style import Style, cells, pad
from devctl.timeline_chart import Entry, bars, critical_path, span
from devctl.wording import seconds

LEAST_BAR = 10  # cells; below this a chart says nothing
TOOK = 11  # cells of the longest time or state: "59 min 59 s"
COLOURS = {"failed": "red", "critical": "yellow", "plain": "green"}
ROW, HEAD, LABEL, CHART, TAIL = 26, 56, 160, 720, 130  # SVG units: one is a pixel at 100 %


def text(entries: Sequence[Entry], style: Style, width: int) -> list[str]:
    """The lines: waiting is dotted, starting is solid, and the critical path is marked."""
    if not entries:
        return ["nothing has been started yet"]
    wait, work, mark = ("·", "█", "◀ critical") if style.unicode else (".", "#", "< critical")
    names = max(cells(entry["service"]) for entry in entries)
    room = max(LEAST_BAR, min(width, 160) - names - TOOK - len(mark) - 3 * 2)
    lines = []
    for bar in bars(entries, room):
        cells_of = [" " * bar.before, style.paint(wait * bar.waiting, "dim"), style.paint(work * bar.starting, COLOURS[bar.tone])]
        took = bar.state if bar.took is None else seconds(bar.took)
        row = f"{pad(bar.service, names)}  {''.join(cells_of)}{' ' * bar.after}  {took:>{TOOK}}  {mark if bar.critical else ''}"
        lines.append(row.rstrip())
    summary = f"{seconds(span(entries))} in all"
    if path := critical_path(entries):
        summary += f"; critical path: {(' → ' if style.unicode else ' -> ').join(path)}"
    return [*lines, "", summary]


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
