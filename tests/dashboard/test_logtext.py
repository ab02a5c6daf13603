"""Log lines as they look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from devctl.dashboard.ansi import parse
from devctl.dashboard.logfilter import Pattern
from devctl.dashboard.logmodel import Entry
from devctl.dashboard.logpretty import pretty
from devctl.dashboard.logtext import LIMIT, Look, height, lines, locations, overlay, stamp, text
from devctl.logs.record import Record

LOOK = Look(labels={"web": ("web", Style(bold=True))})
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80)


def entry(words: str, stream: str = "stdout", folded: int = 0) -> Entry:
    return Entry(7, Record(1_700_000_000_123_000_000, "web", stream, words), folded)  # type: ignore[arg-type]


def plain(words: str, look: Look = LOOK, **facts: object) -> list[str]:
    return ["".join(segment.text for segment in line.segments) for line in lines(entry(words, **facts), look)]  # type: ignore[arg-type]


@given(texts, st.integers(20, 60), st.booleans())
def test_no_line_is_wider_than_the_screen(words: str, width: int, coloured: bool) -> None:
    """Whatever a service writes: wrapped lines fit, hold no control character, and their cells are counted right."""
    look = replace(LOOK, width=width)
    for line in lines(entry(f"\x1b[31m{words}" if coloured else words), look):
        shown = "".join(segment.text for segment in line.segments)
        assert cell_len(shown) == line.cells <= width
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)


@given(texts, st.integers(20, 60))
def test_wrapping_loses_nothing(words: str, width: int) -> None:
    """The pieces together are the line; where each begins in it is told right."""
    whole = text(entry(words), LOOK)
    pieces = lines(entry(words), replace(LOOK, width=width))
    shown = [
        "".join(segment.text for segment in (line.segments if not index else line.segments[1:]))
        for index, line in enumerate(pieces)
    ]
    assert "".join(shown) == whole
    for index, line in enumerate(pieces):
        assert whole[line.start :].startswith(shown[index])
    assert height(entry(words), replace(LOOK, width=width)) == len(pieces)


def test_colours_are_kept_and_end_with_the_line() -> None:
    """256 and true colours too."""
    body, spans = parse("a\x1b[31mb\x1b[1mc\x1b[0md\x1b[38;5;200me\x1b[38;2;1;2;3mf\x1b[48:2::9:8:7mg")
    assert body == "abcdefg"
    colours = [(begin, end, style.color, style.bold) for begin, end, style in spans]
    assert colours[0] == (1, 2, Color.from_ansi(1), None)
    assert colours[1] == (2, 3, Color.from_ansi(1), True)
    assert colours[2][2] == Color.from_ansi(200)
    assert colours[3][2] == Color.from_rgb(1, 2, 3)
    assert spans[-1][2].bgcolor == Color.from_rgb(9, 8, 7)


@given(st.text("0123456789;:m", max_size=40))
def test_no_sequence_breaks_the_parser(parameters: str) -> None:
    """Whatever stands between the introducer and its end."""
    body, spans = parse(f"a\x1b[{parameters.replace('m', '')}mb")
    assert body == "ab"
    assert all(0 <= begin < end <= 2 for begin, end, _ in spans)


def test_stderr_and_stdout_differ_without_colour() -> None:
    """By the sign between label and text."""
    assert plain("x") == ["web │ x"]
    assert plain("x", stream="stderr") == ["web ┃ x"]


def test_progress_bars_show_their_last_state() -> None:
    """A line that overwrote itself."""
    assert plain("10%\r50%\r99%") == ["web │ 99%"]


def test_highlights_lie_over_colours() -> None:
    """A match in the middle of a coloured word."""
    look = replace(LOOK, pattern=Pattern("dle"), styles={**LOOK.styles, "match": Style(reverse=True)})
    (line,) = lines(entry("\x1b[31mneedle\x1b[0m end"), look)
    marked = [(segment.text, bool(segment.style and segment.style.reverse)) for segment in line.segments][-3:]
    assert marked == [("nee", False), ("dle", True), (" end", False)]


spans = st.lists(st.integers(0, 20), max_size=8).map(
    lambda edges: [(a, b, Style(bold=True)) for a, b in zip(sorted(set(edges))[::2], sorted(set(edges))[1::2], strict=False)]
)


@given(spans, spans)
def test_overlay_covers_what_both_cover(under: list[tuple[int, int, Style]], over: list[tuple[int, int, Style]]) -> None:
    """In order, without overlap, each character once."""
    found = overlay(under, [(begin, end, Style(italic=True)) for begin, end, _ in over])
    for place in range(21):
        styles = [style for begin, end, style in found if begin <= place < end]
        assert len(styles) <= 1
        bold = any(begin <= place < end for begin, end, _ in under)
        italic = any(begin <= place < end for begin, end, _ in over)
        assert bool(styles) == (bold or italic)
        if styles:
            assert (bool(styles[0].bold), bool(styles[0].italic)) == (bold, italic)


def test_very_long_lines_are_cut_and_say_so() -> None:
    """A megabyte on one line costs no more than what can be seen; nothing is lost for copying."""
    words = "x" * 1_000_000
    (shown,) = plain(words)
    assert shown.endswith("… 980000 more characters")
    assert len(shown) < LIMIT + 100
    assert text(entry(words), Look()) == words


def test_json_reads_level_and_message_first() -> None:
    """Then each value on a line of its own; nested ones indented, tracebacks as lines."""
    made = pretty('{"took": 0.25, "level": "warn", "msg": "slow", "error": "a\\nb", "user": {"id": 7}}')
    assert made == ["warn slow", "  took: 0.25", "  error:", "    a", "    b", "  user:", "    id: 7"]


@pytest.mark.parametrize("words", ["", "{", "{}", "no json", "[1]", '{"a": ', "{" * 5000 + "}" * 5000, "null"])
def test_what_is_no_object_stays_as_it_is(words: str) -> None:
    """Numbers, lists, halves of objects, and nesting that would end the parser."""
    assert pretty(words) is None


def test_values_of_json_are_bounded() -> None:
    """A thousand keys and a value of a megabyte."""
    made = pretty('{"big": "' + "x" * 50_000 + '", ' + ", ".join(f'"k{n}": {n}' for n in range(1000)) + "}")
    assert made is not None
    assert len(made) < 70
    assert max(map(len, made)) < 600


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('  File "/srv/app.py", line 12, in main', ("/srv/app.py", 12)),
        ("    at main (src/server.ts:10:4)", ("src/server.ts", 10)),
        ("\tat com.example.Main.run(Main.java:7)", ("Main.java", 7)),
        ("\t/home/me/main.go:31 +0x1d", ("/home/me/main.go", 31)),
        ("thread 'main' panicked at src/main.rs:4:5:", ("src/main.rs", 4)),
    ],
)
def test_places_in_files_are_found(line: str, place: tuple[str, int]) -> None:
    """Tracebacks of five languages."""
    assert place in locations(line)


@pytest.mark.parametrize("line", ["12:30:45 ready", "GET http://127.0.0.1:8000/ 200", "took 0.5:1"])
def test_times_and_addresses_are_no_files(line: str) -> None:
    """Nothing to open."""
    assert locations(line) == []


def test_times_are_local() -> None:
    """To the millisecond."""
    assert stamp(1_700_000_000_123_000_000, full=False).endswith(":20.123")
    assert stamp(1_700_000_000_123_000_000, full=True).startswith("2023-11-1")


def test_folded_lines_are_counted() -> None:
    """At the end of the line that they belong to."""
    assert plain("ERROR bad", folded=12) == ["web │ ERROR bad … 12 more lines"]
