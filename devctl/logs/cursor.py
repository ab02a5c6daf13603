"""A place in a log that moves forward, from file to file, as far as there are whole lines."""

from __future__ import annotations

import time
from pathlib import Path

from devctl.logs.chain import LogPart, newer, oldest
from devctl.logs.cri import PIECE_SIZE
from devctl.logs.record import JOIN_LIMIT, Assembler, Record

# 80 KiB: holds the largest record that our writer makes; a reader of 300 services has one such block for each.
READ_SIZE = PIECE_SIZE + 16_384
# 1 s: what has no newline after so long was cut off by a crash and is not just being written.
TORN_AFTER = 10**9


class Cursor:
    """Reads one service's records in the order they were written, across rotation, truncation, deletion and re-creation.

    Args:
        service: its name.
        path: of the log's current file; it need not exist yet.
        part: the file to begin in, owned by the cursor; None begins with the oldest there is once there is one.
        offset: in bytes, at the start of a line.
        eager: show prompts at once (see Assembler).
    """

    def __init__(self, service: str, path: Path, part: LogPart | None = None, offset: int = 0, *, eager: bool = False) -> None:
        self.service = service
        self.path = path
        self.part = part
        self.offset = offset
        self._assembler = Assembler(service, 0, eager=eager)
        if part is not None:
            self._set_time(part)

    def __repr__(self) -> str:
        return f"<Cursor of {self.service} at {self.offset} in {self.part}>"

    @property
    def time_ns(self) -> int:
        """The last stamp that was read; 0 before the first."""
        return self._assembler.time_ns

    def read(self, limit: int = READ_SIZE) -> tuple[list[Record], bool]:
        """Records from about `limit` bytes, and whether there may be more right now."""
        if self.part is None:
            self.part = oldest(self.path)
            if self.part is None:
                return [], False
            self._set_time(self.part)
        lines = self._lines(self.part, limit)
        if lines is not None:
            return self._assembler.feed(lines), True
        size = self.part.size()
        if size < self.offset:
            self.offset = 0  # truncated: what is there now is new
            return [], size > 0
        following = newer(self.part, self.time_ns)
        if following is None:
            return [], False
        # What was written between our last look and the rotation.
        if (lines := self._lines(self.part, limit)) is None:
            return self._assembler.feed(self._move_to(following)), True
        following.close()
        return self._assembler.feed(lines), True

    def torn(self) -> list[Record]:
        """What stands behind the last newline, when a crash cut it off. For when nothing will be read after it."""
        if self.part is None or time.time_ns() - self.part.modified() < TORN_AFTER:
            return []
        return self._assembler.feed(self._torn_lines(self.part))

    def rest(self) -> list[Record]:
        """Lines whose end has not come."""
        return self._assembler.rest()

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self.part is not None:
            self.part.close()
            self.part = None

    def _set_time(self, part: LogPart) -> None:
        if self._assembler.time_ns == 0:
            self._assembler.time_ns = part.first_time() or part.modified()

    def _move_to(self, part: LogPart) -> list[bytes]:
        assert self.part is not None
        torn = self._torn_lines(self.part)
        self.part.close()
        self.part, self.offset = part, 0
        return torn

    def _torn_lines(self, part: LogPart) -> list[bytes]:
        data = part.read(self.offset, JOIN_LIMIT)
        self.offset += len(data)
        return data.split(b"\n") if data else []

    def _lines(self, part: LogPart, limit: int) -> list[bytes] | None:
        """The next whole lines; None when there are none."""
        while True:
            # One byte more at the front: the newline before us. If it is gone, the file was truncated and has grown again.
            start = max(0, self.offset - 1)
            data = part.read(start, limit + 1)
            if not data:
                return None
            if self.offset > 0 and data[:1] != b"\n":
                self.offset = 0
                continue
            skip = self.offset - start
            end = data.rfind(b"\n", skip)
            if end < 0 and len(data) <= limit:
                return None
            if end < 0 and limit < JOIN_LIMIT:
                limit *= 8
                continue
            if end < 0:  # no newline in 16 MiB: not our writer's work; shown in stretches
                end = len(data)
            self.offset = start + min(end + 1, len(data))
            return data[skip:end].split(b"\n")
