"""The scrollbar beside the log: it stands for the lines in memory."""

from __future__ import annotations

from textual.scrollbar import ScrollBar, ScrollDown, ScrollTo, ScrollUp

from devctl.dashboard.logview import LogView


class LogScrollBar(ScrollBar):
    """Stands for the lines in memory."""

    DEFAULT_CSS = "LogScrollBar { width: 1; height: 1fr; }"

    def __init__(self, view: LogView) -> None:
        super().__init__(vertical=True, thickness=1)
        self._view = view

    def on_scroll_up(self, message: ScrollUp) -> None:
        message.stop().prevent_default()
        self._view.page(-1)

    def on_scroll_down(self, message: ScrollDown) -> None:
        message.stop().prevent_default()
        self._view.page(1)

    def on_scroll_to(self, message: ScrollTo) -> None:
        message.stop().prevent_default()
        if message.y is not None and len(self._view.model):
            index = max(0, min(len(self._view.model) - 1, int(message.y)))
            self._view.show_index(index)
