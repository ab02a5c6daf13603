"""Log lines as they look: label, time, colours, highlights, wrapped or not. Only what is on the screen comes here."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style

from devctl.dashboard.ansi import Span, parse
from devctl.dashboard.logfilter import Pattern
from devctl.dashboard.logmodel import Entry
from devctl.dashboard.logpretty import pretty
from devctl.logs.record import Record
from devctl.logs.sanitize import sanitize

Timestamps = Literal["off", "time", "full"]

# Characters of a line that are shown. Saving and the clipboard have all of them.
LIMIT = 20_000
LEAST = 10  # cells for a wrapped text beside labels; with less it would be a column of letters
PLAIN = Style()
ROLES = ("time", "separator", "error", "warning", "quiet", "match", "mark", "note")

# file.py:12, src/app.ts:10:4, File "/x/y.py", line 3, (Main.java:7), main.go:12
_LOCATION = re.compile(
    r'File "(?P<quoted>[^"\n]{1,400})", line (?P<quoted_line>\d{1,7})'
    r"|(?P<file>(?:[A-Za-z]:)?[\w@.+~/\\-]{0,300}[\w-]\.[A-Za-z]\w{0,5}):(?P<line>\d{1,7})\b"
)


@dataclass(frozen=True)
class Look:
    """How lines are shown.

    Attributes:
        labels: (text, style) by service; empty without labels.
        timestamps: none, time of day, or date and time; local.
        width: cells to wrap at; None does not wrap.
        pretty: JSON objects on several lines.
        pattern: what is highlighted.
        styles: by `ROLES`.
    """

    labels: Mapping[str, tuple[str, Style]] = field(default_factory=dict)
    timestamps: Timestamps = "off"
    width: int | None = None
    pretty: bool = False
    pattern: Pattern | None = None
    styles: Mapping[str, Style] = field(default_factory=lambda: dict.fromkeys(ROLES, PLAIN))


class Line(NamedTuple):
    """One line on the screen. `start`: where it begins in the entry's text (`text`)."""

    segments: list[Segment]
    start: int
    cells: int


def lines(entry: Entry, look: Look, *, marked: bool = False) -> list[Line]:
    """The lines on the screen of one entry: at least one."""
    record = entry.record
    lead = _prefix(record, look, marked)
    lead_text = "".join(segment.text for segment in lead)
    lead_cells = cell_len(lead_text)
    base = _base(record, look)
    found: list[Line] = []
    start = 0
    for body, spans in _bodies(record, look):
        if look.pattern is not None and (hits := look.pattern.spans(body)):
            spans = overlay(spans, [(begin, end, look.styles["match"]) for begin, end in hits])
        for begin, end, cells in _pieces(body, None if look.width is None else max(LEAST, look.width - lead_cells)):
            segments = list(lead) if not found else [Segment(" " * lead_cells)]
            segments += cut(body, spans, begin, end, base)
            offset = 0 if not found else len(lead_text) + start + begin
            found.append(Line(segments, offset, lead_cells + cells))
        start += len(body) + 1
    if entry.folded:
        note = f" … {entry.folded} more line{'s' if entry.folded > 1 else ''}"
        last = found[-1]
        found[-1] = Line([*last.segments, Segment(note, look.styles["note"])], last.start, last.cells + cell_len(note))
    return found


def text(entry: Entry, look: Look) -> str:
    """The entry as selected or saved: label, time and the whole of the line, without colours."""
    lead = "".join(segment.text for segment in _prefix(entry.record, look, False))
    return lead + "\n".join(body for body, _ in _bodies(entry.record, look, limit=None))


def height(entry: Entry, look: Look) -> int:
    """How many lines `lines` gives."""
    if look.width is None and not look.pretty:
        return 1
    return len(lines(entry, look))


def locations(line: str) -> list[tuple[str, int]]:
    """The places in source files that a line names: (file, line number), the first 10."""
    found = []
    for match in _LOCATION.finditer(line[:LIMIT]):
        name, number = (match["quoted"], match["quoted_line"]) if match["quoted"] else (match["file"], match["line"])
        # 12:30:45 and 127.0.0.1:80 are no files; the pattern asks for a letter after the dot.
        found.append((name, int(number)))
        if len(found) == 10:
            break
    return found


