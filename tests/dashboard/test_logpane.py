"""The log pane on real files: what one reads stays where it is, whatever comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from devctl.dashboard.logfeed import Start
from devctl.dashboard.logpane import LogPane
from devctl.logs.cri import encode, format_stamp
from tests.dashboard.gate import Gate

GUARD = 30.0
BASE = 1_760_000_000 * 10**9


def write(path: Path, *texts: str, stamp: int | None = None) -> None:
    """Appends lines to a service's log, forty with one stamp."""
    with open(path, "ab") as file:
        for begin in range(0, len(texts), 40):
            body = "\n".join(texts[begin : begin + 40]).encode()
            file.write(b"".join(encode(body, format_stamp((stamp or time.time_ns()) + begin), "stdout")[0]))


class Shelf(App[None]):
    """Nothing but the pane."""

    def __init__(self, pane: LogPane) -> None:
        super().__init__()
        self.pane = pane

    def compose(self) -> ComposeResult:
        yield self.pane


class Reader:
    """Who reads the log."""

    def __init__(self, pane: LogPane, pilot: Pilot[None], directory: Path) -> None:
        self.pane = pane
        self.pilot = pilot
        self.directory = directory

    async def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + GUARD
        while not condition():
            assert time.monotonic() < end, f"in vain: {self.screen()[:5]} … {self.pane.status.words}"
            await self.pilot.pause(0.02)

    def screen(self) -> list[str]:
        """The texts on the screen, an entry once."""
        return [row.entry.record.text for row in self.pane.view._rows if row.sub == 0]

    def write(self, *texts: str, service: str = "a") -> None:
        write(self.directory / f"{service}.log", *texts)


@asynccontextmanager
async def reading(directory: Path, size: tuple[int, int] = (80, 12), **options: Any) -> AsyncIterator[Reader]:
    """A pane of ten lines on the logs of `a` and `b`."""
    pane = LogPane(lambda: [(name, directory / f"{name}.log") for name in ("a", "b")], **options)
    async with Shelf(pane).run_test(size=size) as pilot:
        yield Reader(pane, pilot, directory)


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 3 * GUARD))


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last)]


def test_following_and_reading(tmp_path: Path) -> None:
    """The end is followed; who scrolls up stays there, and is told how much has come."""

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            reader.write(*numbered(0, 50))
            await reader.until(lambda: reader.screen()[-1:] == ["line 49"])
            reader.pane.view.scroll_lines(-5)
            before = reader.screen()
            reader.write(*numbered(50, 80))
            await reader.until(lambda: reader.pane.view.unseen == 30)
            assert reader.screen() == before
            assert "+30 new" in reader.pane.status.words
            reader.pane.end()
            await reader.until(lambda: reader.screen()[-1] == "line 79")

    play(scene)


def test_what_is_read_never_moves(tmp_path: Path) -> None:
    """While lines come, older ones are read from the file, and the window gives lines up at both ends."""

    async def scene() -> None:
        write(tmp_path / "a.log", *numbered(0, 30_000), stamp=BASE)
        async with reading(tmp_path, capacity=8_000) as reader:
            await reader.until(lambda: reader.screen()[-1:] == ["line 29999"])
            view = reader.pane.view
            view.scroll_lines(-4_900)
            before = reader.screen()
            await reader.until(lambda: reader.pane.model.first < 0)  # a page before it has been read
            assert reader.screen() == before
            view.scroll_lines(-4_000)
            before = reader.screen()
            await reader.until(lambda: reader.pane.reader.detached)  # the newest lines had to go
            assert reader.screen() == before
            reader.write(*numbered(30_000, 30_010))
            while reader.screen()[-1] != "line 30009":
                last = reader.screen()[-1]
                view.page(25)
                await reader.until(
                    lambda last=last: reader.screen()[-1] != last or reader.pane._paging or reader.pane.reader.waiting
                )
                await reader.pilot.pause()
                shown = [int(text.split()[1]) for text in reader.screen()]
                assert shown == list(range(shown[0], shown[0] + len(shown)))
            assert reader.pane.model.held <= 8_800

    play(scene)


