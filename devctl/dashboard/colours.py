"""A colour for each service, by its place in the manifest: the same in the services pane and in the log, in every theme."""

from __future__ import annotations

from collections.abc import Sequence

# Legible on the dark and on the light themes' surfaces respectively (contrast of at least 4.5:1), neighbours far apart in hue.
_DARK = (
    "#5fafff", "#ffaf5f", "#5fd7af", "#d787d7", "#d7d75f", "#af87ff",
    "#87d75f", "#ff8787", "#5fd7d7", "#ff87af", "#afd7ff", "#d7af87",
)  # fmt: skip
_LIGHT = (
    "#005faf", "#af5f00", "#00765f", "#870087", "#6b6b00", "#5f00d7",
    "#2f7500", "#c00000", "#00707a", "#af005f", "#33589e", "#875f3f",
)  # fmt: skip
# For the terminal's own palette: its six colours that are none of black, white and grey.
_ANSI = ("ansi_blue", "ansi_yellow", "ansi_green", "ansi_magenta", "ansi_cyan", "ansi_red")


def colours(names: Sequence[str], *, dark: bool, ansi: bool) -> dict[str, str]:
    """Each service's colour, as Textual writes colours."""
    palette = _ANSI if ansi else _DARK if dark else _LIGHT
    return {name: palette[index % len(palette)] for index, name in enumerate(names)}
