"""The rows of the services pane: each service on one line or two, as wide as there is room."""

from __future__ import annotations

import time

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from devctl.dashboard.pages.paper import clean, fit
from devctl.dashboard.state import ServiceView, Trend
from devctl.dashboard.styles import back_style, text_style
from devctl.glyphs import GLYPHS
from devctl.model import ServiceState
from devctl.wording import seconds, size, timestamp

S = ServiceState
WIDE = 56  # cells from which a service is one line
BARS = 8  # cells of a sparkline
ROLE = {
    S.READY: "good",
    S.COMPLETED: "good",
    S.EXTERNAL: "good",
    S.STARTING: "busy",
    S.BACKOFF: "busy",
    S.STOPPING: "busy",
    S.FAILED: "bad",
    S.UNHEALTHY: "bad",
    S.WAITING: "dim",
    S.STOPPED: "dim",
}
ROLES = ("good", "busy", "bad", "dim", "selected", "selected-blurred", "link")
STATE_CELLS = 11  # "● unhealthy"
LIVE = frozenset({S.WAITING, S.STARTING, S.BACKOFF, S.STOPPING})


class ServiceRows(ScrollView, can_focus=True):
    """The rows. Scrolls; draws only what is seen."""

    DEFAULT_CSS = """
    ServiceRows { height: 1fr; background: $surface; scrollbar-size-vertical: 1; overflow-x: hidden; }
    ServiceRows > .services--good { color: $text-success; }
    ServiceRows > .services--busy { color: $text-warning; }
    ServiceRows > .services--bad { color: $text-error; text-style: bold; }
    ServiceRows > .services--dim { color: $text-muted; }
    ServiceRows > .services--link { color: $text-primary; text-style: underline; }
    ServiceRows > .services--selected { background: $primary 40%; }
    ServiceRows > .services--selected-blurred { background: $primary 15%; }
    """
    COMPONENT_CLASSES = {f"services--{role}" for role in ROLES}  # noqa: RUF012

    class Chosen(Message):
        """A row was clicked; twice: `opened`; on its address: `url`."""

        def __init__(self, index: int, *, opened: bool, url: bool) -> None:
            super().__init__()
            self.index = index
            self.opened = opened
            self.url = url

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ServiceView] = []
        self.selected = 0
        self.solo: str | None = None
        self.labels: dict[str, str] = {}
        self.cpu: dict[str, Trend] = {}
        self.memory: dict[str, Trend] = {}
        self._links: dict[int, tuple[int, int]] = {}

    @property
    def wide(self) -> int:
        """Cells of a line; the scrollbar has its own."""
        return self.scrollable_content_region.width

    @property
    def tall(self) -> int:
        """Lines of a service."""
        return 1 if self.wide >= WIDE else 2

    def put(self, rows: list[ServiceView], selected: int) -> None:
        """Shows these services."""
        self.rows, self.selected = rows, selected
        self.virtual_size = Size(self.wide, len(rows) * self.tall)
        self.refresh()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.wide, len(self.rows) * self.tall)
        self.reveal()

    def refresh_rows(self) -> None:
        """Paints the services, and not what is empty below them."""
        self.refresh(Region(0, 0, self.size.width, min(self.size.height, len(self.rows) * self.tall)))

    def reveal(self) -> None:
        """Scrolls the selected service into sight."""
        top, bottom = self.selected * self.tall, (self.selected + 1) * self.tall
        y = self.scroll_offset.y
        if top < y:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif bottom > y + self.size.height:
            self.scroll_to(y=bottom - self.size.height, animate=False, immediate=True)

    def on_click(self, event: events.Click) -> None:
        line = event.y + self.scroll_offset.y
        index = line // self.tall
        if 0 <= index < len(self.rows):
            begin, end = self._links.get(line, (0, 0))
            self.post_message(self.Chosen(index, opened=event.chain == 2, url=begin <= event.x < end))

    def render_line(self, y: int) -> Strip:
        width = self.wide
        base = self.rich_style
        line = y + self.scroll_offset.y
        index, part = divmod(line, self.tall)
        if index >= len(self.rows):
            return Strip.blank(width, base)
        view = self.rows[index]
        if index == self.selected:
            name = "services--selected" if self.has_focus else "services--selected-blurred"
            base = base + back_style(self, name)
        segments = self._one(view, line, width) if self.tall == 1 else (self._head, self._foot)[part](view, line, width)
        return Strip(segments).adjust_cell_length(width, base).apply_style(base)

    def _style(self, role: str) -> Style:
        return text_style(self, f"services--{role}")

    def _state(self, view: ServiceView) -> Segment:
        glyph = GLYPHS.get(view.state.value, ("?", "?"))[0]
        return Segment(fit(f"{glyph} {view.state.value}", STATE_CELLS), self._style(ROLE[view.state]))

    def _label(self, view: ServiceView, width: int) -> Segment:
        mark = "▶" if view.name == self.solo else " "
        style = Style.parse(rich_colour(self.labels.get(view.name, "default"))) + Style(bold=True)
        return Segment(mark + fit(clean(view.name, 100), width - 1), style)

    def _head(self, view: ServiceView, line: int, width: int) -> list[Segment]:
        """Name, state, address."""
        place = view.place
        names = max(8, min(20, width - STATE_CELLS - 2 - (cell_len(place) + 1 if place and width >= 36 else 0)))
        segments = [self._label(view, names), Segment(" "), self._state(view)]
        if place and width >= names + STATE_CELLS + cell_len(place) + 2:
            begin = width - cell_len(place)
            segments += [Segment(" " * (begin - names - STATE_CELLS - 1)), Segment(place, self._style("link"))]
            self._links[line] = (begin, width)
        return segments

    def _foot(self, view: ServiceView, line: int, width: int) -> list[Segment]:
        """What there is to say, and the load."""
        load = self._load(view, bars=width >= 40)
        words = self._words(view)
        room = width - 3 - cell_len(load)
        if view.state in LIVE or view.state in (S.FAILED, S.UNHEALTHY):
            return [Segment("   " + fit(words, width - 3), self._style(ROLE[view.state]))]
        return [Segment("   " + fit(words, max(0, room)), self._style("dim")), Segment(load, self._style("dim"))]

    def _one(self, view: ServiceView, line: int, width: int) -> list[Segment]:
        """All of it on one line."""
        load = self._load(view, bars=width >= 80)
        place = view.place
        names = 20 if width >= 70 else 14
        begin = names + 1 + STATE_CELLS + 1
        segments = [self._label(view, names), Segment(" "), self._state(view), Segment(" ")]
        segments += [Segment(fit(place, 7).rstrip(), self._style("link")), Segment(" " * max(0, 7 - cell_len(place)))]
        self._links[line] = (begin, begin + cell_len(place))
        room = width - begin - 8 - cell_len(load)
        segments.append(Segment(" " + fit(self._words(view), max(0, room - 1)), self._style("dim")))
        segments.append(Segment(load, self._style("dim")))
        return segments

    def _words(self, view: ServiceView) -> str:
        words = clean(view.words(), 300)
        if view.state is S.STARTING and view.started_at is not None:
            words = f"{age(view.started_at)}  {words}"
        if view.restarts:
            words = f"{view.restarts}↻ {words}"
        return words

    def _load(self, view: ServiceView, *, bars: bool) -> str:
        if view.pid is None:
            return ""
        parts = []
        if view.started_at is not None and view.state in (S.READY, S.UNHEALTHY):
            parts.append(f"{_short_age(view.started_at):>4}")
        if bars:
            parts.append(self.cpu[view.name].text(BARS, least=25.0) if view.name in self.cpu else " " * BARS)
        parts.append(f"{view.cpu_percent:4.0f}%")
        if bars and self.wide >= WIDE and view.name in self.memory:
            # A steady size is half a bar, so that a growing one shows.
            parts.append(self.memory[view.name].text(BARS // 2, least=2.0 * view.memory_bytes))
        parts.append(f"{size(view.memory_bytes):>8}")
        return " ".join(parts)


def age(moment: str) -> str:
    """How long ago, as "4 s" or "3 min"."""
    past = max(0.0, time.time() - timestamp(moment))
    return seconds(float(int(past))) if past >= 10 else f"{past:.0f} s"


def _short_age(moment: str) -> str:
    """How long ago, in at most four cells while that is less than three years."""
    past = int(max(0.0, time.time() - timestamp(moment)))
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if past >= length:
            return f"{past // length}{unit}"
    return f"{past}s"


def rich_colour(colour: str) -> str:
    """A Textual colour as rich writes it."""
    return colour.removeprefix("ansi_")
