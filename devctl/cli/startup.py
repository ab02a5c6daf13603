"""`up -d`: waits until a started stack is ready, showing what it waits for."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from devctl.cli.inbox import EventsEnded, Finished, Happened, Inbox, Signalled
from devctl.cli.live import FRAME, LiveArea
from devctl.cli.progress import BAD, WELL, Progress
from devctl.cli.style import Style, cells, pad
from devctl.errors import ControlError
from devctl.wording import describe

LIVE_LINES = 20
ASK = 0.5  # seconds between two looks at how checks fail, while live lines show it


class Outcome(Enum):
    """How the waiting ended."""

    STARTED = "everything is up, has ended, or is broken"
    TIMEOUT = "time is up"
    INTERRUPTED = "the user has had enough"


class Startup:
    """Follows a start on stderr: live lines on a terminal, else a line for each change.

    Args:
        progress: knows the services already.
        timeout: seconds.
        status: asks for the stack's status; called in a thread.
        quiet: print nothing.
    """

    def __init__(self, progress: Progress, timeout: float, status: Callable[[], dict[str, Any]], *, quiet: bool = False) -> None:
        self.progress = progress
        self._ask_status = status
        self._next_ask = time.monotonic() + ASK
        self.style = Style(sys.stderr)
        self.inbox = Inbox()
        self._deadline = time.monotonic() + timeout
        self._quiet = quiet
        self._area = LiveArea(sys.stderr) if self.style.terminal and not quiet else None
        self._width = max((cells(name) for name in progress.services), default=0)

    def wait(self, events: Iterable[dict[str, Any]]) -> Outcome:
        """Returns when it is decided. Raises ControlError when the supervisor ends meanwhile."""
        self.inbox.catch(signal.SIGINT, signal.SIGTERM)
        self.inbox.events(events)
        try:
            while not self.progress.started():
                left = self._deadline - time.monotonic()
                if left <= 0:
                    return Outcome.TIMEOUT
                self._draw()
                message = self.inbox.receive(min(left, FRAME) if self._area is not None else left)
                if isinstance(message, Signalled):
                    return Outcome.INTERRUPTED
                if isinstance(message, EventsEnded):
                    raise message.error or ControlError("the stack was stopped while it started", "devctl events tells by whom")
                if isinstance(message, Happened):
                    self._take(message.event)
                elif isinstance(message, Finished):
                    self._next_ask = time.monotonic() + ASK
                    if message.error is None:
                        self.progress.refine(message.result)
        finally:
            if self._area is not None:
                self._area.clear()
        return Outcome.STARTED

    def _draw(self) -> None:
        if self._area is None:
            return
        room = max(1, min(LIVE_LINES, self._area.dimensions()[1] - 2))
        self._area.show(self.progress.lines(self.style, room))
        if time.monotonic() > self._next_ask:
            self._next_ask = float("inf")  # until the answer is there
            self.inbox.work("status", self._ask_status)

    def _take(self, event: dict[str, Any]) -> None:
        self.progress.apply(event)
        if self._quiet or event["type"] != "service_state":
            return
        name, state = event["service"], event["state"]
        text = describe(event, self.progress.services[name].took if state in WELL else None)
        if self._area is None:
            print(f"{pad(name, self._width)}  {text}", file=sys.stderr, flush=True)
        elif state in WELL | BAD:
            self._area.write(f"{pad(name, self._width)}  {self.style.state(state)}{text.removeprefix(state)}\n")