def test_home_shows_the_first_line_of_the_files(tmp_path: Path) -> None:
    """Of a history that is larger than the memory; and from there one can read on."""

    async def scene() -> None:
        write(tmp_path / "a.log", *numbered(0, 40_000), stamp=BASE)
        async with reading(tmp_path, capacity=8_000) as reader:
            await reader.until(lambda: reader.screen()[-1:] == ["line 39999"])
            reader.pane.home()
            await reader.until(lambda: reader.screen()[:1] == ["line 0"])
            reader.pane.view.page(2)
            assert reader.screen()[0] == "line 20"
            reader.pane.end()
            await reader.until(lambda: reader.screen()[-1:] == ["line 39999"])

    play(scene)


@pytest.mark.parametrize("begin", ["home", "scroll"])
def test_end_overtakes_what_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: str) -> None:
    """Home, or a page before the memory: when End is pressed meanwhile, the end is what is shown, and goes on being followed."""

    async def scene() -> None:
        write(tmp_path / "a.log", *numbered(0, 40_000), stamp=BASE)
        gate = Gate(monkeypatch)
        async with reading(tmp_path, capacity=5_000) as reader:
            await reader.until(lambda: reader.screen()[-1:] == ["line 39999"])
            if begin == "home":
                reader.pane.home()
            else:
                reader.pane.view.scroll_lines(-4_950)
            await gate.until_entered()
            reader.pane.end()
            gate.opened.set()
            await reader.until(lambda: not any(worker.group.startswith("log-") for worker in reader.pilot.app.workers))
            reader.write("newest")
            await reader.until(lambda: reader.screen()[-2:] == ["line 39999", "newest"])
            assert reader.pane.view.follow

    play(scene)


def test_search_goes_on_in_the_files(tmp_path: Path) -> None:
    """A match that memory does not hold is found, upwards and downwards; none is said."""

    async def scene() -> None:
        write(tmp_path / "a.log", "first needle", *numbered(0, 30_000), "last needle", stamp=BASE)
        async with reading(tmp_path, capacity=8_000) as reader:
            await reader.until(lambda: reader.screen()[-1:] == ["last needle"])
            reader.pane.search("needle")
            await reader.until(lambda: reader.pane.view.cursor is not None)
            reader.pane.search_previous()
            await reader.until(lambda: reader.pane.view.current_entry().record.text == "first needle")
            reader.pane.search_next()
            await reader.until(lambda: reader.pane.view.current_entry().record.text == "last needle")
            reader.pane.search_next()
            await reader.until(lambda: "nowhere below" in reader.pane.status.words)

    play(scene)


def test_filters_wrap_and_sizes_keep_the_line_at_the_cursor(tmp_path: Path) -> None:
    """It stays on the screen."""

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            reader.write(*(f"{'even' if number % 2 == 0 else 'odd'} {number} " + "x" * number for number in range(200)))
            await reader.until(lambda: len(reader.pane.model) == 200)
            reader.pane.search("even 100 ")
            await reader.until(lambda: reader.pane.view.cursor is not None)
            here = reader.pane.view.current_entry().record.text
            for change in (
                reader.pane.toggle_wrap,
                lambda: reader.pane.set_pattern("even"),
                reader.pane.toggle_pretty,
                reader.pane.clear_filter,
                reader.pane.toggle_wrap,
            ):
                change()
                await reader.pilot.pause()
                assert here in reader.screen()
            for size in ((40, 8), (120, 30), (20, 5)):
                await reader.pilot.resize_terminal(*size)
                await reader.pilot.pause()
                assert here in reader.screen()

    play(scene)


def test_nothing_is_skipped_while_somebody_reads(tmp_path: Path) -> None:
    """More lines than the memory holds wait in the files; the status says so, and reading on shows every one."""

    async def scene() -> None:
        # A high window: some hundred pages are enough for all.
        async with reading(tmp_path, size=(80, 62), capacity=2_000) as reader:
            reader.write(*numbered(0, 100))
            await reader.until(lambda: len(reader.pane.model) == 100)
            reader.pane.view.scroll_lines(-3)
            before = reader.screen()
            reader.write(*numbered(100, 9_000))
            await reader.until(lambda: reader.pane.reader.waiting > 5_000)
            assert reader.screen() == before
            await reader.until(lambda: "and more new" in reader.pane.status.words or "new" in reader.pane.status.words)
            seen: list[str] = []
            while seen[-1:] != ["line 8999"]:
                fresh = [text for text in reader.screen() if int(text.split()[1]) > int((seen or ["line -1"])[-1].split()[1])]
                seen += fresh
                reader.pane.view.page(1)
                await reader.pilot.pause(0)
                if not fresh:
                    await asyncio.sleep(0.01)
            numbers = [int(text.split()[1]) for text in seen]
            assert numbers == list(range(numbers[0], 9_000))

    play(scene)


