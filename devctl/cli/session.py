"""A foreground `up`: prints what the services write and what becomes of them, and stops the stack when it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devctl.cli.inbox import EventsEnded, Finished, Happened, Inbox, ReaderGone, Signalled
from devctl.cli.live import FRAME, LiveArea, spinner
from devctl.cli.output import pipe_out
from devctl.cli.printer import Printer
from devctl.cli.progress import ENDED, WELL, Progress
from devctl.errors import DevctlError
from devctl.wording import describe, seconds

if TYPE_CHECKING:
    from devctl.logs.record import Record

INTERRUPTED = 130
HANG_UP = 129  # 128 + SIGHUP
# All services have ended: for so long, so that a restart, which passes through "stopped", does not end the session.
SETTLE = 0.3
ASK = 0.5  # seconds between two looks at how checks fail, while live lines show it
LIVE_LINES = 12  # more would push the log off a small terminal


@dataclass(frozen=True, slots=True)
class Rules:
    """When a foreground `up` ends by itself, besides when all services have ended.

    Attributes:
        oneshots: services that are meant to end; only their failure is an end for `abort_on_exit`.
    """

    abort_on_exit: bool = False
    abort_on_failure: bool = False
    exit_code_from: str | None = None
    oneshots: frozenset[str] = frozenset()

    def verdict(self, progress: Progress) -> str | None:
        """Why to stop now; None to go on."""
        for name in progress.named(ENDED):
            state = progress.services[name].state
            if name == self.exit_code_from:
                return f"{name} has ended"
            ended = self.abort_on_exit or self.exit_code_from is not None
            if ended and (state == "failed" or name not in self.oneshots):
                return f"{name} has ended"
            if self.abort_on_failure and state == "failed":
                return f"{name} has failed"
        return None


class Session:
    """One terminal that follows a stack.

    Args:
        printer: where everything goes.
        progress: what is known of the services so far.
        teardown: stops the stack and returns what to say about it, (sentence, exit status); with True: kills. Runs in a thread.
        status: asks for the stack's status; called in a thread.
        rules: when to stop by itself.
        started_at: when this command has started the stack, seconds since the epoch; None when it was running.
    """

    def __init__(
        self,
        printer: Printer,
        progress: Progress,
        *,
        teardown: Callable[[bool], tuple[str, int]],
        status: Callable[[], dict[str, Any]],
        rules: Rules,
        started_at: float | None,
    ) -> None:
        self.printer = printer
        self.progress = progress
        self.rules = rules
        self.inbox = Inbox()
        self._teardown = teardown
        self._ask_status = status
        self._next_ask = time.monotonic() + ASK
        self._announced = started_at is None
        self._began = started_at or 0.0
        self._all_ended_at: float | None = None
        self._stopping_since: float | None = None
        self._status: int | None = None
        self._forced = False
        self._torn = False
        self._silenced = False

    def run(self, events: Iterable[dict[str, Any]], logs: Callable[[int], Iterable[list[Record]]]) -> int:
        """Follows until the stack has ended; returns the exit status."""
        # SIGHUP: the terminal is gone, and with this process the lease: the supervisor stops the stack.
        self.inbox.catch(signal.SIGINT, signal.SIGTERM, at_once={signal.SIGHUP: lambda: os._exit(HANG_UP)})
        signal.signal(signal.SIGCONT, lambda *_: self._resumed())
        if (pipe := pipe_out()) is not None:
            self.inbox.reader(pipe)
        self.inbox.logs(logs)
        self.inbox.events(events)
        try:
            while True:
                message = self.inbox.receive(self._patience())
                if isinstance(message, list):
                    self._print(message)
                elif (status := self._take(message)) is not None:
                    return status
                self._consider()
                self._draw()
        finally:
            if self.printer.area is not None and not self._silenced:
                self._torn = True
                self._safely(self.printer.area.clear)

    def _take(self, message: Any) -> int | None:
        """Handles one message; the exit status when it was the last."""
        if isinstance(message, Signalled):
            self._interrupted()
        elif isinstance(message, Happened):
            self._event(message.event)
        elif isinstance(message, ReaderGone):
            self._fall_silent()
        elif isinstance(message, EventsEnded):
            return self._supervisor_ended(message)
        elif isinstance(message, Finished) and message.label == "status":
            self._next_ask = time.monotonic() + ASK
            if message.error is None:
                self.progress.refine(message.result)
        elif isinstance(message, Finished) and message.label == "resync":
            if message.error is None:
                self.progress.take(message.result)
        elif isinstance(message, Finished):
            return self._torn_down(message)
        return None

    def _event(self, event: dict[str, Any]) -> None:
        if event["type"] == "gap":  # we were stopped (Ctrl-Z) for so long that the supervisor has forgotten what we missed
            self.inbox.work("resync", self._ask_status)
            return
        self.progress.apply(event)
        service = event.get("service")
        if service is not None:
            took = self.progress.services[service].took if event.get("state") in WELL else None
            self._say(f"{service} {describe(event, took)}")
        elif event["type"] in ("reloaded", "reaped"):
            self._say(describe(event))

    def _consider(self) -> None:
        """Decides whether something follows from the services' states."""
        if self._stopping_since is not None or not self.progress.services:
            return
        if not self._announced and self.progress.started():
            self._announce()
        if (why := self.rules.verdict(self.progress)) is not None:
            failed = self.progress.named(("failed",))
            self._stop(f"{why}; stopping the rest", 1 if failed else 0)
            return
        if not self.progress.all_in(ENDED):
            self._all_ended_at = None
        elif self._all_ended_at is None:
            self._all_ended_at = time.monotonic()
        elif time.monotonic() - self._all_ended_at >= SETTLE:
            self._stop("every service has ended", 1 if self.progress.named(("failed",)) else 0)

    def _announce(self) -> None:
        self._announced = True
        failed = self.progress.named(("failed", "unhealthy"))
        took = seconds(max(0.0, time.time() - self._began))
        self._say(f"up after {took}, without {', '.join(failed)}" if failed else f"all ready in {took}")
        for name, seen in self.progress.services.items():
            if seen.url and name not in failed:
                self._say(f"  {name}  {seen.url}")

    def _interrupted(self) -> None:
        if self._stopping_since is None:
            self._stop("stopping (again to kill)", INTERRUPTED)
        elif not self._forced:
            self._forced = True
            self._say("killing everything")
            self._status = INTERRUPTED
            self.inbox.work("kill", lambda: self._teardown(True))

    def _stop(self, why: str, status: int) -> None:
        self._stopping_since = time.monotonic()
        self._status = status
        self._say(why)
        self.inbox.work("stop", lambda: self._teardown(False))

    def _supervisor_ended(self, message: EventsEnded) -> int | None:
        """Ours: the teardown reports. Somebody else's `down`: all well. Neither: it died, and what it left is cleaned up."""
        if self._stopping_since is not None:
            return None
        self._stopping_since = time.monotonic()
        if message.error is None:
            self._status = 0
            self._say("stopped by another command")
        else:
            self._status = 1
            self._say("the supervisor is gone; cleaning up")
        self.inbox.work("verify", lambda: self._teardown(False))
        return None

    def _torn_down(self, message: Finished) -> int | None:
        if self._forced and message.label != "kill":
            return None  # the kill that follows reports
        self._torn = True
        for records in self.inbox.last_records():
            self._print(records)
        if message.error is not None:
            if not isinstance(message.error, DevctlError):
                raise message.error
            self._say(f"{message.error.what}")
            return 1
        text, status = message.result
        for line in text.splitlines():
            self._say(line)
        if status:
            return int(status)
        if self.rules.exit_code_from is not None and self._status != INTERRUPTED:
            code = self.progress.services[self.rules.exit_code_from].exit_code
            return 1 if code is None else code
        return self._status or 0

    def _patience(self) -> float | None:
        if self.printer.area is not None and self.printer.area.lines:
            return FRAME
        return SETTLE if self._all_ended_at is not None and self._stopping_since is None else None

    def _draw(self) -> None:
        area = self.printer.area
        if area is None or self._silenced:
            return
        self._safely(area.refresh)
        if area.lines and self._stopping_since is None and time.monotonic() > self._next_ask:
            self._next_ask = float("inf")  # until the answer is there
            self.inbox.work("status", self._ask_status)

    def _live_lines(self, area: LiveArea) -> list[str]:
        style = self.printer.style
        if self._stopping_since is None:
            return self.progress.lines(style, max(1, min(LIVE_LINES, area.dimensions()[1] // 2)))
        if self._torn:
            return []
        now = time.monotonic()
        left = [
            f"{name} ({seconds(now - max(seen.since, self._stopping_since))})"
            for name, seen in self.progress.services.items()
            if seen.state not in ENDED | {"external"}
        ]
        what = f"stopping {', '.join(left)}" if left else "making sure that nothing is left"
        hint = "" if self._forced else style.paint("  Ctrl-C again kills", "dim")
        return [f"{style.paint(spinner(style.unicode), 'yellow')} {what}{hint}"]

    def _resumed(self) -> None:
        if self.printer.area is not None:
            self.printer.area.forget()

    def _print(self, records: list[Record]) -> None:
        if records:
            self._safely(lambda: self.printer.records(records))

    def _say(self, text: str) -> None:
        self._safely(lambda: self.printer.say(text))

    def _safely(self, write: Callable[[], None]) -> None:
        """Writes; when nobody reads any more (`| head`), goes silent and stops the stack."""
        if self._silenced:
            return
        if (area := self.printer.area) is not None:
            area.lines = self._live_lines(area)
        try:
            write()
        except BrokenPipeError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self._silenced = True
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if self._stopping_since is None:
            self._stop("", 0)
