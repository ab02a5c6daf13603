"""How states look: a glyph for each, and the colour that goes with it. The word always stands beside them."""

from __future__ import annotations

STATE_COLOURS = {
    "ready": "green",
    "completed": "green",
    "external": "cyan",
    "starting": "yellow",
    "waiting": "dim",
    "stopping": "yellow",
    "stopped": "dim",
    "backoff": "yellow",
    "unhealthy": "red",
    "failed": "red",
    "degraded": "red",
}

GLYPHS = {
    "ready": ("●", "*"),
    "completed": ("✓", "+"),
    "external": ("◆", "@"),
    "starting": ("◐", "~"),
    "waiting": ("○", "o"),
    "stopping": ("◌", "v"),
    "stopped": ("·", "."),
    "backoff": ("↻", "r"),
    "unhealthy": ("▲", "!"),
    "failed": ("✗", "x"),
    "degraded": ("▲", "!"),
}
"""(in Unicode, in ASCII) by state."""
