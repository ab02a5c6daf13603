"""A few live lines below what scrolls by, on a terminal.

Everything goes out in one write: back to the top of the live lines, erase, the new text, the live lines again; between the marks of
a synchronised update, which terminals that know it (and they are many) show as one frame. The lines never wrap: they are cut to the
width. When the window gets narrower, the terminal wraps what stands there already, so the rows to go back are counted anew.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from typing import TextIO

from devctl.cli.style import cells, fit

CONTROL = re.compile(r"\033\[[0-9;]*m")
BEGIN, END = "\033[?2026h", "\033[?2026l"  # synchronised update; ignored where unknown
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME = 0.1  # seconds between frames of the spinner: smooth enough, and 10 short writes a second cost nothing


def plain(text: str) -> str:
    """`text` without colours."""
    return CONTROL.sub("", text) if "\033" in text else text


def cut(text: str, width: int) -> str:
    """`text`, which may hold colours, cut to `width` cells; a cut ends the colour."""
    if cells(plain(text)) <= width:
        return text
    kept, used = [], 0
    for part in re.split(f"({CONTROL.pattern})", text):
        if part.startswith("\033["):
            kept.append(part)
            continue
        piece = fit(part, width - used) if used + cells(part) > width else part
        kept.append(piece)
        used += cells(piece)
        if piece != part:
            break
    return "".join(kept) + "\033[0m"


class LiveArea:
    """The live lines of one terminal.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lines: list[str] = []
        self.drawn: list[int] = []  # cells of each line on the screen
        self._shown: list[str] = []

    def dimensions(self) -> tuple[int, int]:
        """Columns and rows, at this moment."""
        try:
            size = os.get_terminal_size(self.stream.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def show(self, lines: Sequence[str]) -> None:
        """Replaces the live lines."""
        self.lines = list(lines)
        self.refresh()

    def refresh(self) -> None:
        """Draws `lines` if they are not what stands there."""
        if self.lines != self._shown:
            self.write("")

    def write(self, text: str) -> None:
        """Prints `text` (whole lines, or nothing) above the live lines."""
        columns, rows = self.dimensions()
        visible = self.lines[-max(1, rows - 1) :]
        shown = [cut(line, columns - 1) for line in visible]
        out = [BEGIN, self._erase(columns), text]
        out.append("\n".join(shown))
        out.append(END)
        self.drawn = [cells(plain(line)) for line in shown]
        self._shown = self.lines
        self.stream.write("".join(out))
        self.stream.flush()

    def clear(self) -> None:
        """Takes the live lines away."""
        self.show([])

    def forget(self) -> None:
        """The screen is not as we left it (we were stopped by Ctrl-Z): draw below from now on."""
        self.drawn, self._shown = [], []

    def _erase(self, columns: int) -> str:
        if not self.drawn:
            return "\r\033[K"  # the terminal may have echoed a ^C
        rows = sum(max(1, -(-width // columns)) for width in self.drawn)
        up = f"\033[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}\033[J"


def spinner(style_unicode: bool) -> str:
    """The frame of the spinner for now."""
    frames = SPINNER if style_unicode else "|/-\\"
    return frames[int(time.monotonic() / FRAME) % len(frames)]
