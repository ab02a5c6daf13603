"""Colours, widths and units."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.cli import grid
from devctl.cli.live import plain
from devctl.cli.style import LABEL_COLOURS, Style, cells, fit
from devctl.wording import plural, seconds, size, timestamp


class TerminalText(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def luminance(index: int) -> float:
    """Relative luminance of a colour of the 6×6×6 cube, WCAG 2.2."""  # noqa: RUF002
    steps = (0, 95, 135, 175, 215, 255)
    cube = index - 16
    channels = [steps[cube // 36] / 255, steps[cube // 6 % 6] / 255, steps[cube % 6] / 255]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", LABEL_COLOURS)
def test_label_colours_are_readable_on_dark_and_light(colour: int) -> None:
    """Every label has a contrast of at least 3:1 to black and to white."""
    light = luminance(colour)
    assert (light + 0.05) / 0.05 >= 3
    assert 1.05 / (light + 0.05) >= 3


def test_no_colour_in_a_pipe() -> None:
    """A stream that is no terminal gets plain text."""
    assert Style(io.StringIO(), {}).paint("x", "red") == "x"


def test_no_color_is_respected() -> None:
    """NO_COLOR turns colours off on a terminal too, unless it is empty (no-color.org)."""
    assert Style(TerminalText(), {"NO_COLOR": "1"}).paint("x", "red") == "x"
    assert Style(TerminalText(), {"NO_COLOR": ""}).colour


@given(st.text(alphabet="ab語é", max_size=30), st.integers(0, 20))
def test_fit_never_exceeds_the_width(text: str, width: int) -> None:
    """What fits is left alone, what does not is cut to the width."""
    fitted = fit(text, width)
    assert cells(fitted) <= width
    assert fitted == text or cells(text) > width


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.214, "0.21 s"), (3.21, "3.2 s"), (14.9, "14 s"), (60, "1 min"), (185, "3 min 5 s"), (7440, "2 h 4 min")],
)
def test_seconds_for_people(value: float, text: str) -> None:
    """Short times are precise, long ones have two units."""
    assert seconds(value) == text


def test_sizes_and_plurals() -> None:
    """Bytes have decimal units; nouns are counted."""
    assert [size(512), size(48_234_496)] == ["512 B", "48.2 MB"]
    assert [plural(1, "process"), plural(2, "process"), plural(2, "port")] == ["1 process", "2 processes", "2 ports"]


def test_timestamps_keep_their_fraction() -> None:
    """RFC 3339 in UTC to seconds since the epoch."""
    assert timestamp("1970-01-02T00:00:01.250Z") == 86401.25


@given(
    st.lists(st.tuples(*[st.text(alphabet="abc語", min_size=1, max_size=30)] * 3), min_size=1, max_size=5),
    st.integers(20, 80),
)
def test_tables_fit_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    """A table is never wider than the terminal: columns shrink, then go."""
    columns = (grid.Column("A", shrinks=True, least=3), grid.Column("B", shrinks=True, drop=1), grid.Column("C", drop=2))
    assert all(cells(plain(line)) <= width for line in grid.render(columns, rows, Style(TerminalText(), {}), width))


def test_tables_in_pipes_are_whole() -> None:
    """Nothing is cut where a program may read it."""
    columns = (grid.Column("A", shrinks=True, least=3),)
    assert grid.render(columns, [["x" * 200]], Style(io.StringIO(), {}), 20)[1] == "x" * 200
