"""The theme's colours for lines that are drawn segment by segment."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


def text_style(widget: Widget, component: str) -> Style:
    """A component class's colour and attributes, blended with what is behind it, without a background of its own."""
    style = widget.get_component_rich_style(component)
    return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)


def back_style(widget: Widget, component: str) -> Style:
    """A component class's background, blended with what is behind it.

    The terminal's own sixteen colours cannot be blended, and any of them may be a text's: there, reversed.
    """
    if widget.app.theme.startswith("ansi"):
        return Style(reverse=True)
    return Style(bgcolor=widget.get_component_rich_style(component).bgcolor)
