"""How the service is checked, and what the checks said."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from textual.content import Content

from devctl.dashboard.pages.paper import BAD, BUSY, DIM, GOOD, STRONG, Paper, clean, clock
from devctl.manifest.secrets import mask_argv, mask_text
from devctl.wording import plural, seconds, timestamp

LABELS = 9  # cells of "interval"
ASKING = {"http", "tcp", "exec"}
CHECKED = {"starting", "ready", "unhealthy", "external"}


def page(answer: Mapping[str, Any], width: int, *, state: str) -> Content:
    """What is asked and how often, the last answer, and the ones before, newest first.

    Args:
        answer: HealthHistory.json().
        state: the service's.
    """
    paper = Paper(width)
    check, history = answer["check"], answer["history"]
    if check is None:
        paper.note("This service has no healthcheck: it is ready as soon as it has started.")
        return paper.content()
    paper.row("asks", target(check["probe"]), labels=LABELS)
    paper.row("rhythm", (_rhythm(check), DIM), labels=LABELS)
    if history:
        last = history[-1]
        age = max(0.0, time.time() - timestamp(last["until"]))
        mark, colour = _mark(last)
        ago = "just now" if age < 1 else f"{seconds(float(round(age)))} ago"
        when = f", {ago}{_next(check, state, age)}"
        paper.row("now", (f"{mark} {clean(last['detail'])}", f"{STRONG} {colour}"), (when, DIM), labels=LABELS)
    else:
        paper.row("now", ("no check has answered yet", BUSY), labels=LABELS)
    paper.blank()
    for run in reversed(history):
        _run(paper, run)
    return paper.content()


def target(probe: Mapping[str, Any]) -> str:
    """What a probe asks, for people; secrets masked."""
    match probe["kind"]:
        case "http":
            wanted = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in probe["status"])
            body = f" with /{clean(probe['body'], 80)}/" if probe.get("body") else ""
            return f"{probe['method']} {mask_text(clean(probe['url']))}, wants {wanted}{body}"
        case "tcp":
            return f"a connection to {clean(probe['address'])}"
        case "exec":
            return f"runs {clean(' '.join(mask_argv(probe['argv'])))}, wants exit 0"
        case "log":
            return f"looks for /{clean(probe['pattern'], 200)}/ in its output"
        case "notify":
            return "waits for READY=1 on NOTIFY_SOCKET"
        case kind:
            return clean(kind)


def _rhythm(check: Mapping[str, Any]) -> str:
    if check["probe"]["kind"] not in ASKING:
        return "the service speaks up by itself"
    first = check["start_interval"]
    start = "at least ten times a second" if first is None else f"each {_span(first)}"
    return (
        f"each {_span(check['interval'])}, gives up after {_span(check['timeout'])}; {plural(check['retries'], 'failure')} in a "
        f"row make it unhealthy, but not in its first {_span(check['start_period'])}; until it is ready {start}"
    )


def _next(check: Mapping[str, Any], state: str, age: float) -> str:
    if check["probe"]["kind"] not in ASKING or state not in CHECKED:
        return ""
    if state == "starting":
        return "; asked again and again until it is ready"
    left = check["interval"] - age
    return f"; next in about {seconds(float(round(left)))}" if left >= 1 else "; the next one is due"


def _mark(run: Mapping[str, Any]) -> tuple[str, str]:
    return ("✓ passed:", GOOD) if run["ok"] else ("✗ failed:", BAD)


def _run(paper: Paper, run: Mapping[str, Any]) -> None:
    mark, colour = _mark(run)
    begin, end = clock(run["time"])[:8], clock(run["until"])[:8]
    span = begin if begin == end else f"{begin} to {end}"
    many = f" ({plural(run['count'], 'time')}, slowest {_milliseconds(run['slowest'])})" if run["count"] > 1 else ""
    paper.hang(Content.assemble((span, DIM), " "), (mark, colour), f" {clean(run['detail'])}", (many, DIM))


def _milliseconds(value: float) -> str:
    return seconds(value) if value >= 1 else f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


def _span(value: float) -> str:
    return seconds(value) if value >= 60 else f"{value:g} s"
