"""What a service writes, kept as CRI records: two streams into one file, each with its own unfinished line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devctl.logs.clock import STACK_CLOCK, Clock
from devctl.logs.cri import HEADER_LENGTH, PIECE_SIZE, Stream, cut_pieces, encode, format_stamp, header, parse
from devctl.logs.file import LogFile
from devctl.plan import LogSettings

STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")


class ServiceLog:
    """The log of one service, for all its instances.

    The end of a stream that lacks its newline is held in memory, so that a line is never cut by the other stream. It is written
    as a piece (`P`) when it exceeds 64 KiB or on `flush_partial`, and as a whole line (`F`) on `end_line`: after the end nothing
    can continue it, and a reader must not join it with the next instance's first line.

    Args:
        path: of the current file.
        settings: sizes; `settings.dir` is not used.
        on_trouble: told once an episode what is wrong with the file. It must not raise.
        clock: gives stamps; the stack's own by default, so that services stay in order among themselves.

    Attributes:
        lines_written: complete lines in the file.
        bytes_written: the service's own bytes in the file, without stamps.
        lost_bytes: the service's own bytes that could not be kept; a line in the log marks the place.
    """

    def __init__(self, path: Path, settings: LogSettings, *, on_trouble: Callable[[str], None], clock: Clock = STACK_CLOCK) -> None:
        self.path = path
        self.lines_written = 0
        self.bytes_written = 0
        self.lost_bytes = 0
        self._clock = clock
        self._held: dict[Stream, bytes] = dict.fromkeys(STREAMS, b"")
        self._open: dict[Stream, bool] = dict.fromkeys(STREAMS, False)
        self._unmarked_loss = 0
        self._file = LogFile(path, settings.max_size, settings.max_files, on_trouble)
        self._resume(self._file.tail())

    def __repr__(self) -> str:
        return f"<ServiceLog {self.path}: {self.lines_written} lines, {self.lost_bytes} bytes lost>"

    def append(self, stream: Stream, block: bytes) -> None:
        """Takes the next bytes of `stream`, cut anywhere. Never raises, never blocks but for the disk's own time."""
        cut = block.rfind(b"\n")
        if cut < 0:
            self._held[stream] += block
        else:
            self._write_lines(stream, self._held[stream] + block[:cut])
            self._held[stream] = block[cut + 1 :]
        if len(self._held[stream]) > PIECE_SIZE:
            pieces, self._held[stream] = cut_pieces(self._held[stream])
            self._write_pieces(stream, pieces)

    def holds(self, stream: Stream) -> bool:
        """Whether the last line of `stream` is unfinished and not yet in the file."""
        return bool(self._held[stream])

    def flush_partial(self, stream: Stream) -> None:
        """Writes what is held as a piece: the service fell silent in mid-line, a prompt perhaps."""
        if held := self._held[stream]:
            self._held[stream] = b""
            self._write_pieces(stream, [held])

    def end_line(self, stream: Stream) -> None:
        """Ends the unfinished line, if there is one: the stream is over."""
        if self._held[stream] or self._open[stream]:
            held, self._held[stream] = self._held[stream], b""
            self._write_lines(stream, held, newline=False)

    def close(self) -> None:
        """Ends unfinished lines and closes the file. Idempotent."""
        for stream in STREAMS:
            self.end_line(stream)
        self._file.close()

    def _resume(self, tail: bytes) -> None:
        """Continues a file that has `tail` at its end: time goes on from there, lines left open by a crash are ended."""
        for line in tail.split(b"\n"):
            if record := parse(line):
                self._clock.continue_after(record.time_ns)
                self._open[record.stream] = not record.full
        for stream in STREAMS:
            self.end_line(stream)

    def _write_lines(self, stream: Stream, body: bytes, *, newline: bool = True) -> None:
        parts, lines = encode(body, format_stamp(self._clock.now()), stream)
        self._open[stream] = False
        self.lines_written += lines
        self._write(parts, len(body) + newline)

    def _write_pieces(self, stream: Stream, pieces: list[bytes]) -> None:
        prefix = header(format_stamp(self._clock.now()), stream, False)
        self._open[stream] = True
        self._write([prefix + piece + b"\n" for piece in pieces], sum(map(len, pieces)))

    def _write(self, parts: list[bytes], size: int) -> None:
        """Writes records that hold `size` bytes of the service's own, after a note on what was lost before them."""
        note = self._loss_note() if self._unmarked_loss else b""
        dropped = self._file.write([note, *parts] if note else parts)
        if not dropped:
            self._unmarked_loss = 0
            self.bytes_written += size
            return
        data = b"".join(parts)
        if len(data) + len(note) - dropped >= len(note) > 0:
            self._unmarked_loss = 0
        lines, lost = _measure(data[-dropped:])
        lost = min(size, lost)
        self.lines_written -= lines
        self.bytes_written += size - lost
        self.lost_bytes += lost
        self._unmarked_loss += lost

    def _loss_note(self) -> bytes:
        """A record that says what is missing here. Open lines end before it: their rest may be among the lost."""
        stamp = format_stamp(self._clock.now())
        ends = b"".join(header(stamp, stream, True) + b"\n" for stream in STREAMS if self._open[stream])
        reason = self._file.failure or "the log could not be written"
        text = f"devctl: {self._unmarked_loss} bytes of output are missing here: {reason}\n"
        return ends + header(stamp, "stderr", True) + text.encode(errors="replace")


def _measure(records: bytes) -> tuple[int, int]:
    """Complete lines in `records` and the service's own bytes in them, newlines of complete lines included."""
    flags = [(line[HEADER_LENGTH - 2 : HEADER_LENGTH - 1] == b"F", len(line) - HEADER_LENGTH) for line in records.split(b"\n")[:-1]]
    lines = sum(full for full, _ in flags)
    return lines, lines + sum(length for _, length in flags)
