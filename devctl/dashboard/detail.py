"""The detail pane: everything about one service, a tab for each kind of question."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from devctl.dashboard.enquiry import Answer, Answers, Asker, Question, Recent, ask
from devctl.dashboard.pages.book import TABS, Book
from devctl.dashboard.pages.paper import Paper, clean
from devctl.dashboard.pages.view import Status, View
from devctl.dashboard.tabbar import TabBar
from devctl.errors import DevctlError
from devctl.model import ENDED, SETTLED_WELL, ServiceState
from devctl.timeline_chart import GOING_ON
from devctl.wording import seconds, timestamp

# Seconds between asking the same again when nothing says that the answer has changed; None: only then.
PERIODS: Mapping[str, float | None] = {
    "why": 5.0,
    "timeline": None,
    "events": None,
    "health": 2.0,
    "environment": None,
    "processes": 2.0,
}
UNSETTLED = 2.0  # seconds between questions about what has not settled: its log and its checks go on
DEBOUNCE = 0.15  # seconds: moving through services with j and k asks about the last one only
SETTLED = SETTLED_WELL | ENDED - {ServiceState.FAILED}
REDRAW = 0.1  # seconds between two paints of what events bring; a start of 300 services makes some 1,500 of them


class DetailPane(Widget):
    """Shows what is known of the selected service, and asks only for what is on the screen.

    Args:
        asker: whom to ask, the link to the supervisor.
    """

    DEFAULT_CSS = """
    DetailPane { layout: vertical; }
    DetailPane > VerticalScroll { height: 1fr; padding: 0 0 0 1; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    DetailPane > VerticalScroll > Static { width: 1fr; height: auto; padding: 0 1 0 0; }
    """

    def __init__(self, asker: Asker, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._asker = asker
        self._bar = TabBar(TABS)
        self._page = Static(markup=False)
        self._body = VerticalScroll(self._page)
        self._tab = TABS[0]
        self._name: str | None = None
        self._snapshot: Status | None = None
        self._services: dict[str, View] = {}
        self._answers = Answers()
        self._recent = Recent()
        self._all_events = False
        self._asking: Question | None = None
        self._waiting = False
        self._painting = False
        self._seen = False
        self._trouble = ""
        self._lost = ""
        self._drawn: tuple[Question, Content] | None = None

    def compose(self) -> ComposeResult:
        yield self._bar
        yield self._body

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    # --- what the app calls -----------------------------------------------------------------------------------------------------

    @property
    def tab(self) -> str:
        """The tab that is shown, one of `TABS`."""
        return self._tab

    @property
    def text(self) -> str:
        """What the page says, as plain text."""
        return self._drawn[1].plain if self._drawn is not None else ""

    def show(self, name: str | None) -> None:
        """Shows another service; None shows the stack."""
        if name != self._name:
            self._name = name
            self._turn()

    def update(self, snapshot: Status) -> None:
        """Takes the newest status."""
        if self._snapshot is not None and self._snapshot.run_id != snapshot.run_id:
            self._answers.forget()
            self._recent.clear()
        self._snapshot = snapshot
        before, self._services = self._services, {view.name: view for view in snapshot.services}
        self._consider()
        if self._starting() or _looks(before) != _looks(self._services):
            self._paint_soon()

    def on_stack_event(self, event: dict[str, Any]) -> None:
        """Takes an event as it happens."""
        if event.get("type") == "gap":
            self._answers.forget(("events", ""))
        elif self._recent.add(event) and self._tab == "events":
            self._paint_soon()
        self._consider()

    def set_link(self, state: str, detail: str) -> None:
        """Takes the link's state ("connected", "lost"…): without a supervisor the last answers stay, and their age is said."""
        if self._lost and state == "connected":
            # What happened meanwhile nobody told us.
            self._trouble = ""
            self._answers.doubt()
        self._lost = "" if state in ("connected", "connecting") else detail or state
        self._paint_soon()
        self._consider()

    def select_tab(self, tab: str) -> None:
        """Shows a tab by its name in `TABS`; "events" again changes between this service's and all."""
        if tab == self._tab == "events":
            self._all_events = not self._all_events
        elif tab not in TABS:
            raise ValueError(f"{tab!r} is no tab; there are {', '.join(TABS)}")
        self._tab = tab
        self._turn()

    def next_tab(self) -> None:
        """Shows the tab to the right."""
        self._step(1)

    def previous_tab(self) -> None:
        """Shows the tab to the left."""
        self._step(-1)

    def move(self, lines: int) -> None:
        """Scrolls by so many lines."""
        self._body.scroll_relative(y=lines, animate=False)

    def home(self) -> None:
        """Scrolls to the first line."""
        self._body.scroll_home(animate=False)

    def end(self) -> None:
        """Scrolls to the last line."""
        self._body.scroll_end(animate=False)

    # --- when to ask ------------------------------------------------------------------------------------------------------------

    def _step(self, by: int) -> None:
        self._tab = TABS[(TABS.index(self._tab) + by) % len(TABS)]
        self._turn()

    def _turn(self) -> None:
        """Another page: the old one's trouble is not this one's."""
        self._trouble = ""
        if self.is_attached:
            self._body.scroll_home(animate=False)
            self.screen.selections = {widget: span for widget, span in self.screen.selections.items() if widget is not self._page}
            self._paint()
            self._consider()

    def _question(self) -> Question | None:
        """What has to be asked for the page; None when nothing has to be."""
        if self._tab in ("timeline", "events"):
            return self._tab, ""
        if self._tab == "depends" or self._name is None:
            return None
        return self._tab, self._name

    def _about(self, question: Question) -> object:
        """What an answer depends on, as far as the status tells: when it differs, the answer is old."""
        tab, name = question
        view = self._services.get(name)
        if tab == "events":
            return None if self._snapshot is None else self._snapshot.run_id
        if tab == "timeline":
            return tuple((one.name, one.state) for one in self._services.values())
        if view is None:
            return None
        if tab == "why":
            return view.reason, view.restarts, tuple(one.state for one in self._services.values())
        return view.started_at, view.pid, view.state, view.processes if tab == "processes" else 0

    def _consider(self) -> None:
        """Asks soon, when the page needs an answer that is not there or old."""
        question = self._question()
        if not self._seen or self._lost or question is None or self._waiting or question == self._asking:
            return
        period = PERIODS[self._tab]
        view = self._services.get(question[1])
        if self._tab == "why" and view is not None and view.state not in SETTLED:
            period = UNSETTLED
        if not self._trouble and self._answers.is_good(question, self._about(question), period, time.monotonic()):
            return
        self._waiting = True
        self.set_timer(DEBOUNCE, self._ask)

    def _ask(self) -> None:
        self._waiting = False
        question = self._question()
        if self._seen and question is not None and question != self._asking:
            self._asking = question
            # The question before it is cancelled: nobody looks at its page any more.
            self.run_worker(self._hear(question, self._about(question)), group="detail", exclusive=True, exit_on_error=False)

    async def _hear(self, question: Question, about: object) -> None:
        try:
            value = await ask(self._asker, question, self._recent)
            self._answers.keep(question, Answer(value, time.monotonic(), about))
            trouble = ""
        except DevctlError as error:
            trouble = str(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            trouble = f"the supervisor's answer cannot be read: {type(error).__name__}: {error}"
        finally:
            if self._asking == question:
                self._asking = None
        if question == self._question():
            self._trouble = trouble
        self._paint()
        if not self._trouble:
            self._consider()

    # --- what is shown ----------------------------------------------------------------------------------------------------------

    def on_show(self) -> None:
        self._seen = True
        self._paint()
        self._consider()

    def on_hide(self) -> None:
        self._seen = False

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint)

    def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        message.stop()
        self.select_tab(message.tab)

    def _tick(self) -> None:
        if self._seen:
            self._consider()
            if self._tab in ("why", "health", "processes") or self._trouble or self._lost or self._starting():
                self._paint()

    def _starting(self) -> bool:
        return self._tab == "timeline" and any(view.state.value in GOING_ON for view in self._services.values())

    def _paint_soon(self) -> None:
        if self._seen and not self._painting:
            self._painting = True
            self.set_timer(REDRAW, self._paint)

    def _paint(self) -> None:
        self._painting = False
        width = self._page.content_size.width
        if not self._seen or width <= 0:
            return
        held = self._page.text_selection is not None
        self._bar.put(self._tab, clean(self._name or "", 100), self._note(held))
        if held:
            return
        question = (self._tab, self._name or "")
        page = self._write(width)
        if self._drawn is None or self._drawn[0] != question or not self._drawn[1].is_same(page):
            # As many lines as before need no new layout of the screen, which costs more than all the rest.
            same_height = self._drawn is not None and page.plain.count("\n") == self.text.count("\n")
            self._drawn = (question, page)
            self._page.update(page, layout=not same_height)

    def _note(self, held: bool) -> str:
        if held:
            return "held while text is selected"
        question = self._question()
        answer = self._answers.get(question)
        if not (self._trouble or self._lost) or answer is None:
            return "no connection" if self._lost else ""
        return f"as of {seconds(float(int(time.monotonic() - answer.at)))} ago"

    def _write(self, width: int) -> Content:
        question = self._question()
        answer = self._answers.get(question)
        if question is None and self._name is None:
            return _sentence("Select a service to see its details; the timeline and the events are of the whole stack.", width)
        if question is not None and answer is None:
            return _sentence(self._trouble or self._lost or "asking…", width)
        view = self._services.get(self._name or "")
        value = answer.value if answer is not None else None
        recent = self._recent.newest_first()
        return Book(value, self._name, view, self._services, recent, self._all_events, self._age()).page(self._tab, width)

    def _age(self) -> float | None:
        """Seconds since the run began, by the clock on the wall."""
        return None if self._snapshot is None or self._lost else max(0.0, time.time() - timestamp(self._snapshot.started_at))


def _looks(services: Mapping[str, View]) -> list[tuple[object, ...]]:
    """What a page shows of a status and does not ask for; what else is new is painted with the next tick."""
    return [(name, view.state, view.reason, view.pid, view.depends_on) for name, view in services.items()]


def _sentence(text: str, width: int) -> Content:
    paper = Paper(width)
    for line in text.splitlines():
        paper.note(clean(line))
    return paper.content()
