"""Text from services made safe to show: nothing in it can move the cursor, set a title or touch the clipboard.

Kept: printable text, tabs and, if wanted, colours (SGR). Source of the sequences: ECMA-48, sections 5.3 to 5.6 and 8.3, and
xterm's ctlseqs.
"""

from __future__ import annotations

import re

_RESET = "\x1b[0m"

# Anything that is not plain: C0 but tab, DEL, C1, the line separators that `str.splitlines` knows, and the marks that reorder text
# (they could make one service's line look like another's).
_SPECIAL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# Each alternative begins with its own introducer and its classes do not overlap, so that a match is found or refused in one pass.
_SEQUENCE = re.compile(
    r"(?P<sgr>(?:\x1b\[|\x9b)[0-9;:]*m)"
    # CSI: parameters, intermediates, a final byte that may be missing
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    # OSC, DCS, SOS, PM, APC: a string up to its terminator. Without one only the introducer goes, or it could hide all the rest.
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])(?:[^\x07\x18\x1a\x1b\x9c]*(?:\x07|\x1b\\|\x9c))?"
    # Other escapes: intermediates and a final byte (character sets, reset, cursor save)
    r"|\x1b(?:[ -/]*[0-~])?"
    r"|(?P<separator>[\u2028\u2029])"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def sanitize(text: str, *, colours: bool = True) -> str:
    """`text`, one line, as it may be shown on a terminal.

    Args:
        colours: keep SGR sequences; a line that has any then ends with a reset, so that it colours nothing after it.

    Returns:
        Text without control characters but tabs and the ESC of kept SGR sequences. Of a line that overwrote itself with carriage
        returns the last state is left. Linear in time, whatever the input.
    """
    if _SPECIAL.search(text) is None:
        return text
    if "\r" in text:
        text = _last_state(text)
    clean = _SEQUENCE.sub(_keep_colours if colours else _drop, text)
    if colours and "\x1b" in clean and not clean.endswith((_RESET, "\x1b[m")):
        clean += _RESET
    return clean


def plain(text: str) -> str:
    """`text` as people read it: without colours too."""
    return sanitize(text, colours=False)


def _last_state(text: str) -> str:
    """What is left of a progress bar: the last stretch between carriage returns that shows something."""
    for state in reversed(text.split("\r")):
        if state and _SEQUENCE.sub("", state).strip():
            return state
    return ""


def _keep_colours(match: re.Match[str]) -> str:
    if sgr := match["sgr"]:
        return "\x1b[" + sgr.lstrip("\x1b[\x9b")
    return _drop(match)


def _drop(match: re.Match[str]) -> str:
    return " " if match["separator"] else ""
