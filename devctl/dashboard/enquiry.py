"""What the detail pane asks the supervisor, and the answers it keeps."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from devctl.dashboard.pages import environment

ANSWERS = 64  # answers that are kept, for coming back to a tab or service without an empty moment
EVENTS = 5000  # what the supervisor remembers too

# What an answer is about that was given before the connection was lost: nothing that we know of.
UNKNOWN = object()

Question = tuple[str, str]
"""(tab, service); "" for the stack."""


class Asker(Protocol):
    """Whom to ask, which is the link. Every method raises DevctlError."""

    async def why(self, name: str) -> dict[str, Any]: ...
    async def timeline(self) -> list[dict[str, Any]]: ...
    async def events(self, after: int) -> list[dict[str, Any]]: ...
    async def health_history(self, name: str) -> dict[str, Any]: ...
    async def environment(self, name: str) -> dict[str, Any]: ...
    async def processes(self, name: str) -> dict[str, Any]: ...


@dataclass(slots=True)
class Answer:
    """What was said, when (monotonic seconds), and about which state of things."""

    value: Any
    at: float
    about: object


class Answers:
    """The last answers by their questions."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Question, Answer] = OrderedDict()

    def get(self, question: Question | None) -> Answer | None:
        """None when there is none, or nothing was asked."""
        return None if question is None else self._kept.get(question)

    def keep(self, question: Question, answer: Answer) -> None:
        """Takes an answer; beyond `ANSWERS` the oldest one goes."""
        self._kept[question] = answer
        self._kept.move_to_end(question)
        while len(self._kept) > ANSWERS:
            self._kept.popitem(last=False)

    def is_good(self, question: Question, about: object, period: float | None, now: float) -> bool:
        """Whether the answer still says how things are.

        Args:
            about: how things are, as far as is known.
            period: seconds after which it is old in any case; None for never.
            now: monotonic seconds.
        """
        answer = self._kept.get(question)
        return answer is not None and answer.about == about and (period is None or now - answer.at < period)

    def doubt(self) -> None:
        """Something may have changed unseen: all are old, and still better than nothing."""
        for answer in self._kept.values():
            answer.about = UNKNOWN

    def forget(self, question: Question | None = None) -> None:
        """Drops one; without a question all."""
        if question is None:
            self._kept.clear()
        else:
            self._kept.pop(question, None)


class Recent:
    """The stack's recent events: those that were asked for and those that came since. Collects nothing before it is asked."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] | None = None

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """All of them."""
        return reversed(self._events or ())

    def add(self, event: dict[str, Any]) -> bool:
        """Takes an event as it happens; whether it is kept."""
        if self._events is None or (self._events and event["id"] <= self._events[-1]["id"]):
            return False
        self._events.append(event)
        return True

    def open(self) -> None:
        """From now on events are kept, as the answer with the older ones is on its way."""
        if self._events is None:
            self._events = deque(maxlen=EVENTS)

    def fill(self, heard: list[dict[str, Any]]) -> None:
        """Takes the answer; what came meanwhile stays."""
        last = heard[-1]["id"] if heard else 0
        self._events = deque([*heard, *(event for event in self._events or () if event["id"] > last)], EVENTS)

    def clear(self) -> None:
        """Forgets all."""
        self._events = None


async def ask(asker: Asker, question: Question, recent: Recent) -> Any:
    """The answer to a question. Events go to `recent` instead. Raises DevctlError."""
    tab, name = question
    match tab:
        case "why":
            return await asker.why(name)
        case "timeline":
            return await asker.timeline()
        case "events":
            recent.open()
            recent.fill(await asker.events(0))
            return None
        case "health":
            return await asker.health_history(name)
        case "environment":
            # Masked before it is kept anywhere.
            return environment.masked(await asker.environment(name))
        case _:
            return await asker.processes(name)
