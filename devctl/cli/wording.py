"""Events as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devctl.cli.style import seconds


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
