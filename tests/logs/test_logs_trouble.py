"""Disks that are full, directories that vanish, people who delete and truncate: counted, said once, never fatal."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from devctl.logs import file
from devctl.logs.cri import parse

if TYPE_CHECKING:
    from conftest import Stage


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "RETRY_SECONDS", 0.0)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the kernel then fails writes half-way as a full disk does, for root too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_is_counted_said_once_and_survived(stage: Stage) -> None:
    """What fits is kept in whole records, the rest is counted to the byte, and a note marks the place afterwards."""
    log = stage.log()
    with disk_of(1_000):
        for _ in range(5):
            log.append("stdout", b"0123456789\n" * 10)
    log.append("stdout", b"after\n")
    lines = stage.path().read_bytes().split(b"\n")[:-1]
    texts = [record.text for line in lines if (record := parse(line))]
    kept = texts.count(b"0123456789")
    assert len(texts) == len(lines) == kept + 2
    assert texts[-1] == b"after"
    assert f"{log.lost_bytes} bytes of output are missing here".encode() in texts[-2]
    assert log.lost_bytes == (50 - kept) * 11
    assert log.lines_written == kept + 1
    assert log.bytes_written == kept * 11 + 6
    assert len(stage.troubles) == 1
    assert "File too large" in stage.troubles[0]


def test_each_episode_is_said(stage: Stage) -> None:
    """Two full disks are two troubles."""
    log = stage.log()
    for limit in (200, 400):
        with disk_of(limit):
            log.append("stdout", b"0123456789\n" * 50)
            log.append("stdout", b"0123456789\n" * 50)
        log.append("stdout", b"fine\n")
    assert len(stage.troubles) == 2
    assert stage.texts().count("fine") == 2


def test_full_disk_in_the_middle_of_a_rotating_block(stage: Stage) -> None:
    """A block that needs several files loses only what does not fit."""
    log = stage.log(max_size=500, max_files=100)
    with disk_of(300):
        log.append("stdout", b"0123456789\n" * 50)
    log.append("stdout", b"after\n")
    assert stage.texts().count("0123456789") * 11 + log.lost_bytes == 550
    assert stage.texts()[-1] == "after"


def test_deleted_file_is_created_anew(stage: Stage) -> None:
    """Lines after a deletion are in the new file, and the deletion is said."""
    log = stage.log()
    log.append("stdout", b"before\n")
    stage.path().unlink()
    log.append("stdout", b"after\n")
    assert stage.texts() == ["after"]
    assert len(stage.troubles) == 1
    assert log.lost_bytes == 0


def test_deleted_directory_is_created_anew(stage: Stage) -> None:
    """Even the whole directory may go."""
    log = stage.log()
    shutil.rmtree(stage.directory)
    log.append("stdout", b"after\n")
    assert stage.texts() == ["after"]


def test_file_moved_away_by_others_is_not_written_any_more(stage: Stage) -> None:
    """A logrotate that renames the file gets a new one from us."""
    log = stage.log()
    log.append("stdout", b"before\n")
    os.rename(stage.path(), stage.directory / "elsewhere")
    stage.path().write_bytes(b"theirs\n")
    log.append("stdout", b"after\n")
    assert stage.texts() == ["theirs", "after"]


@pytest.mark.parametrize("size", [0, 45, 60])
def test_truncated_file_goes_on_at_its_end(stage: Stage, size: int) -> None:
    """After a truncation, in mid-record too, records are whole and no hole of zeros is left."""
    log = stage.log()
    log.append("stdout", b"first line\nsecond line\n")
    os.truncate(stage.path(), size)
    log.append("stdout", b"after\n")
    assert stage.texts()[-1] == "after"
    assert b"\0" not in stage.path().read_bytes()
    assert len(stage.troubles) == 1


@pytest.mark.parametrize("obstacle", ["directory", "fifo", "file as parent"])
def test_impossible_path_never_raises_and_mends_itself(stage: Stage, obstacle: str) -> None:
    """With something in the way output is dropped and counted, until it is gone."""
    if obstacle == "file as parent":
        stage.directory.touch()
    else:
        stage.directory.mkdir()
        stage.path().mkdir() if obstacle == "directory" else os.mkfifo(stage.path())
    log = stage.log()
    log.append("stdout", b"lost\n")
    log.append("stdout", b"lost\n")
    assert log.lost_bytes == 10
    assert len(stage.troubles) == 1
    if obstacle == "file as parent":
        stage.directory.unlink()
    elif obstacle == "directory":
        stage.path().rmdir()
    else:
        stage.path().unlink()
    log.append("stdout", b"kept\n")
    assert stage.texts()[-1] == "kept"
