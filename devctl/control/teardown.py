"""Ending a stack for sure: ask, wait for supervisor, guard and sweeper, verify; and clean up after a crash."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from devctl.control.client import Client
from devctl.control.launch import RecoveryReport
from devctl.errors import DevctlError, NotRunning
from devctl.model import Receipt, Survivor
from devctl.paths import StackPaths
from devctl.process import dye, guard, lock, ports, reap, record, system
from devctl.process.handle import Handle
from devctl.process.record import Identity, Record

# A supervisor that does not answer a health request for so long is stuck; killing it is safe, the guard ends the rest.
STUCK_TIMEOUT = 15.0
HEALTH_TIMEOUT = 5.0
# After --timeout, killing trees takes milliseconds; a supervisor that has not done it by then is stuck.
FORCE_TIMEOUT = 3.0
# Guard and sweeper bound their own work to 10 s each.
GUARD_TIMEOUT = 25.0
STARTUP_TIMEOUT = 15.0
POLL_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a teardown went.

    Attributes:
        receipt: what was stopped; None when nothing ran.
        recovery: what a crashed run had left, when that is what was found.
        survivors: what is still alive, verified from outside the supervisor.
        held_ports: ports of the stack that somebody still listens on.
    """

    receipt: Receipt | None = None
    recovery: RecoveryReport | None = None
    survivors: tuple[Survivor, ...] = ()
    held_ports: tuple[int, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is left."""
        return not self.survivors and not self.held_ports


def teardown(paths: StackPaths, *, force: bool = False, timeout: float | None = None) -> Outcome:
    """Stops the stack and returns when supervisor, guard and sweeper are gone too. Does nothing where nothing runs.

    Args:
        force: no grace periods.
        timeout: seconds for the whole; then everything is killed.
    """
    if not lock.is_held(paths.lock):
        return _after_crash(paths)
    running = _Running.find(paths)
    if running is None:
        return _after_crash(paths)
    with contextlib.closing(running):
        receipt = running.stop(force, timeout)
    return _verify(running.record, receipt, paths)


def recover(paths: StackPaths) -> RecoveryReport | None:
    """Ends what a crashed run left. None when there was none, or a stack is running."""
    if not paths.state.exists():
        return None
    fd = lock.acquire(paths.lock)
    if fd is None:
        return None
    try:
        data = guard.recover(paths.root)
    finally:
        os.close(fd)
    return None if data is None else RecoveryReport.from_json(data)


def crash_of(paths: StackPaths) -> str | None:
    """How the last run crashed, where no command has cleaned up since; None when it ended properly or runs. Changes nothing."""
    if lock.is_held(paths.lock):
        return None
    if not paths.state.exists():
        return None
    last = record.read(paths.state)
    if last is None:
        return "its state file is damaged"
    if last.ended and last.crash is None:
        return None
    return last.crash or "guard and supervisor were killed"


class _Running:
    """A run's three processes, held so that none can be mistaken for another."""

    def __init__(self, paths: StackPaths, found: Record) -> None:
        self.paths = paths
        self.record = found
        self.supervisor = Handle.open(found.supervisor)
        self.guard = Handle.open(found.guard)
        self.sweeper = Handle.open(found.sweeper)

    @classmethod
    def find(cls, paths: StackPaths) -> _Running | None:
        """Waits for a stack that is only just starting; None when the lock becomes free meanwhile."""
        deadline = time.monotonic() + STARTUP_TIMEOUT
        while lock.is_held(paths.lock):
            found = _told(paths) or record.read(paths.state)
            # A record of an earlier run is there until the new supervisor has written its own.
            if found is not None and not found.ended and _alive(found.supervisor):
                return cls(paths, found)
            if found is not None and not found.ended and _alive(found.guard):
                return cls(paths, found)
            if time.monotonic() > deadline:
                raise NotRunning(
                    "a devctl holds this stack's lock but does not say who it is", "look for it with `ps`, then try again"
                )
            time.sleep(POLL_PAUSE)
        return None

    def close(self) -> None:
        for handle in (self.supervisor, self.guard, self.sweeper):
            if handle is not None:
                handle.close()

    def stop(self, force: bool, timeout: float | None) -> Receipt | None:
        answer = _Shutdown(self.paths, force)
        deadline = None if timeout is None else time.monotonic() + timeout
        last_sign = time.monotonic()
        while not _ended(self.supervisor, 0.25 if deadline is None else max(0.0, min(0.25, deadline - time.monotonic()))):
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                _Shutdown(self.paths, True)
                if not _ended(self.supervisor, FORCE_TIMEOUT):
                    self.kill_supervisor()
                deadline = None
            elif answer.failed or self._answers():
                last_sign = last_sign if answer.failed else now
                if answer.failed and not answer.running:
                    answer = _Shutdown(self.paths, force)
            if now - last_sign > STUCK_TIMEOUT:
                self.kill_supervisor()
        for handle in (self.guard, self.sweeper):
            _ended(handle, GUARD_TIMEOUT)
        answer.join()
        return answer.receipt

    def kill_supervisor(self) -> None:
        """The last resort: the guard ends everything the supervisor ran."""
        if self.supervisor is not None:
            with contextlib.suppress(OSError):
                self.supervisor.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(DevctlError):
            Client(self.paths.socket, timeout=HEALTH_TIMEOUT).get("/health")
            return True
        return False


class _Shutdown:
    """The request, in a thread of its own: its answer comes when all services are gone."""

    def __init__(self, paths: StackPaths, force: bool) -> None:
        self.receipt: Receipt | None = None
        self.failed = False
        self._paths = paths
        self._force = force
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(1.0)

    def _ask(self) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT
        while True:
            try:
                self.receipt = _receipt(Client(self._paths.socket).post("/v1/shutdown", {"force": self._force}))
                return
            except NotRunning:
                # The server comes up a moment after the first services.
                if time.monotonic() > deadline:
                    self.failed = True
                    return
                time.sleep(POLL_PAUSE)
            except DevctlError:
                self.failed = True
                return


def _told(paths: StackPaths) -> Record | None:
    """Who runs the stack, as the supervisor itself says; None when it does not answer. State files can be damaged or lost."""
    try:
        status = Client(paths.socket, timeout=HEALTH_TIMEOUT).get("/v1/status")
    except DevctlError:
        return None
    supervisor = status["supervisor"]
    guard_pid, pid, sweeper = (int(supervisor[key]) for key in ("guard_pid", "pid", "sweeper_pid"))
    return Record(
        run=dye.run_of(pid) or 0,
        run_id=status["run_id"],
        boot_id=system.boot_id(),
        stack=status["stack"],
        directory=status["directory"],
        started_at=status["started_at"],
        leaders=str(paths.root / "leaders"),
        guard=Identity(guard_pid, system.start_time(guard_pid) or 0),
        supervisor=Identity(pid, system.start_time(pid) or 0),
        sweeper=Identity(sweeper, system.start_time(sweeper) or 0),
    )


def _after_crash(paths: StackPaths) -> Outcome:
    recovery = recover(paths)
    if recovery is None:
        return Outcome()
    survivors = tuple(Survivor(item["pid"], item["command"], item["reason"]) for item in recovery.survivors)
    return Outcome(recovery=recovery, survivors=survivors)


def _verify(ran: Record, receipt: Receipt | None, paths: StackPaths) -> Outcome:
    """Looks for what should not be there, with other eyes than the supervisor's."""
    carries = dye.carries(ran.run, ran.run_id)
    left = []
    for pid in system.all_pids():
        stat = system.read_stat(pid) if pid != os.getpid() and carries(pid) else None
        if stat is not None and not system.is_dead(stat):
            left.append(pid)
    survivors = reap.survivors(left, "still alive after the teardown")
    listening = ports.listening() if receipt is not None and receipt.ports else {}
    held = tuple(port for port in (receipt.ports if receipt else ()) if port in listening)
    if survivors and receipt is not None:
        receipt = replace(receipt, survivors=survivors)
    ended = record.read(paths.state)
    recovery = None
    if receipt is None and ended is not None and ended.run_id == ran.run_id:
        # It died before it could answer: guard and sweeper have noted how, and what they did.
        recovery = recover(paths)
    return Outcome(receipt, recovery, survivors, held)


def _receipt(data: dict[str, Any]) -> Receipt:
    return Receipt(
        services=data["services"],
        processes=data["processes"],
        ports=tuple(data["ports"]),
        seconds=data["seconds"],
        killed=data["killed"],
        survivors=tuple(Survivor(**survivor) for survivor in data["survivors"]),
    )


def _alive(identity: Identity) -> bool:
    return system.start_time(identity.pid) == identity.start_time


def _ended(handle: Handle | None, timeout: float) -> bool:
    return handle is None or handle.wait(timeout)
