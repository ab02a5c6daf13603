"""The end of a stack, seen live: what still stops, and the receipt."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from devctl.dashboard.background import in_thread
from devctl.dashboard.pages.paper import clean, fit
from devctl.dashboard.state import Snapshot
from devctl.errors import DevctlError
from devctl.wording import seconds

GONE = frozenset({"stopped", "completed", "failed", "external"})
LINGER = 1.0  # seconds that the receipt is shown
ROWS = 12  # services that are listed while they stop


class TeardownScreen(ModalScreen[tuple[str, int]]):
    """Stops the stack; gives (what to say about it, exit status).

    Args:
        teardown: stops it; with True it kills. Blocks.
        snapshot: the services as they are now.
    """

    def __init__(self, teardown: Callable[[bool], tuple[str, int]], snapshot: Snapshot | None) -> None:
        super().__init__()
        self._teardown = teardown
        self._snapshot = snapshot
        self._began = time.monotonic()
        self._forced = False
        self._outcome: tuple[str, int] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("stopping the stack", classes="title", markup=False, id="teardown-title")
            yield Static("", classes="body", markup=False, id="teardown-body")
            yield Static("Ctrl-C kills what is left", classes="hint", markup=False, id="teardown-hint")

    def on_mount(self) -> None:
        self._draw()
        self.set_interval(0.1, self._draw)
        self._run(False)

    def force(self) -> None:
        """Kills what is left."""
        if not self._forced and self._outcome is None:
            self._forced = True
            self._run(True)
            self._draw()

    def update(self, snapshot: Snapshot) -> None:
        """Takes the newest status."""
        self._snapshot = snapshot

    def _run(self, force: bool) -> None:
        self.run_worker(self._end(force), group=f"teardown-{force}", exit_on_error=False)

    async def _end(self, force: bool) -> None:
        try:
            outcome = await in_thread(lambda: self._teardown(force))
        except DevctlError as error:
            outcome = (str(error), 1)
        if self._outcome is not None or (self._forced and not force):
            return  # the kill that follows reports
        self._outcome = outcome
        self._draw()
        self.set_timer(LINGER if outcome[1] == 0 else 10 * LINGER, self._close)

    def _close(self) -> None:
        if self._outcome is not None and self.is_current:
            self.dismiss(self._outcome)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        self._close()

    def on_click(self) -> None:
        self._close()

    def _draw(self) -> None:
        title, body, hint = (self.query_one(f"#teardown-{part}", Static) for part in ("title", "body", "hint"))
        if self._outcome is not None:
            title.update("stopped" if self._outcome[1] == 0 else "stopped, but not all is well")
            body.update(Content(clean_lines(self._outcome[0]) or "nothing was running"))
            hint.update("any key closes")
            return
        took = seconds(float(int(time.monotonic() - self._began)))
        title.update(f"{'killing everything' if self._forced else 'stopping the stack'}: {took}")
        body.update(self._services())
        if self._forced:
            hint.update("SIGKILL was sent to every tree")

    def _services(self) -> Content:
        left = [] if self._snapshot is None else [view for view in self._snapshot.services if view.state.value not in GONE]
        if not left:
            return Content("making sure that nothing is left")
        lines = [Content.assemble((fit(clean(view.name, 60), 24), "bold"), f" {view.state.value}") for view in left[:ROWS]]
        if len(left) > ROWS:
            lines.append(Content(f"and {len(left) - ROWS} more"))
        return Content("\n").join(lines)


def clean_lines(text: str) -> str:
    """Several lines from outside as they may be shown."""
    return "\n".join(clean(line) for line in text.splitlines())
