"""The sweeper: a process outside the tree that waits for guard and supervisor to be gone, and then looks for what they left.

It holds the reading end of a pipe whose writing ends guard and supervisor hold: end of file is the death of both, with no pid to
be mistaken. After a proper end there is nothing to find, and one scan shows it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from devctl.process import cgroup, dye, lock, reap, record

SWEEP_TIMEOUT = 10.0


def fork_sweeper(root: Path, run: int, run_id: str, group: str | None, life: int) -> int:
    """Starts the sweeper by a double fork in a session of its own; returns its pid.

    Args:
        life: reading end of the pipe whose end of file means that guard and supervisor are dead.
    """
    answer_read, answer_write = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            os.setsid()
            pid = os.fork()
            if pid == 0:
                _run(root, run, run_id, group, life)
            os.write(answer_write, str(pid).encode())
        finally:
            os._exit(0)
    os.close(answer_write)
    os.waitpid(middle, 0)
    with os.fdopen(answer_read, "rb") as file:
        return int(file.read())


def _run(root: Path, run: int, run_id: str, group: str | None, life: int) -> None:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Whatever else we inherited, the lock and the client's socket above all, must not live on in us.
        os.closerange(3, life)
        os.closerange(life + 1, 1 << 12)
        while os.read(life, 64):
            pass
        sweep(root, run, run_id, group)
    finally:
        os._exit(0)


def sweep(root: Path, run: int, run_id: str, group: str | None) -> None:
    """Ends what carries the run's mark, and notes it unless the guard has."""
    old = record.read(root / "state.json")
    proper = old is not None and (old.run_id != run_id or old.ended)
    if group is not None:
        cgroup.kill(group)
        cgroup.remove(group)
    reaped = reap.sweep(dye.carries(run, run_id), time.monotonic() + SWEEP_TIMEOUT, scans=1 if proper else reap.CLEAN_SCANS)
    if proper or old is None:
        return
    # A new run may have begun: only under the lock is the record ours to change.
    fd = lock.acquire(root / "lock")
    if fd is None:
        return
    current = record.read(root / "state.json")
    if current is not None and current.run_id == run_id and not current.ended:
        ended = replace(current, ended=not reaped.survivors, crash="guard and supervisor were killed", reaped=len(reaped.killed))
        with contextlib.suppress(OSError):
            record.write(root / "state.json", ended)
            os.unlink(root / "socket")
    os.close(fd)
