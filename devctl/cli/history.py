"""`devctl events` and `devctl timeline`: what happened in this run."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devctl.cli.arguments import count
from devctl.cli.output import print_json
from devctl.cli.stopped import EVENTS_FILE, log_directory
from devctl.cli.style import Style, columns, pad
from devctl.errors import NotRunning
from devctl.wording import describe, timestamp

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where

READ_LIMIT = 32 << 20  # bytes of events.jsonl that are read, from its end; far more than any run's history


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    if name == "events":
        parser.flag("-f", "--follow", help="keep printing what happens")
        parser.value("--after", help="only those with a greater id", type=count, metavar="ID", default=0)
    else:
        parser.value("--svg", help="write a picture instead", metavar="FILE", completer="files")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Prints the history or the chart."""
    return events(args, where) if args.name == "events" else timeline(args, where)


def events(args: Namespace, where: Where) -> int:
    """Prints events; those of the last run when none is running. With --json one object a line."""
    client = where.client()
    try:
        past = client.get(f"/v1/events?after={args.after}")["events"]
    except NotRunning as error:
        if args.follow:
            raise where.not_running() from error
        past = [event for event in last_run(where) if event["id"] > args.after]
        if not past and not args.after:
            raise where.not_running() from error
    style = Style()
    for event in past:
        show(event, style, as_json=args.json)
    if args.follow:
        sys.stdout.flush()
        last = past[-1]["id"] if past else args.after
        for event in client.events(last):
            show(event, style, as_json=args.json)
            sys.stdout.flush()
    return 0


def show(event: dict[str, Any], style: Style, *, as_json: bool) -> None:
    """Prints one event."""
    if as_json:
        print(json.dumps(event, ensure_ascii=False))
        return
    if event["type"] == "gap":
        print(f"… events after {event['after']} are only in {EVENTS_FILE} any more; going on with {event['resumes_at']}")
        return
    moment = timestamp(event["time"])
    clock = f"{time.strftime('%H:%M:%S', time.localtime(moment))}.{int(moment % 1 * 1000):03d}"
    service = event["service"] or "(stack)"
    print(f"{style.paint(clock, 'dim')}  {pad(service, 12)}  {describe(event)}")


def last_run(where: Where) -> list[dict[str, Any]]:
    """The events of the last run, from the file that outlives it."""
    found: list[dict[str, Any]] = []
    for event in stored_events(log_directory(where) / EVENTS_FILE):
        if event["type"] == "run_started":
            found.clear()
        found.append(event)
    return found


def stored_events(path: Path) -> Iterator[dict[str, Any]]:
    """What is in an events.jsonl, oldest first; torn or foreign lines are left out."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - READ_LIMIT))
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and {"id", "time", "type", "service"} <= event.keys():
            yield event


def timeline(args: Namespace, where: Where) -> int:
    """Prints the start-up as a chart, or writes it as SVG."""
    from devctl.cli import gantt

    client = where.client()
    try:
        entries = client.get("/v1/timeline")["entries"]
        name = client.get("/v1/status")["stack"] if args.svg else ""
    except NotRunning as error:
        raise where.not_running() from error
    if args.svg:
        path = where.directory / args.svg
        try:
            path.write_text(gantt.svg(entries, name), encoding="utf-8")
        except OSError as error:
            from devctl.errors import UsageError

            raise UsageError(f"cannot write {path}: {error.strerror}", "name a file you may write") from error
        print(path)
    elif args.json:
        print_json(entries)
    else:
        style = Style()
        print("\n".join(gantt.text(entries, style, columns())))
    return 0
