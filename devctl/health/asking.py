"""Probes that ask: by the start-up cadence until the first success, then at the check's interval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from devctl.health.cadence import LONGEST_GAP, StartCadence, next_on_grid, together
from devctl.health.result import Checker, ProbeResult
from devctl.plan import ExecProbe, HealthCheck

SHORTEST_INTERVAL = 0.01  # seconds: an interval of 0 would be a busy loop


class Asker:
    """Asks with `checker`, one probe at a time, and reports every answer."""

    starting: ClassVar[int] = 0  # how many of this process are before their first success: they share the load they may cause

    def __init__(self, check: HealthCheck, checker: Checker, report: Callable[[ProbeResult], None]) -> None:
        self._check = check
        self._checker = checker
        self._report = report
        self._cadence: StartCadence | None = None
        self._last = (0.0, 0.0)
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        interval = max(self._check.interval, SHORTEST_INTERVAL)
        scheduled = await self._until_ready()
        while True:
            scheduled = next_on_grid(scheduled, interval, loop.time())
            await self._sleep_until(together(scheduled, interval))
            await self._ask()

    def nudge(self) -> None:
        """Something hints that the service may be ready: asks very soon unless it is known to be."""
        if self._cadence is None:
            return
        now = asyncio.get_running_loop().time()
        self._cadence.nudge(now)
        if self._timer is not None and (due := self._due(now)) < self._timer.when():
            self._set_timer(due)

    def feed(self, block: bytes, stream: str) -> None:
        """Output is a hint."""
        self.nudge()

    def notify(self, message: bytes) -> None:
        """Messages mean nothing but to a notify probe."""

    async def _until_ready(self) -> float:
        """Returns when the successful probe began."""
        loop = asyncio.get_running_loop()
        self._cadence = self._start_cadence(loop.time())
        Asker.starting += 1
        try:
            while not await self._ask():
                await self._sleep_until(self._due(loop.time()))
        finally:
            Asker.starting -= 1
            self._cadence = None
        return self._last[0]

    def _start_cadence(self, now: float) -> StartCadence:
        if isinstance(self._check.probe, ExecProbe):
            # A command costs a process: it may take a third of the time, and wait longer than 100 ms for that.
            ceiling = max(self._check.interval, LONGEST_GAP)
            return StartCadence(now, self._check.start_interval, busy_share=2.0, ceiling=ceiling)
        return StartCadence(now, self._check.start_interval)

    def _due(self, now: float) -> float:
        assert self._cadence is not None
        return self._cadence.after(*self._last, now, Asker.starting)

    async def _ask(self) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await self._checker.check(self._check.timeout)
        self._last = (began, loop.time())
        if result.ok:
            self._cadence = None  # from here on hints are ignored
        self._report(result)
        await self._checker.settle()
        return result.ok

    async def _sleep_until(self, when: float) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self._set_timer(when)
        try:
            await self._waiter
        finally:
            assert self._timer is not None
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
