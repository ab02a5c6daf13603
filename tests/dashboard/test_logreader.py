"""What is in memory of the logs when several things want it at once: paging, painting, Home, End, clearing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from devctl.dashboard.logfeed import Start
from devctl.dashboard.logmodel import LogModel
from devctl.dashboard.logreader import LogReader
from devctl.logs.cri import encode, format_stamp
from tests.dashboard.gate import Gate

GUARD = 30.0
BASE = 1_760_000_000 * 10**9


def write(path: Path, first: int, last: int) -> None:
    """Appends numbered lines to a log, forty with one stamp."""
    with open(path, "ab") as file:
        for begin in range(first, last, 40):
            body = "\n".join(f"line {number}" for number in range(begin, min(begin + 40, last))).encode()
            file.write(b"".join(encode(body, format_stamp(BASE + begin), "stdout")[0]))


def texts(model: LogModel) -> list[str]:
    return [record.text for record in model.forward()]


def last(model: LogModel) -> str:
    return next(model.backward()).text


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last)]


def play(directory: Path, scene: Callable[[LogReader, LogModel], Awaitable[None]], capacity: int = 8_000) -> None:
    """Runs a scene with a reader of the log `a`."""
    model = LogModel(capacity)
    reader = LogReader(lambda: [("a", directory / "a.log")], model, changed=lambda: None, trouble=pytest.fail)

    async def run() -> None:
        try:
            await asyncio.wait_for(scene(reader, model), GUARD)
        finally:
            reader.close()

    asyncio.run(run())


async def take_until(reader: LogReader, condition: Callable[[], bool], limit: Callable[[], int] = lambda: 20_000) -> None:
    """Takes what comes at every turn of the loop, as who paints does."""
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end, "in vain"
        reader.take(limit())
        await asyncio.sleep(0)


def test_home_has_the_first_line_while_the_painter_takes_lines_too(tmp_path: Path) -> None:
    """Both take from one feed, and together no more than there is room for."""
    write(tmp_path / "a.log", 0, 40_000)

    async def scene(reader: LogReader, model: LogModel) -> None:
        reader.open(Start(tail=5_000))
        assert await reader.more_lines()
        home = asyncio.ensure_future(reader.go_home())
        await take_until(reader, home.done, lambda: max(0, model.room))
        assert texts(model) == numbered(0, model.held)

    play(tmp_path, scene)


def test_home_before_the_first_lines_came(tmp_path: Path) -> None:
    """What the feed is about to give is not read from the files a second time."""
    write(tmp_path / "a.log", 0, 100)

    async def scene(reader: LogReader, model: LogModel) -> None:
        reader.open(Start(tail=20))
        await reader.go_home()
        await reader.more_lines()
        assert texts(model) == numbered(0, 100)

    play(tmp_path, scene)


def test_home_after_the_first_lines_had_to_go(tmp_path: Path) -> None:
    """Who was at the first line, and read on until memory gave it up, comes back to it."""
    write(tmp_path / "a.log", 0, 40_000)

    async def scene(reader: LogReader, model: LogModel) -> None:
        reader.open(Start(tail=5_000))
        await reader.go_home()
        await take_until(reader, lambda: last(model) == "line 39999")
        await reader.go_home()
        assert texts(model) == numbered(0, model.held)

    play(tmp_path, scene)


def test_older_lines_after_newer_ones_took_their_place(tmp_path: Path) -> None:
    """A page that was read went again as lines came: the next page is what is missing now, without a gap."""
    write(tmp_path / "a.log", 0, 20_000)

    async def scene(reader: LogReader, model: LogModel) -> None:
        reader.open(Start(tail=1_000))
        assert await reader.more_lines()
        assert await reader.load_older(2_000)
        write(tmp_path / "a.log", 20_000, 28_000)
        await take_until(reader, lambda: last(model) == "line 27999")
        assert model.first > 0
        assert await reader.load_older(2_000)
        first = int(texts(model)[0].split()[1])
        assert texts(model) == numbered(first, first + model.held)

    play(tmp_path, scene)


def test_a_page_that_was_given_up_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Home twice: the second ends the first in the middle of a page, and no line is lost by that."""
    write(tmp_path / "a.log", 0, 3_000)
    gate = Gate(monkeypatch)

    async def scene(reader: LogReader, model: LogModel) -> None:
        reader.open(Start(tail=100))
        assert await reader.more_lines()
        given_up = asyncio.ensure_future(reader.load_older(1_000))
        await gate.until_entered()
        given_up.cancel()
        gate.opened.set()
        assert await asyncio.to_thread(gate.left.wait, GUARD)
        assert given_up.cancelled()
        assert await reader.load_older(1_000)
        assert texts(model) == numbered(1_900, 3_000)

    play(tmp_path, scene)


def test_a_page_that_comes_after_clearing_is_not_shown(tmp_path: Path) -> None:
    """What was being read belongs to a memory that is gone, even if its place in the files was still being looked for."""
    write(tmp_path / "a.log", 0, 3_000)
    asked, answer = threading.Event(), threading.Event()
    path = tmp_path / "a.log"

    def sources() -> list[tuple[str, Path]]:
        if threading.current_thread().name == "dashboard-call" and not asked.is_set():
            asked.set()
            assert answer.wait(GUARD)
        return [("a", path)]

    async def scene() -> None:
        model = LogModel()
        reader = LogReader(sources, model, changed=lambda: None, trouble=pytest.fail)
        try:
            reader.open(Start(tail=100))
            assert await reader.more_lines()
            page = asyncio.ensure_future(reader.load_older(1_000))
            assert await asyncio.to_thread(asked.wait, GUARD)
            reader.open(Start(tail=0))
            answer.set()
            assert not await page
            assert texts(model) == []
        finally:
            answer.set()
            reader.close()

    asyncio.run(asyncio.wait_for(scene(), GUARD))
