"""Manifest files as bounded text, and the list of problems found in them."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from devctl.errors import ManifestError, Problem

MAX_FILE_BYTES = 1_000_000  # 10,000 services fit; more is a mistake, and parsing stays under a second
MAX_SHOWN = 50  # a screenful or two: nobody mends more than that in one go
MAX_KEPT = 10_000  # problems kept for sorting; one per service of the biggest stack
MAX_SOURCE_WIDTH = 160  # a longer line, or a caret further right, would wrap on any terminal

# What YAML 1.1 section 5.1 calls non-printable; libyaml refuses it too, but says so without a useful place.
_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # the line breaks that libyaml counts

Help = str | Callable[[], str]
"""Text, or a function called only when the problem is shown: finding near names is slow."""


class Wrong(Exception):
    """A value that is not what it must be. Carries what a problem needs; never leaves this package."""

    def __init__(self, place: Place, message: str, help: Help = "") -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.help = help


class Place(Protocol):
    """Anything with a position in a source; line and column are 1-based, 0 when unknown."""

    @property
    def source(self) -> Source: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(slots=True)
class Source:
    """One file's text. `shown` is its path as the user would write it, `rank` its position among the files."""

    path: Path
    shown: str
    rank: int = 0
    text: str = ""
    _lines: list[str] = field(default_factory=list)

    def line_text(self, line: int) -> str:
        """The 1-based line without its newline; "" when there is none."""
        if not self._lines:
            self._lines = _BREAK.split(self.text)
        return self._lines[line - 1] if 0 < line <= len(self._lines) else ""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that is no YAML node."""

    source: Source
    line: int = 0
    column: int = 0


@dataclass(slots=True)
class Problems:
    """Collects what is wrong; `check` raises it all at once."""

    found: list[tuple[Place, str, Help]] = field(default_factory=list)
    dropped: int = 0

    def add(self, place: Place, message: str, help: Help = "") -> None:
        if len(self.found) < MAX_KEPT:
            self.found.append((place, message, help))
        else:
            self.dropped += 1

    def add_wrong(self, wrong: Wrong) -> None:
        self.add(wrong.place, wrong.message, wrong.help)

    def check(self) -> None:
        """Raises ManifestError when there is a problem: the first 50 in file and line order, then how many more."""
        if not self.found:
            return
        ordered = sorted(self.found, key=lambda item: (item[0].source.rank, item[0].line, item[0].column))
        # An alias or an `x-` block used by many services would say the same thing many times.
        unique = list({(id(p.source), p.line, p.column, message): (p, message, help) for p, message, help in ordered}.values())
        problems = [problem(*item) for item in unique[:MAX_SHOWN]]
        if more := len(unique) - len(problems) + self.dropped:
            problems.append(Problem("", 0, 0, f"and {more} more {plural(more, 'problem')}"))
        raise ManifestError(problems)


def problem(place: Place, message: str, help: Help = "") -> Problem:
    """A problem ready to be shown: its line without control characters, left out when the caret would be off the screen."""
    line = place.source.line_text(place.line)
    if place.column > MAX_SOURCE_WIDTH:
        line = ""
    elif len(line) > MAX_SOURCE_WIDTH + 40:
        line = line[: MAX_SOURCE_WIDTH + 40] + "…"
    return Problem(
        file=place.source.shown,
        line=place.line,
        column=place.column,
        message=message,
        help=help if isinstance(help, str) else help(),
        source=printable(line).rstrip(),
    )


def read_source(path: Path, shown: str, rank: int = 0) -> Source:
    """The text of a regular file of at most 1 MB in UTF-8; a byte order mark is dropped.

    Raises:
        Wrong: it is missing, unreadable, no regular file, too big, or not UTF-8.
    """
    source = Source(path, shown, rank)
    raw = _read_bytes(source)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Wrong(Spot(source), "the file is UTF-16", "save it as UTF-8")
    try:
        source.text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source.text = raw.decode("utf-8-sig", errors="replace")
        before = raw[: error.start].decode("utf-8-sig", errors="replace")
        raise Wrong(
            _spot_after(source, before), f"byte 0x{raw[error.start]:02x} is not valid UTF-8", "save the file as UTF-8"
        ) from None
    return source


def check_characters(source: Source) -> None:
    """Raises Wrong for a control character, which YAML forbids and which could not be passed to a program."""
    if match := _FORBIDDEN.search(source.text):
        place = _spot_after(source, source.text[: match.start()])
        raise Wrong(place, f"control character U+{ord(match[0]):04X} is not allowed", "remove it")


def printable(text: str) -> str:
    """`text` with what would move the cursor or colour the terminal replaced, one character for one."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def quoted(text: str, limit: int = 60) -> str:
    """`text` in backquotes for a message: printable and cut to `limit` characters."""
    text = _reference_text(text)
    return f"`{printable(text if len(text) <= limit else text[: limit - 1] + '…')}`"


def _reference_text(text: str) -> str:
    return re.sub("\0([^\0]*)\0", r"${\1}", text)


def plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def nearest(word: str, names: Sequence[str], *, otherwise: str = "") -> Callable[[], str]:
    """A help text, made when needed: "did you mean `x`?", else `otherwise`."""

    def text() -> str:
        if len(word) > 100:  # difflib is quadratic, and nobody mistyped that
            return otherwise
        lowered = {name.lower(): name for name in names}
        found = get_close_matches(word.lower(), lowered, n=1)
        return f"did you mean `{lowered[found[0]]}`?" if found else otherwise

    return text


def _spot_after(source: Source, before: str) -> Spot:
    lines = _BREAK.split(before)
    return Spot(source, len(lines), len(lines[-1]) + 1)


def _read_bytes(source: Source) -> bytes:
    place = Spot(source)
    try:
        # Non-blocking, or opening a FIFO that nobody writes to would hang.
        descriptor = os.open(source.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Wrong(place, f"cannot be read: {error.strerror}", _open_help(error.errno)) from None
    except ValueError:
        raise Wrong(place, "the path holds a NUL character") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise Wrong(place, "is a directory", "name the file in it")
        if not stat.S_ISREG(mode):
            raise Wrong(place, "is not a regular file (a FIFO, socket or device)", "write it to a file first")
        with open(descriptor, "rb", closefd=False) as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Wrong(place, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(raw) > MAX_FILE_BYTES:
        raise Wrong(place, "is larger than 1 MB", "split the stack, or check that this is the right file")
    return raw


def _open_help(code: int | None) -> str:
    if code == errno.ENOENT:
        return "check the path"
    if code == errno.EACCES:
        return "check its permissions, and those of the directories above it"
    return ""