def test_selecting_with_the_mouse(tmp_path: Path) -> None:
    """What was dragged over is what is copied, label and all; while lines come too."""

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            reader.pane.set_labels({"a": "red", "b": "blue"})
            reader.write("first line", "second line", "third line")
            await reader.until(lambda: len(reader.screen()) == 3)
            await reader.pilot.mouse_down(reader.pane.view, offset=(4, 0))
            await reader.pilot.hover(reader.pane.view, offset=(10, 1))
            await reader.pilot.mouse_up(reader.pane.view, offset=(10, 1))
            await reader.pilot.pause()
            assert reader.pane.copy() == "first line\na │ second "
            reader.write(*numbered(0, 30))
            await reader.until(lambda: len(reader.pane.model) == 33)
            assert reader.pane.copy() == "first line\na │ second "

    play(scene)


def test_control_sequences_of_services_do_no_harm(tmp_path: Path) -> None:
    """No title, no clipboard, no cursor movement; and no markup of ours either."""

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            evil = "\x1b]52;c;aGk=\x07\x1b]0;title\x07\x1b[2J[bold red]not bold[/] ‮evil"
            reader.write(evil, "日本語 wide e\u0301 combining", "\x1b[31mred")
            await reader.until(lambda: len(reader.screen()) == 3)
            strips = ["".join(segment.text for segment in reader.pane.view.render_line(y)).rstrip() for y in range(3)]
            assert strips == ["[bold red]not bold[/] evil", "日本語 wide e\u0301 combining", "red"]

    play(scene)


def test_saving_never_overwrites(tmp_path: Path) -> None:
    """What is shown is written to a new file; an existing one stays as it is, and that is said."""

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            reader.write("one", "two")
            await reader.until(lambda: len(reader.pane.model) == 2)
            target = tmp_path / "saved"
            assert await reader.pane.save(target) == 2
            assert target.read_text() == "one\ntwo\n"
            assert target.stat().st_mode & 0o077 == 0
            assert await reader.pane.save(target) == 0
            assert "cannot save" in reader.pane.status.words

    play(scene)


@pytest.mark.parametrize(("key", "words"), [("slash", "re:("), ("ampersand", "re:("), ("T", "yesterweek")])
def test_what_cannot_be_understood_is_said_in_place(tmp_path: Path, key: str, words: str) -> None:
    """And what was shown stays."""
    purpose = {"slash": "search", "ampersand": "filter", "T": "since"}[key]

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            reader.write("one")
            await reader.until(lambda: len(reader.pane.model) == 1)
            reader.pane.prompt.open(purpose)  # type: ignore[arg-type]
            await reader.pilot.press(*words, "enter")
            await reader.until(lambda: repr(words.removeprefix("re:"))[1:-1] in reader.pane.status.words)
            assert reader.screen() == ["one"]

    play(scene)


def test_a_preview_is_taken_back(tmp_path: Path) -> None:
    """The filter shows while it is typed; Escape brings back what was there; the history offers what was typed before."""

    async def scene() -> None:
        async with reading(tmp_path) as reader:
            reader.write("one", "two")
            await reader.until(lambda: len(reader.pane.model) == 2)
            reader.pane.start_filter()
            await reader.pilot.press("t", "w")
            await reader.until(lambda: reader.screen() == ["two"])
            await reader.pilot.press("escape")
            await reader.until(lambda: reader.screen() == ["one", "two"])
            reader.pane.start_filter()
            await reader.pilot.press(*"one", "enter")
            reader.pane.set_pattern(None)
            reader.pane.start_filter()
            await reader.pilot.press("up", "enter")
            await reader.until(lambda: reader.screen() == ["one"])

    play(scene)


def test_the_pane_begins_where_the_run_began(tmp_path: Path) -> None:
    """Lines of earlier runs are not shown at first, and are above."""

    async def scene() -> None:
        write(tmp_path / "a.log", *numbered(0, 5), stamp=BASE)
        write(tmp_path / "a.log", *numbered(5, 8), stamp=BASE + 10**9)
        async with reading(tmp_path, start=Start(since=BASE + 10**8)) as reader:
            await reader.until(lambda: reader.screen() == numbered(5, 8))
            reader.pane.view.page(-1)
            await reader.until(lambda: reader.screen() == numbered(0, 8))

    play(scene)
