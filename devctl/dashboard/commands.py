"""What each command of `keys` does. The method's name is the command's id."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported
from textual.widget import Widget

from devctl.dashboard.dialogs import Choice, ChoiceDialog, HelpDialog
from devctl.dashboard.outside import editor_command
from devctl.errors import DevctlError
from devctl.model import ENDED, ServiceState

if TYPE_CHECKING:
    from devctl.dashboard.app import Dashboard

SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGTERM", "SIGQUIT", "SIGKILL")
SORT_STEP = 4  # cells


class Commands:
    """The commands of one dashboard.

    Args:
        app: whose panes they act on.
    """

    def __init__(self, app: Dashboard) -> None:
        self.app = app

    def run(self, name: str, service: str | None = None) -> None:
        """Does a command; of those about a service, for `service` instead of the selected one."""
        act = getattr(self, name)
        if service is None:
            act()
        else:
            act(service)

    # --- moving -----------------------------------------------------------------------------------------------------------------

    def down(self) -> None:
        self._move(1)

    def up(self) -> None:
        self._move(-1)

    def _move(self, count: int) -> None:
        pane = self.app.pane
        if pane == "log":
            self.app.logs.view.move(count)
        elif pane == "detail":
            self.app.details.move(count)
        else:
            self.app.services.move(count)

    def page_down(self) -> None:
        self._page(1)

    def page_up(self) -> None:
        self._page(-1)

    def _page(self, pages: int) -> None:
        if self.app.pane == "detail":
            self.app.details.move(pages * max(1, self.app.details.size.height - 2))
        else:
            # The services rarely fill a page; who pages wants to read.
            self.app.logs.view.page(pages)

    def home(self) -> None:
        {"log": self.app.logs.home, "detail": self.app.details.home, "services": self.app.services.home}[self.app.pane]()

    def end(self) -> None:
        {"log": self.app.logs.end, "detail": self.app.details.end, "services": self.app.services.end}[self.app.pane]()

    def left(self) -> None:
        self.app.logs.view.sideways(-1)

    def right(self) -> None:
        self.app.logs.view.sideways(1)

    def next_service(self) -> None:
        self.app.services.move(1)

    def previous_service(self) -> None:
        self.app.services.move(-1)

    def next_pane(self) -> None:
        self.app.screen.focus_next()

    def previous_pane(self) -> None:
        self.app.screen.focus_previous()

    # --- services ---------------------------------------------------------------------------------------------------------------

    def solo(self, service: str | None = None) -> None:
        name = service or self.app.selected
        if name is not None:
            self.app.logs.show(None if self.app.logs.solo == name else name)

    def start(self, service: str | None = None) -> None:
        if name := self._service(service):
            self._order(f"start {name}", lambda: self.app.link.start([name]))

    def stop(self, service: str | None = None) -> None:
        name = self._service(service)
        if name is None:
            return
        needing = self._running_dependents(name)
        if not needing:
            self._order(f"stop {name}", lambda: self.app.link.stop([name]))
            return
        choices = [Choice("all", "a", f"stop it and {', '.join(needing)}"), Choice("one", "o", f"stop only {name}")]
        question = f"Stop {name}?"
        body = f"{', '.join(needing)} {'needs' if len(needing) == 1 else 'need'} it and {'runs' if len(needing) == 1 else 'run'}."

        def decided(answer: str | None) -> None:
            if answer is not None:
                self._order(f"stop {name}", lambda: self.app.link.stop([name], with_dependents=answer == "all"))

        self.app.push_screen(ChoiceDialog(question, body, choices), decided)

    def restart(self, service: str | None = None) -> None:
        if name := self._service(service):
            self._order(f"restart {name}", lambda: self.app.link.restart([name]))

    def restart_all(self, service: str | None = None) -> None:
        name = self._service(service)
        if name is None:
            return
        needing = self._running_dependents(name)
        if not needing:
            self.restart(name)
            return

        def decided(answer: str | None) -> None:
            if answer is not None:
                self._order(f"restart {name} and dependents", lambda: self.app.link.restart([name], with_dependents=True))

        choices = [Choice("yes", "y", f"restart {name} and {', '.join(needing)}"), _NO]
        self.app.push_screen(ChoiceDialog(f"Restart {name} and what depends on it?", "", choices), decided)

    def signal(self, service: str | None = None) -> None:
        name = self._service(service)
        if name is None:
            return
        choices = [Choice(one, str(number), one) for number, one in enumerate(SIGNALS, 1)]

        def decided(answer: str | None) -> None:
            if answer is not None:
                self._order(f"send {answer} to {name}", lambda: self.app.link.signal(name, answer))

        self.app.push_screen(
            ChoiceDialog(f"Send a signal to {name}", "It goes to the process group of its first process.", choices), decided
        )

    def wait(self, service: str | None = None) -> None:
        name = self._service(service)
        if name is None:
            return
        self.app.notify(f"waiting for {name}")

        async def work() -> None:
            answer = await self.app.link.wait(name)
            if answer["done"]:
                self.app.notify(f"{name} is ready")
                self.app.bell()
            else:
                self.app.trouble(f"{name} can no longer become ready" if answer["impossible"] else f"{name} is still not ready")

        self._work(work, f"wait for {name}")

    def open(self, service: str | None = None) -> None:
        name = self._service(service)
        view = self.app.view_of(name)
        if view is None:
            return
        if not view.url:
            self.app.trouble(f"{name} has no URL", "give it a port in the manifest")
            return
        self.app.show_url(view.url)

    def attach(self, service: str | None = None) -> None:
        name = self._service(service)
        view = self.app.view_of(name)
        if view is None or name is None:
            return
        inside = shlex.quote(name)
        words = f"in another terminal: devctl exec {inside} -- sh   (its environment and directory)"
        if view.pid is not None:
            words += f"\nits first process is {view.pid}: gdb -p {view.pid}, py-spy dump -p {view.pid}, strace -fp {view.pid}"
        self.app.notify(words, title=f"getting into {name}", timeout=15, markup=False)

    def sort(self) -> None:
        self.app.services.cycle_sort()
        self.app.keep_preferences()

    def find_service(self) -> None:
        self.app.services.start_filter()

    # --- log --------------------------------------------------------------------------------------------------------------------

    def search(self) -> None:
        self.app.logs.start_search()

    def next_match(self) -> None:
        self.app.logs.search_next()

    def previous_match(self) -> None:
        self.app.logs.search_previous()

    def filter(self) -> None:
        self.app.logs.start_filter()

    def follow(self) -> None:
        self.app.logs.toggle_follow()

    def wrap(self) -> None:
        self.app.logs.toggle_wrap()
        self.app.keep_preferences()

    def times(self) -> None:
        self.app.logs.cycle_timestamps()
        self.app.keep_preferences()

    def level(self) -> None:
        self.app.logs.cycle_level()

    def stream(self) -> None:
        self.app.logs.cycle_stream()

    def since(self) -> None:
        self.app.logs.start_since()

    def next_error(self) -> None:
        self.app.logs.next_error()

    def previous_error(self) -> None:
        self.app.logs.previous_error()

    def mark(self) -> None:
        self.app.logs.toggle_mark()

    def next_mark(self) -> None:
        self.app.logs.next_mark()

    def pretty(self) -> None:
        self.app.logs.toggle_pretty()
        self.app.keep_preferences()

    def fold(self) -> None:
        self.app.logs.toggle_fold()

    def folds(self) -> None:
        self.app.logs.toggle_folds()

    def copy(self) -> None:
        selected = self.app.screen.get_selected_text()
        words = selected or self.app.logs.copy()
        if not words:
            self.app.trouble("there is nothing to copy")
            return
        self.app.copy_to_clipboard(words)
        lines = words.count("\n") + 1
        self.app.notify(f"copied {lines} line{'s' if lines > 1 else ''}, if your terminal allows it (OSC 52)")

    def editor(self) -> None:
        place = self.app.logs.location()
        if place is None:
            self.app.trouble("no file is named in this line", "v works on lines with file:line, such as those of a traceback")
            return
        command = editor_command(*place, self.app.context.logs.parent)
        if command is None:
            self.app.trouble(f"cannot find {place[0]}", "it is looked for in the stack's directory and below where the log says")
            return
        try:
            with self.app.suspend():
                subprocess.run(command, check=False)
        except SuspendNotSupported:
            self.app.trouble("an editor needs a terminal", f"the place is {place[0]}:{place[1]}")
        except OSError as error:
            self.app.trouble(f"cannot run {command[0]}: {error.strerror}", "set EDITOR to an editor that exists")

    def save(self) -> None:
        name = self.app.logs.solo or self.app.stack_name or "stack"
        self.app.logs.start_save(str(Path.cwd() / f"{name}-log.txt"))

    def clear(self) -> None:
        self.app.logs.clear()

    # --- detail -----------------------------------------------------------------------------------------------------------------

    def detail(self) -> None:
        self.app.show_detail(not self.app.details.display)
        self.app.keep_preferences()

    def why(self, service: str | None = None) -> None:
        self._tab("why", service)

    def timeline(self) -> None:
        self._tab("timeline")

    def events(self, service: str | None = None) -> None:
        self._tab("events", service)

    def health(self, service: str | None = None) -> None:
        self._tab("health", service)

    def environment(self, service: str | None = None) -> None:
        self._tab("environment", service)

    def processes(self, service: str | None = None) -> None:
        self._tab("processes", service)

    def depends(self, service: str | None = None) -> None:
        self._tab("depends", service)

    def _tab(self, tab: str, service: str | None = None) -> None:
        if service is not None:
            self.app.services.select(service)
        again = not self.app.details.display and self.app.details.tab == tab
        self.app.show_detail(True)
        if not again:
            self.app.details.select_tab(tab)

    # --- window -----------------------------------------------------------------------------------------------------------------

    def zoom(self) -> None:
        self.app.toggle_zoom()

    def wider(self) -> None:
        self.app.resize_services(SORT_STEP)

    def narrower(self) -> None:
        self.app.resize_services(-SORT_STEP)

    def back(self) -> None:
        app = self.app
        if app.screen.selections:
            app.screen.clear_selection()
        elif app.logs.clear_search() or app.services.clear_filter() or app.logs.clear_filter():
            return
        elif app.logs.solo is not None:
            app.logs.show(None)
        elif app.zoomed:
            app.toggle_zoom()
        else:
            app.services.focus()

    def palette(self) -> None:
        self.app.action_command_palette()

    def help(self) -> None:
        self.app.push_screen(HelpDialog(self.app.keymap))

    def suspend(self) -> None:
        self.app.action_suspend_process()

    def detach(self) -> None:
        self.app.leave()

    def quit(self) -> None:
        self.app.ask_quit()

    def interrupt(self) -> None:
        self.app.interrupt()

    # --- orders -----------------------------------------------------------------------------------------------------------------

    def _service(self, service: str | None) -> str | None:
        name = service or self.app.selected
        if name is None:
            self.app.trouble("no service is selected")
        return name

    def _running_dependents(self, name: str) -> list[str]:
        """The services that run and need this one, in part by way of others."""
        snapshot = self.app.snapshot
        if snapshot is None:
            return []
        needing: list[str] = []
        grown = True
        while grown:
            more = [
                view.name
                for view in snapshot.services
                if view.name not in needing and any(other in view.depends_on for other in (name, *needing))
            ]
            needing += more
            grown = bool(more)
        idle = ENDED | {ServiceState.WAITING, ServiceState.EXTERNAL}
        return [view.name for view in snapshot.services if view.name in needing and view.state not in idle]

    def _order(self, words: str, order: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.app.notify(words)
        self._work(order, words)

    def _work(self, order: Callable[[], Coroutine[Any, Any, Any]], words: str) -> None:
        async def work() -> None:
            try:
                await order()
            except DevctlError as error:
                self.app.trouble(f"cannot {words}: {error.what}", error.mend)

        self.app.run_worker(work(), exit_on_error=False)


_NO = Choice("no", "n", "leave it as it is")


def is_within(widget: Widget | None, pane: Widget) -> bool:
    """Whether a widget is a pane or in it."""
    return widget is not None and pane in widget.ancestors_with_self
