"""A wall clock that jumps."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.supervisor.clock import Clock, rfc3339


def test_it_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back by an hour, it stands still; set forward, it follows."""
    times = iter([1000.0, 1000.5, -2600.0, 1000.25, 5000.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    clock = Clock()
    shown = [clock.now() for _ in range(5)]
    assert shown == [rfc3339(at) for at in (1000.0, 1000.5, 1000.5, 1000.5, 5000.0)]


def test_durations_know_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds since the run began are monotonic."""
    monkeypatch.setattr(time, "time", lambda: -1e6)
    clock = Clock()
    first = clock.seconds()
    assert 0 <= first <= clock.seconds()


def test_the_form() -> None:
    """RFC 3339, UTC, milliseconds."""
    assert rfc3339(1795217401.1239) == "2026-11-20T23:30:01.123Z"


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_later_is_greater(one: float, other: float) -> None:
    """As text, times sort as they do as numbers, and can be read back."""
    earlier, later = sorted((one, other))
    assert rfc3339(earlier) <= rfc3339(later)
    assert abs(datetime.fromisoformat(rfc3339(later)).timestamp() - later) < 0.0011
