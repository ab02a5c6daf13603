"""Colours in log lines (SGR) as spans of rich styles. Source: ECMA-48, 8.3.117, and ITU T.416 for 256 and true colours."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.color import Color
from rich.style import Style

Span = tuple[int, int, Style]
"""(start, end, style) in characters of a plain text."""

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_ATTRIBUTES = {
    1: "bold",
    2: "dim",
    3: "italic",
    4: "underline",
    5: "blink",
    7: "reverse",
    8: "conceal",
    9: "strike",
    21: "underline2",
}
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline", "underline2"), 25: ("blink",), 27: ("reverse",), 28: ("conceal",),
        29: ("strike",)}  # fmt: skip

State = tuple[frozenset[str], Color | None, Color | None]
"""Attributes, foreground, background."""

PLAIN: State = (frozenset(), None, None)


def parse(text: str) -> tuple[str, list[Span]]:
    """A sanitized line (its only control characters are tabs and SGR sequences) without sequences, and its styles."""
    if "\x1b" not in text:
        return text, []
    pieces: list[str] = []
    spans: list[Span] = []
    state = PLAIN
    position = length = 0
    for match in _SGR.finditer(text):
        piece = text[position : match.start()]
        if piece:
            if state is not PLAIN:
                spans.append((length, length + len(piece), _style(state)))
            pieces.append(piece)
            length += len(piece)
        state = _apply(state, match[1])
        position = match.end()
    if rest := text[position:]:
        if state is not PLAIN:
            spans.append((length, length + len(rest), _style(state)))
        pieces.append(rest)
    return "".join(pieces), spans


@lru_cache(4096)
def _style(state: State) -> Style:
    attributes, foreground, background = state
    return Style(color=foreground, bgcolor=background, **dict.fromkeys(attributes, True))  # type: ignore[arg-type]


@lru_cache(4096)
def _apply(state: State, parameters: str) -> State:
    attributes, foreground, background = state
    codes = _codes(parameters)
    position = 0
    while position < len(codes):
        code = codes[position]
        position += 1
        if code == 0:
            attributes, foreground, background = PLAIN
        elif code in _ATTRIBUTES:
            attributes |= {_ATTRIBUTES[code]}
        elif code in _OFF:
            attributes -= set(_OFF[code])
        elif code in (38, 48):
            colour, position = _extended(codes, position)
            if colour is not None and code == 38:
                foreground = colour
            elif colour is not None:
                background = colour
        elif 30 <= code <= 37 or 90 <= code <= 97:
            foreground = Color.from_ansi(code - 30 if code < 90 else code - 82)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            background = Color.from_ansi(code - 40 if code < 100 else code - 92)
        elif code == 39:
            foreground = None
        elif code == 49:
            background = None
    if not attributes and foreground is None and background is None:
        return PLAIN
    return attributes, foreground, background


def _codes(parameters: str) -> list[int]:
    # 4:3 is a curly underline, 38:2::r:g:b a colour: as with semicolons, but for the empty colour space.
    text = parameters.replace("38:2::", "38:2:").replace("48:2::", "48:2:").replace("4:0", "24")
    text = re.sub(r"\b4:\d", "4", text).replace(":", ";")
    # A number that is longer than any code is none.
    return [int(part) if part and len(part) < 4 else 0 if not part else 999 for part in text.split(";")[:64]]


def _extended(codes: list[int], position: int) -> tuple[Color | None, int]:
    """The colour behind 38 or 48, and where to go on."""
    kind = codes[position] if position < len(codes) else None
    if kind == 5 and position + 1 < len(codes):
        number = codes[position + 1]
        return (Color.from_ansi(number) if number < 256 else None), position + 2
    if kind == 2 and position + 3 < len(codes):
        red, green, blue = codes[position + 1 : position + 4]
        return (Color.from_rgb(red, green, blue) if max(red, green, blue) < 256 else None), position + 4
    return None, len(codes)
