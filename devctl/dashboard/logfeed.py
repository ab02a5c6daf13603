"""What the services write, read from their log files by a thread and taken from it in batches.

The files are the queue: when nobody takes, the thread stops reading, and nothing is lost or held twice.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devctl.errors import DevctlError
from devctl.logs.follow import Follower
from devctl.logs.query import Source
from devctl.logs.record import Record
from devctl.logs.scan import Position

Sources = Callable[[], Sequence[Source]]

# Records that wait to be taken: two seconds of a very loud stack, some 15 MB.
WAITING = 50_000
# Seconds between two looks without being woken: sources may be new.
PATIENCE = 0.5
STOP_TIMEOUT = 5.0  # seconds; a read that hangs (a network file system) must not hang the dashboard's end


@dataclass(frozen=True, slots=True)
class Start:
    """Where a feed begins. The first that is given counts.

    Attributes:
        places: at these places, of which the feed then owns the files; after passing over `skip` records of each service.
        since: at this time, nanoseconds since the epoch.
        tail: with so many last lines of all services together; None: with everything that there is.
    """

    places: dict[str, Position] | None = None
    skip: dict[str, int] = field(default_factory=dict)
    since: int | None = None
    tail: int | None = None


class LogFeed:
    """Reads all services' logs from a place on, and goes on as they grow.

    Args:
        sources: the services and their current files; asked again and again.
        start: where to begin.
    """

    def __init__(self, sources: Sources, start: Start) -> None:
        self._sources = sources
        self._start = start
        self._skip = dict(start.skip)
        self._records: deque[Record] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._at_end = False
        self._trouble = ""
        self._wake, self._wake_end = os.pipe()
        self._thread = threading.Thread(target=self._work, name="log-feed", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread. Idempotent. Waits for a read that is under way, so not for an event loop when files may hang."""
        with self._changed:
            if self._stopping:
                return
            self._stopping = True
            self._changed.notify_all()
        os.close(self._wake_end)
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT)
        if not self._thread.is_alive():
            os.close(self._wake)

    def take(self, limit: int = 20_000) -> list[Record]:
        """What came since, at most `limit` records, in the order of time. Never waits."""
        records = self._records
        if not records:
            return []
        with self._changed:
            if len(records) <= limit:
                taken = list(records)
                records.clear()
            else:
                taken = [records.popleft() for _ in range(limit)]
            self._changed.notify_all()
        return taken

    @property
    def waiting(self) -> int:
        """How many records can be taken now."""
        return len(self._records)

    @property
    def full(self) -> bool:
        """Whether the thread waits because nobody takes: the files may hold more."""
        return len(self._records) >= WAITING

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the files a moment ago has been taken."""
        return self._at_end and not self._records

    @property
    def trouble(self) -> str:
        """Why the logs cannot be read now; "" when they can."""
        return self._trouble

    def _work(self) -> None:
        while not self._stopping:
            try:
                self._read()
            except DevctlError as error:  # such as a file that may not be read: somebody may mend it
                self._trouble = str(error)
            except OSError as error:
                self._trouble = f"cannot read the logs: {error.strerror or error}"
            else:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, PATIENCE)

    def _read(self) -> None:
        start = self._start
        with Follower(self._sources, tail=start.tail, since=start.since, places=start.places) as follower:
            # Were it to fail later and begin anew: what was read before is not read again.
            self._start = Start(tail=0)
            self._trouble = ""
            while not self._stopping:
                records = follower.poll()
                if records:
                    self._at_end = False
                    self._put(self._unskipped(records) if self._skip else records)
                elif not follower.more:
                    self._at_end = True
                    follower.wait(PATIENCE, self._wake)

    def _unskipped(self, records: list[Record]) -> list[Record]:
        kept = []
        for record in records:
            left = self._skip.get(record.service, 0)
            if left == 0:
                kept.append(record)
            elif left == 1:
                del self._skip[record.service]
            else:
                self._skip[record.service] = left - 1
        return kept

    def _put(self, records: list[Record]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or len(self._records) < WAITING)
            self._records.extend(records)
