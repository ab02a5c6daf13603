"""Following: every line once, as soon as it is there, whatever happens to the files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from devctl.logs import follow as follow_module
from devctl.logs.clock import Clock
from devctl.logs.follow import Follower, follow
from devctl.logs.inotify import Inotify
from devctl.logs.store import ServiceLog

if TYPE_CHECKING:
    from conftest import Stage

GUARD = 60  # seconds: only there so that a hang fails

WRITER = """
import sys
from pathlib import Path
from devctl.logs.store import ServiceLog
from devctl.plan import LogSettings
log = ServiceLog(Path(sys.argv[1]), LogSettings(max_size=int(sys.argv[2]), max_files=100000), on_trouble=print)
for first in range(0, 20000, 10):
    log.append("stdout", b"".join(b"line %d\\n" % number for number in range(first, first + 10)))
log.close()
"""


def drain(follower: Follower) -> list[str]:
    follower.recheck()
    records = follower.poll()
    while follower.more:
        records += follower.poll()
    return [record.text for record in records]


@pytest.mark.parametrize("max_size", [10_000, 100_000])
def test_no_line_is_lost_or_doubled_while_a_writer_rotates(stage: Stage, max_size: int) -> None:
    """A process writes as fast as it can and rotates often; the follower has every line once, in order, and ends with it."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(stage.path()), str(max_size)])
    pidfd = os.pidfd_open(writer.pid)
    try:
        lines = [record.text for batch in follow([("web", stage.path())], stop=pidfd) for record in batch]
        assert writer.wait(GUARD) == 0
    finally:
        os.close(pidfd)
        writer.kill()
        writer.wait(GUARD)
    assert lines == [f"line {number}" for number in range(20_000)]


def test_tail_then_what_comes(stage: Stage) -> None:
    """The last lines first, then new ones, none twice."""
    log = stage.log()
    log.append("stdout", b"one\ntwo\nthree\n")
    with Follower([("web", stage.path())], tail=2) as follower:
        log.append("stdout", b"four\n")
        assert drain(follower) == ["two", "three", "four"]


def test_tail_of_nothing_is_only_what_comes(stage: Stage) -> None:
    """With tail 0 the past is left alone."""
    log = stage.log()
    log.append("stdout", b"one\n")
    with Follower([("web", stage.path())], tail=0) as follower:
        log.append("stdout", b"two\n")
        assert drain(follower) == ["two"]


@pytest.mark.parametrize("change", ["truncate", "delete", "delete directory", "move away"])
def test_lines_after_a_change_of_the_file_are_followed(stage: Stage, change: str) -> None:
    """Truncated, deleted, moved: the follower goes on with what comes after."""
    log = stage.log()
    log.append("stdout", b"a first line that is long enough\n")
    with Follower([("web", stage.path())]) as follower:
        assert drain(follower) == ["a first line that is long enough"]
        if change == "truncate":
            os.truncate(stage.path(), 0)
        elif change == "delete":
            stage.path().unlink()
        elif change == "move away":
            os.rename(stage.path(), stage.directory / "away")
        else:
            shutil.rmtree(stage.directory)
        log.append("stdout", b"after\n")
        log.append("stdout", b"and more\n")
        assert drain(follower) == ["after", "and more"]


def test_file_that_was_truncated_and_grew_beyond_is_read_anew(stage: Stage) -> None:
    """Size alone does not show it; the missing newline before our place does."""
    log = stage.log()
    log.append("stdout", b"short\n")
    with Follower([("web", stage.path())]) as follower:
        drain(follower)
        os.truncate(stage.path(), 0)
        log.append("stdout", b"a line that is longer than the first one was\n")
        assert drain(follower) == ["a line that is longer than the first one was"]


def test_files_and_services_that_come_later(stage: Stage) -> None:
    """Neither the directory, nor the file, nor the service has to exist at first."""
    sources = [("web", stage.path("web"))]
    with Follower(lambda: sources, tail=0) as follower:
        assert drain(follower) == []
        stage.log("web").append("stdout", b"from web\n")
        assert drain(follower) == ["from web"]
        sources.append(("db", stage.path("db")))
        stage.log("db").append("stdout", b"from db\n")
        assert drain(follower) == ["from db"]


