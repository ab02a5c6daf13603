"""The services pane: every service with its state, health, place and load, on one or two lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from devctl.dashboard.colours import colours
from devctl.dashboard.pages.paper import clean, fit
from devctl.dashboard.state import SORTS, ServiceView, Snapshot, Trend, matching, ordered
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
        style = Style.parse(_rich(self.labels.get(view.name, "default"))) + Style(bold=True)
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
        segments = [self._label(view, names), Segment(" "), self._state(view), Segment(" " + fit(place, 7), self._style("link"))]
        self._links[line] = (begin, begin + cell_len(place))
        room = width - begin - 8 - cell_len(load)
        segments.append(Segment(" " + fit(self._words(view), max(0, room - 1)), self._style("dim")))
        segments.append(Segment(load, self._style("dim")))
        return segments

    def _words(self, view: ServiceView) -> str:
        words = clean(view.words(), 300)
        if view.state is S.STARTING and view.started_at is not None:
            words = f"{_age(view.started_at)}  {words}"
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


class ServicesPane(Widget):
    """Shows the services, and which one is selected."""

    DEFAULT_CSS = """
    ServicesPane { layout: vertical; }
    ServicesPane > #services-head { height: 1; background: $panel; padding: 0 1; }
    ServicesPane > Input { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    ServicesPane > Input:focus { border: none; }
    ServicesPane > Input.-open { display: block; }
    """

    class Selected(Message):
        """Another service is selected."""

        def __init__(self, name: str | None) -> None:
            super().__init__()
            self.name = name

    class Opened(Message):
        """A service was clicked twice."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class LinkClicked(Message):
        """A service's address was clicked."""

        def __init__(self, url: str) -> None:
            super().__init__()
            self.url = url

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._head = Static("starting…", id="services-head", markup=False)
        self._list = ServiceRows()
        self._input = Input(placeholder="name, state or port", max_length=200, compact=True)
        self._snapshot: Snapshot | None = None
        self._selected: str | None = None
        self._filter = ""
        self._sort = SORTS[0]
        self._link = ""

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._list
        yield self._input

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    # --- what the app calls -----------------------------------------------------------------------------------------------------

    @property
    def selected(self) -> str | None:
        """The selected service; None while there is none."""
        return self._selected

    @property
    def sort(self) -> str:
        """The order, one of `state.SORTS`."""
        return self._sort

    @property
    def shown(self) -> list[str]:
        """The names that are shown, in their order."""
        return [view.name for view in self._list.rows]

    def focus(self, scroll_visible: bool = True) -> ServicesPane:
        """Puts the keyboard here."""
        self._list.focus(scroll_visible)
        return self

    def colours(self, names: Sequence[str]) -> dict[str, str]:
        """Each service's colour in the present theme."""
        theme = self.app.current_theme
        found = colours(names, dark=theme.dark, ansi=self.app.theme.startswith("ansi"))
        self._list.labels = found
        self._list.refresh()
        return {name: _rich(colour) for name, colour in found.items()}

    def update(self, snapshot: Snapshot) -> None:
        """Takes the newest status."""
        if self._snapshot is None or self._snapshot.run_id != snapshot.run_id:
            self._list.cpu.clear()
            self._list.memory.clear()
        before, self._snapshot = self._snapshot, snapshot
        known = {view.name for view in snapshot.services}
        for trends in (self._list.cpu, self._list.memory):
            for name in [name for name in trends if name not in known]:
                del trends[name]
        # CPU and memory move in each snapshot; they are painted with the tick.
        if before is None or _steady(before) != _steady(snapshot) or self._sort in ("cpu", "memory"):
            self._refresh()
        else:
            self._list.rows = _renewed(self._list.rows, snapshot)

    def set_link(self, state: str, words: str) -> None:
        """Takes the link's state: what is shown may be old."""
        self._link = "" if state in ("connected", "connecting") else state
        if state == "ended" and self._snapshot is not None:
            self.update(self._snapshot.ended())
        self._draw_head()

    def set_solo(self, name: str | None) -> None:
        """Which service's log is shown alone."""
        self._list.solo = name
        self._list.refresh()

    def select(self, name: str) -> None:
        """Selects a service, if it is shown."""
        names = self.shown
        if name in names:
            self._choose(names.index(name))

    def move(self, step: int) -> None:
        """Selects the service so many rows below."""
        if self._list.rows:
            self._choose(max(0, min(len(self._list.rows) - 1, self._list.selected + step)))

    def home(self) -> None:
        """Selects the first one."""
        self.move(-len(self._list.rows))

    def end(self) -> None:
        """Selects the last one."""
        self.move(len(self._list.rows))

    def set_sort(self, sort: str) -> None:
        """Orders them; something that is no order is left out of account."""
        if sort in SORTS:
            self._sort = sort
            self._refresh()

    def cycle_sort(self) -> None:
        """The next order."""
        self.set_sort(SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)])

    def start_filter(self) -> None:
        """Asks which ones to show."""
        self._input.add_class("-open")
        self._input.focus()

    def clear_filter(self) -> bool:
        """Shows all again; whether some were hidden."""
        had = bool(self._filter) or self._input.has_class("-open")
        self._filter = ""
        self._input.remove_class("-open")
        with self._input.prevent(Input.Changed):
            self._input.value = ""
        if had:
            self._refresh()
        return had

    # --- inside -----------------------------------------------------------------------------------------------------------------

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._filter = message.value
        self._refresh()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        if not message.value:
            self.clear_filter()
        self._list.focus()

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape" and self._input.has_focus:
            event.stop()
            self.clear_filter()
            self._list.focus()

    def on_service_rows_chosen(self, message: ServiceRows.Chosen) -> None:
        message.stop()
        self._choose(message.index)
        view = self._list.rows[message.index]
        if message.url and view.url:
            self.post_message(self.LinkClicked(view.url))
        elif message.opened:
            self.post_message(self.Opened(view.name))

    def on_resize(self) -> None:
        self._draw_head()

    def _choose(self, index: int) -> None:
        name = self._list.rows[index].name
        self._list.selected = index
        self._list.reveal()
        self._list.refresh()
        if name != self._selected:
            self._selected = name
            self.post_message(self.Selected(name))

    def _refresh(self) -> None:
        if self._snapshot is None:
            return
        rows = ordered(matching(self._snapshot.services, self._filter), self._sort)
        names = [view.name for view in rows]
        index = names.index(self._selected) if self._selected in names else min(self._list.selected, max(0, len(rows) - 1))
        self._list.put(rows, index)
        name = names[index] if names else None
        if name != self._selected:
            self._selected = name
            self.post_message(self.Selected(name))
        self._draw_head()

    def _tick(self) -> None:
        snapshot = self._snapshot
        if snapshot is None or self._link:
            return
        for view in snapshot.services:
            self._list.cpu.setdefault(view.name, Trend()).add(view.cpu_percent)
            self._list.memory.setdefault(view.name, Trend()).add(view.memory_bytes)
        # Uptimes and how long things take go on without news.
        self._list.refresh_rows()
        self._draw_head()

    def _draw_head(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        parts: list[tuple[str, str]] = [(clean(snapshot.stack, 60), "bold"), (f" {snapshot.state}", _HEAD.get(snapshot.state, ""))]
        if self._link:
            parts.append((" (lost)" if self._link == "lost" else "", "$text-error"))
        else:
            parts.append((f" {_age(snapshot.started_at)}", "dim"))
        counts = [f"{number} {state}" for state, number in snapshot.counts()]
        parts.append(("  " + ", ".join(counts), "dim"))
        if self._sort != SORTS[0]:
            parts.append((f"  by {self._sort}", "$text-accent"))
        if self._filter:
            parts.append((f"  {len(self._list.rows)} of {len(snapshot.services)}: {clean(self._filter, 40)}", "$text-accent"))
        # Its size stays as it is: no layout, which costs ten times as much as the paint.
        self._head.update(Content.assemble(*parts), layout=False)


_HEAD = {
    "ready": "$text-success",
    "starting": "$text-warning",
    "degraded": "$text-error",
    "stopping": "$text-warning",
    "stopped": "dim",
}


def _steady(snapshot: Snapshot) -> Snapshot:
    """A snapshot without what changes all the time."""
    return replace(snapshot, services=tuple(replace(view, cpu_percent=0.0, memory_bytes=0) for view in snapshot.services))


def _renewed(rows: Sequence[ServiceView], snapshot: Snapshot) -> list[ServiceView]:
    """The same rows with the newest facts."""
    views = {view.name: view for view in snapshot.services}
    return [views.get(row.name, row) for row in rows]


def _age(moment: str) -> str:
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


def _rich(colour: str) -> str:
    """A Textual colour as rich writes it."""
    return colour.removeprefix("ansi_")
