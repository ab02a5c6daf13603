"""What is in memory of the logs, and the ways on from there: newer lines as they come, older ones from the files."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from devctl.dashboard.background import in_thread
from devctl.dashboard.logfeed import LogFeed, Sources, Start
from devctl.dashboard.loghistory import Edge, Older, start_after
from devctl.dashboard.logmodel import LogModel
from devctl.errors import DevctlError
from devctl.logs.record import Record

TAIL = 5_000  # lines of history that are shown at first
PAGE = 5_000  # lines that are read from the files at once
SEARCH_PAGE = 20_000
PATIENCE = 2.0  # seconds to wait for lines that the files should have
PAUSE = 0.01  # seconds between two looks while waiting; the feed is a thread and has no event for the loop


class LogReader:
    """Keeps a model supplied.

    Args:
        sources: the services and their files.
        changed: called when lines were added.
        trouble: told, in words, what cannot be read.
    """

    def __init__(
        self, sources: Sources, model: LogModel, *, changed: Callable[[], None], trouble: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._sources = sources
        self._model = model
        self._changed = changed
        self._trouble = trouble
        self._feed: LogFeed | None = None
        self._older: Older | None = None
        # Pages are read one after the other: two readers of one place would each get half.
        self._reading = asyncio.Lock()

    # --- the end ----------------------------------------------------------------------------------------------------------------

    @property
    def detached(self) -> bool:
        """Whether lines behind the last one in memory are in the files and are not read: the memory is somewhere else."""
        return self._feed is None

    @property
    def waiting(self) -> int:
        """How many lines can be taken now."""
        return 0 if self._feed is None else self._feed.waiting

    @property
    def more(self) -> bool:
        """Whether the files hold more than what waits."""
        return self._feed is None or self._feed.full

    @property
    def trouble(self) -> str:
        """Why the files cannot be read; "" when they can."""
        return "" if self._feed is None else self._feed.trouble

    def open(self, start: Start) -> None:
        """Forgets what is in memory and reads from another place on."""
        self._model.reset()
        self._older = None
        self._follow(start)

    def close(self) -> None:
        """Reads no further. Does not wait for a read that hangs."""
        feed, self._feed = self._feed, None
        if feed is not None:
            threading.Thread(target=feed.stop, daemon=True, name="log-feed-stop").start()

    def take(self, limit: int) -> int:
        """Puts lines that wait into the memory, at most `limit`; how many."""
        if self._reading.locked():
            # What is being read belongs before the first line in memory, so that one has to stay until then.
            limit = min(limit, self._model.room)
        records = [] if self._feed is None or limit <= 0 else self._feed.take(limit)
        if records and self._model.append(records):
            # The first lines had to go: what is before those that are left is to be found anew.
            self._older = None
        return len(records)

    def _follow(self, start: Start) -> None:
        self.close()
        self._feed = LogFeed(self._sources, start)
        self._feed.start()

    async def more_lines(self, limit: int = SEARCH_PAGE) -> bool:
        """Puts the next lines into the memory, waiting for them when the files have some; whether there were any."""
        deadline = time.monotonic() + PATIENCE
        end = self._model.end
        while (feed := self._feed) is not None and time.monotonic() < deadline:
            # Whoever paints may have taken them first.
            if self.take(limit) or self._model.end > end:
                return True
            if feed.caught_up:
                break
            await asyncio.sleep(PAUSE)
        return False

    async def load_newer(self) -> None:
        """Goes on behind the last line in memory."""
        async with self._reading:
            if self._feed is not None:
                return
            edge = Edge(self._model.backward(), self._names())
            try:
                start = await in_thread(lambda: start_after(self._sources, edge))
            except (DevctlError, OSError) as error:
                self._trouble(str(error))
                return
            if self._feed is None:
                self._follow(start)

    # --- the beginning ----------------------------------------------------------------------------------------------------------

    @property
    def at_start(self) -> bool:
        """Whether nothing is before the first line in memory."""
        return self._older is not None and self._older.at_start

    async def load_older(self, count: int = PAGE) -> bool:
        """Reads lines before those in memory; whether there were any."""
        async with self._reading:
            return await self._load_older(count)

    async def go_home(self) -> bool:
        """Gets the first lines of the files; False when they were in memory already or are only a page away."""
        async with self._reading:
            if not await self._load_older(PAGE) or self.at_start:
                return False
            # There is more than a page: rather read on from the first line than all of it backwards.
            self.open(Start(tail=None))
            self._older = Older.nothing()
            await self.more_lines()
            return True

    async def _load_older(self, count: int) -> bool:
        if self.at_start or not (self._model.held or await self._first_lines()):
            return False
        older = self._older
        if older is None:
            edge = Edge(self._model.forward(), self._names())
            if edge.time is None:
                edge.time = time.time_ns()
            older = self._older = Older(self._sources, edge)
        records = None
        try:
            records = await in_thread(lambda: older.page(count))
        except (DevctlError, OSError) as error:
            self._trouble(str(error))
        finally:
            if records is None and older is self._older:
                # It failed, or nobody waits any more for the page that the thread still reads: to be found anew.
                self._older = None
        # It may have been opened elsewhere since.
        if records is None or older is not self._older:
            return False
        if self._model.prepend(records):
            # The newest lines had to go: they are read again when somebody comes back to them.
            self.close()
        self._changed()
        return bool(records)

    async def _first_lines(self) -> bool:
        """Waits for what a feed that has just begun will give, which is not to be read twice; False: opened elsewhere meanwhile."""
        feed = self._feed
        if await self.more_lines():
            self._changed()
        return feed is self._feed

    def _names(self) -> list[str]:
        return [name for name, _ in self._sources()]

    # --- far away ---------------------------------------------------------------------------------------------------------------

    async def find(self, wanted: Callable[[Record], bool], start: int, step: int, searching: Callable[[], None]) -> int | None:
        """The index of the nearest shown line that is wanted, in memory, else in the files; None when there is none.

        Args:
            start: the index to begin at.
            step: 1 looks downwards, -1 upwards.
            searching: called when it has to look into the files.
        """
        while (found := self._model.find(start, step, wanted)) is None:
            if step < 0:
                number = self._model.first
                searching()
                if not await self.load_older(SEARCH_PAGE):
                    return None
                start = self._model.index_of(number) - 1
            else:
                number = self._model.end
                await self.load_newer()
                # Whoever paints may have taken them first.
                if not await self.more_lines() and self._model.end == number:
                    return None
                self._changed()
                start = self._model.index_of(number)
        return found