def test_services_are_merged_by_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog of two services comes in the order of time, even when each poll can read only a part of it."""
    monkeypatch.setattr(follow_module, "POLL_BYTES", 1)
    clock = Clock()
    logs = [stage.log("web", clock=clock), stage.log("db", clock=clock)]
    for number in range(3_000):
        logs[number % 7 == 0].append("stdout", b"line %d\n" % number)
    with Follower([("web", stage.path("web")), ("db", stage.path("db"))]) as follower:
        assert drain(follower) == [f"line {number}" for number in range(3_000)]


def test_a_line_that_goes_back_in_time_blocks_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not always in order, when others wrote into them; every line still comes."""
    monkeypatch.setattr(follow_module, "POLL_BYTES", 1)
    stage.directory.mkdir()
    line = b"2026-11-20T23:50:%02d.000000000Z stdout F " + b"x" * 100 + b"\n"
    stage.path("web").write_bytes(b"".join(line % (second % 60) for second in range(200, 0, -1)))
    stage.path("db").write_bytes(b"".join(line % (second % 60) for second in range(200)))
    with Follower([("web", stage.path("web")), ("db", stage.path("db"))]) as follower:
        assert len(drain(follower)) == 400


def test_prompt_comes_at_once_and_its_rest_is_marked(stage: Stage) -> None:
    """A prompt is a partial record; what follows it on the line is a continued one."""
    log = stage.log()
    with Follower([("web", stage.path())]) as follower:
        log.append("stdout", b"name? ")
        log.flush_partial("stdout")
        follower.recheck()
        (prompt,) = follower.poll()
        log.append("stdout", b"ann\nnext\n")
        follower.recheck()
        rest, following = follower.poll()
    assert (prompt.text, prompt.partial, prompt.continued) == ("name? ", True, False)
    assert (rest.text, rest.partial, rest.continued) == ("ann", False, True)
    assert (following.partial, following.continued) == (False, False)


def test_growth_wakes_the_reader(stage: Stage) -> None:
    """The descriptor becomes readable when a line is written; no time has to pass."""
    log = stage.log()
    with Follower([("web", stage.path())]) as follower:
        drain(follower)
        log.append("stdout", b"one\n")
        if sys.platform == "linux":
            assert follower.fileno() >= 0
            assert follower.wait(GUARD)
        assert [record.text for record in follower.poll()] == ["one"]


def test_without_inotify_files_are_polled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not tell, looking does."""
    monkeypatch.setattr(Inotify, "__init__", lambda self: setattr(self, "fd", -1))
    log = stage.log()
    log.append("stdout", b"one\n")
    batches = follow([("web", stage.path())])
    assert [record.text for record in next(batches)] == ["one"]
    assert next(batches) == []
    log.append("stdout", b"two\n")
    assert [record.text for record in next(batch for batch in batches if batch)] == ["two"]
    batches.close()


def test_empty_batches_come_while_nothing_happens(stage: Stage) -> None:
    """The caller gets its turn, to draw a status line for one."""
    stage.log()
    batches = follow([("web", stage.path())], tick=0.01)
    assert [next(batches) for _ in range(5)] == [[]] * 5
    batches.close()


def test_what_is_left_comes_before_the_end(stage: Stage) -> None:
    """Stopped from the beginning, the follower still gives all there is, an unfinished line too."""
    log = stage.log()
    log.append("stdout", b"line\n" * 50_000 + b"unfinished")
    log.flush_partial("stdout")
    lines = [record.text for batch in follow([("web", stage.path())], stop=lambda: True) for record in batch]
    assert lines == ["line"] * 50_000 + ["unfinished"]


def test_filters_and_levels(stage: Stage, line_writer: Callable[[ServiceLog, int, int], None]) -> None:
    """The filters of `read` hold for lines that come, a traceback that comes in parts included."""
    log = stage.log()
    with Follower([("web", stage.path())], level="error", grep="boom|File") as follower:
        line_writer(log, 0, 10)
        log.append("stderr", b"ERROR boom\nTraceback (most recent call last):\n")
        assert drain(follower) == ["ERROR boom"]
        log.append("stderr", b'  File "x.py"\nValueError: boom\nboom as such\n')
        assert drain(follower) == ['  File "x.py"', "ValueError: boom"]
