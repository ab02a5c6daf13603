"""What happens in the backend, for whoever listens: a bounded memory of events, and listeners that cannot hold it up."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Events kept for listeners that come back. A change of health or an answer makes one: this is about an hour's worth.
_KEPT = 500

# Events that wait for one listener; with more it is told to come back, and gets them from memory.
_WAITING = 200


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        id: `<run>-<number>`; numbers grow by one within a run of the backend.
        kind: such as `services`, `ai`, `queue`.
        account_id: whom it concerns; None for everybody.
    """

    id: str
    kind: str
    data: dict[str, Any]
    account_id: str | None = None

    def concerns(self, account_id: str) -> bool:
        """Whether an account may see it."""
        return self.account_id is None or self.account_id == account_id


class Listener:
    """Where one listener's events wait. None at the end: it was too slow, its sign-in has ended, or the service stops.

    Args:
        sign_in: whose stream it is; None for another service's.
    """

    def __init__(self, sign_in: str | None = None) -> None:
        # One place more than events may wait: the end must fit without pushing out an event that nobody would send again.
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(_WAITING + 1)
        self.sign_in = sign_in
        self.ended = False

    def put(self, event: Event) -> None:
        """Adds an event, or ends the listener when too many wait."""
        if not self.ended:
            if self._queue.qsize() < _WAITING:
                self._queue.put_nowait(event)
            else:
                self.end()

    def end(self) -> None:
        """No further events; what waits is still handed out."""
        if not self.ended:
            self.ended = True
            self._queue.put_nowait(None)

    async def next(self, timeout: float) -> Event | None:
        """The next event, None at the end. Raises TimeoutError after `timeout` seconds without one."""
        async with asyncio.timeout(timeout):
            return await self._queue.get()


class EventBus:
    """A component: takes events and gives them to listeners."""

    name = "events"

    def __init__(self) -> None:
        # Numbers begin anew with each run, so an id from another one must not look like one of this.
        self._run = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._latest: dict[str, Event] = {}
        self._listeners: set[Listener] = set()

    async def start(self) -> None:
        """Nothing is needed."""

    async def stop(self) -> None:
        """Ends all listeners."""
        self.close()

    def state(self) -> dict[str, Any]:
        """For the health answer."""
        return {"status": "ok", "detail": f"{self.listeners} listen", "listeners": self.listeners}

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def publish(self, kind: str, data: dict[str, Any], account_id: str | None = None) -> Event:
        """Tells everybody, or one account. Never waits."""
        self._number += 1
        event = Event(f"{self._run}-{self._number}", kind, data, account_id)
        self._kept.append(event)
        self._latest[kind] = event
        for listener in tuple(self._listeners):
            listener.put(event)
        return event

    def latest(self, kind: str) -> Event | None:
        """The last event of a kind."""
        return self._latest.get(kind)

    @contextmanager
    def listen(self, after: str | None = None, sign_in: str | None = None) -> Iterator[tuple[Listener, tuple[Event, ...] | None]]:
        """A listener for the block's length, and the events since id `after`: None when they cannot be told any more."""
        listener = Listener(sign_in)
        self._listeners.add(listener)
        try:
            yield listener, self._since(after)
        finally:
            self._listeners.discard(listener)

    def revoked(self, sign_in: str) -> None:
        """A sign-in has ended: so do its listeners."""
        for listener in tuple(self._listeners):
            if listener.sign_in == sign_in:
                listener.end()

    def close(self) -> None:
        """Ends all listeners."""
        for listener in tuple(self._listeners):
            listener.end()

    def _since(self, after: str | None) -> tuple[Event, ...] | None:
        if not after:
            return ()
        run, _, text = after.partition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else -1
        oldest = self._number - len(self._kept)
        if run != self._run or not oldest <= number <= self._number:
            return None
        return tuple(self._kept)[number - oldest :]
