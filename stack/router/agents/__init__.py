"""The agents, one small module each. A new one answers `Agent` and is named in `router/app.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stack.router.sessions import Turn


@dataclass(frozen=True, slots=True)
class Question:
    """What an agent is asked.

    Attributes:
        message: what the user wrote.
        intent: what it was taken for, such as `ops.health`.
        history: what was said before, oldest first.
    """

    message: str
    intent: str
    history: tuple[Turn, ...] = ()


class Agent(Protocol):
    """Answers the messages of the intents that begin with its name."""

    name: str

    async def answer(self, question: Question) -> str:
        """The reply, as plain text with Markdown's conventions."""
