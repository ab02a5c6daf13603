"""The pages by the name of their tab."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from textual.content import Content

from devctl.dashboard.pages import depends, environment, events, health, processes, timeline, why
from devctl.dashboard.pages.paper import BAD, Paper
from devctl.dashboard.pages.view import View

TABS = ("why", "timeline", "events", "health", "environment", "processes", "depends")
# Lines of the events' page; the file has the rest.
SHOWN_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Book:
    """What the pages are written from.

    Attributes:
        answer: the supervisor's, to the question of the page.
        name: the service; None for the stack.
        view: its status; None when there is none.
        recent: the stack's events, newest first.
        all_events: whether the events of all services are wanted.
        age: seconds since the run began; None when not known.
    """

    answer: Any
    name: str | None
    view: View | None
    services: Mapping[str, View]
    recent: Iterable[Mapping[str, Any]]
    all_events: bool
    age: float | None

    def page(self, tab: str, width: int) -> Content:
        """A page, `width` cells wide. An answer of another shape, as of another version, becomes a sentence."""
        try:
            return self._page(tab, width)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            paper = Paper(width)
            paper.line(("The supervisor's answer cannot be read: ", BAD), f"{type(error).__name__}: {error}")
            paper.note("It may be of another version: `devctl down`, then `devctl up`.")
            return paper.content()

    def _page(self, tab: str, width: int) -> Content:
        match tab:
            case "why":
                return why.page(self.answer, width, self.view)
            case "timeline":
                return timeline.page(self.answer, width, now=self.age, selected=self.name)
            case "events":
                service = None if self.all_events else self.name
                mine = (event for event in self.recent if service is None or event["service"] == service)
                return events.page(list(islice(mine, SHOWN_EVENTS)), width, service=service, choice=self.name)
            case "health":
                return health.page(self.answer, width, state=self.view.state.value if self.view else "")
            case "environment":
                return environment.page(self.answer, width)
            case "processes":
                return processes.page(self.answer, width)
            case _:
                return depends.page(self.services, self.name or "", width)
