"""What the kernel tells of processes on Linux: proc(5), prctl(2), pidfd_open(2). No state, no policy."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
# proc(5) tables end far below this; the bound is for a file that is not what it should be.
READ_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/PID/stat.

    Attributes:
        start_time: clock ticks since boot; with the pid it identifies a process for good.
        cpu_seconds: user and system time of the process itself.
        rss_bytes: resident memory.
    """

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
    """Orphans among our descendants become our children, not init's. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def read_bytes(path: str) -> bytes | None:
    """A small proc file, or None when it is gone, empty of permission, or unreadable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        chunks = []
        size = 0
        while size < READ_LIMIT and (chunk := os.read(fd, 65536)):
            chunks.append(chunk)
            size += len(chunk)
        return b"".join(chunks)
    except OSError:
        return None
    finally:
        os.close(fd)


def read_stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    data = read_bytes(f"/proc/{pid}/stat")
    if not data:
        return None
    # The name may hold spaces and parentheses; the last ")" ends it.
    head, _, tail = data.rpartition(b")")
    fields = tail.split()
    if len(fields) < 22:
        return None
    return Stat(
        pid=pid,
        name=head.partition(b"(")[2].decode("utf-8", "replace"),
        state=fields[0].decode(),
        ppid=int(fields[1]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / CLOCK_TICKS,
        start_time=int(fields[19]),
        rss_bytes=int(fields[21]) * PAGE_SIZE,
    )


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none."""
    stat = read_stat(pid)
    return None if stat is None else stat.start_time


def age(pid: int) -> float:
    """Seconds since a process started; 0 when there is none."""
    ticks = start_time(pid)
    return 0.0 if ticks is None else max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / CLOCK_TICKS)


def started_at(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None when there is none."""
    return time.time() - age(pid) if start_time(pid) is not None else None


def is_dead(stat: Stat) -> bool:
    """Whether a process has ended and only its parent has yet to notice.

    A thread-group leader that left other threads running shows as a zombie too, and is very much alive.
    """
    if stat.state not in "ZX":
        return False
    try:
        return len(os.listdir(f"/proc/{stat.pid}/task")) <= 1
    except OSError:
        return True


def all_pids() -> list[int]:
    """Every process there is."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid: int) -> list[int]:
    """The direct children of a process, zombies included; empty when it is gone.

    Needs CONFIG_PROC_CHILDREN, as every distribution's kernel has; without it all of /proc is scanned.
    """
    if not HAS_PROC_CHILDREN:
        return [stat.pid for other in all_pids() if (stat := read_stat(other)) and stat.ppid == pid]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        if data := read_bytes(f"/proc/{pid}/task/{task}/children"):
            found += map(int, data.split())
    return found


def descendants(roots: Iterable[int]) -> list[int]:
    """`roots` and everything below them, parents before children. A snapshot: what forks meanwhile may be missing."""
    found = dict.fromkeys(roots)
    queue = list(found)
    for pid in queue:
        for child in children(pid):
            if child not in found:
                found[child] = None
                queue.append(child)
    return list(found)


def command_line(pid: int, limit: int = 200) -> str:
    """The command of a process for people, at most `limit` characters; its name in brackets for a kernel thread or zombie."""
    data = read_bytes(f"/proc/{pid}/cmdline")
    if data:
        text = data.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    else:
        stat = read_stat(pid)
        text = f"[{stat.name}]" if stat else "[gone]"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def environment_value(pid: int, name: str) -> str | None:
    """A variable from a process's initial environment; None when unset, unreadable or gone."""
    data = read_bytes(f"/proc/{pid}/environ")
    if not data:
        return None
    key = name.encode() + b"="
    for entry in data.split(b"\0"):
        if entry.startswith(key):
            return entry[len(key) :].decode("utf-8", "replace")
    return None


def boot_id() -> str:
    """Changes with every boot: pids and start times of another boot mean nothing."""
    return (read_bytes("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


def newest_pid() -> int | None:
    """The pid that was given out last, proc_loadavg(5)."""
    data = read_bytes("/proc/loadavg")
    return int(data.split()[-1]) if data else None


def rttime_limit(pid: int) -> tuple[int, int] | None:
    """(soft, hard) of RLIMIT_RTTIME where the hard limit is finite, else None. World-readable for every process."""
    data = read_bytes(f"/proc/{pid}/limits")
    if not data:
        return None
    at = data.find(b"Max realtime timeout")
    if at < 0:
        return None
    soft, hard = data[at + 20 :].split(maxsplit=2)[:2]
    if not hard.isdigit():
        return None
    return (int(soft) if soft.isdigit() else int(hard)), int(hard)


def set_rttime_limit(soft: int, hard: int) -> bool:
    """Sets our own RLIMIT_RTTIME; False when the kernel does not permit it."""
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))
    except (OSError, ValueError):
        return False
    return True


def own_rttime_limit() -> tuple[int, int]:
    """(soft, hard), -1 for unlimited."""
    return resource.getrlimit(resource.RLIMIT_RTTIME)


def signal_process(pid: int, signum: int, started: int) -> bool:
    """Sends a signal to exactly the process that started at `started`, whatever became of its pid meanwhile.

    Raises PermissionError when it is not ours to signal. False when it is gone.
    """
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        # Checked while the pidfd is held: the pid cannot be recycled between this and the signal.
        if start_time(pid) != started:
            return False
        signal.pidfd_send_signal(fd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def socket_owner(inodes: Collection[int]) -> int | None:
    """The first process that has one of these sockets open; None when it is not ours to look into."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in all_pids():
        with contextlib.suppress(OSError):
            directory = f"/proc/{pid}/fd"
            for fd in os.listdir(directory):
                with contextlib.suppress(OSError):
                    if os.readlink(f"{directory}/{fd}") in wanted:
                        return pid
    return None


HAS_PROC_CHILDREN = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
