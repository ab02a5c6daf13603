"""Value forms of options."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.cli.arguments import count, duration
from devctl.cli.main import command_position


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("1.5s", 1.5), ("500ms", 0.5), ("1m30s", 90), ("2h", 7200), (".5m", 30)])
def test_durations(text: str, value: float) -> None:
    """Compose's forms, fractions, and a bare number of seconds."""
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "s", "1x", "1s ", "-1s", "1,5s"])
def test_no_durations(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)


@given(st.text(max_size=10))
def test_counts_are_whole_numbers(text: str) -> None:
    """A count is a whole number or an error of its own kind."""
    try:
        assert count(text) >= 0
    except argparse.ArgumentTypeError:
        assert not (text.isascii() and text.isdigit())


@pytest.mark.parametrize(
    ("words", "position"),
    [(["status"], 0), (["-f", "status", "up"], 2), (["--file=a", "-C", "x", "logs", "-f"], 3), (["--version"], 1)],
)
def test_command_is_found_after_global_options(words: list[str], position: int) -> None:
    """Values of global options are not taken for the command."""
    assert command_position(words) == position
