"""devctl.log: the history in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from devctl.model import Event
from devctl.supervisor.story import tell_story


def told(type: str, service: str | None = None, **data: Any) -> list[tuple[str, str]]:
    return list(tell_story(Event(1, "2026-11-20T23:50:01.123Z", "abc-1", type, service, data)))


def test_markers_of_a_run() -> None:
    """Where it begins and where it ends."""
    assert told("run_started", stack="shop", services=["a", "b"]) == [("stdout", "=== run abc-1 of shop started: 2 services")]
    receipt = {"processes": 7, "seconds": 0.12}
    assert told("run_ended", receipt=receipt) == [("stdout", "=== run abc-1 ended: 7 processes gone in 0.12 s")]


@pytest.mark.parametrize(
    ("state", "stream"),
    [("ready", "stdout"), ("waiting", "stdout"), ("failed", "stderr"), ("unhealthy", "stderr"), ("backoff", "stderr")],
)
def test_trouble_goes_to_stderr(state: str, stream: str) -> None:
    """So that `--stream stderr` and levels find it."""
    assert told("service_state", "web", state=state, reason="so") == [(stream, f"web is {state}: so")]


def test_a_state_without_a_reason() -> None:
    """No dangling colon."""
    assert told("service_state", "web", state="ready", reason=None) == [("stdout", "web is ready")]


def test_how_a_leader_ended() -> None:
    """Status or signal."""
    assert told("service_exited", "web", exit_code=0, signal=None, pid=5)[0][1] == "web (pid 5) ended with status 0"
    assert told("service_exited", "web", exit_code=None, signal=9, pid=5)[0][1] == "web (pid 5) ended with signal 9"


def test_anything_else_is_told_too() -> None:
    """An event of a kind that has no sentence of its own."""
    assert told("log_trouble", "web", reason="disk full") == [("stderr", "web: log_trouble: disk full")]
    assert told("reaped") == [("stderr", "reaped: ")]
