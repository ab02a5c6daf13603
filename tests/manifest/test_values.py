"""Durations and sizes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.manifest.values import format_duration, format_size, parse_duration, parse_size, port_variable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1m30s", 90),
        ("1.5s", 1.5),
        ("0", 0),
        ("0s", 0),
        ("2h", 7200),
        ("1d", 86400),
        (".5s", 0.5),
        ("100us", 0.0001),
        ("1h1m1s1ms", 3661.001),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    """Compose's forms and fractions are read as seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "-1s", "1s ", "1S", "1e3s", "1..5s", "\u0661s", "9" * 200 + "s", "1s\n"])
def test_no_duration(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"^"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_duration_round_trip(milliseconds: int) -> None:
    """What is formatted is read back the same, to the millisecond."""
    seconds = milliseconds / 1000
    assert round(parse_duration(format_duration(seconds)) * 1000) == milliseconds


@given(st.text(max_size=30))
def test_parsing_raises_only_value_error(text: str) -> None:
    """No text breaks the parsers in another way."""
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0


@pytest.mark.parametrize(
    ("text", "count"),
    [("20MB", 20_000_000), ("512KiB", 524_288), ("1GiB", 2**30), ("100", 100), ("1.5kB", 1500), ("2m", 2_000_000), ("7 B", 7)],
)
def test_size(text: str, count: int) -> None:
    """Decimal and binary units are told apart."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1XB", "1 0MB", "1i", "20MBB"])
def test_no_size(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"^"):
        parse_size(text)


@given(st.integers(0, 10**15))
def test_size_round_trip(count: int) -> None:
    """What is formatted is read back the same."""
    assert parse_size(format_size(count)) == count


def test_port_variables() -> None:
    """Names of ports become names of variables."""
    assert [port_variable(name) for name in ("default", "admin", "web-ui")] == ["PORT", "PORT_ADMIN", "PORT_WEB_UI"]