def cut(body: str, spans: list[Span], start: int, end: int, base: Style) -> list[Segment]:
    """The segments of `body` from `start` to `end`."""
    if not spans:
        return [Segment(body[start:end], base)]
    segments = []
    position = start
    for begin, stop, style in spans:
        if stop <= start or begin >= end:
            continue
        if begin > position:
            segments.append(Segment(body[position:begin], base))
        position = max(position, begin)
        reach = min(stop, end)
        segments.append(Segment(body[position:reach], base + style))
        position = reach
    if position < end:
        segments.append(Segment(body[position:end], base))
    return segments


def overlay(under: list[Span], over: list[Span]) -> list[Span]:
    """Spans in order and without overlap, where those of `over` are laid upon those of `under`; both are so themselves."""
    edges = sorted({edge for spans in (under, over) for begin, end, _ in spans for edge in (begin, end)})
    found: list[Span] = []
    low = high = 0
    for begin, end in pairwise(edges):
        while low < len(under) and under[low][1] <= begin:
            low += 1
        while high < len(over) and over[high][1] <= begin:
            high += 1
        style = PLAIN
        inside = False
        if low < len(under) and under[low][0] <= begin:
            style, inside = under[low][2], True
        if high < len(over) and over[high][0] <= begin:
            style, inside = style + over[high][2], True
        if inside:
            found.append((begin, end, style))
    return found


def _prefix(record: Record, look: Look, marked: bool) -> list[Segment]:
    styles = look.styles
    segments = []
    if marked:
        segments.append(Segment("◆ ", styles["mark"]))
    if look.timestamps != "off":
        segments.append(Segment(stamp(record.time_ns, full=look.timestamps == "full") + " ", styles["time"]))
    label = look.labels.get(record.service)
    if label is not None:
        segments.append(Segment(label[0], label[1]))
    elif look.labels:
        segments.append(Segment(record.service))
    if look.labels or record.stream == "stderr":
        # stderr is told by a sign, not by colour alone.
        bar = "┃ " if record.stream == "stderr" else "│ "
        segments.append(Segment((" " if look.labels else "") + bar, styles["separator"]))
    return segments


def stamp(time_ns: int, *, full: bool) -> str:
    """A local time: 14:05:09.123, or with its date."""
    moment = time.localtime(time_ns // 10**9)
    return time.strftime("%Y-%m-%d %H:%M:%S" if full else "%H:%M:%S", moment) + f".{time_ns // 10**6 % 1000:03d}"


def _base(record: Record, look: Look) -> Style:
    level = record.level
    if level is None:
        return PLAIN
    if level in ("error", "fatal"):
        return look.styles["error"]
    if level == "warn":
        return look.styles["warning"]
    return look.styles["quiet"] if level in ("debug", "trace") else PLAIN


def _bodies(record: Record, look: Look, limit: int | None = LIMIT) -> Iterator[tuple[str, list[Span]]]:
    """The lines of the record's text: one, or of a JSON object that is shown prettily several."""
    if look.pretty and (made := pretty(record.text)) is not None:
        yield from ((sanitize(line, colours=False).expandtabs(4), []) for line in made)
        return
    raw = record.text
    over = 0
    if limit is not None and len(raw) > 4 * limit:
        # Four: escape sequences take room too, and a carriage return near the end may be what counts.
        raw, over = (raw[: 4 * limit], len(raw) - 4 * limit) if "\r" not in raw else (raw[-4 * limit :], 0)
    body, spans = parse(sanitize(raw).expandtabs(8) if "\t" in raw else sanitize(raw))
    if limit is not None and (len(body) > limit or over):
        cut_off = len(body) - limit + over if len(body) > limit else over
        body = f"{body[:limit]}… {cut_off} more characters"
        spans = [(begin, min(end, limit), style) for begin, end, style in spans if begin < limit]
    yield body, spans


def _pieces(body: str, width: int | None) -> Iterator[tuple[int, int, int]]:
    """(start, end, cells) of the lines that `body` is wrapped to."""
    if body.isascii():
        if width is None or len(body) <= width:
            yield 0, len(body), len(body)
            return
        for begin in range(0, len(body), width):
            end = min(begin + width, len(body))
            yield begin, end, end - begin
        return
    cells = cell_len(body)
    if width is None or cells <= width:
        yield 0, len(body), cells
        return
    begin = 0
    for piece in chop_cells(body, width):
        yield begin, begin + len(piece), cell_len(piece)
        begin += len(piece)
