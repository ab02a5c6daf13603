"""One piece of work with several listeners: equal requests at the same time are sent once.

Every listener gets everything from the beginning. When the last one leaves, the work is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """Work under way.

    Args:
        work: yields what listeners get. It runs in a task of its own and is closed at the end.
    """

    def __init__(self, work: AsyncGenerator[T, None]) -> None:
        self._items: list[T] = []
        self._error: BaseException | None = None
        self._news = asyncio.Event()
        self._listeners = 0
        self._task = asyncio.create_task(self._fly(work))

    @property
    def over(self) -> bool:
        """Whether nobody can join any more."""
        return self._task.done() or self._task.cancelling() > 0

    async def listen(self) -> AsyncGenerator[T, None]:
        """What the work yields, from its beginning; raises what it raises. Must be closed when it is left early."""
        self._listeners += 1
        position = 0
        try:
            while True:
                news = self._news
                while position < len(self._items):
                    item = self._items[position]
                    position += 1
                    yield item
                if self._task.done() or self._error is not None:
                    break
                # What came while the listener was busy with the last item has set the event already.
                await news.wait()
            if self._error is not None:
                raise self._error
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._task.cancel()

    def when_over(self, act: Callable[[], None]) -> None:
        """Call `act` when the work has ended, however it did."""
        self._task.add_done_callback(lambda _: act())

    async def give_up(self) -> None:
        """End the work and wait for it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _fly(self, work: AsyncGenerator[T, None]) -> None:
        try:
            async with contextlib.aclosing(work) as items:
                async for item in items:
                    self._items.append(item)
                    self._wake()
        except asyncio.CancelledError:
            self._error = FlightEnded("the work was given up")
        except Exception as error:
            self._error = error
        finally:
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class FlightEnded(Exception):
    """The work was given up while somebody listened, as when the service stops."""
