"""What a client knows of the services it follows: kept from one status and the events since."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devctl.cli.live import spinner
from devctl.cli.style import Style, cells, pad
from devctl.wording import seconds, timestamp

WELL = frozenset({"ready", "completed", "external"})
BAD = frozenset({"failed", "unhealthy"})
ENDED = frozenset({"stopped", "completed", "failed"})
MOVING = frozenset({"waiting", "starting", "backoff", "stopping"})


@dataclass(slots=True)
class Seen:
    """One service as last heard of.

    Attributes:
        since: of the state, monotonic seconds.
        took: seconds from start to readiness, once ready.
    """

    state: str
    since: float
    reason: str = ""
    url: str | None = None
    exit_code: int | None = None
    took: float | None = None
    started: float | None = None  # seconds since the epoch, as the supervisor says


class Progress:
    """The services of a stack, followed.

    Args:
        depends_on: service → the services it waits for; says what a waiting one waits for when the supervisor does not.
    """

    def __init__(self, depends_on: Mapping[str, Sequence[str]]) -> None:
        self.depends_on = depends_on
        self.services: dict[str, Seen] = {}

    def take(self, status: Mapping[str, Any]) -> None:
        """Takes over a whole StackStatus.json()."""
        now = time.monotonic()
        self.services = {
            item["name"]: Seen(item["state"], now, item["reason"] or "", item["url"], item["exit_code"])
            for item in status["services"]
        }

    def rewind(self) -> None:
        """Before the first event of a run: everything waits."""
        for seen in self.services.values():
            seen.state, seen.reason = "waiting", ""

    def apply(self, event: Mapping[str, Any]) -> None:
        """Takes over one event."""
        name = event.get("service")
        if not isinstance(name, str):
            return
        if event["type"] == "service_state":
            self._change(self.services.setdefault(name, Seen("waiting", time.monotonic())), event)
        elif event["type"] == "service_exited" and name in self.services:
            # As shells have it: 128 + the signal's number.
            number = event.get("signal")
            self.services[name].exit_code = event.get("exit_code") if number is None else 128 + number

    def _change(self, seen: Seen, event: Mapping[str, Any]) -> None:
        if seen.state != event["state"]:
            seen.state, seen.since = event["state"], time.monotonic()
        seen.reason = event.get("reason") or ""
        if seen.state == "starting":
            seen.started, seen.took = timestamp(event["time"]), None
        elif seen.state in WELL and seen.started is not None:
            seen.took, seen.started = timestamp(event["time"]) - seen.started, None

    def refine(self, status: Mapping[str, Any]) -> None:
        """Takes reasons and addresses from a later status; events carry the states, but not how a check fails meanwhile."""
        for item in status["services"]:
            seen = self.services.get(item["name"])
            if seen is not None and seen.state == item["state"]:
                seen.reason, seen.url = item["reason"] or "", item["url"]

    def named(self, states: Iterable[str]) -> list[str]:
        """The services in one of `states`, in order."""
        wanted = frozenset(states)
        return [name for name, seen in self.services.items() if seen.state in wanted]

    def all_in(self, states: frozenset[str]) -> bool:
        """Whether every service is in one of `states`."""
        return all(seen.state in states for seen in self.services.values())

    def started(self) -> bool:
        """Whether nothing is on its way any more: each is up, has ended, or is broken."""
        return not self.named(("waiting", "starting", "backoff"))

    def lines(self, style: Style, limit: int) -> list[str]:
        """A live line for each service that is on its way or broken, at most `limit`."""
        now = time.monotonic()
        chosen = [name for name in self.services if self.services[name].state in MOVING | BAD]
        # What moves comes before what waits for it when there is no room for all.
        chosen.sort(key=lambda name: self.services[name].state == "waiting")
        hidden = len(chosen) - limit
        if hidden > 0:
            chosen = chosen[: limit - 1]
        width = max((cells(name) for name in chosen), default=0)
        out = [self._line(name, style, now, width) for name in chosen]
        if hidden > 0:
            out.append(style.paint(f"… and {hidden + 1} more" if style.unicode else f"... and {hidden + 1} more", "dim"))
        return out

    def _line(self, name: str, style: Style, now: float, width: int) -> str:
        seen = self.services[name]
        if seen.state in BAD:
            return f"{style.paint(style.glyph(seen.state), 'red')} {pad(name, width)}  {seen.state}  {seen.reason}".rstrip()
        waiting = seen.state == "waiting"
        mark = style.paint(style.glyph("waiting"), "dim") if waiting else style.paint(spinner(style.unicode), "yellow")
        reason = seen.reason or self._waits_for(name)
        elapsed = style.paint(seconds(now - seen.since), "dim")
        return f"{mark} {pad(name, width)}  {seen.state} {elapsed}  {reason}".rstrip()

    def _waits_for(self, name: str) -> str:
        if self.services[name].state != "waiting":
            return ""
        missing = [other for other in self.depends_on.get(name, ()) if other in self.services
                   and self.services[other].state not in WELL]  # fmt: skip
        return f"for {', '.join(missing)}" if missing else ""
