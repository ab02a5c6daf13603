"""The detail pane's one line of tabs: whose details, which tabs, and how old an answer is."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from devctl.dashboard.pages.paper import fit

# For panes too narrow for the whole words.
SHORT = {"timeline": "time", "environment": "env", "processes": "procs", "depends": "deps"}
NAME = 20  # cells of the service's name at most


class TabBar(Widget):
    """Tabs that can be clicked. Gives way by width: numbers go first, then words shorten, then only the chosen tab is left."""

    DEFAULT_CSS = """
    TabBar { height: 1; width: 1fr; background: $panel; color: $foreground; }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, tabs: tuple[str, ...]) -> None:
        super().__init__()
        self._tabs = tabs
        self._current = tabs[0]
        self._subject = ""
        self._note = ""
        self._places: list[tuple[int, int, str]] = []

    def put(self, current: str, subject: str, note: str) -> None:
        """What to show; `note` is what is wrong or new, and stands at the right."""
        if (current, subject, note) != (self._current, self._subject, self._note):
            self._current, self._subject, self._note = current, subject, note
            self.refresh()

    def render(self) -> Content:
        width = self.size.width
        subject = fit(self._subject, min(NAME, cell_len(self._subject))) if self._subject else "stack"
        parts: list[str | tuple[str, str]] = [(f" {subject} ", "bold $text-primary"), " "]
        at = cell_len(subject) + 3
        # What is wrong is worth more than long names of tabs.
        labels = self._labels(width - at - (cell_len(self._note) + 2 if self._note else 0))
        self._places = []
        for tab, label in labels:
            style = "bold reverse" if tab == self._current else "dim"
            parts += [(f" {label} ", style)]
            self._places.append((at, at + len(label) + 2, tab))
            at += len(label) + 2
        room = width - at - 1
        if self._note and room >= 6:
            parts += [" ", (fit(self._note, min(room, cell_len(self._note))).rjust(room), "$text-warning")]
        return Content.assemble(*parts).truncate(width)

    def _labels(self, room: int) -> list[tuple[str, str]]:
        """(tab, what it is called) in the longest form that has room."""
        numbered = [(tab, f"{number} {tab}") for number, tab in enumerate(self._tabs, 1)]
        short = [(tab, SHORT.get(tab, tab)) for tab in self._tabs]
        for labels in (numbered, [(tab, tab) for tab in self._tabs], short):
            if sum(len(label) + 2 for _, label in labels) <= room:
                return labels
        number = self._tabs.index(self._current)
        following = self._tabs[(number + 1) % len(self._tabs)]
        return [(self._current, f"{self._current} {number + 1}/{len(self._tabs)}"), (following, "▸")]

    def on_click(self, event: events.Click) -> None:
        for begin, end, tab in self._places:
            if begin <= event.x < end:
                event.stop()
                self.post_message(self.Chosen(tab))
                return
