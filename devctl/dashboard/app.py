"""The dashboard's application: three panes, wired to the link and to each other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import Worker, WorkerState

from devctl.dashboard import commands, keys, preferences
from devctl.dashboard.context import Context
from devctl.dashboard.detail import DetailPane
from devctl.dashboard.dialogs import Choice, ChoiceDialog
from devctl.dashboard.link import Link, LinkState
from devctl.dashboard.logfeed import Start
from devctl.dashboard.logpane import STAMPS, LogPane
from devctl.dashboard.logreader import TAIL
from devctl.dashboard.memory import Collector
from devctl.dashboard.outside import open_browser
from devctl.dashboard.pages.paper import clean
from devctl.dashboard.palette import Palette
from devctl.dashboard.services import ServicesPane
from devctl.dashboard.state import ServiceView, Snapshot
from devctl.dashboard.teardown import TeardownScreen

NARROW = 90  # cells; below, the panes stand on each other
SHORT = 24  # lines; below, the detail pane would leave nothing to the log
WIDTHS = (24, 46, 120)  # cells of the services pane: least, at first, most
INTERRUPTED = 130
SETTLE = 0.2  # seconds after a resize until everything is painted once more
# Seconds between two times that everything is painted. What the terminal shows can differ from what was painted: another program
# has written to it or, once in a hundred starts on a busy machine, a pane went in the midst of a paint. It takes some 10 ms.
AFRESH = 5
TWICE = 2.0  # seconds in which a second Ctrl-C is the second one

Pane = Literal["services", "log", "detail"]


class Dashboard(App[int]):
    """Shows one stack.

    Args:
        context: which one.
        preferences_path, keys_path: the user's files.
        collector: takes garbage collection over, of the whole process.
    """

    CSS_PATH = "app.tcss"
    TITLE = "devctl"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = App.COMMANDS | {Palette}
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings())

    def __init__(
        self,
        context: Context,
        *,
        preferences_path: Path | None = None,
        keys_path: Path | None = None,
        collector: Collector | None = None,
    ) -> None:
        super().__init__()
        self.context = context
        self.commands = commands.Commands(self)
        self.snapshot: Snapshot | None = None
        self.keymap, self._problems = keys.load(keys_path or keys.config_path())
        self._preferences_path = preferences_path or preferences.path_of()
        self._preferences, problem = preferences.load(self._preferences_path)
        if problem:
            self._problems.append(problem)
        self.farewell = ""
        self.zoomed: Pane | None = None
        self._names = context.names
        self._interrupted_at = float("-inf")
        self._link_state: LinkState = "connecting"
        self._link_words = ""
        self._ticks = 0
        self._lost_at = 0.0
        self._left = False
        self._window = Size(80, 24)
        self._started_by = os.getppid()
        self.link = Link(
            context.client,
            context.paths,
            on_snapshot=self._on_snapshot,
            on_event=self._on_event,
            on_state=self._on_link,
        )
        start = Start(since=context.since) if context.since is not None else Start(tail=TAIL)
        self.services = ServicesPane(id="services")
        self.logs = LogPane(self._sources, start, id="log")
        self.details = DetailPane(self.link, id="detail")
        self._banner = Static("", id="banner", markup=False)
        self._collector = collector

    def compose(self) -> ComposeResult:
        yield self._banner
        with Horizontal(id="panes"):
            yield self.services
            with Vertical(id="right"):
                yield self.logs
                yield self.details
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        if self._preferences.theme in self.available_themes:
            self.theme = self._preferences.theme
        self.app_resume_signal.subscribe(self, lambda _: self._repaint())
        self.theme_changed_signal.subscribe(self, lambda _: self._recolour())
        if self.keymap:
            self.set_keymap(self.keymap)
        self.logs.wrap = self._preferences.wrap
        self.logs.pretty = self._preferences.pretty
        if self._preferences.timestamps in STAMPS:
            self.logs.timestamps = next(stamp for stamp in STAMPS if stamp == self._preferences.timestamps)
        if self._preferences.sort:
            self.services.set_sort(self._preferences.sort)
        self._arrange()
        self.services.focus()
        self._recolour()
        self._catch_signals()
        self.run_worker(self.link.run(), name="link", exit_on_error=False)
        self.set_interval(1.0, self._tick)
        if self._collector is not None:
            self.call_after_refresh(self._collector.begin)
        if self.context.message:
            self.notify(self.context.message, markup=False)
        for problem in self._problems[:3]:
            self.notify(clean(problem), severity="warning", timeout=12, markup=False)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread: a test
            loop.add_signal_handler(signal.SIGTERM, self.exit, 128 + signal.SIGTERM)
            # The terminal is gone: there is nobody to say goodbye to, and the toolkit could wait for its last paint for ever.
            loop.add_signal_handler(signal.SIGHUP, os._exit, 128 + signal.SIGHUP)

    # --- what comes from the supervisor -----------------------------------------------------------------------------------------

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        before = self.snapshot
        self.snapshot = snapshot
        names = tuple(view.name for view in snapshot.services)
        self.services.update(snapshot)
        self.details.update(snapshot)
        if names != self._names or before is None:
            self._names = names
            self._recolour()
        if isinstance(self.screen, TeardownScreen):
            self.screen.update(snapshot)

    def _on_event(self, event: dict[str, object]) -> None:
        self.details.on_stack_event(event)

    def _on_link(self, state: LinkState, words: str) -> None:
        if state in ("lost", "ended") and self._link_state not in ("lost", "ended"):
            self._lost_at = time.monotonic()
        self._link_state, self._link_words = state, words
        self.details.set_link(state, words)
        self.services.set_link(state, words)
        self._draw_banner()

    def _repaint(self) -> None:
        """Paints everything: somebody else may have had the terminal (Ctrl-Z, an editor)."""
        for screen in self.screen_stack[-1:]:  # none is left when the timer after a resize meets the application's end
            for widget in screen.walk_children():
                widget.refresh()

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % AFRESH == 0:
            self._repaint()
        self._draw_banner()
        if self.is_web and os.getppid() != self._started_by:
            self.exit(1)  # the web server was killed: nobody can see this any more
        if self._collector is not None:
            self._collector.idle()

    def _draw_banner(self) -> None:
        """Says above everything that what is shown is not of now."""
        shown = self._link_state in ("lost", "ended") and not isinstance(self.screen, TeardownScreen)
        self._banner.display = shown
        if shown:
            since = int(time.monotonic() - self._lost_at)
            if self._link_state == "ended":
                words = f" {clean(self._link_words)}. The log stays readable; q quits, devctl up starts it again."
            else:
                words = f" no connection to the supervisor for {since} s: {clean(self._link_words)}. Trying again…"
            self._banner.update(Content(words))

    def _sources(self) -> list[tuple[str, Path]]:
        return self.context.log_files(self._names)

    def _recolour(self) -> None:
        self.logs.set_labels(self.services.colours(self._names))

    # --- selection --------------------------------------------------------------------------------------------------------------

    @property
    def selected(self) -> str | None:
        """The selected service."""
        return self.services.selected

    @property
    def stack_name(self) -> str:
        """As the manifest names it; "" before it is known."""
        return self.snapshot.stack if self.snapshot is not None else ""

    def view_of(self, name: str | None) -> ServiceView | None:
        """A service's status."""
        if self.snapshot is None or name is None:
            return None
        return next((view for view in self.snapshot.services if view.name == name), None)

    @property
    def pane(self) -> Pane:
        """Where the keyboard is."""
        if commands.is_within(self.focused, self.logs):
            return "log"
        return "detail" if commands.is_within(self.focused, self.details) else "services"

    def on_services_pane_selected(self, message: ServicesPane.Selected) -> None:
        self.details.show(message.name)
        if self.logs.solo is not None and message.name is not None and self.logs.solo != message.name:
            self.logs.show(message.name)

    def on_services_pane_opened(self, message: ServicesPane.Opened) -> None:
        self.commands.solo(message.name)

    def on_services_pane_link_clicked(self, message: ServicesPane.LinkClicked) -> None:
        self.show_url(message.url)

    def on_log_pane_soloed(self, message: LogPane.Soloed) -> None:
        self.services.set_solo(message.service)

    def show_url(self, url: str) -> None:
        """Opens a page, or says where it is."""
        if not open_browser(url):
            self.copy_to_clipboard(url)
            self.notify(f"{url}\nno browser here; the address is in the clipboard, if your terminal allows it", markup=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A piece of work that failed is a bug, and no reason to fail with it: the stack is seen and steered all the same."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            self.trouble(f"a part of the dashboard failed: {type(error).__name__}: {error}", "this is a bug in devctl")

    def trouble(self, what: str, mend: str | None = None) -> None:
        """Says that something did not work."""
        self.notify(clean(what) + (f"\n{clean(mend)}" if mend else ""), severity="error", timeout=10, markup=False)

    # --- commands ---------------------------------------------------------------------------------------------------------------

    def action_do(self, name: str, service: str | None = None) -> None:
        """Does a command of `keys`."""
        if self._collector is not None:
            self._collector.used()
        self.commands.run(name, service)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Textual's own commands, but those that `keys` has."""
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Screenshot"):
                yield command

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(id="--command-palette"))

    # --- arrangement ------------------------------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(event.size)  # `size` is still the old one here
        # Panes that come and go in the midst of a resize leave what they had painted, once in a hundred times.
        self.set_timer(SETTLE, self._repaint)

    def _arrange(self, size: Size | None = None) -> None:
        self._window = size or self.size
        narrow = self._window.width < NARROW
        self.set_class(narrow, "-narrow")
        self.details.display = self._wants_detail() and self.zoomed in (None, "detail")
        self.logs.display = self.zoomed in (None, "log")
        self.services.display = self.zoomed in (None, "services")
        right = self.query_one("#right")
        right.display = self.zoomed != "services"
        width = self._preferences.services_width or min(WIDTHS[1], self._window.width * 2 // 5)
        self.services.styles.width = (
            "1fr" if narrow or self.zoomed == "services" else max(WIDTHS[0], min(width, self._window.width - 40))
        )

    def _wants_detail(self) -> bool:
        return self.zoomed == "detail" or (self._preferences.detail and self._window.height >= SHORT)

    def show_detail(self, on: bool) -> None:
        """Shows or hides the detail pane."""
        self._preferences.detail = on
        if on and not self._wants_detail():
            self.zoomed = "detail"
        elif not on and self.zoomed == "detail":
            self.zoomed = None
        if not on and self.pane == "detail":
            self.services.focus()
        self._arrange()

    def toggle_zoom(self) -> None:
        """One pane alone, or all."""
        self.zoomed = None if self.zoomed is not None else self.pane
        self._arrange()

    def resize_services(self, cells: int) -> None:
        """Makes the services pane wider or narrower."""
        width = self.services.outer_size.width + cells
        self._preferences.services_width = max(WIDTHS[0], min(WIDTHS[2], width, self.size.width - 40))
        self._arrange()
        self.keep_preferences()

    def watch_theme(self, theme: str) -> None:
        """A theme that was chosen is remembered."""
        if self.is_running and theme != self._preferences.theme:
            self._preferences.theme = theme
            self.keep_preferences()

    def keep_preferences(self) -> None:
        """Remembers the switches as they are now."""
        self._preferences.wrap = self.logs.wrap
        self._preferences.timestamps = self.logs.timestamps
        self._preferences.pretty = self.logs.pretty
        self._preferences.sort = self.services.sort
        try:
            preferences.save(self._preferences_path, self._preferences)
        except OSError as error:
            self.log(f"cannot keep the preferences: {error}")

    # --- the end ----------------------------------------------------------------------------------------------------------------

    def ask_quit(self) -> None:
        """Stop the stack, or leave it running?"""
        if self._link_state == "ended":
            self._end_of_ended()
            return
        stop = Choice("stop", "s", "stop the stack: every service, and prove that nothing is left")
        leave = Choice("leave", "l", "leave it running; devctl dashboard comes back, devctl down stops it")
        ours = self.context.detach is not None
        body = "" if ours else "It was running before this dashboard was opened."

        def decided(answer: str | None) -> None:
            if answer == "stop":
                self.stop_stack(0)
            elif answer == "leave":
                self.leave()

        self.push_screen(ChoiceDialog("Quit", body, [stop, leave] if ours else [leave, stop]), decided)

    def leave(self) -> None:
        """Closes the dashboard; the stack goes on."""
        if self._link_state == "ended":
            self._end_of_ended()
            return
        self._left = True
        self.farewell = "the stack is left running: devctl dashboard, devctl status, devctl down"
        self.exit(0)

    @property
    def left(self) -> bool:
        """Whether the stack goes on although this dashboard held it."""
        return self._left

    def stop_stack(self, status: int) -> None:
        """Stops the stack, live, and ends with `status` when all went well."""
        if isinstance(self.screen, TeardownScreen):
            return

        def done(outcome: tuple[str, int] | None) -> None:
            text, code = outcome or ("", 0)
            self.farewell = text
            self.exit(code or status)

        self.push_screen(TeardownScreen(self.context.teardown, self.snapshot), done)

    def _end_of_ended(self) -> None:
        """The stack is gone already. What a crash may have left is ended, and said."""
        if "crashed" in self._link_words:
            self.stop_stack(1)
        else:
            self.farewell = self._link_words
            self.exit(0)

    def interrupt(self) -> None:
        """Ctrl-C: once, the stack is stopped when this dashboard holds it, else it is asked; twice, at once."""
        now = time.monotonic()
        again = now - self._interrupted_at < TWICE
        self._interrupted_at = now
        if isinstance(self.screen, TeardownScreen):
            self.screen.force()
        elif self._link_state == "ended":
            self._end_of_ended()
        elif self.context.detach is not None:
            self.stop_stack(INTERRUPTED)
        elif again or isinstance(self.screen, ChoiceDialog):
            self.leave()
        else:
            self.ask_quit()
