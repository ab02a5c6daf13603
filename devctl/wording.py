"""Facts in words: lengths of time, sizes, counts, and events as sentences."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import Any


def seconds(value: float) -> str:
    """A length of time for people: 0.21 s, 14 s, 3 min 5 s, 2 h 4 min, 3 d 2 h."""
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    whole = int(value)
    if whole < 60:
        return f"{whole} s"
    for big, small, unit, rest in ((60, 1, "min", "s"), (3600, 60, "h", "min"), (86400, 3600, "d", "h")):
        if whole < big * (60 if big == 60 else 24 if big == 3600 else 10**9):
            head, tail = divmod(whole, big)
            return f"{head} {unit} {tail // small} {rest}" if tail // small else f"{head} {unit}"
    return f"{whole} s"


def size(value: int) -> str:
    """Bytes for people: 512 B, 45.9 MB."""
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{value} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{value} B"


def plural(number: int, noun: str) -> str:
    """`1 port`, `2 ports`, `3 processes`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def timestamp(text: str) -> float:
    """Seconds since the epoch from RFC 3339 in UTC, `…Z`."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    digits = fraction if fraction.isdigit() else "0"
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(digits) / float(10 ** len(digits))


def describe(event: Mapping[str, Any], took: float | None = None) -> str:
    """What happened, in a few words, without time and service.

    Args:
        event: as Event.json() gives it.
        took: seconds it took to become ready, where that is known.
    """
    if took is not None and event["type"] == "service_state":
        return f"{event['state']} after {seconds(took)}"
    kind = event["type"]
    words = {
        "service_state": _state,
        "service_exited": _exited,
        "reloaded": _reloaded,
        "leftovers": _leftovers,
    }.get(kind)
    if words is not None:
        return words(event)
    state = event.get("state")
    text = kind.replace("_", " ") if state is None else f"{kind.replace('_', ' ')}: {state}"
    reason = event.get("reason") or event.get("message")
    return f"{text}: {reason}" if reason else text


def _state(event: Mapping[str, Any]) -> str:
    return f"{event['state']}: {event['reason']}" if event.get("reason") else str(event["state"])


def _exited(event: Mapping[str, Any]) -> str:
    number = event.get("signal")
    if isinstance(number, int):
        import signal

        try:
            return f"ended by {signal.Signals(number).name}"
        except ValueError:
            return f"ended by signal {number}"
    return f"exited with status {event.get('exit_code')}"


def _reloaded(event: Mapping[str, Any]) -> str:
    return "manifest reloaded: " + (changes(event) or "nothing changed")


def _leftovers(event: Mapping[str, Any]) -> str:
    return f"left processes behind, which are ended now: {event.get('commands', event.get('processes'))}"


def changes(answer: Mapping[str, Any]) -> str:
    """The result of a reload in words: `started a, b; stopped c`; empty when nothing changed."""
    parts = [f"{what} {', '.join(answer[what])}" for what in ("started", "restarted", "stopped") if answer.get(what)]
    return "; ".join(parts)
