"""Live lines below scrolling ones."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from devctl.cli.live import LiveArea, cut, plain
from devctl.cli.style import cells
from tests.cli.screen import Screen

WORDS = st.text(alphabet="ab c", min_size=1, max_size=30).map(lambda text: f"x{text}x")


class FixedArea(LiveArea):
    """A live area on a terminal of a fixed size."""

    size = (40, 10)

    def dimensions(self) -> tuple[int, int]:
        return self.size


@given(st.lists(st.tuples(st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=4)), max_size=8))
def test_screen_shows_all_text_and_then_the_live_lines(steps: list[tuple[list[str], list[str]]]) -> None:
    """Whatever is printed stays, in order, and only the newest live lines stand below it."""
    out = io.StringIO()
    area, printed = FixedArea(out), []
    for text, live in steps:
        area.lines = live
        area.write("".join(f"{line}\n" for line in text))
        printed += text
        screen = Screen(40)
        screen.feed(out.getvalue())
        assert screen.lines() == [line.rstrip() for line in [*printed, *live]]


def test_narrower_window_leaves_no_remains() -> None:
    """Live lines that the terminal has wrapped on a resize are erased whole."""
    out = io.StringIO()
    area = FixedArea(out)
    area.show(["a" * 30, "b" * 30])
    # A terminal that gets narrower wraps what stands there: two rows each.
    screen = Screen(20)
    screen.feed("a" * 30 + "\n" + "b" * 30)
    out.truncate(0)
    out.seek(0)
    area.size = (20, 10)
    area.show(["done"])
    screen.feed(out.getvalue())
    assert screen.lines() == ["done"]


def test_a_window_lower_than_the_live_lines_shows_the_last_of_them() -> None:
    """There are never more live lines than rows: the ones above could not be erased."""
    out = io.StringIO()
    area = FixedArea(out)
    area.size = (40, 3)
    area.show(["one", "two", "three", "four"])
    screen = Screen(40)
    screen.feed(out.getvalue())
    assert screen.lines() == ["three", "four"]


@given(st.text(alphabet="ab語\u0301", max_size=20), st.integers(1, 12))
def test_cut_lines_fit(text: str, width: int) -> None:
    """A cut line with colours never takes more cells than there are."""
    assert cells(plain(cut(f"\033[31m{text}\033[0m{text}", width))) <= width
