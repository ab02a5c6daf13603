"""Moments as people write them."""

from __future__ import annotations

import contextlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.errors import UsageError
from devctl.logs.times import parse_time

SECOND = 10**9
NOW = int(datetime(2026, 11, 20, 12, 30).timestamp()) * SECOND  # local on purpose


def local(*parts: int) -> int:
    return int(datetime(*parts).timestamp()) * SECOND  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("5m", NOW - 300 * SECOND),
        ("1h30m", NOW - 5_400 * SECOND),
        ("1.5h", NOW - 5_400 * SECOND),
        ("2d", NOW - 172_800 * SECOND),
        ("250ms", NOW - SECOND // 4),
        ("2026-11-20T10:00:00Z", 1_795_168_800 * SECOND),
        ("2026-11-20T10:00:00.123456789Z", 1_795_168_800 * SECOND + 123_456_789),
        ("2026-11-20t12:00:00+02:00", 1_795_168_800 * SECOND),
        ("1795168800", 1_795_168_800 * SECOND),
        ("1795168800.5", 1_795_168_800 * SECOND + SECOND // 2),
        ("1795168800123", 1_795_168_800_123 * 1_000_000),
        ("1795168800123456789", 1_795_168_800_123_456_789),
        ("10:00", local(2026, 11, 20, 10)),
        ("12:30:01", local(2026, 11, 19, 12, 30, 1)),
        ("2026-11-19", local(2026, 11, 19)),
        ("2026-11-19 08:15", local(2026, 11, 19, 8, 15)),
        ("2026-11-19T08:15:30", local(2026, 11, 19, 8, 15, 30)),
    ],
)
def test_forms(text: str, moment: int) -> None:
    """Every form means the moment that people mean."""
    assert parse_time(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterdayish", "5", "25:00", "2026-13-01", "5 parsecs", "-5m", "٣m"])
def test_others_are_usage_errors(text: str) -> None:
    """What is no time is refused with the forms that are."""
    with pytest.raises(UsageError, match="1h30m"):
        parse_time(text, now=NOW)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_usage_error(text: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(UsageError):
        assert parse_time(text, now=NOW) >= 0
