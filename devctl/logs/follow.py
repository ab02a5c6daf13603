"""Log lines as they come, merged over services, across rotation, truncation, deletion and files that do not exist yet."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from devctl.logs.cursor import Cursor
from devctl.logs.inotify import Inotify
from devctl.logs.query import Filter, Source, make_filter, make_levels, read_tail
from devctl.logs.record import Record
from devctl.logs.scan import Position, end_of, position_at

Sources = Sequence[Source] | Callable[[], Sequence[Source]]

# 50 ms: where nothing wakes us, we look as often as people notice.
POLL_SECONDS = 0.05
# 0.5 s: we also look without being woken: network file systems and bind mounts do not report every change, and sources may be new.
RECHECK_SECONDS = 0.5
# 1 MiB: what one poll reads in all, a few milliseconds' work, so that the caller stays responsive.
POLL_BYTES = 1 << 20
# 2 s: how long what is left is read after the stop, when a service still floods.
DRAIN_SECONDS = 2.0


class Follower:
    """Reads on whenever there is something.

    Use `follow`, or on an event loop: watch `fileno()` (it may be -1: then call every POLL_SECONDS) and call `poll` until it gives
    nothing and `more` is false; also every RECHECK_SECONDS.

    Args:
        sources: services and files, or a function that gives them, asked again and again; new ones are read from their beginning.
        tail: begin with so many last lines; 0 only new lines, None everything that there is.
        since: nanoseconds since the epoch; nothing older.
        places: where to begin in the services named there, instead of `tail` and `since`; the follower owns the files.
        grep, level, stream: as for `query.read`.
        levels: give lines without a level, such as a traceback's, the level of the line they belong to.

    Records in a poll are in the order of time. A prompt comes at once as a `partial` record, its rest as a `continued` one.

    Raises:
        UsageError: a wrong pattern, level or stream.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        tail: int | None = None,
        since: int | None = None,
        places: Mapping[str, Position] | None = None,
        grep: str | None = None,
        level: str | None = None,
        stream: str | None = None,
        levels: bool = False,
    ) -> None:
        self._levels = levels or level is not None
        self._wanted = make_filter(grep, level, stream)
        self._sources = sources
        self._since = since
        self._inotify = Inotify()
        self._feeds: dict[str, _Feed] = {}
        self._places: dict[tuple[Path, str], _Feed] = {}
        self._recheck_at = 0.0
        self._watched = True
        self._backlog: list[Record] = []
        self._begin(tail, places or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def more(self) -> bool:
        """Whether the next poll will give or read something at once."""
        return bool(self._backlog) or any(feed.dirty or feed.pending for feed in self._feeds.values())

    def fileno(self) -> int:
        """A descriptor that is readable when something changed; -1 where there is none."""
        return self._inotify.fd

    def poll(self) -> list[Record]:
        """The next records, without waiting; [] when there is nothing now."""
        if self._backlog:
            records, self._backlog = self._backlog, []
            return records
        self._notice()
        dirty = [feed for feed in self._feeds.values() if feed.dirty]
        for feed in dirty:
            feed.fill(max(4_096, POLL_BYTES // len(dirty)))
        # A service that has more to give may have lines that are older than others' lines: those wait until it has given them.
        behind = min((feed for feed in self._feeds.values() if feed.dirty), key=lambda feed: feed.cursor.time_ns, default=None)
        taken = (feed.take(None if feed is behind or behind is None else behind.cursor.time_ns) for feed in self._feeds.values())
        return list(heapq.merge(*taken, key=attrgetter("time_ns")))

    def wait(self, timeout: float, *descriptors: int) -> bool:
        """Sleeps until something changed, one of `descriptors` is readable (True) or `timeout` seconds are over (False)."""
        if self.more:
            return True
        poller = select.poll()
        for descriptor in (self._inotify.fd, *descriptors):
            if descriptor >= 0:
                poller.register(descriptor, select.POLLIN)
        limit = min(timeout, max(0.0, self._recheck_at - time.monotonic()) if self._watched else POLL_SECONDS)
        if poller.poll(max(0.0, limit) * 1_000):
            return True
        if limit < timeout:  # woken by ourselves, to look
            self._recheck_at = 0.0
            return True
        return False

    def recheck(self) -> None:
        """Makes the next poll look at every file, woken or not."""
        self._recheck_at = 0.0

    def rest(self) -> list[Record]:
        """Lines whose end has not come, for when the follower stops."""
        return [record for feed in self._feeds.values() for record in feed.rest()]

    def close(self) -> None:
        """Closes all files. Idempotent."""
        self._inotify.close()
        for feed in self._feeds.values():
            feed.cursor.close()
        self._feeds.clear()

    def _list(self) -> Sequence[Source]:
        return self._sources() if callable(self._sources) else self._sources

    def _begin(self, tail: int | None, places: Mapping[str, Position]) -> None:
        ends = []
        for service, path in self._list():
            self._inotify.watch(path.parent)  # before the first look, so that no change falls between
            start: Position | None
            if service in places:
                start = places[service]
            elif tail is None:
                start = position_at(path, self._since) if self._since is not None else None
            elif (start := end_of(path)) is not None:
                ends.append((service, (start[0].copy(), start[1])))
            self._add(service, path, Cursor(service, path, *(start or (None, 0)), eager=True))
        if tail:
            self._backlog = read_tail(ends, tail, self._since, self._wanted)

    def _add(self, service: str, path: Path, cursor: Cursor) -> None:
        feed = self._feeds[service] = _Feed(cursor, self._wanted, levels=self._levels)
        self._places[path.parent, path.name] = feed

    def _notice(self) -> None:
        """Marks what may have something new."""
        changes = self._inotify.changes()
        if changes is None or time.monotonic() >= self._recheck_at or not self._watched:
            self._recheck()
            return
        for directory, name in changes:
            feed = self._places.get((directory, name))
            if feed is None:  # router.log.1 → router.log
                base, _, number = name.rpartition(".")
                feed = self._places.get((directory, base)) if number.isdigit() else None
            if feed is not None:
                feed.dirty = True

    def _recheck(self) -> None:
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        for service, path in self._list():
            if service not in self._feeds:
                self._add(service, path, Cursor(service, path, eager=True))
        directories = {directory for directory, _ in self._places}
        watched = [self._inotify.watch(directory) for directory in directories]  # all of them, even if one fails
        self._watched = all(watched)
        for feed in self._feeds.values():
            feed.dirty = True


class _Feed:
    """One service: where we are, and what was read but must wait its turn."""

    def __init__(self, cursor: Cursor, wanted: Filter, *, levels: bool) -> None:
        self._wanted = wanted
        self._levels = make_levels() if levels else None
        self.cursor = cursor
        self.pending: list[Record] = []
        self.dirty = True

    def fill(self, limit: int) -> None:
        """Reads on, unless what was read before still waits."""
        if not self.pending:
            records, self.dirty = self.cursor.read(limit)
            self.pending = self._select(records)

    def take(self, horizon: int | None) -> list[Record]:
        """What was read, up to the time `horizon`."""
        if horizon is None:
            taken, self.pending = self.pending, []
            return taken
        count = next((index for index, record in enumerate(self.pending) if record.time_ns > horizon), len(self.pending))
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def rest(self) -> list[Record]:
        """What was read, and the line whose end has not come."""
        return self.pending + self._select(self.cursor.rest())

    def _select(self, records: list[Record]) -> list[Record]:
        if self._levels is not None:
            self._levels.set(records)
        return [record for record in records if self._wanted.accepts(record)]


def follow(
    sources: Sources,
    *,
    tick: float = 0.1,
    stop: Callable[[], bool] | int | None = None,
    tail: int | None = None,
    since: int | None = None,
    grep: str | None = None,
    level: str | None = None,
    stream: str | None = None,
    levels: bool = False,
) -> Iterator[list[Record]]:
    """Batches of records as they come; an empty batch at least every `tick` seconds, so that the caller can do other things.

    Args:
        stop: ends it: a function that says so, asked every tick, or a descriptor that becomes readable (a pidfd, a socket).
            What is in the files then is given first.

    The other arguments are those of `Follower`.
    """
    with Follower(sources, tail=tail, since=since, grep=grep, level=level, stream=stream, levels=levels) as follower:
        descriptors = (stop,) if isinstance(stop, int) else ()
        deadline: float | None = None
        while True:
            if deadline is None and _stopped(stop):
                deadline = time.monotonic() + DRAIN_SECONDS
                follower.recheck()
            yield (batch := follower.poll())
            if deadline is not None and (not follower.more or time.monotonic() > deadline):
                break
            if not batch and deadline is None:
                follower.wait(tick, *descriptors)
        yield follower.rest()


def _stopped(stop: Callable[[], bool] | int | None) -> bool:
    if stop is None:
        return False
    if callable(stop):
        return stop()
    poller = select.poll()
    poller.register(stop, select.POLLIN)
    return bool(poller.poll(0))
