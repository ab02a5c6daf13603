"""Paper to write a page on: wrapped lines with hanging indents, in the theme's colours."""

from __future__ import annotations

import time

from rich.cells import cell_len
from textual.content import Content

from devctl.logs.sanitize import plain
from devctl.wording import timestamp

# Theme variables, so that a change of theme recolours what is on the screen.
DIM, GOOD, BAD, BUSY, STRONG, LABEL = "dim", "$text-success", "$text-error", "$text-warning", "bold", "$text-secondary"

# Characters of one value that are shown; a value beyond it is said to go on.
VALUE_LIMIT = 2000
LEAST_TEXT = 12  # cells beside a label; with less, the text goes below it

Part = str | Content | tuple[str, str]
"""Text, or (text, style)."""


def clean(text: object, limit: int = VALUE_LIMIT) -> str:
    """Text from outside as it may be shown on one line: no control characters, bounded."""
    full = str(text)
    # Bytes that are no text reach us as lone surrogates, which a terminal cannot be sent.
    cut = full[:limit].encode("utf-8", "replace").decode()
    shown = plain(cut.replace("\r\n", "⏎").replace("\n", "⏎").replace("\t", " "))
    return shown if len(full) <= limit else f"{shown}… {len(full) - limit} more characters"


def fit(text: str, width: int) -> str:
    """`text` cut or filled to exactly `width` cells."""
    room = width - cell_len(text)
    if room >= 0:
        return text + " " * room
    return Content(text).truncate(width, ellipsis=True, pad=True).plain


def clock(time_text: str) -> str:
    """RFC 3339 in UTC as a local time of day: 14:05:09.123."""
    moment = timestamp(time_text)
    return f"{time.strftime('%H:%M:%S', time.localtime(moment))}.{int(moment % 1 * 1000):03d}"


class Paper:
    """A page in the making.

    Args:
        width: cells; what is written wraps there.
    """

    def __init__(self, width: int) -> None:
        self.width = max(8, width)
        self._lines: list[Content] = []

    def blank(self) -> None:
        """An empty line, but never two."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Content(""))

    def line(self, *parts: Part) -> None:
        """One paragraph."""
        self._lines += self._pieces(Content.assemble(*parts), self.width)

    def hang(self, lead: Content, *parts: Part) -> None:
        """A text beside `lead`; where there is too little room, below it."""
        text = Content.assemble(*parts)
        indent = lead.cell_length
        if self.width - indent < LEAST_TEXT:
            self.line(lead)
            lead, indent = Content("  "), 2
        for piece in self._pieces(text, self.width - indent):
            self._lines.append(Content.assemble(lead, piece))
            lead = Content(" " * indent)

    def row(self, label: str, *parts: Part, labels: int, style: str = LABEL) -> None:
        """A label, filled to `labels` cells, and its text."""
        self.hang(Content.assemble((fit(label, labels), style), " "), *parts)

    def note(self, text: str) -> None:
        """An aside."""
        self.line((text, DIM))

    def content(self) -> Content:
        """All of it."""
        return Content("\n").join(self._lines)

    @staticmethod
    def _pieces(text: Content, width: int) -> list[Content]:
        return [text] if text.cell_length <= width else text.wrap(width)
