"""Finds what adversaries left, by means that are not devctl's: the marker word in the arguments of a process, or its user id.

A scan of /proc is not a snapshot: a process that forks and exits all the time can be missed by one. So emptiness needs several
scans, the newest pids in between, and a pulse file that has stopped changing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

CLEAN_SCANS = 3  # in a row
NEWEST = 12  # pids below the newest that are looked at again and again: where a fork loop is met
NEWEST_ROUNDS = 40  # about 5 ms of looking


@dataclass(frozen=True)
class Found:
    """One living process."""

    pid: int
    state: str
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.state}) {self.command[:200]}"


@dataclass(frozen=True)
class Wanted:
    """Whom to look for. A process counts when any of these holds.

    Attributes:
        markers: words in its arguments.
        uid: a user id that nobody else on the machine has; None when tests do not run as a user of their own.
        runtime: the DEVCTL_RUNTIME_DIR in its initial environment: devctl's own processes, wherever they went.
        pids: further ones, each with its start time in ticks since boot.
    """

    markers: tuple[str, ...] = ()
    uid: int | None = None
    runtime: str | None = None
    pids: tuple[tuple[int, int], ...] = ()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", 0) as file:
            return file.read(65536)
    except OSError:
        return b""


def stat_fields(pid: int | str) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on (proc_pid_stat(5): index 0 is field 3); empty when it is gone."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def start_time(pid: int) -> int:
    """Ticks since boot; 0 when it is gone."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def _command(pid: str) -> bytes:
    """The arguments; those of a living thread when the first thread has exited, whose own are gone."""
    command = _read(f"/proc/{pid}/cmdline")
    if command or (stat_fields(pid) or [b"X"])[0] != b"Z":
        return command
    with contextlib.suppress(OSError):
        for tid in os.listdir(f"/proc/{pid}/task"):
            if command := _read(f"/proc/{pid}/task/{tid}/cmdline"):
                return command
    return b""


def _uid(pid: str) -> int:
    _, _, rest = _read(f"/proc/{pid}/status").partition(b"\nUid:")
    return int(rest.split()[0]) if rest else -1


def _look(pid: str, wanted: Wanted) -> Found | None:
    command = _command(pid)
    if not command:
        return None  # a kernel thread, or really dead
    hit = any(marker.encode() in command for marker in wanted.markers)
    hit = hit or (wanted.uid is not None and _uid(pid) == wanted.uid)
    if wanted.runtime is not None:
        hit = hit or os.fsencode(f"DEVCTL_RUNTIME_DIR={wanted.runtime}\0") in _read(f"/proc/{pid}/environ")
    hit = hit or any(int(pid) == known and start_time(known) == started for known, started in wanted.pids)
    if not hit or int(pid) == os.getpid():
        return None
    fields = stat_fields(pid)
    state = fields[0].decode() if fields else "gone"
    return Found(int(pid), state, os.fsdecode(command.replace(b"\0", b" ").strip()))


def scan(wanted: Wanted) -> list[Found]:
    """One pass over /proc."""
    return [found for pid in os.listdir("/proc") if pid.isdigit() and (found := _look(pid, wanted))]


def scan_newest(wanted: Wanted, rounds: int = NEWEST_ROUNDS) -> list[Found]:
    """The newest pids, repeatedly."""
    for _ in range(rounds):
        newest = int(_read("/proc/loadavg").split()[-1])
        if hits := [found for pid in range(newest - NEWEST, newest + 4) if (found := _look(str(pid), wanted))]:
            return hits
    return []


def _pulses(files: Iterable[Path]) -> dict[Path, str]:
    found = {}
    for file in files:
        with contextlib.suppress(OSError):
            found[file] = file.read_text()
    return found


def living(wanted: Wanted, pulses: Iterable[Path] = ()) -> list[Found]:
    """Who is alive now; empty only after several clean scans and, where somebody has left a pulse, a look at the newest pids and a
    still pulse in between."""
    pulses = list(pulses)
    for _ in range(CLEAN_SCANS):
        before = _pulses(pulses)
        if hits := scan(wanted) or (scan_newest(wanted) if before else []):
            return hits
        if _pulses(pulses) != before:
            return [Found(0, "?", "somebody whom no scan saw still writes to a pulse file")]
    return []


def await_nobody(wanted: Wanted, pulses: Iterable[Path] = (), *, timeout: float) -> list[Found]:
    """Waits until nobody is alive: [] then, or who still is after `timeout` seconds. Wakes at each death, by pidfd."""
    end = time.monotonic() + timeout
    pulses = list(pulses)
    while hits := living(wanted, pulses):
        if time.monotonic() > end:
            return hits
        await_a_death([hit.pid for hit in hits], 0.05)
    return []


def await_a_death(pids: Iterable[int], timeout: float) -> None:
    """Returns when one of `pids` has ended, or after `timeout` seconds."""
    poll, fds = select.poll(), []
    try:
        for pid in pids:
            with contextlib.suppress(OSError):
                fds.append(os.pidfd_open(pid))
                poll.register(fds[-1], select.POLLIN)
        if fds:
            poll.poll(timeout * 1000)
    finally:
        for fd in fds:
            os.close(fd)


def kill_identified(pid: int, still: Callable[[], bool]) -> None:
    """SIGKILL to `pid` if `still()` holds once a pidfd pins it: never to a stranger that got a recycled number."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if still():
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
    finally:
        os.close(fd)


def exterminate(wanted: Wanted, *, timeout: float = 15.0) -> list[Found]:
    """Kills all that is wanted, whatever it does: for cleaning up after a failed test. Returns who is left."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        hits = scan(wanted) or scan_newest(wanted)
        if not hits and not living(wanted):
            return []
        for hit in hits:
            kill_identified(hit.pid, lambda hit=hit: _look(str(hit.pid), wanted) is not None)  # type: ignore[misc]
    return living(wanted)
