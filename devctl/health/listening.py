"""Probes that are told: they wait for an event and poll nothing, before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from devctl.health.log import LogWatcher
from devctl.health.notify import NotifyWatcher
from devctl.health.result import ProbeResult
from devctl.plan import LogProbe

SILENCE = 0.2  # seconds after which an unfinished line of output is looked at as it is: a prompt
STATUS_PAUSE = 0.1  # seconds that a new STATUS= may wait: a service that floods us with them is not reported at that rate


class Listener:
    """Reports what `watcher` knows: at the start, and whenever there is something new."""

    def __init__(self, watcher: LogWatcher | NotifyWatcher, report: Callable[[ProbeResult], None]) -> None:
        self._watcher = watcher
        self._report = report
        self._told = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while True:
                self._told.clear()
                self._report(ProbeResult(self._watcher.ready, self._watcher.detail(), loop.time() - began))
                await self._told.wait()
        finally:
            if self._later is not None:
                self._later.cancel()

    def nudge(self) -> None:
        """Means nothing here."""

    def feed(self, block: bytes, stream: str) -> None:
        """Output means nothing but to a log probe."""

    def notify(self, message: bytes) -> None:
        """Messages mean nothing but to a notify probe."""


class LogListener(Listener):
    """The log probe. Raises re.error when its pattern is none."""

    def __init__(self, probe: LogProbe, report: Callable[[ProbeResult], None]) -> None:
        self._log = LogWatcher(probe)
        self._fed_since = False
        super().__init__(self._log, report)

    def feed(self, block: bytes, stream: str) -> None:
        if self._log.ready:
            return
        self._fed_since = True
        if self._log.feed(block, stream):
            self._told.set()
        if self._log.pending and self._later is None:
            self._listen_for_silence()

    def _listen_for_silence(self) -> None:
        # One timer that looks back, as moving it for every block would cost more than the blocks.
        self._fed_since = False
        self._later = asyncio.get_running_loop().call_later(SILENCE, self._silence)

    def _silence(self) -> None:
        self._later = None
        if self._fed_since:
            self._listen_for_silence()
        elif self._log.match_pending():
            self._told.set()


class NotifyListener(Listener):
    """The notify probe."""

    def __init__(self, report: Callable[[ProbeResult], None]) -> None:
        self._notify = NotifyWatcher()
        super().__init__(self._notify, report)

    def notify(self, message: bytes) -> None:
        was_ready = self._notify.ready
        if not self._notify.take(message):
            return
        if self._notify.ready and not was_ready:
            self._told.set()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(STATUS_PAUSE, self._tell)

    def _tell(self) -> None:
        self._later = None
        self._told.set()
