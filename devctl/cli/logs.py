"""`devctl logs`: what the services wrote, merged by time. Reads the files itself, so it works when nothing runs."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devctl.cli.arguments import count
from devctl.cli.output import pipe_out
from devctl.cli.printer import Printer
from devctl.cli.stopped import EVENTS_FILE, log_directory, log_files, log_order
from devctl.errors import UsageError

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.logs.query import Source
    from devctl.logs.record import Record

RUNS = ("current", "last", "all")
STREAMS = ("stdout", "stderr")
TICK = 60.0  # seconds between two empty batches while following; new lines wake us at once
CHUNK = 512  # records printed with one write


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options."""
    parser.services("only these")
    parser.flag("-f", "--follow", help="keep printing what comes, over restarts and new runs, until Ctrl-C")
    parser.value("-n", "--tail", help="only the last so many lines", type=tail, metavar="LINES")
    parser.value("--since", help="not before: 5m, 10:00, 2026-11-20T10:00:00Z", metavar="TIME")
    parser.value("--until", help="not after", metavar="TIME")
    parser.value("--grep", help="lines that contain this regular expression", metavar="RE")
    parser.value("--level", help="this level or worse: debug, info, warn, error, fatal", metavar="LEVEL")
    parser.value("--stream", help="only this one", choices=STREAMS)
    parser.value("--around", help="lines that contain this regular expression, with what happened around them", metavar="RE")
    parser.value("--context", help="with --around: so many lines before and after (default: 5)", type=count, metavar="LINES")
    parser.value("--run", help="of which run (default: current, else the last)", choices=RUNS)
    parser.flag("-t", "--timestamps", help="begin each line with its time")
    parser.flag("--raw", help="the text as it was written, without labels")
    parser.flag("--json", help="print JSON, one object a line")


def tail(text: str) -> int | None:
    """A number of lines; `all` is no limit. Raises ArgumentTypeError."""
    return None if text == "all" else count(text)


def run(args: Namespace, where: Where) -> int:
    """Prints what is there; with --follow also what comes."""
    if args.follow and (args.until or args.around):
        raise UsageError("--follow has no end and no surroundings", "leave out --until and --around, or --follow")
    directory = log_directory(where)
    since, until = window(args, directory)
    choose = chooser(args.services, directory, where)
    show = output(args, where, directory)
    if args.follow:
        from devctl.logs.follow import follow

        for records in follow(
            choose,
            tick=TICK,
            stop=pipe_out(),
            tail=args.tail,
            since=since,
            grep=args.grep,
            level=args.level,
            stream=args.stream,
        ):
            show(records)
        return 0
    from devctl.logs.query import CONTEXT_LINES, read

    batch: list[Record] = []
    for record in read(
        choose(),
        tail=args.tail,
        since=since,
        until=until,
        grep=args.grep,
        level=args.level,
        stream=args.stream,
        around=args.around,
        context=CONTEXT_LINES if args.context is None else args.context,
    ):
        batch.append(record)
        if len(batch) >= CHUNK:
            show(batch)
            batch = []
    show(batch)
    return 0


def chooser(services: Sequence[str], directory: Path, where: Where) -> Callable[[], list[Source]]:
    """What lists the wanted files, again whenever it is called: a service may write its first line later.

    Raises UnknownService for a name that has neither a log nor a place in the stack.
    """
    wanted = list(dict.fromkeys(services))
    known = log_files(directory)
    if any(name not in known for name in wanted):
        from devctl.cli.names import check_names, service_names

        check_names(wanted, [*known, *service_names(where)])

    def choose() -> list[Source]:
        found = log_files(directory)
        return [(name, path) for name, path in found.items() if not wanted or name in wanted]

    return choose


def window(args: Namespace, directory: Path) -> tuple[int | None, int | None]:
    """The first and last moment that are wanted, in nanoseconds since the epoch."""
    from devctl.logs.runs import window as run_window
    from devctl.logs.times import parse_time

    since = until = None
    for which in (args.run,) if args.run else RUNS:
        try:
            since, until = run_window(directory / EVENTS_FILE, which)
            break
        except UsageError:
            if args.run:
                raise
    if args.since:
        since = max(parse_time(args.since), since or 0) if args.run else parse_time(args.since)
        until = until if args.run else None
    if args.until:
        given = parse_time(args.until)
        until = given if until is None else min(given, until)
    return since, until


def output(args: Namespace, where: Where, directory: Path) -> Callable[[Iterable[Record]], None]:
    """What prints records as asked."""
    if args.json:
        return show_json
    if args.raw:
        return show_raw
    order = log_order(where, directory)
    shown = [name for name in order if not args.services or name in args.services]
    printer = Printer(order, clock=local_time if args.timestamps else None, width_of=shown)
    return printer.records


def show_json(records: Iterable[Record]) -> None:
    """One JSON object a line."""
    print("".join(json.dumps(record.json(), ensure_ascii=False) + "\n" for record in records), end="", flush=True)


def show_raw(records: Iterable[Record]) -> None:
    """Text only. The beginning of a line and its rest, which come as two records, are one line again."""
    print("".join(record.text if record.partial else f"{record.text}\n" for record in records), end="", flush=True)


def local_time(time_ns: int) -> str:
    """`2026-11-20 23:50:01.123`, local."""
    whole, fraction = divmod(time_ns, 10**9)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(whole))}.{fraction // 10**6:03d}"
