"""Ending processes for sure: the kill loop that proves emptiness, and the sweep for where no proof is to be had."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devctl.model import Survivor
from devctl.process import cgroup, dye, system
from devctl.process.record import Record

# Rounds without a pause before the loop becomes gentle: a fork bomb is beaten by speed, a process that hangs in the kernel is not.
FAST_ROUNDS = 300
CLEAN_SCANS = 3
# Between two scans: looks at the newest pids, which catch a process that forks and exits in a loop; no full scan ever saw one.
NEWEST_LOOKS = 200
NEWEST_BEHIND, NEWEST_AHEAD = 12, 6


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was ended: (pid, command), and what could not be."""

    killed: tuple[tuple[int, str], ...] = ()
    survivors: tuple[Survivor, ...] = ()


def reap_zombies() -> bool:
    """Collects every dead child. True when there is no child at all, dead or alive: the proof of emptiness."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def kill_children(deadline: float, spare: Callable[[int], bool] | None = None) -> tuple[bool, set[int], int]:
    """Kills our children until there is none, waitpid(2) says ECHILD.

    Only direct children are signalled: none of them can be recycled before we reap it. What they leave behind is re-parented to us,
    a subreaper, and is a direct child in the next round. Nothing else may wait for children meanwhile.

    Args:
        deadline: monotonic seconds.
        spare: pids that are left alone, such as another part of devctl.

    Returns:
        (nothing is left, pids that we may not signal, processes that were signalled).
    """
    not_permitted: set[int] = set()
    signalled_pids: set[int] = set()
    rounds = 0
    while not reap_zombies():
        signalled = 0
        for pid in system.children(os.getpid()):
            if spare is not None and spare(pid):
                continue
            try:
                os.kill(pid, signal.SIGKILL)
                signalled += 1
                signalled_pids.add(pid)
            except PermissionError:
                not_permitted.add(pid)
            except ProcessLookupError:
                pass
        rounds += 1
        if time.monotonic() > deadline or (not signalled and not_permitted):
            return False, not_permitted, len(signalled_pids)
        if not signalled and spare is not None:
            return True, not_permitted, len(signalled_pids)
        if rounds > FAST_ROUNDS:
            time.sleep(0.0005)
    return True, not_permitted, len(signalled_pids)


def sweep(matches: Callable[[int], bool], deadline: float, *, scans: int = CLEAN_SCANS) -> Reaped:
    """Kills every process that `matches`, wherever it is, until `scans` full scans in a row find none.

    There is no proof here, as there is for children; it is for what an ancestor can no longer reach.
    """
    killed: dict[tuple[int, int], tuple[int, str]] = {}
    refused: dict[int, Survivor] = {}
    own = {os.getpid(), os.getppid()}

    def end(pid: int) -> bool:
        started = system.start_time(pid)
        if pid in own or started is None or not matches(pid):
            return False
        stat = system.read_stat(pid)
        if stat is None or system.is_dead(stat):
            return False
        command = system.command_line(pid)
        try:
            if system.signal_process(pid, signal.SIGKILL, started):
                killed.setdefault((pid, started), (pid, command))
        except PermissionError:
            if pid in refused:
                return False
            refused[pid] = Survivor(pid, command, "not permitted to signal it")
        return True

    clean = 0
    while clean < scans and time.monotonic() < deadline:
        hits = sum(end(pid) for pid in system.all_pids())
        clean = 0 if hits else clean + 1
        if clean >= scans:
            break
        for _ in range(NEWEST_LOOKS):
            newest = system.newest_pid()
            if newest is not None:
                for pid in range(newest - NEWEST_BEHIND, newest + NEWEST_AHEAD):
                    end(pid)
    return Reaped(tuple(killed.values()), tuple(s for pid, s in refused.items() if system.read_stat(pid) is not None))


def reap_run(record: Record, deadline: float) -> Reaped:
    """Ends what a run left whose guard and supervisor are dead: by cgroup, dye, cookie, and recorded (pid, start time).

    The caller holds the stack's lock. Pids mean nothing after a reboot, so a record of another boot names nobody.
    """
    if record.boot_id != system.boot_id():
        return Reaped()
    found: list[tuple[int, str]] = []
    if record.cgroup and record.run_id in record.cgroup:
        found += [(pid, system.command_line(pid)) for pid in cgroup.members(record.cgroup)]
        cgroup.kill(record.cgroup)
        cgroup.remove(record.cgroup)
    recorded = dict(record.read_leaders())
    carries = dye.carries(record.run, record.run_id)

    def matches(pid: int) -> bool:
        return carries(pid) or (pid in recorded and system.start_time(pid) == recorded[pid])

    swept = sweep(matches, deadline)
    known = {pid for pid, _ in found}
    return Reaped((*found, *(entry for entry in swept.killed if entry[0] not in known)), swept.survivors)


def survivors(pids: Iterable[int], reason: str) -> tuple[Survivor, ...]:
    """Names processes that could not be ended."""
    return tuple(Survivor(pid, system.command_line(pid), reason) for pid in pids if system.read_stat(pid) is not None)
