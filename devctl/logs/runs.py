"""When runs began and ended, from the stack's history (logs/events.jsonl), for `logs --run`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from devctl.errors import UsageError
from devctl.logs.cri import parse_stamp
from devctl.logs.scan import end_of, lines_backward

Which = Literal["current", "last", "all"]
Window = tuple[int | None, int | None]
"""First and last moment, inclusive, nanoseconds since the epoch; None is without limit."""


def window(events: Path, which: str) -> Window:
    """The time of a run.

    Args:
        events: the history; it need not exist.
        which: "current": the run that has not ended. "last": the newest run that has ended; a run that crashed has ended when
            the next one began. "all": without limits.

    Raises:
        UsageError: another word, or there is no such run.
    """
    if which not in ("current", "last", "all"):
        raise UsageError(f"unknown run {which!r}", "use current, last or all")
    if which == "all":
        return None, None
    end: int | None = None
    for kind, time_ns in _marks(events):
        if kind == "run_ended":
            if which == "current":
                raise UsageError("no run is going on", "use --run last")
            end = time_ns
        elif which == "current" or end is not None:
            return time_ns, end
        else:
            end = time_ns - 1
    raise UsageError(f"the history has no {which} run", "use --run all")


def _marks(events: Path) -> list[tuple[str, int]]:
    """The starts and ends of the last two runs at most, the newest first. Lines that are damaged are passed over."""
    import json

    marks: list[tuple[str, int]] = []
    position = end_of(events)
    for line in lines_backward(position) if position is not None else ():
        if b'"run_started"' not in line and b'"run_ended"' not in line:
            continue
        try:
            event = json.loads(line)
            kind, time_ns = event["type"], parse_stamp(event["time"].encode())
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
        if kind in ("run_started", "run_ended") and time_ns is not None:
            marks.append((kind, time_ns))
            if len(marks) == 4:
                break
    return marks
