"""Runs, found in the stack's history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devctl.errors import UsageError
from devctl.logs.cri import format_stamp
from devctl.logs.runs import window


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def write(events: Path, *history: tuple[str, int]) -> None:
    """A history of ("run_started", time) and such, with much in between."""
    noise = json.dumps({"id": 1, "time": "2026-11-20T10:00:00Z", "type": "service_state", "note": "x" * 3_000}) + "\n"
    lines = (
        json.dumps({"id": 1, "time": format_stamp(time).decode(), "run_id": "r", "type": kind}) + "\n" for kind, time in history
    )
    events.write_text(noise.join(["", *lines, ""]))


def test_current_run(events: Path) -> None:
    """The run that goes on began with the newest start and has no end."""
    write(events, ("run_started", 10), ("run_ended", 20), ("run_started", 30))
    assert window(events, "current") == (30, None)


def test_last_run_while_one_goes_on(events: Path) -> None:
    """The last run is the newest that has ended."""
    write(events, ("run_started", 10), ("run_ended", 20), ("run_started", 30))
    assert window(events, "last") == (10, 20)


def test_last_run_when_nothing_runs(events: Path) -> None:
    """After `down` it is the one that was."""
    write(events, ("run_started", 10), ("run_ended", 20), ("run_started", 30), ("run_ended", 40))
    assert window(events, "last") == (30, 40)


def test_run_that_crashed_ended_before_the_next(events: Path) -> None:
    """A crash writes no end."""
    write(events, ("run_started", 10), ("run_started", 30))
    assert window(events, "last") == (10, 29)


def test_all_runs(events: Path) -> None:
    """Without limits, and without a history."""
    assert window(events, "all") == (None, None)


@pytest.mark.parametrize(
    ("history", "which"),
    [([], "current"), ([], "last"), ([("run_started", 1)], "last"), ([("run_started", 1), ("run_ended", 2)], "current"), ([], "x")],
)
def test_no_such_run_is_a_usage_error(events: Path, history: list[tuple[str, int]], which: str) -> None:
    """It says what to use instead."""
    write(events, *history)
    with pytest.raises(UsageError, match="use "):
        window(events, which)


def test_damaged_history_is_passed_over(events: Path) -> None:
    """Broken lines and wrong types are not the reader's problem."""
    write(events, ("run_started", 10))
    with events.open("ab") as history:
        history.write(
            b'{"type": "run_started"\n["run_ended"]\n{"type": "run_ended", "time": 5}\n\xff"run_ended"\n{"id": "run_ended"'
        )
    assert window(events, "current") == (10, None)
