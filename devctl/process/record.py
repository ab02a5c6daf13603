"""state.json: who runs what, written before the first spawn, so that a later command can clean up after any crash."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORD_VERSION = 1
READ_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for good: its pid and when it started, in clock ticks since boot."""

    pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class Record:
    """One run.

    Attributes:
        run: the dye's number.
        run_id: the same run for people and as environment cookie.
        boot_id: pids mean something only under this one.
        log_dir: absolute path of the log directory.
        leaders: path of the list of spawned leaders, one "pid start_time" a line.
        ended: guard or sweeper have ended whatever there was.
        crash: how the run ended when nobody asked it to: "the supervisor was killed by SIGKILL".
        reaped: how many processes had to be killed after the crash.
    """

    run: int
    run_id: str
    boot_id: str
    stack: str
    directory: str
    started_at: str
    guard: Identity
    supervisor: Identity
    sweeper: Identity
    leaders: str
    cgroup: str | None = None
    ended: bool = False
    crash: str | None = None
    reaped: int = 0
    log_dir: str = ""

    def read_leaders(self) -> list[tuple[int, int]]:
        """(pid, start time) of every leader that was spawned; a torn last line is left out."""
        found = []
        with contextlib.suppress(OSError):
            with open(self.leaders, "rb") as file:
                lines = file.read(READ_LIMIT * 8).split(b"\n")
            for line in lines[:-1]:
                numbers = line.split()
                if len(numbers) == 2 and numbers[0].isdigit() and numbers[1].isdigit():
                    found.append((int(numbers[0]), int(numbers[1])))
        return found


def write(path: Path, record: Record) -> None:
    """Writes atomically and durably: a reader sees the old or the new record, after a crash too. Raises OSError."""
    write_json(path, {"version": RECORD_VERSION, **asdict(record)})


def read(path: Path) -> Record | None:
    """The record, or None when there is none that makes sense: a corrupted file names nobody."""
    data = read_json(path)
    if data is None or data.pop("version", None) != RECORD_VERSION:
        return None
    try:
        for key in ("guard", "supervisor", "sweeper"):
            data[key] = Identity(int(data[key]["pid"]), int(data[key]["start_time"]))
        record = Record(**data)
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    sound = (
        isinstance(record.run, int)
        and all(isinstance(text, str) and text for text in (record.run_id, record.boot_id, record.directory, record.leaders))
        and isinstance(record.cgroup, str | None)
    )
    return record if sound else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replaces a small JSON file atomically, fsync'ed. Raises OSError."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(data, ensure_ascii=False).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """A small JSON object, or None when the file is missing, too large or damaged."""
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(READ_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
