"""Reading the log files: forwards as they grow, backwards as somebody scrolls up. Never a line lost or doubled."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devctl.dashboard.logfeed import WAITING, LogFeed, Start
from devctl.dashboard.loghistory import Edge, Older, start_after
from devctl.logs.cri import encode, format_stamp
from devctl.logs.record import Record

GUARD = 30.0
BASE = 1_760_000_000 * 10**9

# Blocks of one service: (its stamp, how many lines have it). Many lines with one stamp is what a loud service gives.
blocks = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=8)


def write(path: Path, stamped: list[tuple[int, int]], first: int = 0) -> list[str]:
    """Appends blocks of numbered lines; returns the lines."""
    lines = []
    with open(path, "ab") as file:
        for stamp, count in stamped:
            texts = [f"{path.stem} {first + len(lines) + number}" for number in range(count)]
            file.write(b"".join(encode("\n".join(texts).encode(), format_stamp(BASE + stamp), "stdout")[0]))
            lines += texts
    return lines


def sources(directory: Path) -> Callable[[], list[tuple[str, Path]]]:
    return lambda: [(name, directory / f"{name}.log") for name in ("a", "b")]


def drain(feed: LogFeed, count: int) -> list[Record]:
    """At least `count` records."""
    taken: list[Record] = []
    end = time.monotonic() + GUARD
    while len(taken) < count:
        assert time.monotonic() < end, f"{len(taken)} of {count} records came; {feed.trouble}"
        got = feed.take()
        taken += got
        if not got:
            time.sleep(0.005)
    return taken


def per_service(records: list[Record]) -> dict[str, list[str]]:
    ordered = sorted(records, key=lambda record: record.service)
    return {name: [record.text for record in group] for name, group in groupby(ordered, key=lambda record: record.service)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks, blocks, st.integers(0, 30), st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
def test_paging_up_and_down_gives_each_line_once(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[int, int]],
    second: list[tuple[int, int]],
    tail: int,
    page: int,
    drop_head: int,
    drop_tail: int,
) -> None:
    """From any window: what it lost at either end is found again in the files, exactly."""
    directory = tmp_path_factory.mktemp("logs")
    written = {"a": write(directory / "a.log", sorted(first)), "b": write(directory / "b.log", sorted(second))}
    everything = {name: lines for name, lines in written.items() if lines}
    total = sum(map(len, written.values()))
    names = ["a", "b"]
    feed = LogFeed(sources(directory), Start(tail=tail))
    feed.start()
    try:
        window = drain(feed, min(tail, total))
    finally:
        feed.stop()
    if not window:
        return
    window = window[drop_head % len(window) :]
    # The end that is given up is cut where no stamp is parted, as the model does.
    cut = len(window) - drop_tail % len(window)
    while cut > 1 and cut < len(window) and window[cut].time_ns == window[cut - 1].time_ns:
        cut -= 1
    if cut < len(window) and window[cut].time_ns == window[cut - 1].time_ns:
        cut = len(window)
    window = window[:cut]
    older = Older(sources(directory), Edge(iter(window), names))
    while not older.at_start:
        window = older.page(page) + window
    start = start_after(sources(directory), Edge(reversed(window), names))
    rest = LogFeed(sources(directory), start)
    rest.start()
    try:
        window += drain(rest, total - len(window))
    finally:
        rest.stop()
    assert per_service(window) == everything


def test_a_feed_goes_on_as_files_grow(tmp_path: Path) -> None:
    """Also with a service whose file comes later."""
    feed = LogFeed(sources(tmp_path), Start(tail=100))
    write(tmp_path / "a.log", [(1, 3)])
    feed.start()
    try:
        assert len(drain(feed, 3)) == 3
        write(tmp_path / "a.log", [(2, 2)], first=3)
        write(tmp_path / "b.log", [(2, 2)])
        assert sorted(record.text for record in drain(feed, 4)) == ["a 3", "a 4", "b 0", "b 1"]
    finally:
        feed.stop()


def test_rotation_loses_nothing(tmp_path: Path) -> None:
    """The rest of the old file, then the new one."""
    log = tmp_path / "a.log"
    write(log, [(1, 3)])
    feed = LogFeed(sources(tmp_path), Start(tail=100))
    feed.start()
    try:
        drain(feed, 3)
        write(log, [(2, 2)], first=3)
        os.rename(log, tmp_path / "a.log.1")
        write(log, [(3, 2)], first=5)
        assert [record.text for record in drain(feed, 4)] == ["a 3", "a 4", "a 5", "a 6"]
    finally:
        feed.stop()
    window = [Record(BASE + 3, "a", "stdout", "a 6")]
    older = Older(sources(tmp_path), Edge(iter(window), ["a", "b"]))
    assert [record.text for record in older.page(10)] == ["a 0", "a 1", "a 2", "a 3", "a 4", "a 5"]
    assert older.at_start


def test_a_feed_that_nobody_takes_from_stops_reading(tmp_path: Path) -> None:
    """The rest stays in the files, and comes when it is wanted."""
    count = WAITING + 200_000
    write(tmp_path / "a.log", [(1, count)])
    feed = LogFeed(sources(tmp_path), Start(tail=None))
    feed.start()
    try:
        end = time.monotonic() + GUARD
        while not feed.full:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert feed.waiting < count
        assert not feed.caught_up
        taken = drain(feed, count)
        assert [taken[0].text, taken[-1].text] == ["a 0", f"a {count - 1}"]
        while not feed.caught_up:
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        feed.stop()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said_and_tried_again(tmp_path: Path) -> None:
    """Once it may be read, its lines come."""
    log = tmp_path / "a.log"
    write(log, [(1, 1)])
    log.chmod(0)
    feed = LogFeed(sources(tmp_path), Start(tail=10))
    feed.start()
    try:
        end = time.monotonic() + GUARD
        while "cannot read" not in feed.trouble:
            assert time.monotonic() < end
            time.sleep(0.01)
        log.chmod(0o600)
        assert len(drain(feed, 1)) == 1
    finally:
        feed.stop()


def test_stopping_twice_and_before_the_start(tmp_path: Path) -> None:
    """Does nothing more."""
    feed = LogFeed(sources(tmp_path), Start())
    feed.stop()
    feed.stop()
