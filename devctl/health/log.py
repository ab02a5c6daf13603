"""The log probe: passes once a line of the service's own output matches. Nothing polls: it is fed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devctl.health.pattern import Pattern, PatternTooSlow
from devctl.plan import LogProbe

LINE_LIMIT = 65_536  # bytes of one line that are kept while its end is awaited; the rest of it is skipped
TEXT_LIMIT = 4096  # characters of a line that are matched: `.*ready` is quadratic, 5 ms for these and 1 s for 64 KiB
PIECE = 16_384  # bytes matched in one go: with TEXT_LIMIT, four quadratic lines stay well within the pattern's time budget

# Escape sequences of ECMA-48, sections 5.3 to 5.6: CSI, OSC and other strings with their ends, short ones. None crosses a line.
ANSI = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|[\]PX^_][^\x07\x1b\n]*+(?:\x07|\x1b\\)|[ -/]++[0-~]|[0-OQ-WYZ\\`-~])")


@dataclass(slots=True)
class _Unfinished:
    """The line a stream is in the middle of."""

    line: bytes = b""
    after_return: bool = False


class LogWatcher:
    """Looks for `probe.pattern` in lines, whatever the blocks they arrive in.

    A line ends with LF, CR LF or CR (a progress bar rewrites itself). Escape sequences are taken out before matching, and a line
    is matched up to its first 4096 characters. Raises re.error when the pattern is none.
    """

    def __init__(self, probe: LogProbe) -> None:
        self._pattern = Pattern(probe.pattern)
        self._unfinished: dict[str, _Unfinished] = {}
        self._slow = False
        self.ready = False

    @property
    def pending(self) -> bool:
        """A line without its end is waiting: a prompt, perhaps."""
        return not self.ready and any(part.line for part in self._unfinished.values())

    def feed(self, block: bytes, stream: str = "") -> bool:
        """Takes output of one stream; whether there is something new to tell: found, or in trouble."""
        before = (self.ready, self._slow, self._pattern.given_up)
        part = self._unfinished.setdefault(stream, _Unfinished())
        for start in range(0, len(block), PIECE):
            if self.ready or self._pattern.given_up:
                self._unfinished.clear()
                break
            lines = self._complete(part, block[start : start + PIECE])
            if lines is not None:
                self._match(lines)
        return (self.ready, self._slow, self._pattern.given_up) != before

    def match_pending(self) -> bool:
        """Looks at the lines without an end, too, which silence may have made whole; answers as `feed`. They may still grow."""
        before = (self.ready, self._slow, self._pattern.given_up)
        for part in self._unfinished.values():
            if part.line:
                self._match(part.line)
        return (self.ready, self._slow, self._pattern.given_up) != before

    def detail(self) -> str:
        """For people."""
        if self.ready:
            return f"{self._pattern.source!r} was written"
        if self._slow:
            return self._pattern.complaint() + ("; given up" if self._pattern.given_up else "")
        return f"no line matches {self._pattern.source!r} yet"

    @staticmethod
    def _complete(part: _Unfinished, piece: bytes) -> bytes | None:
        """The lines that `piece` ends, without the last one's end, or None; what is unfinished stays in `part`."""
        if part.after_return and piece.startswith(b"\n"):
            piece = piece[1:]
            part.after_return = False
            if not piece:
                return None
        part.after_return = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head, newline, rest = piece.partition(b"\n")
        first = (part.line + head)[:LINE_LIMIT]
        if not newline:
            part.line = first
            return None
        middle, newline, part.line = rest.rpartition(b"\n")
        return first + newline + middle

    def _match(self, lines: bytes) -> None:
        if self.ready:
            return
        text = lines.decode(errors="replace")
        if "\x1b" in text:
            text = ANSI.sub("", text)
        try:
            self.ready = self._pattern.found(line[:TEXT_LIMIT] for line in text.split("\n"))
        except PatternTooSlow:
            self._slow = True
