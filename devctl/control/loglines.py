"""Log lines as NDJSON: the log files, read in a thread, a bounded batch at a time as the client takes them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from devctl.control import sse
from devctl.control.problems import Refused
from devctl.control.requests import choice_of, integer_of
from devctl.logs.follow import RECHECK_SECONDS, Follower
from devctl.logs.query import read
from devctl.logs.record import Record
from devctl.logs.times import parse_time

T = TypeVar("T")

BATCH_BYTES = 256 * 1024  # of text read ahead of the client; some milliseconds' work
PIECE = 64 * 1024  # what is given to the connection at once: a line can have 16 MiB


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of a service are wanted; times are nanoseconds since the epoch."""

    tail: int | None = None
    since: int | None = None
    until: int | None = None
    contains: str | None = None
    level: str | None = None
    stream: str | None = None
    follow: bool = False

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> LogQuery:
        """From a request's parameters (`PARAMETERS`). Raises UsageError."""
        query = cls(
            tail=integer_of(values["tail"], "tail", 0) if "tail" in values else None,
            since=parse_time(values["since"]) if "since" in values else None,
            until=parse_time(values["until"]) if "until" in values else None,
            contains=values.get("grep"),
            level=values.get("level"),
            stream=values.get("stream"),
            follow=choice_of(values.get("follow"), "follow", ("true", "false"), "false") == "true",
        )
        if query.follow and query.until is not None:
            raise Refused("follow and until exclude each other", "leave one of them out")
        return query

    @property
    def grep(self) -> str | None:
        """The pattern for `contains`, which is plain text: a pattern that backtracks for hours would stop the supervisor, as a
        match cannot be interrupted. `devctl logs --grep` takes patterns, in a process of its own.
        """
        return None if self.contains is None else re.escape(self.contains)


PARAMETERS = ("tail", "since", "until", "grep", "level", "stream", "follow")


async def open_log(service: str, path: Path, query: LogQuery, closing: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """The wanted lines in pieces of NDJSON. What is wrong with the query or the file is raised here, before the first piece.

    Args:
        closing: ends a query that follows, once what is in the file has been given.
    """
    if query.follow:
        follower = await _in_thread(
            lambda: Follower(
                [(service, path)], tail=query.tail, since=query.since, grep=query.grep, level=query.level, stream=query.stream
            )
        )
        return _follow(follower, closing)
    records = await _in_thread(
        lambda: read(
            [(service, path)],
            tail=query.tail,
            since=query.since,
            until=query.until,
            grep=query.grep,
            level=query.level,
            stream=query.stream,
        )
    )
    return _read(records, await _in_thread(lambda: _batch(records)))


async def _read(records: Iterator[Record], text: bytes) -> AsyncGenerator[bytes, None]:
    while text:
        for start in range(0, len(text), PIECE):
            yield text[start : start + PIECE]
        text = await _in_thread(lambda: _batch(records))


async def _follow(follower: Follower, closing: asyncio.Event) -> AsyncGenerator[bytes, None]:
    with follower:
        while True:
            last = closing.is_set()
            if last:
                follower.recheck()
            text = await _in_thread(lambda: _dump(follower.poll()))
            for start in range(0, len(text), PIECE):
                yield text[start : start + PIECE]
            if follower.more:
                continue
            if last:
                yield _dump(follower.rest())
                return
            await _change(follower.fileno(), closing)


def _batch(records: Iterator[Record]) -> bytes:
    """The next lines, b"" at the end."""
    lines: list[bytes] = []
    size = 0
    for record in records:
        lines.append(sse.dump(record.json()) + b"\n")
        size += len(lines[-1])
        if size >= BATCH_BYTES:
            break
    return b"".join(lines)


def _dump(records: list[Record]) -> bytes:
    return b"".join(sse.dump(record.json()) + b"\n" for record in records)


async def _change(descriptor: int, closing: asyncio.Event) -> None:
    """Returns when the descriptor is readable, the server closes, or it is time to look anyway."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    waits = [asyncio.create_task(event.wait()) for event in (changed, closing)]
    if descriptor >= 0:
        loop.add_reader(descriptor, changed.set)
    try:
        await asyncio.wait(waits, timeout=RECHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if descriptor >= 0:
            loop.remove_reader(descriptor)
        for wait in waits:
            wait.cancel()


async def _in_thread(function: Callable[[], T]) -> T:
    """`function()` in a thread. When cancelled, it waits for the thread: files must not be closed under its hands."""
    work = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise
