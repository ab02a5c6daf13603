"""The log pane: what all services write, or one of them, with search, filters and the way back into the files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.cells import cell_len
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.scrollbar import ScrollBar, ScrollDown, ScrollTo, ScrollUp
from textual.widget import Widget
from textual.worker import WorkerCancelled

from devctl.dashboard.background import in_thread
from devctl.dashboard.logfeed import LogFeed, Sources, Start
from devctl.dashboard.logfilter import LogFilter, Pattern
from devctl.dashboard.loghistory import Edge, Older, start_after
from devctl.dashboard.logmodel import CAPACITY, LogModel
from devctl.dashboard.logprompt import LogPrompt, Purpose
from devctl.dashboard.logstatus import LogStatus
from devctl.dashboard.logtext import ROLES, Look, Timestamps, locations, text
from devctl.dashboard.logview import LogView
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
TAIL = 5_000  # lines of history that are shown at first
PAGE = 5_000  # lines that are read from the files at once
SEARCH_PAGE = 20_000
NEAR = 200  # lines from an end of the memory at which the next page is fetched
LEVELS = (None, "error", "warn", "info", "debug")
STREAMS = (None, "stdout", "stderr")
STAMPS: tuple[Timestamps, ...] = ("off", "time", "full")
LABEL_CELLS = 16  # a longer name is cut


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
        self._feed: LogFeed | None = None
        self._older: Older | None = None
        self._colours: Mapping[str, str] = {}
        self._paging = False
        self._reading = asyncio.Lock()
        self._skip_flush = False
        self._before_preview: LogFilter | None = None
        self._said = ""
        self._said_until = 0.0
        self._quiet_until = 0.0
        self._cleared = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.view
            yield self._bar
        yield self.prompt
        yield self.status

    def on_mount(self) -> None:
        self._open(self._start)
        self.set_interval(FLUSH, self._flush)
        self._restyle()

    def on_unmount(self) -> None:
        self._close_feed()

    def _open(self, start: Start) -> None:
        """Reads from another place on."""
        self._close_feed()
        self._feed = LogFeed(self._sources, start)
        self._feed.start()

    def _close_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()

    # --- what comes -------------------------------------------------------------------------------------------------------------

    @property
    def detached(self) -> bool:
        """Whether lines behind the last one in memory are in the files, and not read."""
        return self._feed is None

    def _flush(self) -> None:
        feed = self._feed
        if self._skip_flush:
            self._skip_flush = False
            return
        if feed is not None and feed.waiting:
            # Who reads is not robbed of what they read: then lines wait in the files once the memory is full.
            records = feed.take(TAKE if self.view.follow else min(TAKE, self._room()))
            if records:
                self.model.append(records)
                self._skip_flush = len(records) > BUSY
                self.view.changed()
        elif time.monotonic() < self._quiet_until:
            return
        # Also when nothing came: a sentence that was said is over, a file cannot be read.
        self._quiet_until = time.monotonic() + 0.5
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
        feed = self._feed
        said = self._said if time.monotonic() < self._said_until else ""
        search = self.model.search
        self.status.put(
            scope=self.model.filter.service or "all services",
            following=self.view.follow,
            unseen=self.view.unseen + (0 if feed is None or self.view.follow else feed.waiting),
            more=self.detached or (feed is not None and feed.full),
            conditions=self.model.filter.describe(),
            search="" if search is None else search.text,
            flags=self._flags(),
            said=said or ("" if feed is None else feed.trouble),
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
        feed = self._feed
        if feed is None:
            self._reopen(Start(tail=0))
        else:
            while feed.take(TAKE):
                pass
            self.model.reset()
            self._older = None
        self._cleared = True
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
        self.run_worker(self._home(), group="log-place", exclusive=True, exit_on_error=False)

    def end(self) -> None:
        """Goes to the last line, and stays there as more come."""
        if self.detached or (self._feed is not None and self._feed.full):
            self._reopen(Start(tail=TAIL))
        self.view.set_follow(True)
        self._refresh_status()

    def _reopen(self, start: Start) -> None:
        self.model.reset()
        self._older = None
        self._open(start)

    async def _home(self) -> None:
        """The first page of the files. When everything is in memory already, just its first line."""
        if await self._load_older(PAGE) and not self._at_start:
            # There is more than a page: rather read on from the first line than all of it backwards.
            self.view.set_follow(False)
            async with self._reading:
                self._reopen(Start(tail=None))
                self._older = Older.nothing()
                self.model.append(await self._more(self.model.room))
        self.view.home()

    @property
    def _at_start(self) -> bool:
        return self._older is not None and self._older.at_start

    # --- history ----------------------------------------------------------------------------------------------------------------

    def on_log_view_moved(self, message: LogView.Moved) -> None:
        message.stop()
        first, seen = self.view.position
        if not self._paging:
            if first < NEAR and not self.view.follow and not self._at_start:
                self._page(self._load_older(PAGE))
            elif self.detached and first + seen + NEAR > len(self.model):
                self._page(self._load_newer())
        self._refresh_status()
        self.post_message(self.Changed())

    def _page(self, work: object) -> None:
        self._paging = True

        async def run() -> None:
            try:
                await work  # type: ignore[misc]
            finally:
                self._paging = False

        self.run_worker(run(), group="log-page", exclusive=True, exit_on_error=False)

    def _names(self) -> list[str]:
        return [name for name, _ in self._sources()]

    async def _load_older(self, count: int) -> bool:
        """Reads lines before those in memory; whether there were any."""
        # Pages are read one after the other: two readers of one place would each get half.
        async with self._reading:
            return await self._read_older(count)

    async def _read_older(self, count: int) -> bool:
        if self._at_start:
            return False
        try:
            older = self._older
            if older is None or not self.model.held:
                edge = Edge(self.model.forward(), self._names())
                if edge.time is None:
                    edge.time = time.time_ns()
                older = self._older = await in_thread(lambda: Older(self._sources, edge))
            records = await in_thread(lambda: older.page(count))
        except (DevctlError, OSError) as error:
            self.say(str(error))
            return False
        if older is not self._older:
            return False
        if self.model.prepend(records):
            # The newest lines had to go: they are read again when somebody comes back to them.
            self._close_feed()
        self.view.changed()
        return bool(records)

    async def _load_newer(self) -> None:
        """Goes on behind the last line in memory."""
        async with self._reading:
            if self.detached:
                await self._read_newer()

    async def _read_newer(self) -> None:
        edge = Edge(self.model.backward(), self._names())
        try:
            start = await in_thread(lambda: start_after(self._sources, edge))
        except (DevctlError, OSError) as error:
            self.say(str(error))
            return
        if self.detached:
            self._older = None
            self._open(start)

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
        work = self._find_far(wanted, step, what, include_current)
        self.run_worker(work, group="log-place", exclusive=True, exit_on_error=False)

    async def _find_far(self, wanted: Callable[[Record], bool], step: int, what: str, include_current: bool) -> None:
        """Looks in memory, then in the files."""
        current = self.view.current
        index = len(self.model) if current is None else self.model.index_of(current)
        start = index if include_current else index + step
        while True:
            found = self.model.find(start, step, wanted)
            if found is not None:
                self.view.show_index(found, centre=True)
                self.say("")
                return
            number = self.model.first if step < 0 else self.model.end
            if step < 0:
                self.say(f"searching for {what} in the files…", 60)
                if not await self._load_older(SEARCH_PAGE):
                    self.say(f"{what} is nowhere above")
                    return
                start = self.model.index_of(number) - 1
            else:
                if self.detached:
                    await self._load_newer()
                records = await self._more()
                if not records:
                    self.say(f"{what} is nowhere below")
                    return
                self.model.append(records)
                self.view.changed()
                start = self.model.index_of(number)
            await asyncio.sleep(0)

    async def _more(self, count: int = SEARCH_PAGE) -> list[Record]:
        """Lines that wait, or that the files have; at most `count`."""
        feed = self._feed
        deadline = time.monotonic() + 2
        while feed is not None and feed is self._feed and time.monotonic() < deadline:
            if records := feed.take(count):
                return records
            if feed.caught_up:
                break
            await asyncio.sleep(0.01)
        return []

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
            await in_thread(lambda: _write(path, lines))
        except OSError as error:
            self.say(f"cannot save to {path}: {error.strerror or error}", 8)
            return 0
        except WorkerCancelled:
            raise
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


def _write(path: Path, lines: list[str]) -> None:
    # A new file: nothing that is there is lost. Services print secrets at times, so it is not for everyone.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(f"{line}\n" for line in lines)
