"""How things look: when to colour, which colours, glyphs, and widths on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from devctl.glyphs import GLYPHS, STATE_COLOURS

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}

# Of the 256-colour cube, those with a contrast of at least 3:1 to black and to white, neighbours far apart in hue.
LABEL_COLOURS = (33, 166, 30, 170, 136, 99, 64, 167, 31, 132, 29, 68)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person with a terminal that understands cursor movement is at the other end."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


class Style:
    """Colour and glyphs for one stream.

    Args:
        stream: where the text goes; colours only on a terminal.
        environ: NO_COLOR (set and not empty) turns colour off.
    """

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
        stream = sys.stdout if stream is None else stream
        self.terminal = is_terminal(stream)
        self.colour = self.terminal and not environ.get("NO_COLOR")
        self.unicode = (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")

    def paint(self, text: str, *names: str) -> str:
        """`text` in the named colours (see CODES), or as it is."""
        if not self.colour or not names:
            return text
        return f"\033[{';'.join(CODES[name] for name in names)}m{text}\033[0m"

    def label(self, text: str, index: int) -> str:
        """`text` in the colour of the service with this index."""
        if not self.colour:
            return text
        return f"\033[38;5;{LABEL_COLOURS[index % len(LABEL_COLOURS)]}m{text}\033[0m"

    def glyph(self, state: str) -> str:
        """One cell that stands for a state."""
        return GLYPHS.get(state, ("?", "?"))[0 if self.unicode else 1]

    def state(self, state: str, width: int = 0) -> str:
        """Glyph and word of a state, coloured, padded to `width` cells."""
        text = f"{self.glyph(state)} {state}"
        return self.paint(text, STATE_COLOURS.get(state, "dim")) + " " * (width - len(text))


def columns() -> int:
    """The width of the terminal that standard output is, COLUMNS, or 80. (shutil's does the same for 2 ms of imports.)"""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def cells(text: str) -> int:
    """How many terminal cells `text` (without control sequences) takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    total = 0
    for char in text:
        if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
            continue
        total += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return total


def fit(text: str, width: int) -> str:
    """`text` cut to at most `width` cells, an ellipsis in place of what is missing."""
    if width <= 0:
        return ""
    if cells(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    while kept and cells(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def pad(text: str, width: int) -> str:
    """`text` and spaces up to `width` cells."""
    return text + " " * max(0, width - cells(text))
