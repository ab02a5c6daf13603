"""The line below the log: what is shown of it, and how."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from devctl.dashboard.pages.paper import clean


class LogStatus(Static):
    """One line; the part that tells of new lines is a button."""

    DEFAULT_CSS = """
    LogStatus { height: 1; background: $panel; color: $text-muted; padding: 0 1; }
    """

    class Pressed(Message):
        """Somebody wants to see the new lines."""

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._shown: tuple[object, ...] = ()
        self.words = ""
        self._pill = (0, 0)

    def put(
        self,
        *,
        scope: str,
        following: bool,
        unseen: int,
        more: bool,
        conditions: str,
        search: str,
        flags: str,
        said: str,
        place: tuple[int, int],
    ) -> None:
        """Shows these facts, if they are others than before."""
        width = self.content_size.width
        facts = (scope, following, unseen, more, conditions, search, flags, said, None if following else place, width)
        if facts == self._shown or width <= 0:
            return
        self._shown = facts
        if following:
            pill, style = " following ", "$text-success"
        elif unseen or more:
            pill, style = f" +{unseen:,}{' and more' if more else ''} new ", "bold reverse $text-accent"
        else:
            pill, style = " paused ", "$text-warning"
        parts = [(pill, style)]
        parts.append((f" {clean(scope, 60)}", "bold"))
        if not following:
            parts.append((f"  {place[0]:,}/{place[1]:,}", ""))
        if conditions:
            parts.append((f"  {clean(conditions, 120)}", "$text-accent"))
        if search:
            parts.append((f"  /{clean(search, 60)}", "$text-warning"))
        if flags:
            parts.append((f"  {flags}", "dim"))
        if said:
            parts.append((f"  {clean(said, 300)}", "$text-accent italic"))
        content = Content.assemble(*parts)
        self.words = content.plain
        self._pill = (0, len(pill))
        self.update(content if content.cell_length <= width else content.truncate(width, ellipsis=True), layout=False)

    def on_click(self, event: events.Click) -> None:
        if self._pill[0] <= event.x - 1 < self._pill[1]:
            event.stop()
            self.post_message(self.Pressed())
