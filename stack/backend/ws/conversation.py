"""A conversation as its clients see it: numbered messages, remembered for those who come back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from stack.backend.ws.connection import Connection

# Characters of messages kept for clients that come back. A long answer in small pieces has half as much.
_KEPT = 256 * 1024

MODES = ("assistant", "direct")
"""Who answers: the router's agents, or a model directly."""


class Conversation:
    """One account's conversation. It outlives its connections, so that an answer under way goes on without them.

    Args:
        session_id: what the client calls it.
        key: what the router calls it: the same for one account only.
        user: as people call the account.

    Attributes:
        answering: the answer under way.
    """

    def __init__(self, session_id: str, key: str, user: str) -> None:
        self.session_id = session_id
        self.key = key
        self.user = user
        self.mode = MODES[0]
        self.message_count = 0
        self.connected_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.answering: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._last_id = 0
        self._kept: deque[tuple[int, str, str]] = deque()  # number, type, text
        self._lost = 0  # the last one that there was no room for
        self._size = 0
        self._idle_since = time.monotonic()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Who is connected: one for each open page."""
        return tuple(self._connections)

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self.answering is not None and not self.answering.done()

    def idle_seconds(self) -> float:
        """Seconds since the last connection or answer ended; 0 while there is one."""
        return 0.0 if self._connections or self.busy else time.monotonic() - self._idle_since

    def join(self, connection: Connection) -> None:
        """A client comes, or comes back: it is told where the conversation stands."""
        resumed = bool(self._last_id)
        self._connections.add(connection)
        connection.send(
            self._text(
                None,
                "connected",
                {
                    "user": self.user,
                    "mode": self.mode,
                    "connected_at": self.connected_at,
                    "message_count": self.message_count,
                    "resumed": resumed,
                    "last_id": self._last_id,
                },
            )
        )

    def leave(self, connection: Connection) -> None:
        """A client is gone."""
        self._connections.discard(connection)
        self._idle_since = time.monotonic()

    def publish(self, what: str, /, **fields: Any) -> None:
        """Sends a message to every client, and keeps it for those who come back."""
        self._last_id += 1
        text = self._text(self._last_id, what, fields)
        if what == "stream_start":
            self._forget_pieces()
        self._kept.append((self._last_id, what, text))
        self._size += len(text)
        while self._size > _KEPT and len(self._kept) > 1:
            self._lost, _, gone = self._kept.popleft()
            self._size -= len(gone)
        for connection in self.connections:
            connection.send(text)

    def tell(self, connection: Connection, what: str, /, **fields: Any) -> None:
        """Sends a message to one client; nobody else hears of it, now or later."""
        connection.send(self._text(None, what, fields))

    def replay(self, connection: Connection, after: int) -> None:
        """Sends one client what came after message `after`, or says that some of it is lost."""
        if not self._lost <= after <= self._last_id:
            self.tell(connection, "system", kind="gap", text="Some of the conversation could not be sent again.")
        for number, _, text in tuple(self._kept):
            if number > after or after > self._last_id:
                connection.send(text)

    def forget(self) -> None:
        """Forgets what was said, for those who come back. Who is connected stays."""
        self._kept.clear()
        self._size = 0
        self._lost = self._last_id
        self.message_count = 0

    def _forget_pieces(self) -> None:
        """The pieces of earlier answers go when the next one begins: the message at an answer's end has the whole of it."""
        self._kept = deque(kept for kept in self._kept if kept[1] != "stream_chunk")
        self._size = sum(len(text) for _, _, text in self._kept)

    def idle(self) -> None:
        """Notes that an answer has ended."""
        self._idle_since = time.monotonic()

    def _text(self, number: int | None, what: str, fields: dict[str, Any]) -> str:
        identity = {} if number is None else {"id": number}
        text = json.dumps({"type": what, **identity, "session_id": self.session_id, **fields}, ensure_ascii=False)
        # Half a character, as JSON escapes can write it, cannot be sent, and the connection would end there each time.
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
