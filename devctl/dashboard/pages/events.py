"""What happened, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from devctl.dashboard.pages.paper import BAD, BUSY, DIM, GOOD, LABEL, Paper, Part, clean, clock, fit
from devctl.wording import describe, plural

CLOCK = 12  # cells of 14:05:09.123
NAMES = 14  # cells of a service's name
NARROW = 50  # cells; below it there is no room for fractions of seconds
COLOURS = {
    "ready": GOOD,
    "completed": GOOD,
    "external": GOOD,
    "failed": BAD,
    "unhealthy": BAD,
    "starting": BUSY,
    "backoff": BUSY,
    "stopping": BUSY,
}
PLAIN_TYPES = {"run_started", "run_ended", "reloaded"}


def page(events: Sequence[Mapping[str, Any]], width: int, *, service: str | None, choice: str | None) -> Content:
    """One line an event.

    Args:
        events: Event.json(), newest first.
        service: whose they are; None when they are of all, which are named then.
        choice: the selected service, which is the other choice then.
    """
    paper = Paper(width)
    scope = "all services" if service is None else clean(service)
    other = "" if choice is None else f"; the tab's key again: {'all services' if service else clean(choice)}"
    paper.note(f"{plural(len(events), 'event')} of {scope}, newest first{other}")
    short = width < NARROW
    for event in events:
        moment = clock(str(event["time"]))[: 8 if short else CLOCK]
        name: list[Part] = []
        if service is None:
            name = [(fit(clean(event["service"] or "(stack)"), 8 if short else NAMES), LABEL), " "]
        said, colour = _said(event)
        paper.hang(Content.assemble((moment, DIM), " ", *name), (said, colour))
    return paper.content()


def _said(event: Mapping[str, Any]) -> tuple[str, str]:
    if event["type"] == "gap":
        return f"… events after {event.get('after')} are only in logs/events.jsonl", BUSY
    text = clean(describe(event))
    if event["type"] == "service_state":
        return text, COLOURS.get(str(event.get("state")), DIM)
    if event["type"] == "service_exited":
        return text, DIM if event.get("exit_code") == 0 else BAD
    return text, "" if event["type"] in PLAIN_TYPES else BUSY
