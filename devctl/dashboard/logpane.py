"""The log pane: what all services write, or one of them, with search, filters and the way back into the files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from rich.cells import cell_len
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from devctl.dashboard.background import in_thread
from devctl.dashboard.logfeed import Sources, Start
from devctl.dashboard.logfilter import LogFilter, Pattern
from devctl.dashboard.logmodel import CAPACITY, LogModel
from devctl.dashboard.logprompt import LogPrompt, Purpose
from devctl.dashboard.logreader import PAGE, TAIL, LogReader
from devctl.dashboard.logscrollbar import LogScrollBar
from devctl.dashboard.logstatus import LogStatus
from devctl.dashboard.logtext import ROLES, Look, Timestamps, locations, text
from devctl.dashboard.logview import LogView
from devctl.dashboard.outside import write_new
from devctl.dashboard.styles import back_style, text_style
from devctl.errors import DevctlError, UsageError
from devctl.logs.level import continues
from devctl.logs.record import Record
from devctl.logs.times import parse_time

# 20 a second: more looks no smoother, and each costs a paint.
FLUSH = 0.05
# Records in one flush beyond which every other one is left out: nobody reads at that speed.
BUSY = 400
TAKE = 20_000  # records in one flush; the rest waits in the feed, and then in the files
QUIET = 0.5  # seconds between two looks at the status line when nothing comes
NEAR = 200  # lines from an end of the memory at which the next page is fetched
LEVELS = (None, "error", "warn", "info", "debug")
STREAMS = (None, "stdout", "stderr")
STAMPS: tuple[Timestamps, ...] = ("off", "time", "full")
LABEL_CELLS = 16  # a longer name is cut


class LogPane(Widget):
    """The logs of a stack.

    Args:
        sources: the services and their files.
        start: where to begin; by default with the last lines.
        capacity: lines that are held in memory.
    """

    DEFAULT_CSS = """
    LogPane { layout: vertical; background: $surface; }
    LogPane > Horizontal { height: 1fr; }
    LogPane > .log--time { color: $text-muted; }
    LogPane > .log--separator { color: $text-disabled; }
    LogPane > .log--error { color: $text-error; }
    LogPane > .log--warning { color: $text-warning; }
    LogPane > .log--quiet { color: $text-muted; }
    LogPane > .log--match { background: $warning; color: $background; text-style: bold; }
    LogPane > .log--mark { color: $text-accent; text-style: bold; }
    LogPane > .log--note { color: $text-accent; text-style: italic; }
    """
    COMPONENT_CLASSES = {f"log--{role}" for role in ROLES}  # noqa: RUF012

    wrap: reactive[bool] = reactive(False)
    timestamps: reactive[Timestamps] = reactive("off")
    pretty: reactive[bool] = reactive(False)

    class Changed(Message):
        """What is shown, or how, is another."""

    class Soloed(Message):
        """Another service is shown alone, or None: all."""

        def __init__(self, service: str | None) -> None:
            super().__init__()
            self.service = service

    def __init__(
        self,
        sources: Sources,
        start: Start | None = None,
        *,
        capacity: int = CAPACITY,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._sources = sources
        self._start = start or Start(tail=TAIL)
        self.model = LogModel(capacity)
        self.view = LogView(self.model)
        self._bar = LogScrollBar(self.view)
        self.prompt = LogPrompt()
        self.status = LogStatus()
        self.reader = LogReader(sources, self.model, changed=self.view.changed, trouble=self.say)
        self._colours: Mapping[str, str] = {}
        self._paging = False
        self._skip_flush = False
        self._before_preview: LogFilter | None = None
        self._said = ""
        self._said_until = 0.0
        self._quiet_until = 0.0

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.view
            yield self._bar
        yield self.prompt
        yield self.status

    def on_mount(self) -> None:
        self.reader.open(self._start)
        self.set_interval(FLUSH, self._flush)
        self._restyle()

    def on_unmount(self) -> None:
        self.reader.close()

    # --- what comes -------------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._skip_flush:
            self._skip_flush = False
            return
        if self.reader.waiting:
            # Who reads is not robbed of what they read: then lines wait in the files once the memory is full.
            if count := self.reader.take(TAKE if self.view.follow else min(TAKE, self._room())):
                self._skip_flush = count > BUSY
                self.view.changed()
        elif time.monotonic() < self._quiet_until:
            return
        # Also when nothing came: a sentence that was said is over, a file cannot be read.
        self._quiet_until = time.monotonic() + QUIET
        self._refresh_status()

    def _room(self) -> int:
        """How many lines may come while somebody reads: those that the lines above the screen make room for count as well."""
        above = self.view.position[0] if self.model.filter.passes_all else 0
        return max(0, self.model.room + max(0, above - min(PAGE, self.model.capacity // 4)))

    def _refresh_status(self) -> None:
        first, seen = self.view.position
        total = len(self.model)
        self._bar.window_virtual_size = max(1, total)
        self._bar.window_size = max(1, min(seen, total))
        self._bar.position = first
        said = self._said if time.monotonic() < self._said_until else ""
        search = self.model.search
        self.status.put(
            scope=self.model.filter.service or "all services",
            following=self.view.follow,
            unseen=self.view.unseen + (0 if self.view.follow else self.reader.waiting),
            more=self.reader.more,
            conditions=self.model.filter.describe(),
            search="" if search is None else search.text,
            flags=self._flags(),
            said=said or self.reader.trouble,
            place=(first + seen, total),
        )

    def on_log_status_pressed(self, message: LogStatus.Pressed) -> None:
        message.stop()
        self.toggle_follow()

    def _flags(self) -> str:
        flags = {"wrap": self.wrap, "pretty": self.pretty, "folded": self.model.folds}
        return " ".join(name for name, on in flags.items() if on)

    def say(self, words: str, seconds: float = 4.0) -> None:
        """Shows a sentence in the status line for a while."""
        self._said, self._said_until = words, time.monotonic() + seconds
        self._refresh_status()

    # --- what is shown ----------------------------------------------------------------------------------------------------------

    @property
    def solo(self) -> str | None:
        """The service that is shown alone."""
        return self.model.filter.service

    def show(self, service: str | None) -> None:
        """Shows one service alone, or all."""
        if service != self.solo:
            self._filter(service=service)
            self._restyle()
            self.post_message(self.Soloed(service))

    def set_labels(self, colours: Mapping[str, str]) -> None:
        """The colour of each service, as rich and Textual know colours; the services are labelled in this width."""
        if dict(colours) != dict(self._colours):
            self._colours = dict(colours)
            self._restyle()

    def _filter(self, **changes: object) -> None:
        self.model.set_filter(self.model.filter.with_(**changes))
        self.view.refiltered()
        self._refresh_status()
        self.post_message(self.Changed())

    def watch_wrap(self) -> None:
        self._restyle()

    def watch_timestamps(self) -> None:
        self._restyle()

    def watch_pretty(self) -> None:
        self._restyle()

    def on_resize(self) -> None:
        if self.wrap:
            self.call_after_refresh(self._restyle)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted:
            self._restyle()

    def _restyle(self) -> None:
        if not self.is_mounted:
            return
        width = min(LABEL_CELLS, max((cell_len(name) for name in self._colours), default=0))
        labels = {} if self.solo else {name: (_fit(name, width), Style.parse(colour)) for name, colour in self._colours.items()}
        styles = {role: text_style(self, f"log--{role}") for role in ROLES}
        styles["match"] += back_style(self, "log--match")
        look = Look(
            labels=labels,
            timestamps=self.timestamps,
            width=self.view.size.width if self.wrap and self.view.size.width else None,
            pretty=self.pretty,
            pattern=self.model.search,
            styles=styles,
        )
        self.view.set_look(look)

    # --- commands ---------------------------------------------------------------------------------------------------------------

    def toggle_follow(self) -> None:
        """Follows the end, or stays here."""
        if self.view.follow:
            self.view.set_follow(False)
        else:
            self.end()

    def toggle_wrap(self) -> None:
        """Long lines on several rows, or cut at the edge."""
        self.wrap = not self.wrap
        self.view.left = 0

    def cycle_timestamps(self) -> None:
        """No times, times of day, dates and times."""
        self.timestamps = STAMPS[(STAMPS.index(self.timestamps) + 1) % len(STAMPS)]

    def toggle_pretty(self) -> None:
        """JSON lines on several rows, or as they are."""
        self.pretty = not self.pretty

    def toggle_folds(self) -> None:
        """Lines that belong to the one before them are hidden, or shown."""
        self.model.set_folds(not self.model.folds)
        self.view.refiltered()
        self.say("tracebacks and indented lines are folded" if self.model.folds else "nothing is folded")

    def toggle_fold(self) -> None:
        """Shows or hides what belongs to the line at the cursor."""
        number = self.view.current
        if number is not None:
            self.model.toggle_fold(number)
            self.view.refiltered()

    def cycle_level(self) -> None:
        """All levels, errors, warnings and worse, …"""
        level = self.model.filter.level
        self.set_level(LEVELS[(LEVELS.index(level) + 1) % len(LEVELS)] if level in LEVELS else None)

    def set_level(self, level: str | None) -> None:
        """Only this level and worse; None: all."""
        self._filter(level=level)

    def cycle_stream(self) -> None:
        """Both streams, stdout, stderr."""
        self._filter(stream=STREAMS[(STREAMS.index(self.model.filter.stream) + 1) % len(STREAMS)])

    def set_since(self, words: str | None) -> None:
        """Only lines since a time as a user types it; nothing or "": all. Raises UsageError."""
        since = parse_time(words) if words else None
        self._filter(since=since, since_text=words or "")

    def set_pattern(self, words: str | None) -> None:
        """Only lines that this is found in; nothing or "": all. Raises UsageError."""
        self._filter(pattern=Pattern(words) if words else None)

    def clear_filter(self) -> bool:
        """Takes all conditions away, but not the choice of a service; whether there were any."""
        wanted = LogFilter(service=self.solo)
        if self.model.filter == wanted:
            return False
        self.model.set_filter(wanted)
        self.view.refiltered()
        self._refresh_status()
        self.post_message(self.Changed())
        return True

    def clear(self) -> None:
        """Begins with an empty screen. What was there is in the files, and comes back as one scrolls up."""
        self._give_up()
        self.reader.open(Start(tail=0))
        self.view.set_follow(True)
        self.say("cleared; the log files keep everything")

    def toggle_mark(self) -> None:
        """Marks the line at the cursor, to come back to it."""
        number = self.view.current
        if number is not None and self.model.record(number) is not None:
            self.view.set_follow(False)
            marked = self.model.toggle_mark(number)
            self.view.cursor = number
            self.view.changed()
            self.say("marked; ' comes back here" if marked else "mark removed")

    def next_mark(self) -> None:
        """Goes to the next mark."""
        current = self.view.current
        mark = self.model.next_mark(-1 << 60 if current is None else current)
        if mark is None:
            self.say("nothing is marked; m marks a line")
        else:
            self.view.show_index(min(self.model.index_of(mark), len(self.model) - 1), centre=True)

    def home(self) -> None:
        """Goes to the first line that the files have."""

        async def go() -> None:
            self.view.set_follow(False)
            await self.reader.go_home()
            self.view.home()

        self._go(go())

    def end(self) -> None:
        """Goes to the last line, and stays there as more come."""
        self._give_up()
        if self.reader.more:
            self.reader.open(Start(tail=TAIL))
        self.view.set_follow(True)
        self._refresh_status()

    def _go(self, work: Awaitable[None]) -> None:
        """Begins the way to a place that may have to be read first."""
        self._give_up()
        self.run_worker(work, group="log-place", exit_on_error=False)

    def _give_up(self) -> None:
        """Ends what is on its way to another place, or reads a page: the last key counts, and a page can push the end out."""
        self.workers.cancel_group(self, "log-page")
        self._paging = False
        if self.workers.cancel_group(self, "log-place"):
            self.say("")  # it may have said that it was searching

    # --- history ----------------------------------------------------------------------------------------------------------------

    def on_log_view_moved(self, message: LogView.Moved) -> None:
        message.stop()
        first, seen = self.view.position
        if not self._paging:
            if first < NEAR and not self.view.follow and not self.reader.at_start:
                self._page(self.reader.load_older())
            elif self.reader.detached and first + seen + NEAR > len(self.model):
                self._page(self.reader.load_newer())
        self._refresh_status()
        self.post_message(self.Changed())

    def _page(self, work: Awaitable[object]) -> None:
        self._paging = True

        async def run() -> None:
            try:
                await work
            finally:
                self._paging = False

        self.run_worker(run(), group="log-page", exclusive=True, exit_on_error=False)

    # --- search -----------------------------------------------------------------------------------------------------------------

    def start_search(self) -> None:
        """Asks what to search."""
        self.prompt.open("search")

    def start_filter(self) -> None:
        """Asks what lines must contain."""
        pattern = self.model.filter.pattern
        self._before_preview = self.model.filter
        self.prompt.open("filter", "" if pattern is None else pattern.text)

    def start_since(self) -> None:
        """Asks since when."""
        self.prompt.open("since", self.model.filter.since_text)

    def start_save(self, path: str) -> None:
        """Asks where to save what is shown."""
        self.prompt.open("save", path)

    def search(self, words: str, step: int = -1) -> None:
        """Highlights `words` and goes to the nearest match, by default upwards. Raises UsageError."""
        self.model.search = Pattern(words) if words else None
        self._restyle()
        if words:
            self._seek(step, include_current=True)

    def search_next(self) -> None:
        """The next match below."""
        self._seek(1)

    def search_previous(self) -> None:
        """The next match above."""
        self._seek(-1)

    def clear_search(self) -> bool:
        """Ends highlighting; whether there was any."""
        had = self.model.search is not None
        self.model.search = None
        if had:
            self._restyle()
        return had

    def _seek(self, step: int, *, include_current: bool = False) -> None:
        pattern = self.model.search
        if pattern is None:
            self.say("nothing is searched for; / searches")
            return
        self._find(lambda record: pattern.matches(record.text), step, f"{pattern.text!r}", include_current=include_current)

    def next_error(self) -> None:
        """The next line below that is an error."""
        self._find(_is_error, 1, "an error")

    def previous_error(self) -> None:
        """The next line above that is an error."""
        self._find(_is_error, -1, "an error")

    def _find(self, wanted: Callable[[Record], bool], step: int, what: str, *, include_current: bool = False) -> None:
        current = self.view.current
        index = len(self.model) if current is None else self.model.index_of(current)
        start = index if include_current else index + step

        async def go() -> None:
            found = await self.reader.find(wanted, start, step, lambda: self.say(f"searching for {what} in the files…", 60))
            if found is None:
                self.say(f"{what} is nowhere {'below' if step > 0 else 'above'}")
            else:
                self.view.show_index(found, centre=True)
                self.say("")

        self._go(go())

    def on_log_prompt_typed(self, message: LogPrompt.Typed) -> None:
        message.stop()
        with contextlib.suppress(UsageError):  # half a pattern is none yet
            if message.purpose == "search":
                self.model.search = Pattern(message.text) if message.text else None
                self._restyle()
            elif message.purpose == "filter":
                self.set_pattern(message.text)

    def on_log_prompt_entered(self, message: LogPrompt.Entered) -> None:
        message.stop()
        self.view.focus()
        try:
            self._do(message.purpose, message.text)
        except DevctlError as error:
            self.say(str(error), 8)

    def _do(self, purpose: Purpose, words: str) -> None:
        if purpose == "search":
            self.search(words)
        elif purpose == "filter":
            self._before_preview = None
            self.set_pattern(words)
        elif purpose == "since":
            self.set_since(words)
        else:
            self.run_worker(self.save(Path(words).expanduser()), group="log-save", exit_on_error=False)

    def on_log_prompt_closed(self, message: LogPrompt.Closed) -> None:
        message.stop()
        if message.purpose == "filter" and self._before_preview is not None:
            self._filter(pattern=self._before_preview.pattern)
            self._before_preview = None
        elif message.purpose == "search":
            self.clear_search()
        self.view.focus()

    # --- taking lines along -----------------------------------------------------------------------------------------------------

    def copy(self) -> str | None:
        """The selected text, else the line at the cursor; None when there is nothing."""
        selection = self.view.text_selection
        if selection is not None and (found := self.view.get_selection(selection)) is not None and found[0]:
            return found[0]
        entry = self.view.current_entry()
        return None if entry is None else text(entry, Look())

    async def save(self, path: Path) -> int:
        """Writes what is shown and in memory into a new file, without colours; how many lines. Errors are said in place."""
        shown = (text(self.model.entry(index), self.view.look) for index in range(len(self.model)))
        lines = list(shown)
        try:
            await in_thread(lambda: write_new(path, lines))
        except OSError as error:
            self.say(f"cannot save to {path}: {error.strerror or error}", 8)
            return 0
        self.say(f"{len(lines)} lines saved to {path}")
        return len(lines)

    def location(self) -> tuple[str, int] | None:
        """The place in a source file that the line at the cursor, or its traceback, names; the last one of several."""
        entry = self.view.current_entry()
        if entry is None:
            return None
        for record in self.model.upwards(entry.number):
            if places := locations(record.text):
                return places[-1]
            if record is not entry.record and not continues(record.text):
                break
        return None


def _is_error(record: Record) -> bool:
    return record.level in ("error", "fatal")


def _fit(name: str, width: int) -> str:
    return name + " " * (width - cell_len(name)) if cell_len(name) <= width else name[: width - 1] + "…"
