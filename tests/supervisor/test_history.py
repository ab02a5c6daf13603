"""events.jsonl and those who follow it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devctl.model import Event
from devctl.supervisor import history as module
from devctl.supervisor.clock import Clock
from devctl.supervisor.history import RECENT, History, last_id, rotated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def open_history(path: Path | None, told: list[Event] | None = None) -> History:
    return History(path, "run-1", Clock(), (told if told is not None else []).append)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_event_is_written_before_it_is_told(path: Path) -> None:
    """Whoever hears of an event finds it in the file."""
    seen: list[int] = []
    history = History(path, "run-1", Clock(), lambda event: seen.append(len(lines(path))))
    history.record("service_state", "web", state="ready")
    history.end()
    assert seen == [1]
    assert lines(path)[0]["service"] == "web"


def test_ids_go_on_over_runs(path: Path) -> None:
    """A client that remembers an id can go on after a restart of the stack."""
    for first in (1, 3):
        history = open_history(path)
        assert [history.record("x").id, history.record("y").id] == [first, first + 1]
        history.end()


def test_ids_go_on_right_after_a_rotation(path: Path) -> None:
    """With the current file still empty, the older one knows."""
    rotated(path).write_text('{"id": 41}\n')
    history = open_history(path)
    assert history.record("x").id == 42
    history.end()


@pytest.mark.parametrize(
    "tail", [b'{"id": 7, "ti', b"\0\0\0\0", b"\n\n", b'{"id": null}\n', b"[]\n", b'{"id": 1e999}\n', b"[" * 60000, b"\xff\xfe"]
)
def test_a_damaged_tail(path: Path, tail: bytes) -> None:
    """After a crash mid-write ids go on, and the next event stands on a line of its own."""
    path.write_bytes(b'{"id": 5}\n' + tail)
    history = open_history(path)
    assert history.record("run_started").id == 6
    history.end()
    assert json.loads(path.read_bytes().splitlines()[-1])["type"] == "run_started"


@given(st.binary(max_size=300))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_survived(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file: a number, and no exception."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    assert isinstance(last_id(path), int)


def test_rotation_keeps_one_older_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded on disk; no event is lost at the seam."""
    monkeypatch.setattr(module, "FILE_LIMIT", 1000)
    history = open_history(path)
    for number in range(12):
        history.record("x", number=number)
    history.end()
    both = [*lines(rotated(path)), *lines(path)]
    assert [entry["id"] for entry in both] == list(range(1, 13))


def test_a_rotation_that_fails_is_not_fatal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No new file to be had: events go on in memory, and nobody else's descriptor is written to."""
    monkeypatch.setattr(module, "FILE_LIMIT", 10)
    history = open_history(path)
    history.record("x")
    real_open = os.open

    def refuse(name: object, *args: object, **options: object) -> int:
        if name == path:
            raise OSError(28, "No space left on device")
        return real_open(name, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        history.record("y")
    bystander = os.open(path.with_name("bystander"), os.O_RDWR | os.O_CREAT)
    history.record("z")
    assert os.fstat(bystander).st_size == 0
    os.close(bystander)
    assert [event.type for event in history.after(0)] == ["x", "y", "z"]
    history.end()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_a_full_disk_is_not_fatal(path: Path) -> None:
    """It costs history, not the stack."""
    path.symlink_to("/dev/full")
    told: list[Event] = []
    history = open_history(path, told)
    history.record("x")
    history.end()
    assert len(told) == 1


def test_a_missing_directory_is_not_fatal(tmp_path: Path) -> None:
    """Nowhere to write to: memory only."""
    history = open_history(tmp_path / "gone" / "events.jsonl")
    assert history.record("x").id == 1
    history.end()


def test_text_that_is_no_unicode(path: Path) -> None:
    """A path in a reason may hold bytes that are no UTF-8; the line is written all the same."""
    history = open_history(path)
    history.record("x", reason="\udcff and ü")
    history.end()
    assert lines(path)[0]["reason"] == "? and ü"


def test_memory_is_bounded() -> None:
    """The oldest events are only on disk."""
    history = open_history(None)
    for _ in range(RECENT + 10):
        history.record("x")
    assert (len(history.after(0)), history.after(0)[0].id) == (RECENT, 11)


def test_the_last_of_a_service() -> None:
    """Only its own, newest last."""
    history = open_history(None)
    for name in ("a", "b", "a", "a"):
        history.record("x", name)
    assert [event.id for event in history.of("a", 2)] == [3, 4]


async def collect(history: History, after: int | None, into: list[int]) -> None:
    async for event in history.follow(after):
        into.append(event.id)


def test_followers_miss_nothing() -> None:
    """One from the beginning, one from now on, both to the end, in order."""

    async def scene() -> tuple[list[int], list[int]]:
        history = open_history(None)
        history.record("x")
        everything: list[int] = []
        new: list[int] = []
        tasks = [asyncio.create_task(collect(history, 0, everything)), asyncio.create_task(collect(history, None, new))]
        await asyncio.sleep(0)
        for _ in range(5):
            history.record("y")
            history.record("y")
            await asyncio.sleep(0)
        history.record("z")
        history.end()
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        return everything, new

    everything, new = asyncio.run(scene())
    assert everything == list(range(1, 13))
    assert new == everything[1:]


def test_following_a_run_that_ended() -> None:
    """What is left, and then the end, without a wait."""

    async def scene() -> list[int]:
        history = open_history(None)
        history.record("x")
        history.end()
        found: list[int] = []
        await asyncio.wait_for(collect(history, 0, found), 10)
        return found

    assert asyncio.run(scene()) == [1]


def test_where_nothing_can_be_renamed_the_file_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed rename costs the bound on the file's size, not the history."""
    monkeypatch.setattr(module, "FILE_LIMIT", 10)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    history = open_history(path)
    for _ in range(5):
        history.record("x")
    history.end()
    assert [entry["id"] for entry in lines(path)] == [1, 2, 3, 4, 5]
