"""What linux.py tells, on macOS, as far as it can be told: through psutil, without subreaper and without dye.

What a service detaches there becomes init's child, so trees are found by parent, and strays by their environment cookie and
(pid, start time). docs/guarantee.md says where that ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Stat:
    """As in linux.py; `start_time` is microseconds since the epoch."""

    pid: int
    name: str
    state: str
    ppid: int
    pgrp: int
    session: int
    cpu_seconds: float
    start_time: int
    rss_bytes: int


def become_subreaper() -> None:
    """There is none here."""


def read_stat(pid: int) -> Stat | None:
    """None when there is no such process, or it is not ours to look at."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return Stat(
                pid=pid,
                name=process.name(),
                state="Z" if process.status() == psutil.STATUS_ZOMBIE else "S",
                ppid=process.ppid(),
                pgrp=os.getpgid(pid),
                session=os.getsid(pid),
                cpu_seconds=times.user + times.system,
                start_time=_microseconds(process),
                rss_bytes=process.memory_info().rss,
            )
    except (psutil.Error, OSError):
        return None


def is_dead(stat: Stat) -> bool:
    """Whether a process has ended and only its parent has yet to notice."""
    return stat.state == "Z"


def start_time(pid: int) -> int | None:
    """When a process started, in microseconds since the epoch; None when there is none."""
    try:
        return _microseconds(psutil.Process(pid))
    except psutil.Error:
        return None


def started_at(pid: int) -> float | None:
    """When a process started, in seconds since the epoch."""
    started = start_time(pid)
    return None if started is None else started / 1_000_000


def all_pids() -> list[int]:
    """Every process there is."""
    return psutil.pids()


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def descendants(roots: Iterable[int]) -> list[int]:
    """`roots` and everything below them, parents before children."""
    below: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        below.setdefault(process.info["ppid"], []).append(process.pid)
    found = list(dict.fromkeys(roots))
    for pid in found:
        found += [child for child in below.get(pid, []) if child not in found]
    return found


def command_line(pid: int, limit: int = 200) -> str:
    """The command of a process for people, at most `limit` characters."""
    try:
        text = " ".join(psutil.Process(pid).cmdline()) or f"[{psutil.Process(pid).name()}]"
    except psutil.Error:
        return "[gone]"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def environment_value(pid: int, name: str) -> str | None:
    """A variable from a process's initial environment; None when unset, unreadable or gone."""
    try:
        return psutil.Process(pid).environ().get(name)
    except (psutil.Error, OSError):
        return None


def boot_id() -> str:
    """Changes with every boot, to the second."""
    return str(int(psutil.boot_time()))


def newest_pid() -> int | None:
    """Not told here."""
    return None


def rttime_limit(pid: int) -> tuple[int, int] | None:
    """There is no such limit here, and so no dye."""
    return None


def set_rttime_limit(soft: int, hard: int) -> bool:
    """There is no such limit here."""
    return False


def own_rttime_limit() -> tuple[int, int]:
    """Finite, which means: not to be used."""
    return 0, 0


def signal_process(pid: int, signum: int, started: int) -> bool:
    """Sends a signal to the process that started at `started`. Between the look and the signal a pid could be recycled."""
    if start_time(pid) != started:
        return False
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def listener(port: int) -> int | None:
    """The pid that listens on a TCP port, among our own processes."""
    for process in psutil.process_iter():
        try:
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process.pid
        except psutil.Error:
            continue
    return None


def _microseconds(process: psutil.Process) -> int:
    return int(process.create_time() * 1_000_000)


def age(pid: int) -> float:
    """Seconds since a process started; 0 when there is none."""
    started = started_at(pid)
    return 0.0 if started is None else max(0.0, time.time() - started)
