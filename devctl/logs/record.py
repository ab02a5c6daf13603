"""Records as readers see them: pieces joined to lines, bytes made text, foreign lines given a place in time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devctl.logs.cri import HEADER_LENGTH, PIECE_SIZE, STAMP_LENGTH, Stream, format_stamp, parse

# 16 MiB: pieces of one line are joined up to this, so that a stream without newlines cannot fill the memory of a reader.
JOIN_LIMIT = 16 << 20

_FULL: dict[bytes, Stream] = {b" stdout F ": "stdout", b" stderr F ": "stderr"}


class Record:
    """One line of one service.

    Attributes:
        time_ns: when its end was written, nanoseconds since the epoch.
        service: whose it is.
        stream: "stdout" or "stderr".
        text: without the line end; invalid UTF-8 replaced; control characters as they are (see `sanitize`).
        partial: its end is not there yet: a prompt, or a line over 16 MiB. The rest comes as a record of its own.
        continued: it is the rest of the partial record before it in the same stream.
        gap: lines before it were left out (`around`).
    """

    __slots__ = ("_level", "continued", "gap", "partial", "service", "stream", "text", "time_ns")

    def __init__(
        self, time_ns: int, service: str, stream: Stream, text: str, partial: bool = False, continued: bool = False
    ) -> None:
        self.time_ns = time_ns
        self.service = service
        self.stream: Stream = stream
        self.text = text
        self.partial = partial
        self.continued = continued
        self.gap = False
        self._level: str | None = ""

    def __repr__(self) -> str:
        return f"<Record of {self.service} on {self.stream} at {self.time}: {self.text[:80]!r}>"

    @property
    def time(self) -> str:
        """`time_ns` as RFC 3339 in UTC."""
        return format_stamp(self.time_ns).decode()

    @property
    def level(self) -> str | None:
        """One of LEVELS or None: what was set by a reader that knows the lines before, else what the line itself states."""
        if self._level == "":
            from devctl.logs.level import detect  # its patterns take 2 ms to compile, which plain `logs` need not spend

            self._level = detect(self.text)
        return self._level

    @level.setter
    def level(self, level: str | None) -> None:
        self._level = level

    def json(self) -> dict[str, Any]:
        """The shape of `logs --json` and of the control API."""
        return {"time": self.time, "service": self.service, "stream": self.stream, "text": self.text}


def decode(raw: bytes, *, partial: bool = False) -> str:
    """A line's bytes as text: the `\\r` of a CRLF line end removed, unless the end is yet to come; invalid UTF-8 replaced."""
    return (raw[:-1] if raw.endswith(b"\r") and not partial else raw).decode("utf-8", "replace")


class Assembler:
    """Lines of one service's files, in order, to records.

    Args:
        service: its name.
        time_ns: the time of foreign lines that precede the first stamp.
        eager: give a piece that is a prompt (shorter than PIECE_SIZE: the service fell silent) at once, as a partial record.
    """

    def __init__(self, service: str, time_ns: int, *, eager: bool = False) -> None:
        self.service = service
        self.time_ns = time_ns
        self._eager = eager
        self._pieces: dict[Stream, list[bytes]] = {}
        self._sizes: dict[Stream, int] = {}
        self._shown: set[Stream] = set()
        self._stamp = b""

    def feed(self, lines: Iterable[bytes]) -> list[Record]:
        """Records for these lines (without newlines). A line that is no record is text of stdout, at the time of the one before."""
        records: list[Record] = []
        for line in lines:
            # Most lines share their stamp with the one before, as a whole block has one, and are whole.
            stream = _FULL.get(line[STAMP_LENGTH:HEADER_LENGTH])
            if stream is not None and stream not in self._pieces and line[:STAMP_LENGTH] == self._stamp:
                records.append(self._record(stream, line[HEADER_LENGTH:]))
                continue
            parsed = parse(line)
            if parsed is None:
                records.append(Record(self.time_ns, self.service, "stdout", decode(line)))
                continue
            self.time_ns, self._stamp = parsed.time_ns, line[:STAMP_LENGTH]
            if parsed.full:
                records.append(self._record(parsed.stream, self._take(parsed.stream, parsed.text)))
            else:
                records += self._piece(parsed.stream, parsed.text)
        return records

    def rest(self) -> list[Record]:
        """Lines whose end never came, as partial records."""
        return [self._record(stream, self._take(stream, b""), partial=True) for stream in list(self._pieces)]

    def _record(self, stream: Stream, raw: bytes, *, partial: bool = False) -> Record:
        continued = stream in self._shown
        if continued or partial:
            (self._shown.add if partial else self._shown.discard)(stream)
        return Record(self.time_ns, self.service, stream, decode(raw, partial=partial), partial, continued)

    def _take(self, stream: Stream, last: bytes) -> bytes:
        pieces = self._pieces.pop(stream, None)
        if pieces is None:
            return last
        del self._sizes[stream]
        return b"".join([*pieces, last])

    def _piece(self, stream: Stream, text: bytes) -> list[Record]:
        self._pieces.setdefault(stream, []).append(text)
        self._sizes[stream] = self._sizes.get(stream, 0) + len(text)
        if self._sizes[stream] >= JOIN_LIMIT or (self._eager and len(text) < PIECE_SIZE):
            return [self._record(stream, self._take(stream, b""), partial=True)]
        return []
