"""Reading logs: which lines, of which services, merged by time. Memory stays bounded whatever the files hold."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devctl.errors import UsageError
from devctl.logs.chain import oldest
from devctl.logs.cursor import Cursor
from devctl.logs.record import Record
from devctl.logs.sanitize import plain
from devctl.logs.scan import Position, backward, end_of, position_at

if TYPE_CHECKING:
    from devctl.logs.level import Levels

Source = tuple[str, Path]
"""A service's name and its current log file, which need not exist."""

# Longer patterns are mistakes or attacks on the regex engine.
PATTERN_LIMIT = 1_000
CONTEXT_LINES = 5

_by_time = attrgetter("time_ns")


class Filter(NamedTuple):
    """Which lines are wanted; all conditions must hold. Use `make_filter`, which checks what users typed."""

    grep: re.Pattern[str] | None = None
    levels: frozenset[str] | None = None
    stream: str | None = None

    def accepts(self, record: Record) -> bool:
        """Whether `record` is wanted. Patterns see the text without colours, as people do."""
        if self.stream is not None and record.stream != self.stream:
            return False
        if self.levels is not None and record.level not in self.levels:
            return False
        return self.grep is None or self.grep.search(plain(record.text)) is not None


def make_filter(grep: str | None = None, level: str | None = None, stream: str | None = None) -> Filter:
    """Checks and compiles what a user gave. Raises UsageError."""
    if stream not in (None, "stdout", "stderr"):
        raise UsageError(f"unknown stream {stream!r}", "use stdout or stderr")
    levels = None
    if level is not None:
        from devctl.logs.level import and_worse, parse_level  # here and below: 2 ms for those who ask for levels only

        levels = and_worse(parse_level(level))
    return Filter(None if grep is None else compile_pattern(grep), levels, stream)


def compile_pattern(text: str) -> re.Pattern[str]:
    """A regular expression from a user. Raises UsageError when it is none or too long."""
    if len(text) > PATTERN_LIMIT:
        raise UsageError(f"the pattern has {len(text)} characters, more than {PATTERN_LIMIT}", "shorten it")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"the pattern {text!r} is not a regular expression: {error}", "put \\ before characters meant as such"
        ) from error


def read(
    sources: Sequence[Source],
    *,
    tail: int | None = None,
    since: int | None = None,
    until: int | None = None,
    grep: str | None = None,
    level: str | None = None,
    stream: str | None = None,
    around: str | None = None,
    context: int = CONTEXT_LINES,
) -> Iterator[Record]:
    """What is in the logs now, merged by time; lines of one service stay in their order.

    Args:
        sources: services and their files; missing files are empty.
        tail: only the last so many of the lines that are wanted; found from the files' ends.
        since, until: nanoseconds since the epoch, both inclusive (`times.parse_time`, `runs.window`).
        grep: a regular expression that the text must contain.
        level: that or worse; see `level`. A line without a level, such as a traceback's, has that of the line it belongs to.
        stream: "stdout" or "stderr".
        around: a regular expression; lines that contain it, each with `context` lines before and after of all services together.

    Raises:
        UsageError: at once, for a wrong pattern, level or stream.
        StackError: while reading, for a file that may not be read.
    """
    wanted = make_filter(grep, level, stream)
    pattern = None if around is None else compile_pattern(around)
    if pattern is None and tail is not None:
        positions = [(service, end_of(path) if until is None else position_at(path, until + 1)) for service, path in sources]
        return iter(read_tail(positions, max(0, tail), since, wanted))
    records = heapq.merge(*(_forward(source, since, until, wanted) for source in sources), key=_by_time)
    if pattern is None:
        return records
    matches = around_matches(records, lambda record: pattern.search(plain(record.text)) is not None, max(0, context))
    return matches if tail is None else iter(deque(matches, maxlen=max(0, tail)))


def read_tail(ends: Iterable[tuple[str, Position | None]], count: int, since: int | None, wanted: Filter) -> list[Record]:
    """The last `count` wanted records before these places, in order. Closes the places' files."""
    newest_first = heapq.merge(
        *(_backward(service, end, since, wanted) for service, end in ends if end is not None), key=_by_time, reverse=True
    )
    return list(islice(newest_first, count))[::-1]


def make_levels() -> Levels:
    """A tracker for one service's records."""
    from devctl.logs.level import Levels

    return Levels()


def around_matches(records: Iterable[Record], matches: Callable[[Record], bool], context: int) -> Iterator[Record]:
    """Each match with `context` records before and after it; `gap` is set where something was left out in between."""
    before: deque[Record] = deque(maxlen=context)
    after = skipped = 0
    for record in records:
        if matches(record):
            group = [*before, record]
            group[0].gap = skipped > len(before)
            yield from group
            before.clear()
            after, skipped = context, 0
        elif after > 0:
            after -= 1
            yield record
        else:
            before.append(record)
            skipped += 1


def _forward(source: Source, since: int | None, until: int | None, wanted: Filter) -> Iterator[Record]:
    """Wanted records of one service up to the end that its log has now."""
    service, path = source
    end = end_of(path)
    if end is None:
        return
    last, last_offset = end[0].identity, end[1]
    end[0].close()
    start = position_at(path, since) if since is not None else None
    cursor = Cursor(service, path, *(start or (oldest(path), 0)))
    levels = make_levels() if wanted.levels is not None else None
    try:
        more = True
        while more and cursor.part is not None:
            if cursor.part.identity == last and cursor.offset >= last_offset:
                records, more = cursor.rest(), False
            else:
                records, more = cursor.read()
                records += [] if more else cursor.torn() + cursor.rest()
            if levels is not None:
                levels.set(records)
            for record in records:
                if until is not None and record.time_ns > until:
                    return
                if wanted.accepts(record):
                    yield record
    finally:
        cursor.close()


def _backward(service: str, end: Position, since: int | None, wanted: Filter) -> Iterator[Record]:
    """Wanted records of one service before `end`, the newest first."""
    records = backward(service, end)
    if wanted.levels is not None:
        from devctl.logs.level import set_backward

        records = set_backward(records)
    for record in records:
        if since is not None and record.time_ns < since:
            return
        if wanted.accepts(record):
            yield record
