"""The supervisor's roster: every process below it, whose it is, and how it is ended.

The supervisor is a subreaper, so everything a service detaches becomes our direct child, a *stray*. The roster reaps all children,
tells strays' owners by their dye, and knows when no process of an owner is left. An owner is a dye index: a service, or a
service's health commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass

from devctl.lifecycle.events import ExitStatus
from devctl.process import dye, system
from devctl.process.spawn import Child, SpawnRequest, spawn

# Every death that can empty a tree reaches us as SIGCHLD; this look without one is for the kernel bug nobody has met yet.
RECHECK = 0.5
# After SIGKILL a process needs a moment to go, and its last breath wakes us earlier.
KILL_PAUSE = 0.002
# Far above what the worst fork bomb took; what is left then hangs in the kernel.
KILL_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a tree ended: processes that were there, those that needed SIGKILL, and those that would not go (not ours to signal)."""

    processes: int = 0
    killed: int = 0
    refused: tuple[int, ...] = ()


class Roster:
    """All processes of a run. One in a process, made in the main thread, since it takes SIGCHLD.

    Args:
        run: the dye's number; None where the dye could not be applied.
        run_id: the environment cookie.
        leaders: file to which (pid, start time) of every leader is appended.
    """

    def __init__(self, run: int | None, run_id: str, leaders: str) -> None:
        self._run = run
        self._run_id = run_id
        self._loop = asyncio.get_running_loop()
        self._leaders_fd = os.open(leaders, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._exits: dict[int, tuple[Child, Callable[[ExitStatus], None]]] = {}
        self._owners: dict[int, int] = {}
        self._sessions: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self._waiters: dict[int, set[asyncio.Future[None]]] = {}
        self._roots: dict[int, list[int]] | None = None
        self._limit = raise_file_limit()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def close(self) -> None:
        """Gives SIGCHLD back."""
        self._loop.remove_signal_handler(signal.SIGCHLD)
        os.close(self._leaders_fd)

    def name(self, service: str, index: int) -> None:
        """Says which owner a DEVCTL_SERVICE cookie means, for strays without a dye."""
        self._names[service] = index

    def spawn(self, request: SpawnRequest, on_exit: Callable[[ExitStatus], None]) -> Child:
        """Starts a leader; `on_exit` is called once, from the event loop. Raises SpawnError."""
        child = spawn(request, self._run, self._limit)
        self._exits[child.pid] = (child, on_exit)
        self._owners[child.pid] = child.index
        self._sessions[child.pid] = child.index
        self._roots = None
        with contextlib.suppress(OSError):  # a full disk must not keep a service from starting
            os.write(self._leaders_fd, b"%d %d\n" % (child.pid, child.start_time))
        return child

    def members(self, index: int) -> list[int]:
        """Every process of an owner, as of now."""
        self._roots = None
        return system.descendants(self._roots_of(index))

    def trees(self) -> dict[int, list[int]]:
        """Every process of every owner, in one pass; 0 owns what cannot be told."""
        self._roots = None
        return {index: system.descendants(roots) for index, roots in self._snapshot().items()}

    def is_empty(self, index: int) -> bool:
        """Whether no process of an owner is left."""
        return not self._roots_of(index)

    async def empty(self, index: int) -> None:
        """Waits until no process of an owner is left."""
        self._roots = None
        while self._roots_of(index):
            await self._emptied(index, RECHECK)

    async def _emptied(self, index: int, pause: float) -> None:
        """Sleeps until the last known process of an owner was reaped, at most `pause` seconds; then all is to be looked at anew."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.setdefault(index, set()).add(future)
        timer = self._loop.call_later(pause, _wake, future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiters[index].discard(future)
            self._roots = None

    async def stop(self, child: Child, signum: int, grace: float, force: asyncio.Event) -> Stopped:
        """Ends the tree of a leader, which may be dead already: `signum`, then SIGKILL after `grace` seconds or on `force`."""
        index = child.index
        members = self.members(index)
        seen = set(members)
        if members and grace > 0 and not force.is_set():
            self._signal_gently(child, members, signum)
            await self._grace(index, grace, force)
        stopped = await self.kill(index)
        self._sessions = {pid: owner for pid, owner in self._sessions.items() if owner != index or pid in self._exits}
        return Stopped(max(len(seen), stopped.processes), stopped.killed, stopped.refused)

    async def kill(self, index: int) -> Stopped:
        """Kills every process of an owner until none is left, or only such as we may not signal or the kernel does not let go."""
        seen: set[int] = set()
        killed: set[int] = set()
        refused: set[int] = set()
        deadline = self._loop.time() + KILL_TIMEOUT
        while members := self.members(index):
            growing = not seen.issuperset(members)
            seen.update(members)
            killed.update(self._kill(members, refused))
            self._reap()
            left = set(self.members(index))
            if left and (left <= refused or self._loop.time() > deadline):
                refused |= left
                break
            if growing and not left <= seen:
                await asyncio.sleep(0)  # a fork bomb is beaten by speed
            else:
                await self._emptied(index, KILL_PAUSE)
        return Stopped(len(seen), len(killed), tuple(sorted(refused)))

    def signal(self, child: Child, signum: int) -> None:
        """Sends a signal to the leader's group. Nothing happens when the group is gone."""
        if child.pid in self._exits or self._group_lives(child):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signum)

    def _signal_gently(self, child: Child, members: list[int], signum: int) -> None:
        self.signal(child, signum)
        for pid in members:
            stat = system.read_stat(pid)
            if stat is None or stat.pgrp == child.pid:
                continue
            with contextlib.suppress(PermissionError):
                system.signal_process(pid, signum, stat.start_time)
                system.signal_process(pid, signal.SIGCONT, stat.start_time)
        # A stopped process takes the signal only once it continues.
        self.signal(child, signal.SIGCONT)

    async def _grace(self, index: int, grace: float, force: asyncio.Event) -> None:
        empty = asyncio.ensure_future(self.empty(index))
        forced = asyncio.ensure_future(force.wait())
        try:
            await asyncio.wait({empty, forced}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        finally:
            empty.cancel()
            forced.cancel()

    def _kill(self, members: list[int], refused: set[int]) -> set[int]:
        killed = set()
        for pid in members:
            stat = system.read_stat(pid)
            # The pid may be a stranger's by now; ours descend from us or carry the dye.
            if stat is None or system.is_dead(stat) or not self._is_ours(stat, members):
                continue
            try:
                if system.signal_process(pid, signal.SIGKILL, stat.start_time):
                    killed.add(pid)
            except PermissionError:
                refused.add(pid)
        return killed

    def _is_ours(self, stat: system.Stat, members: list[int]) -> bool:
        if stat.ppid == os.getpid() or stat.ppid in members:
            return True
        return self._run is not None and dye.index_of(stat.pid, self._run) is not None

    def _group_lives(self, child: Child) -> bool:
        # A group's id is given to no new process while the group has a member; one of ours in it proves that it is the same.
        return any((stat := system.read_stat(pid)) is not None and stat.pgrp == child.pid for pid in self.members(child.index))

    # --- whose is it ------------------------------------------------------------------------------------------------------------

    def _roots_of(self, index: int) -> list[int]:
        return self._snapshot().get(index, [])

    def _snapshot(self) -> dict[int, list[int]]:
        if self._roots is None:
            self._roots = {}
            for pid in system.children(os.getpid()):
                self._roots.setdefault(self._owner(pid), []).append(pid)
        return self._roots

    def _owner(self, pid: int) -> int:
        owner = self._owners.get(pid)
        if owner is None:
            owner = self._owners[pid] = self._find_owner(pid)
        return owner

    def _find_owner(self, pid: int) -> int:
        if self._run is not None and (index := dye.index_of(pid, self._run)):
            return index
        stat = system.read_stat(pid)
        if stat is not None and (owner := self._sessions.get(stat.session) or self._sessions.get(stat.pgrp)):
            return owner
        if system.environment_value(pid, "DEVCTL_RUN_ID") == self._run_id:
            return self._names.get(system.environment_value(pid, "DEVCTL_SERVICE") or "", 0)
        return 0

    # --- reaping ----------------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Reaps every dead child. Nothing else in this process waits for children, so no exit status is lost."""
        dead: list[tuple[int, ExitStatus]] = []
        with contextlib.suppress(ChildProcessError):
            while (entry := os.waitpid(-1, os.WNOHANG))[0]:
                code = os.waitstatus_to_exitcode(entry[1])
                dead.append((entry[0], ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)))
        if not dead:
            return
        self._roots = None
        owners = set()
        for pid, status in dead:
            owner = self._owners.pop(pid, None)
            if owner is not None:
                owners.add(owner)
            if (leader := self._exits.pop(pid, None)) is not None:
                leader[1](status)
        for owner in owners:
            if self._waiters.get(owner) and not self._roots_of(owner):
                for future in self._waiters[owner]:
                    _wake(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def raise_file_limit() -> int | None:
    """Raises our soft limit of open files to the hard one, four a service; returns the old soft limit, to give to services."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return soft
    return None
