"""The supervisor's events for any number of listeners, without a queue for any of them.

Listeners read the supervisor's bounded history from where they are, and are woken when it grows. One that is slow finds more to
read, or a gap it is told about; it never makes anything grow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from devctl.control.interface import Supervisor
from devctl.model import Event

logger = logging.getLogger("devctl.control")

BATCH = 64  # events a listener is given at once: at some 300 bytes each about what fits a transport's write buffer


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a listener wants; an empty set means all of them."""

    services: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    def accepts(self, event: Event) -> bool:
        """Whether `event` is wanted. Events of the whole stack have no service, so a service filter leaves them out; gaps pass."""
        if event.type == "gap":
            return True
        return (not self.services or event.service in self.services) and (not self.types or event.type in self.types)


def gap(after: int, resumed: Event) -> Event:
    """Stands for the events between id `after` and `resumed` that are no longer in memory; events.jsonl still has them."""
    data = {"after": after, "resumes_at": resumed.id}
    return Event(id=resumed.id - 1, time=resumed.time, run_id=resumed.run_id, type="gap", data=data)


class EventFeed:
    """Follows one supervisor's events; create it on the running loop, and `close` it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._grown = asyncio.Event()
        self._over = False
        self._follower = asyncio.create_task(self._follow(), name="control events")

    @property
    def over(self) -> bool:
        """True when no event will come any more."""
        return self._over

    def newest(self) -> int:
        """The id of the last event so far, 0 before the first."""
        events = self._supervisor.events(0)
        return events[-1].id if events else 0

    async def batches(self, after: int, heartbeat: float) -> AsyncGenerator[list[Event], None]:
        """The events after an id, then the coming ones, in lists of at most `BATCH`, until the feed is over.

        Where the history no longer reaches back to the cursor, an event of type "gap" comes first.

        Args:
            after: an id; one from the future (the log directory was removed, ids began anew) starts from the beginning.
            heartbeat: after so many seconds without an event an empty list is given, so that the listener can show life.
        """
        unknown = after > self.newest()
        cursor = 0 if unknown else after
        while True:
            # Taken before the history is read: an event that comes in between sets this very one.
            grown, over = self._grown, self._over
            events = self._supervisor.events(cursor)
            if events and (unknown or (cursor and events[0].id > cursor + 1)):
                yield [gap(after, events[0]) if unknown else gap(cursor, events[0])]
                unknown = False
            for start in range(0, len(events), BATCH):
                batch = events[start : start + BATCH]
                cursor = batch[-1].id
                yield [*batch]
            if events:
                continue
            if over:
                return
            try:
                async with asyncio.timeout(heartbeat):
                    await grown.wait()
            except TimeoutError:
                yield []

    async def close(self) -> None:
        """Lets every listener read what is there and then end."""
        self._follower.cancel()
        await asyncio.wait({self._follower})

    async def _follow(self) -> None:
        try:
            async for _ in self._supervisor.follow_events(None):
                self._wake()
        except Exception:
            # The API goes on without live events; the traceback is in the supervisor's log.
            logger.exception("the event feed ended")
        finally:
            self._over = True
            self._wake()

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
