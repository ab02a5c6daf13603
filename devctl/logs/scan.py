"""Finding places in a log by time, and reading it backwards, without reading what is not asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from devctl.logs.chain import PROBE_SIZE, LogPart, newest, older
from devctl.logs.cri import Stream, parse
from devctl.logs.cursor import TORN_AFTER
from devctl.logs.record import JOIN_LIMIT, Record, decode

# 16 KiB: `logs -n 50` then reads one block of each service.
FIRST_BLOCK = 16_384
LARGEST_BLOCK = 1 << 20
# 128 KiB: how far back a line's pieces are looked for among the other stream's lines. Two pieces are rarely further apart than one
# block of the other stream, and looking until the file's start would make `-n 1` read everything.
LOOK_BACK = 128 * 1024

Position = tuple[LogPart, int]
"""An open file and an offset in bytes, at the start of a line."""


def end_of(path: Path) -> Position | None:
    """The place behind the last line; None when there is no file. A line that is just being written does not count."""
    part = newest(path)
    if part is None:
        return None
    stale = time.time_ns() - part.modified() >= TORN_AFTER
    return part, part.size() if stale else _last_line_end(part)


def position_at(path: Path, time_ns: int) -> Position | None:
    """The first line that is not before `time_ns`: by the files' first stamps, then by bisection. None when there is no file."""
    part = newest(path)
    while part is not None:
        first = part.first_time()
        if first is not None and first < time_ns:
            return part, _bisect(part, time_ns)
        before = older(part)
        if before is None:
            return part, 0
        part.close()
        part = before
    return None


def backward(service: str, position: Position) -> Iterator[Record]:
    """Records before `position`, the newest first; closes its file. Memory: one block and one line.

    Pieces are joined to lines; a line whose end is missing is partial. A foreign line has the time of the record before it.
    """
    slots: deque[_Slot] = deque()
    unfinished: dict[Stream, _Slot] = {}
    time_ns = position[0].modified()
    seen = 0
    for line in lines_backward(position):
        seen += len(line) + 1
        parsed = parse(line)
        if parsed is None:
            slots.append(_Slot(None, "stdout", line, seen, full=True, complete=True))
        else:
            for slot in slots:
                slot.time_ns = slot.time_ns or parsed.time_ns
            line_after = unfinished.get(parsed.stream)
            if line_after is not None and not parsed.full and line_after.size < JOIN_LIMIT:
                line_after.add(parsed.text, seen)
            else:
                if line_after is not None:
                    line_after.complete = True
                unfinished[parsed.stream] = _Slot(parsed.time_ns, parsed.stream, parsed.text, seen, full=parsed.full)
                slots.append(unfinished[parsed.stream])
        while slots and (slots[0].ready() or seen - slots[0].touched > LOOK_BACK):
            slot = slots.popleft()
            if unfinished.get(slot.stream) is slot:
                del unfinished[slot.stream]
            time_ns = slot.time_ns or time_ns
            yield slot.record(service, time_ns)
    for slot in slots:
        time_ns = slot.time_ns or time_ns
        yield slot.record(service, time_ns)


class _Slot:
    """A line that is being put together from its end."""

    __slots__ = ("complete", "full", "pieces", "size", "stream", "time_ns", "touched")

    def __init__(self, time_ns: int | None, stream: Stream, text: bytes, seen: int, *, full: bool, complete: bool = False) -> None:
        self.time_ns = time_ns
        self.stream: Stream = stream
        self.pieces = [text]
        self.size = len(text)
        self.full = full
        self.complete = complete
        self.touched = seen

    def add(self, text: bytes, seen: int) -> None:
        self.pieces.append(text)
        self.size += len(text)
        self.touched = seen

    def ready(self) -> bool:
        return self.complete and self.time_ns is not None

    def record(self, service: str, time_ns: int) -> Record:
        raw = b"".join(reversed(self.pieces))
        return Record(time_ns, service, self.stream, decode(raw, partial=not self.full), partial=not self.full)


def lines_backward(position: Position) -> Iterator[bytes]:
    """Lines before `position`, the last one first, without newlines; closes its file."""
    part: LogPart | None
    part, end = position
    while part is not None:
        yield from _part_backward(part, end)
        before = older(part)
        part.close()
        part = before
        end = part.size() if part is not None else 0


def _part_backward(part: LogPart, end: int) -> Iterator[bytes]:
    """Lines of one file before `end`, the last one first. A newline at `end` itself ends the last line, it does not begin one."""
    held: list[bytes] = []  # the pieces of a line whose start is not found yet, the last one first
    held_size = 0
    size = FIRST_BLOCK
    if end > 0 and part.read(end - 1, 1) == b"\n":
        end -= 1
    elif end == 0:
        return
    while end > 0:
        start = max(0, end - size)
        data = part.read(start, end - start)
        if len(data) < end - start:  # truncated under us: what is gone is gone
            return
        end, size = start, min(size * 2, LARGEST_BLOCK)
        first = data.find(b"\n")
        if first < 0 and held_size < JOIN_LIMIT:
            held.append(data)
            held_size += len(data)
            continue
        lines = data[first + 1 :].split(b"\n")
        lines[-1] += b"".join(reversed(held))
        held, held_size = ([data[:first]], first) if first >= 0 else ([], 0)
        yield from reversed(lines)
    yield b"".join(reversed(held))


def _last_line_end(part: LogPart) -> int:
    end = part.size()
    while end > 0:
        start = max(0, end - PROBE_SIZE)
        found = part.read(start, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _bisect(part: LogPart, time_ns: int) -> int:
    """The offset of the first line whose stamp is not before `time_ns`; the end when there is none."""
    low, high = 0, part.size()
    while high - low > PROBE_SIZE:
        middle = (low + high) // 2
        offset = _first_line(part, middle, time_ns, PROBE_SIZE, any_time=True)
        # No stamp there: foreign lines; what is before them is searched first.
        if offset is None or offset[0] >= high or offset[1] >= time_ns:
            high = middle
        else:
            low = offset[0]
    found = _first_line(part, low, time_ns, part.size() - low, any_time=False)
    return found[0] if found else part.size()


def _first_line(part: LogPart, start: int, time_ns: int, length: int, *, any_time: bool) -> tuple[int, int] | None:
    """Offset and stamp of the first record within `length` bytes from `start`: any (`any_time`), or one not before `time_ns`."""
    offset = start
    if start > 0 and part.read(start - 1, 1) != b"\n":
        skip = part.read(start, PROBE_SIZE).find(b"\n")
        if skip < 0:
            return None
        offset = start + skip + 1
    limit = start + length
    while offset < limit:
        data = part.read(offset, PROBE_SIZE)
        lines = data.split(b"\n")
        if len(lines) == 1:  # the last line, or one that is too long to be a record
            lines.append(b"")
        for line in lines[:-1]:
            record = parse(line)
            if record and (any_time or record.time_ns >= time_ns):
                return offset, record.time_ns
            offset += len(line) + 1
        if not data:
            return None
    return None
