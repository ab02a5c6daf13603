"""The agents, one small module each. A new one answers `Agent` and is named in `router/app.py`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
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
        summary: of what was said before that; empty while the conversation is short.
        session_id: names the conversation.
    """

    message: str
    intent: str
    history: tuple[Turn, ...] = ()
    summary: str = ""
    session_id: str = ""


class Agent(Protocol):
    """Answers the messages of the intents that begin with its name."""

    name: str

    def stream(self, question: Question) -> AsyncGenerator[str, None]:
        """The reply, piece by piece as it comes: plain text with Markdown's conventions.

        Raises:
            ApiError: there is no reply, and this is what to say.
        """
