"""Conversations and where they are kept.

A store of another kind implements `SessionStore` and is chosen in `app.py`; nothing else knows which is in use.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

TIME_TO_LIVE = 30 * 60.0
"""Seconds of inactivity after which a conversation is forgotten."""

# Summaries keep a conversation at some 10 KB, so 20 MB or so; a developer's machine has a handful of sessions.
MAX_SESSIONS = 2000


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation.

    Attributes:
        session_id: names it.
        history: its messages, oldest first, without those that are summarised.
        summary: what was worth keeping of older messages: some of their sentences, oldest first.
        length: how many messages it has had, the summarised ones included.
    """

    session_id: str
    history: tuple[Turn, ...] = ()
    summary: tuple[Turn, ...] = ()
    length: int = 0

    def with_turns(self, *turns: Turn) -> Session:
        """The session after further messages."""
        return replace(self, history=(*self.history, *turns), length=self.length + len(turns))


class SessionStore(Protocol):
    """Where sessions are kept. Sessions that ran out are as good as absent in every answer."""

    async def save(self, session: Session) -> None:
        """Keep the session, in place of one with the same id. Its time to live begins anew."""

    async def load(self, session_id: str) -> Session | None:
        """The session, or None. Its time to live begins anew."""

    async def delete(self, session_id: str) -> bool:
        """Forget the session. True when there was one."""

    async def exists(self, session_id: str) -> bool:
        """Whether there is such a session. Leaves its time to live as it is."""

    async def cleanup_expired(self) -> int:
        """Forget the sessions that ran out and return how many those were."""

    async def get_stats(self) -> dict[str, Any]:
        """`{"store", "sessions"}` for the health answer: its kind, and how many it holds."""

    async def ping(self) -> bool:
        """Whether the store can be used now."""


@dataclass(slots=True)
class _Entry:
    session: Session
    used: float


class MemorySessionStore:
    """Sessions in this process: gone when it ends.

    Args:
        time_to_live: seconds of inactivity.
        max_sessions: beyond this, the one unused for longest goes.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        time_to_live: float = TIME_TO_LIVE,
        max_sessions: int = MAX_SESSIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._time_to_live = time_to_live
        self._max_sessions = max_sessions
        self._clock = clock
        # Ordered by last use, so that what runs out next stands first.
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def save(self, session: Session) -> None:
        self._drop_expired()
        self._entries[session.session_id] = _Entry(session, self._clock())
        self._entries.move_to_end(session.session_id)
        while len(self._entries) > self._max_sessions:
            self._entries.popitem(last=False)

    async def load(self, session_id: str) -> Session | None:
        self._drop_expired()
        entry = self._entries.get(session_id)
        if entry is None:
            return None
        entry.used = self._clock()
        self._entries.move_to_end(session_id)
        return entry.session

    async def delete(self, session_id: str) -> bool:
        self._drop_expired()
        return self._entries.pop(session_id, None) is not None

    async def exists(self, session_id: str) -> bool:
        self._drop_expired()
        return session_id in self._entries

    async def cleanup_expired(self) -> int:
        return self._drop_expired()

    async def get_stats(self) -> dict[str, Any]:
        self._drop_expired()
        return {"store": "memory", "sessions": len(self._entries)}

    async def ping(self) -> bool:
        return True

    def peek(self, session_id: str) -> Session | None:
        """The session, or None. Leaves its time to live as it is."""
        self._drop_expired()
        entry = self._entries.get(session_id)
        return entry.session if entry else None

    def _drop_expired(self) -> int:
        dropped = 0
        limit = self._clock() - self._time_to_live
        while self._entries and next(iter(self._entries.values())).used <= limit:
            self._entries.popitem(last=False)
            dropped += 1
        return dropped
