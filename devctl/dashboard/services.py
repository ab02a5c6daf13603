"""The services pane: every service with its state, health, place and load, on one or two lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from devctl.dashboard.colours import colours
from devctl.dashboard.pages.paper import clean
from devctl.dashboard.servicerows import ServiceRows, age, rich_colour
from devctl.dashboard.state import SORTS, ServiceView, Snapshot, Trend, matching, ordered


class ServicesPane(Widget):
    """Shows the services, and which one is selected."""

    DEFAULT_CSS = """
    ServicesPane { layout: vertical; }
    ServicesPane > #services-head { height: 1; background: $panel; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
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
        return {name: rich_colour(colour) for name, colour in found.items()}

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
            parts.append((f" {age(snapshot.started_at)}", "dim"))
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
