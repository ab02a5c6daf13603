"""The line at the foot of the log pane in which searches, filters and times are typed."""

from __future__ import annotations

from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

Purpose = Literal["search", "filter", "since", "save"]

LABELS: dict[Purpose, tuple[str, str]] = {
    "search": ("/", "text, or re:pattern"),
    "filter": ("&", "show only lines with this; !text without, re:pattern"),
    "since": ("since", "5m, 14:05, or a date and time; empty: everything"),
    "save": ("save to", "a file"),
}
KEPT = 50  # entries of the history
LENGTH = 500  # characters


class LogPrompt(Widget):
    """One line of input with a purpose. Hidden when it has none."""

    DEFAULT_CSS = """
    LogPrompt { layout: horizontal; height: 1; display: none; background: $panel; }
    LogPrompt.-open { display: block; }
    LogPrompt > Static { width: auto; padding: 0 1; color: $text-accent; text-style: bold; }
    LogPrompt > Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    LogPrompt > Input:focus { border: none; }
    """

    class Typed(Message):
        """The text changes: for a preview."""

        def __init__(self, purpose: Purpose, text: str) -> None:
            super().__init__()
            self.purpose: Purpose = purpose
            self.text = text

    class Entered(Typed):
        """The text is as it should be."""

    class Closed(Message):
        """Nothing is to be done."""

        def __init__(self, purpose: Purpose) -> None:
            super().__init__()
            self.purpose: Purpose = purpose

    def __init__(self) -> None:
        super().__init__()
        self.purpose: Purpose | None = None
        self._label = Static(markup=False)
        self._input = Input(max_length=LENGTH, compact=True, select_on_focus=False)
        self._history: dict[Purpose, list[str]] = {}
        self._place = 0

    def compose(self) -> ComposeResult:
        yield self._label
        yield self._input

    def open(self, purpose: Purpose, text: str = "") -> None:
        """Asks for a text."""
        label, hint = LABELS[purpose]
        self.purpose = purpose
        self._label.update(label)
        self._input.placeholder = hint
        with self._input.prevent(Input.Changed):
            self._input.value = text
        self._input.cursor_position = len(text)
        self._place = 0
        self.add_class("-open")
        self._input.focus()

    def close(self) -> None:
        """Asks for nothing. Posts Closed when it did."""
        purpose, self.purpose = self.purpose, None
        self.remove_class("-open")
        if purpose is not None:
            self.post_message(self.Closed(purpose))

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        if self.purpose is not None:
            self.post_message(self.Typed(self.purpose, message.value))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        purpose, self.purpose = self.purpose, None
        if purpose is None:
            return
        if message.value:
            history = self._history.setdefault(purpose, [])
            if message.value in history:
                history.remove(message.value)
            history.append(message.value)
            del history[:-KEPT]
        self.remove_class("-open")
        self.post_message(self.Entered(purpose, message.value))

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            self.close()
        elif event.key in ("up", "down") and self.purpose is not None:
            event.stop()
            event.prevent_default()
            history = self._history.get(self.purpose, [])
            self._place = max(0, min(len(history), self._place + (1 if event.key == "up" else -1)))
            self._input.value = history[-self._place] if self._place else ""
            self._input.cursor_position = len(self._input.value)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if self.purpose is not None and self.app.focused is not self._input:
            self.close()
