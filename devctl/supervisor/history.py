"""The history of runs: logs/events.jsonl, the recent events in memory, and those who follow them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from devctl.model import Event
from devctl.supervisor.clock import Clock

# In memory: what a client that was away for a while can catch up on. 300 services make some 1,500 events in a start.
RECENT = 5000
# On disk: some 30,000 events, then one older file is kept.
FILE_LIMIT = 5_000_000
TAIL = 65536


class History:
    """Records events. Every event is in the file before anyone is told of it.

    Args:
        path: events.jsonl; None to keep nothing on disk.
        on_event: called with every event, such as to tell the story in devctl.log.
    """

    def __init__(self, path: Path | None, run_id: str, clock: Clock, on_event: Callable[[Event], None]) -> None:
        self._path = path
        self._run_id = run_id
        self._clock = clock
        self._on_event = on_event
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._next = asyncio.Event()
        self._ended = False
        self._fd = -1
        self._size = 0
        self._torn = False
        self._last = 0
        if path is not None:
            self._last = last_id(path) or last_id(rotated(path))
            self._open()

    def record(self, type: str, service: str | None = None, **data: Any) -> Event:
        """Adds an event that happened just now."""
        self._last += 1
        event = Event(self._last, self._clock.now(), self._run_id, type, service, data)
        self._write(event)
        self._recent.append(event)
        self._on_event(event)
        # Everyone who waits has a reference to the old one; the next wait is for a new one.
        self._next.set()
        self._next = asyncio.Event()
        return event

    def after(self, id: int) -> list[Event]:
        """The recent events with greater ids, oldest first."""
        return [event for event in self._recent if event.id > id]

    def of(self, service: str, limit: int) -> list[Event]:
        """The last events of a service."""
        return [event for event in self._recent if event.service == service][-limit:]

    async def follow(self, after: int | None) -> AsyncIterator[Event]:
        """Events as they come, from `after` or from now on; ends with the run."""
        seen = self._last if after is None else after
        while True:
            coming = self._next
            for event in self.after(seen):
                seen = event.id
                yield event
            if self._ended:
                return
            if coming is self._next:
                await coming.wait()

    def end(self) -> None:
        """No more events: followers get what is left and end."""
        self._ended = True
        self._next.set()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = -1
        with contextlib.suppress(OSError):
            assert self._path is not None
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size = os.fstat(self._fd).st_size
            # A crash or a full disk may have left half a line, which must not swallow the next event.
            self._torn = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _write(self, event: Event) -> None:
        if self._fd < 0 or self._path is None:
            return
        line = json.dumps(event.json(), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        # A full disk costs history, not the stack.
        with contextlib.suppress(OSError):
            if self._size > FILE_LIMIT:
                self._rotate()
            block = b"\n" + line if self._torn else line
            written = os.write(self._fd, block)
            self._size += written
            self._torn = written < len(block)

    def _rotate(self) -> None:
        """Begins a new file. Where that is not possible, the old one goes on, and the next try comes after as much again."""
        assert self._path is not None
        try:
            os.replace(self._path, rotated(self._path))
        except OSError:
            self._size = 0
            return
        os.close(self._fd)
        self._open()


def rotated(path: Path) -> Path:
    """The one older file."""
    return path.with_name(path.name + ".1")


def last_id(path: Path) -> int:
    """The id of the last whole event in a file; 0 when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read(TAIL).split(b"\n")
    except OSError:
        return 0
    for line in reversed(lines):
        with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return int(json.loads(line)["id"])
    return 0
