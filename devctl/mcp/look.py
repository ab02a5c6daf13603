"""The tools that look: status, logs, why, events, check, wait. None of them changes anything."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from devctl.control.http1 import query, quote
from devctl.errors import ManifestError, NotRunning, UnknownService
from devctl.logs.query import read
from devctl.logs.record import Record
from devctl.logs.sanitize import plain
from devctl.logs.times import parse_time
from devctl.mcp.place import Place
from devctl.mcp.shapes import (
    Checked,
    Events,
    Evidence,
    Flaw,
    Happened,
    Line,
    Lines,
    Reasons,
    Service,
    StackReport,
    Waited,
    Why,
)
from devctl.model import SETTLED_WELL
from devctl.wording import describe, plural, seconds, timestamp

LINE_LENGTH = 2000
"""Characters of a log line that are shown. Longer ones are data dumps; their beginning tells what they are."""

# Characters of all lines of an answer together: some 16,000 tokens, a part of any model's context and not all of it.
_TEXT_LIMIT = 64_000
# Seconds that one request waits, so that a supervisor that hangs is noticed.
_ROUND = 5.0


def status(place: Place, services: Sequence[str]) -> StackReport:
    """The stack as it is; one that does not run is an answer too."""
    try:
        data = place.client().get("/v1/status")
    except NotRunning:
        return _stopped(place)
    items = [Service.of(item) for item in data["services"]]
    well = sum(item.state in SETTLED_WELL for item in items)
    up = seconds(max(0.0, time.time() - timestamp(data["started_at"])))
    summary = f"{data['stack']} is {data['state']}, up {up}: {well} of {plural(len(items), 'service')} well"
    if trouble := [f"{item.name} is {item.state}" for item in items if item.state not in SETTLED_WELL]:
        summary += f"; {', '.join(trouble)}"
    if services:
        check_names(services, [item.name for item in items])
        items = [item for item in items if item.name in services]
    return StackReport(
        running=True,
        summary=summary,
        stack=data["stack"],
        directory=data["directory"],
        state=data["state"],
        started_at=data["started_at"],
        services=items,
    )


def _stopped(place: Place) -> StackReport:
    error = place.not_running()
    summary = f"{error.what}; {error.mend}"
    return StackReport(running=False, summary=summary, stack=None, directory=None, state="stopped", started_at=None, services=[])


def logs(
    place: Place,
    services: Sequence[str],
    search: str | None,
    level: str | None,
    stream: str | None,
    since: str | None,
    tail: int,
) -> Lines:
    """Log lines of the current run, else of the last one."""
    files = place.logs()
    unwritten = [name for name in services if name not in files]
    if unwritten:
        check_names(unwritten, [*files, *_known(place)])
    first, last = place.run_window()
    if since is not None:
        first, last = parse_time(since), None
    sources = [(name, path) for name, path in files.items() if not services or name in services]
    # Plain text: a pattern that backtracks for hours would stop this server, as a match cannot be interrupted.
    grep = None if search is None else f"(?i){re.escape(search)}"
    # One more than asked for tells whether there is more.
    records = list(read(sources, tail=tail + 1, since=first, until=last, grep=grep, level=level, stream=stream))
    lines, cut = _bounded(reversed(records[-tail:]))
    truncated = cut or len(records) > len(lines)
    whose = ", ".join(services) or "all services"
    summary = f"{plural(len(lines), 'line')} of {whose}" + (", and there are more" if truncated else "")
    return Lines(summary=summary, lines=lines, truncated=truncated)


def _bounded(newest_first: Iterable[Record]) -> tuple[list[Line], bool]:
    """As many lines as fit, oldest first, and whether anything was left out."""
    lines: list[Line] = []
    room, cut = _TEXT_LIMIT, False
    for record in newest_first:
        text = plain(record.text[: LINE_LENGTH + 1])
        if len(text) > LINE_LENGTH:
            text, cut = f"{text[:LINE_LENGTH]}…", True
        room -= len(text)
        if room < 0:
            return lines[::-1], True
        line = Line(time=record.time, service=record.service, stream=record.stream, level=record.level, text=text)
        lines.append(line)
    return lines[::-1], cut


def why(place: Place, services: Sequence[str]) -> Reasons:
    """Why services are as they are; without names, those that are not well."""
    client = place.client()
    try:
        names = list(dict.fromkeys(services))
        if not names:
            items = client.get("/v1/status")["services"]
            names = [item["name"] for item in items if item["state"] not in SETTLED_WELL]
        answers = [client.get(f"/v1/services/{quote(name)}/why") for name in names]
    except NotRunning as error:
        raise place.not_running() from error
    found = [
        Why(**{**answer, "evidence": [Evidence(label=item["label"], text=_short(item["text"])) for item in answer["evidence"]]})
        for answer in answers
    ]
    summary = "; ".join(item.sentence for item in found) or "all services are well"
    return Reasons(summary=summary, services=found)


def events(place: Place, services: Sequence[str], after: int, tail: int) -> Events:
    """What happened in this run, else in the last one."""
    try:
        wanted = query({"after": after, "service": ",".join(services) or None})
        past: list[dict[str, Any]] = place.client().get(f"/v1/events{wanted}")["events"]
    except NotRunning:
        past = [event for event in place.last_run() if event["id"] > after and (not services or event["service"] in services)]
    shown = [
        Happened(id=event["id"], time=event["time"], type=event["type"], service=event["service"], text=_short(describe(event)))
        for event in past[-tail:]
    ]
    summary = plural(len(shown), "event") + (f" of {len(past)}, the newest" if len(past) > len(shown) else "")
    return Events(summary=summary, events=shown, truncated=len(past) > len(shown))


def wait(place: Place, services: Sequence[str], condition: str, timeout: float, given_up: threading.Event) -> Waited:
    """Blocks until the condition holds for all, can no longer hold for one, or `timeout` seconds are over.

    Args:
        given_up: once set, nobody wants the answer any more, and some seconds later it ends.
    """
    client = place.client()
    began = time.monotonic()
    try:
        for left in _rounds(timeout):
            answer = client.wait(services, condition, left)
            if not answer["timed_out"] or given_up.is_set():
                break
    except NotRunning as error:
        raise place.not_running() from error
    took = seconds(time.monotonic() - began)
    items = [Service.of(item) for item in answer["services"]]
    good = SETTLED_WELL if condition == "ready" else (condition,)
    missing = ", ".join(f"{item.name} is {item.state}" for item in items if item.state not in good)
    if answer["done"]:
        summary = f"all {condition} after {took}"
    elif answer["impossible"]:
        summary = f"{', '.join(answer['impossible'])}: can no longer become {condition}; ask why"
    elif answer["timed_out"]:
        summary = f"not all {condition} after {took}: {missing}"
    else:
        summary = f"the stack is ending: {missing}"
    facts = {name: answer[name] for name in ("done", "timed_out", "impossible")}
    return Waited(summary=summary, services=items, **facts)


def _rounds(timeout: float) -> Iterator[float]:
    """Lengths of requests that together take `timeout` seconds; one at least."""
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        yield max(0.0, min(_ROUND, left))
        if left <= _ROUND:
            return


def check(place: Place) -> Checked:
    """Whether the manifest can be used."""
    try:
        plan = place.plan()
    except ManifestError as error:
        flaws = [
            Flaw(file=each.file, line=each.line, column=each.column, message=each.message, help=each.help)
            for each in error.problems
        ]
        summary = f"the manifest has {plural(len(flaws), 'problem')}"
        return Checked(ok=False, summary=summary, files=[], services=[], problems=flaws)
    names = list(plan.services)
    summary = f"no problems in {', '.join(plan.files)}: {plural(len(names), 'service')}"
    return Checked(ok=True, summary=summary, files=list(plan.files), services=names, problems=[])


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises UnknownService for the first of `names` that is none of `known`."""
    there = sorted(set(known))
    for name in names:
        if name not in there:
            raise UnknownService(f"there is no service {name!r}", f"there are: {', '.join(there) or 'none'}")


def _known(place: Place) -> Iterator[str]:
    """The services of the running stack, else of the manifest."""
    try:
        services: list[Mapping[str, Any]] = place.client().get("/v1/status")["services"]
    except NotRunning:
        plan = place.plan()
        yield from (*plan.services, *plan.available)
    else:
        yield from (service["name"] for service in services)


def _short(text: str) -> str:
    return text if len(text) <= LINE_LENGTH else f"{text[:LINE_LENGTH]}…"
