"""The log lines on the screen: an anchor in the model, and what fits below it.

Where the view stands is the number of a record, not a row of a scroll area: lines that come, go or are filtered out above or below
never move what somebody reads. Following the end is an intent of its own, kept until the user moves away.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from devctl.dashboard.logmodel import Entry, LogModel
from devctl.dashboard.logtext import Line, Look, cut, height, lines, text
from devctl.dashboard.styles import back_style

# Entries whose lines are kept: some screens' worth.
KEPT = 2048
WHEEL = 3  # lines
SIDEWAYS = 16  # cells


class Row(NamedTuple):
    """One line on the screen: which line of which entry."""

    entry: Entry
    line: Line
    sub: int


class LogView(Widget, can_focus=True):
    """Shows a model's lines.

    Args:
        model: whose; `changed` must be called when it was.
    """

    DEFAULT_CSS = """
    LogView { width: 1fr; height: 1fr; background: $surface; color: $foreground; }
    LogView > .log--cursor { background: $primary 40%; }
    LogView > .log--cursor-blurred { background: $primary 15%; }
    """
    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--cursor", "log--cursor-blurred"}

    class Moved(Message):
        """Another part of the log is shown, or following began or ended."""

    def __init__(self, model: LogModel, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = model
        self.follow = True
        self.cursor: int | None = None
        self.left = 0
        self._look = Look()
        self._top = (0, 0)
        self._seen_end = 0
        self._rows: list[Row] = []
        self._lines: LRUCache[tuple[int, int, bool], list[Line]] = LRUCache(KEPT)
        self._strips: LRUCache[tuple[int, int, int, bool], Strip] = LRUCache(KEPT)

    # --- what is looked at ------------------------------------------------------------------------------------------------------

    @property
    def look(self) -> Look:
        """How lines are shown."""
        return self._look

    def set_look(self, look: Look) -> None:
        """Shows lines in another way."""
        self._look = look
        self._forget()

    def changed(self) -> None:
        """The model was: shows what is there now."""
        self._layout()

    def refiltered(self) -> None:
        """Other lines of the model are shown: the cursor's line, or the next one, stays where it was."""
        if self.cursor is not None and not self.follow:
            row = next((place for place, row in enumerate(self._rows) if row.entry.number == self.cursor), 0)
            self._settle()
            self._show_at(self.cursor, row)
        self._forget()

    @property
    def unseen(self) -> int:
        """How many shown lines are below the last one that was on the screen."""
        return 0 if self.follow else max(0, len(self.model) - self.model.index_of(self._seen_end))

    @property
    def position(self) -> tuple[int, int]:
        """The index of the first line on the screen, and how many entries the screen has."""
        if not self._rows:
            return 0, 0
        first = self.model.index_of(self._rows[0].entry.number)
        return first, len({row.entry.number for row in self._rows})

    @property
    def current(self) -> int | None:
        """The number of the line that actions are about: the cursor's, else the last one on the screen."""
        if self.cursor is not None:
            return self.cursor
        return self._rows[-1].entry.number if self._rows else None

    def current_entry(self) -> Entry | None:
        """The entry that actions are about."""
        number = self.current
        if number is None or not len(self.model):
            return None
        return self.model.entry(min(self.model.index_of(number), len(self.model) - 1))

    # --- moving -----------------------------------------------------------------------------------------------------------------

    def set_follow(self, on: bool) -> None:
        """Keeps to the end, or stays."""
        self.follow = on
        if on:
            self.cursor = None
        elif self._rows:
            self._top = (self._rows[0].entry.number, self._rows[0].sub)
        self._layout()
        self.post_message(self.Moved())

    def scroll_lines(self, count: int) -> None:
        """Moves by so many lines on the screen, up when negative. Ends following."""
        self._release()
        number, sub = self._top
        index = min(self.model.index_of(number), max(0, len(self.model) - 1))
        if not len(self.model):
            return
        sub += count
        while sub < 0 and index > 0:
            index -= 1
            sub += self._height(index)
        sub = max(0, sub)
        while sub >= (tall := self._height(index)) and index < len(self.model) - 1:
            sub -= tall
            index += 1
        self._top = (self.model.entry(index).number, min(sub, self._height(index) - 1))
        self._layout()
        self.post_message(self.Moved())

    def move(self, count: int) -> None:
        """Moves the cursor by so many entries."""
        self._release()
        if not len(self.model):
            return
        current = self.cursor if self.cursor is not None else self.current
        index = self.model.index_of(current if current is not None else 0)
        if self.cursor is None and count < 0:
            count += 1  # the first key takes the last line on the screen, as it stands there
        index = max(0, min(len(self.model) - 1, index + count))
        self.show_index(index)

    def page(self, pages: float) -> None:
        """Moves by so many screens."""
        self.scroll_lines(int(pages * max(1, self.size.height - 1)))
        if self.cursor is not None and self._rows:
            numbers = [row.entry.number for row in self._rows]
            self.cursor = max(numbers[0], min(self.cursor, numbers[-1]))
            self._layout()

    def home(self) -> None:
        """Goes to the first line in memory."""
        self._release()
        if len(self.model):
            self.show_index(0)

    def show_index(self, index: int, *, centre: bool = False) -> None:
        """Puts the cursor on a shown line, and that on the screen: where it is already, else at the edge or in the middle."""
        self._release()
        number = self.model.entry(index).number
        self.cursor = number
        places = [place for place, row in enumerate(self._rows) if row.entry.number == number]
        tall = min(self._height(index), self.size.height)
        if len(places) < tall:
            above = self._rows[0].entry.number if self._rows else 0
            at = self.size.height // 3 if centre else 0 if number <= above else self.size.height - tall
            self._show_at(number, max(0, at))
        self._layout()
        self.post_message(self.Moved())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        if event.shift:
            self.sideways(-1)
        else:
            self.scroll_lines(-WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        if event.shift:
            self.sideways(1)
        else:
            self.scroll_lines(WHEEL)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        event.stop()
        self.sideways(-1)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        event.stop()
        self.sideways(1)

    def on_click(self, event: events.Click) -> None:
        if self.text_selection is None and 0 <= event.y < len(self._rows):
            self._release()
            self.cursor = self._rows[event.y].entry.number
            self._layout()
            self.post_message(self.Moved())

    def sideways(self, steps: int) -> None:
        """Moves long lines to the left (1) or back (-1)."""
        widest = max((row.line.cells for row in self._rows), default=0)
        self.left = max(0, min(self.left + steps * SIDEWAYS, max(0, widest - self.size.width // 2)))
        self.refresh()

    # --- what is on the screen --------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._layout()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def _forget(self) -> None:
        self._lines.clear()
        self._strips.clear()
        self._layout()

    def _release(self) -> None:
        if self.follow:
            self.follow = False
            if self._rows:
                self._top = (self._rows[0].entry.number, self._rows[0].sub)

    def _settle(self) -> None:
        """Puts the cursor on a line that is shown."""
        if self.cursor is not None and len(self.model):
            self.cursor = self.model.entry(min(self.model.index_of(self.cursor), len(self.model) - 1)).number

    def _show_at(self, number: int, row: int) -> None:
        """Stands so that the entry begins on a row of the screen, as far as there are lines above it."""
        if not len(self.model):
            return
        index = min(self.model.index_of(number), len(self.model) - 1)
        above = 0
        while above < row and index > 0:
            index -= 1
            above += self._height(index)
        self._top = (self.model.entry(index).number, max(0, above - row))

    def _layout(self) -> None:
        """Works out which lines are on the screen."""
        tall = self.size.height
        if tall <= 0:
            return
        if self.follow:
            self._rows = self._upwards(len(self.model), tall)
        else:
            number, sub = self._top
            index = self.model.index_of(number)
            rows = self._downwards(index, sub if index < len(self.model) and self.model.entry(index).number == number else 0, tall)
            if len(rows) < tall and index > 0:
                # Nothing is below: rather lines above than an empty screen.
                rows = self._upwards(len(self.model), tall)
            self._rows = rows
            if rows:
                self._top = (rows[0].entry.number, rows[0].sub)
        if self._rows:
            last = self._rows[-1].entry.number + 1
            self._seen_end = last if self.follow else max(min(self._seen_end, self.model.end), last)
        self.refresh()

    def _upwards(self, end: int, tall: int) -> list[Row]:
        rows: list[Row] = []
        index = end
        while len(rows) < tall and index > 0:
            index -= 1
            rows = self._entry_rows(index) + rows
        return rows[-tall:]

    def _downwards(self, index: int, sub: int, tall: int) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < tall and index < len(self.model):
            rows += self._entry_rows(index)[sub:]
            sub = 0
            index += 1
        return rows[:tall]

    def _entry_rows(self, index: int) -> list[Row]:
        entry = self.model.entry(index)
        return [Row(entry, line, sub) for sub, line in enumerate(self._entry_lines(entry))]

    def _entry_lines(self, entry: Entry) -> list[Line]:
        marked = entry.number in self.model.marks
        key = (entry.number, entry.folded, marked)
        found = self._lines.get(key)
        if found is None:
            found = self._lines[key] = lines(entry, self._look, marked=marked)
        return found

    def _height(self, index: int) -> int:
        if self._look.width is None and not self._look.pretty:
            return 1
        entry = self.model.entry(index)
        key = (entry.number, entry.folded, entry.number in self.model.marks)
        found = self._lines.get(key)
        return len(found) if found is not None else height(entry, self._look)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[y]
        selection = self.text_selection
        span = None if selection is None else selection.get_span(row.entry.number)
        if span is not None:
            strip = self._strip(row, span)
        else:
            key = (row.entry.number, row.sub, row.entry.folded, row.entry.number in self.model.marks)
            kept = self._strips.get(key)
            if kept is None:
                kept = self._strips[key] = self._strip(row, None)
            strip = kept
        if row.entry.number == self.cursor and not self.follow:
            background = "log--cursor" if self.has_focus else "log--cursor-blurred"
            base = base + back_style(self, background)
        return strip.crop_extend(self.left, self.left + width, base).apply_style(base)

    def _strip(self, row: Row, span: tuple[int, int] | None) -> Strip:
        """The line, with its places in the entry's text for the mouse, and what is selected marked."""
        number, line = row.entry.number, row.line
        segments = line.segments
        if span is not None:
            segments = self._selected(line, row.sub, span)
        if row.sub == 0:
            return Strip(segments, line.cells).apply_offsets(0, number)
        indent = Strip(segments[:1]).apply_offsets(line.start, number)
        return Strip.join([indent, Strip(segments[1:]).apply_offsets(line.start, number)])

    def _selected(self, line: Line, sub: int, span: tuple[int, int]) -> list[Segment]:
        style = self.screen.get_component_rich_style("screen--selection")
        segments = [] if sub == 0 else [line.segments[0]]
        position = line.start
        begin, end = span
        for segment in line.segments[len(segments) :]:
            length = len(segment.text)
            low = max(0, begin - position)
            high = length if end < 0 else min(length, end - position)
            spans = [(low, high, style)] if low < high else []
            segments += cut(segment.text, spans, 0, length, segment.style or Style())
            position += length
        return segments

    # --- selection --------------------------------------------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, from whichever of its lines are still in memory."""
        if not len(self.model):
            return None
        first = 0 if selection.start is None else self.model.index_of(selection.start.y)
        last = len(self.model) - 1 if selection.end is None else min(self.model.index_of(selection.end.y), len(self.model) - 1)
        parts = []
        for index in range(first, last + 1):
            entry = self.model.entry(index)
            span = selection.get_span(entry.number)
            if span is not None:
                whole = text(entry, self._look)
                parts.append(whole[span[0] : None if span[1] < 0 else span[1]])
        return "\n".join(parts), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
