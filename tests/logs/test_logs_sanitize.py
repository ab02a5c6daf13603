"""Nothing from a service's output can control the terminal."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.logs.sanitize import plain, sanitize

INTRODUCERS = ["\x1b", "[", "]", "P", "\x9b", "\x9d", "\x90"]
ENDS = ["m", "K", "\x07", "\\", "\x9c"]
BETWEEN = ["31", ";", "?", "8;;", "a", "ü", " ", "\t", "\r", "\n", "\x7f", "\u2028", "\u202e"]
PIECES = st.sampled_from(INTRODUCERS + ENDS + BETWEEN)
HOSTILE = st.one_of(st.text(), st.lists(PIECES).map("".join), st.binary().map(lambda data: data.decode(errors="replace")))


def controls(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in ("Cc", "Zl", "Zp")}


@given(HOSTILE)
def test_only_tabs_and_colours_are_left(text: str) -> None:
    """Whatever comes in, the output has no control character but tabs and whole SGR sequences."""
    clean = sanitize(text)
    assert controls(re.sub(r"\x1b\[[0-9;:]*m", "", clean)) <= {"\t"}


@given(HOSTILE)
def test_plain_has_no_escapes_at_all(text: str) -> None:
    """Without colours there is no ESC either."""
    assert controls(plain(text)) <= {"\t"}


@given(HOSTILE)
def test_colours_end_with_the_line(text: str) -> None:
    """A line with colours ends with a reset."""
    clean = sanitize(text)
    assert "\x1b" not in clean or clean.endswith(("\x1b[0m", "\x1b[m"))


@given(HOSTILE)
def test_once_is_enough(text: str) -> None:
    """What was made safe stays as it is: removing a sequence does not make another."""
    assert sanitize(sanitize(text)) == sanitize(text)
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain ü", "plain ü"),
        ("a\tb", "a\tb"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[31mopen", "\x1b[31mopen\x1b[0m"),
        ("\x9b31meight bits", "\x1b[31meight bits\x1b[0m"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b[?25lhidden cursor", "hidden cursor"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\text", "text"),
        ("\x1b]never ended, all the rest", "never ended, all the rest"),
        ("\x1b(Bcharset \x1bcreset", "charset reset"),
        ("bell\x07 back\x08 del\x7f nul\0", "bell back del nul"),
        ("10%\r50%\r100%", "100%"),
        ("10%\r100%\r", "100%"),
        ("done\r\x1b[K", "done"),
        ("\r\r", ""),
        ("two\u2028lines", "two lines"),
        ("user\u202etxt.exe", "usertxt.exe"),
    ],
)
def test_sequences(text: str, clean: str) -> None:
    """Each kind of sequence, and carriage returns."""
    assert sanitize(text) == clean


@pytest.mark.parametrize(
    "unit", ["\x1b]", "\x1b[", "\x1b[1;", "\x1bP\x1b", "\x1b[0m", "a\r", "\x1b[K\r", "\x9b", "\x1b ", "\x1b]x\x1b"]
)
def test_hostile_megabytes(unit: str) -> None:
    """Two megabytes of any beginning are done in linear time; with quadratic time this would not end."""
    assert controls(plain(unit * (2_000_000 // len(unit)))) == set()
