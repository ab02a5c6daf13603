"""Calls that wait for a person's yes."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stack.common.errors import ApiError

EXPIRES_AFTER = 120.0
"""Seconds in which somebody must answer. Who comes back later should look again at what they allow."""

# Beyond these the oldest is forgotten, as if it had expired; nobody answers so many.
_MOST = 200
_MOST_OF_SESSION = 10


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A call that is not made before somebody allows it.

    Attributes:
        call_id: what to answer with; cannot be guessed.
        tool: its whole name, `devctl.restart`.
        text: what would happen, for people.
        session_id: the conversation that it came up in, if any.
        expires_in: seconds from when it was asked for.
    """

    call_id: str
    tool: str
    arguments: dict[str, Any]
    text: str
    session_id: str | None
    expires_in: float = EXPIRES_AFTER

    def json(self) -> dict[str, Any]:
        """For the page; the conversation knows who it is."""
        return {
            "call_id": self.call_id,
            "tool": self.tool,
            "arguments": self.arguments,
            "text": self.text,
            "expires_in": self.expires_in,
        }


@dataclass(slots=True)
class _Entry:
    confirmation: Confirmation
    expires_at: float
    status: str = "pending"


class Confirmations:
    """The calls that wait, and what became of the last ones.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def ask(self, tool: str, arguments: dict[str, Any], text: str, session_id: str | None) -> Confirmation:
        """Let a call wait."""
        made = Confirmation(secrets.token_urlsafe(16), tool, arguments, text, session_id)
        same = [each for each, entry in self._entries.items() if session_id and entry.confirmation.session_id == session_id]
        for call_id in same[: max(0, len(same) - _MOST_OF_SESSION + 1)]:
            del self._entries[call_id]
        while len(self._entries) >= _MOST:
            self._entries.popitem(last=False)
        self._entries[made.call_id] = _Entry(made, self._clock() + made.expires_in)
        return made

    def take(self, call_id: str, allow: bool, session_id: str | None) -> Confirmation:
        """Answer a call that waits. It can be answered once.

        Args:
            session_id: the conversation that the answer comes from; None when it comes from outside of one.

        Raises:
            ApiError: 404 when it is unknown or another conversation's, 409 when it is answered already, 410 when it ran out.
        """
        entry = self._find(call_id, session_id)
        status = self._status(entry)
        if status == "expired":
            raise ApiError(410, "confirmation_expired", "The time to confirm this is over; ask for it again.")
        if status != "pending":
            raise ApiError(409, "already_answered", f"This was answered already: {status}.")
        entry.status = "allowed" if allow else "denied"
        return entry.confirmation

    def look(self, call_id: str) -> dict[str, Any]:
        """A call and its `status`: pending, allowed, denied or expired. Raises ApiError 404."""
        entry = self._find(call_id, None)
        status = self._status(entry)
        left = max(0.0, entry.expires_at - self._clock()) if status == "pending" else 0.0
        return {**entry.confirmation.json(), "status": status, "expires_in": round(left, 1)}

    def pending(self) -> int:
        """How many wait."""
        return sum(self._status(entry) == "pending" for entry in self._entries.values())

    def _find(self, call_id: str, session_id: str | None) -> _Entry:
        entry = self._entries.get(call_id)
        if entry is None or (session_id is not None and entry.confirmation.session_id not in (None, session_id)):
            raise ApiError(404, "unknown_confirmation", "There is no such call to confirm, or it is long over.")
        return entry

    def _status(self, entry: _Entry) -> str:
        return "expired" if entry.status == "pending" and self._clock() >= entry.expires_at else entry.status
