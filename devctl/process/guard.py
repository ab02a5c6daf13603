"""The guard: parent of the supervisor, and what remains when that is killed. Run as `python -m devctl.process.guard ROOT FD`.

It takes the lock, ends what an earlier run left, starts the sweeper and the supervisor, and then only waits. When the supervisor is
dead, for whatever reason, everything it ran has become a child of the guard, which kills until there is no child left.

FD is a socket to the client; one JSON object a line goes there: {"event": "busy"}, {"event": "recovered", …}. The supervisor
continues on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from devctl.process import cgroup, dye, lock, reap, record, system
from devctl.process.sweeper import fork_sweeper

# -P: the caller's directory must not shadow our modules; -X utf8: commands and environments are UTF-8 whatever the locale.
PYTHON_OPTIONS = ("-P", "-X", "utf8")
LAUNCH_VARIABLE = "DEVCTL_LAUNCH"
# Far above the 50 ms that the worst fork bomb took; what is left then hangs in the kernel or is not ours to signal.
KILL_TIMEOUT = 10.0
RECOVERY_TIMEOUT = 10.0


def main(root: Path, channel: int) -> int:
    """Runs until the supervisor is dead and nothing of it is left. Returns an exit status."""
    os.chdir("/")
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTTOU, signal.SIGTTIN, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    lock_fd = lock.acquire(root / "lock")
    if lock_fd is None:
        tell(channel, {"event": "busy"})
        return 0
    recovered = recover(root)
    if recovered is not None:
        tell(channel, {"event": "recovered", **recovered})
    digest = root.name
    run = dye.new_run_number(digest)
    # Readable and sortable; it begins with the stack's digest so that any run of this stack can be told by it.
    run_id = f"{digest}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
    group = cgroup.create(run_id)
    life_read, life_write = os.pipe()
    # Before we become a subreaper: the sweeper must not be our descendant, or our own kill loop would end it.
    sweeper_pid = fork_sweeper(root, run, run_id, group, life_read)
    os.close(life_read)
    system.become_subreaper()
    launch = {
        "root": str(root),
        "run": run,
        "run_id": run_id,
        "guard": identity(os.getpid()),
        "sweeper": identity(sweeper_pid),
        "cgroup": group,
        "channel": channel,
        "lock": lock_fd,
        "life": life_write,
    }
    supervisor = start_supervisor(launch, (channel, lock_fd, life_write))
    os.close(channel)
    signal.signal(signal.SIGTERM, lambda *_: signal_supervisor(supervisor))
    status = wait_for(supervisor)
    finish(root, run_id, group, status)
    return 0


def start_supervisor(launch: dict[str, Any], fds: tuple[int, ...]) -> int:
    """Forks and executes the supervisor in a session of its own; only `fds` go with it."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for fd in fds:
            os.set_inheritable(fd, True)
        environment = {**os.environ, LAUNCH_VARIABLE: json.dumps(launch)}
        os.execve(sys.executable, [sys.executable, *PYTHON_OPTIONS, "-m", "devctl.supervisor", launch["root"]], environment)
    finally:
        os._exit(127)


def signal_supervisor(pid: int) -> None:
    """Passes a termination on. The supervisor is our child and unreaped, so the pid is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def wait_for(supervisor: int) -> int:
    """Reaps whatever dies until the supervisor does; returns its wait status."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == supervisor:
            return status


def finish(root: Path, run_id: str, group: str | None, status: int) -> None:
    """Ends everything that is left and notes how it went."""
    empty, _, sent = reap.kill_children(time.monotonic() + KILL_TIMEOUT)
    if group is not None:
        empty = cgroup.kill(group) and empty
        cgroup.remove(group)
    current = record.read(root / "state.json")
    if current is not None and current.run_id == run_id:
        code = os.waitstatus_to_exitcode(status)
        crash = None
        if code != 0:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended by an error (status {code})"
            crash = f"the supervisor was {how}"
        with contextlib.suppress(OSError):
            record.write(root / "state.json", replace(current, ended=empty, crash=crash, reaped=sent if crash else 0))
    with contextlib.suppress(OSError):
        os.unlink(root / "socket")


def recover(root: Path) -> dict[str, Any] | None:
    """Ends what an earlier run of this stack left; the caller holds the lock. None when it ended properly or there was none."""
    path = root / "state.json"
    if not path.exists():
        return None
    old = record.read(path)
    if old is not None and old.ended and old.crash is None:
        return None
    deadline = time.monotonic() + RECOVERY_TIMEOUT
    if old is None:
        # The file is damaged. Its directory's name still tells which stack it was.
        reaped = reap.sweep(dye.carries_stack(root.name), deadline)
    else:
        reaped = reap.reap_run(old, deadline)
        with contextlib.suppress(OSError):
            record.write(path, replace(old, ended=not reaped.survivors, crash=None))
    if old is None:
        with contextlib.suppress(OSError):
            path.unlink()
    crash = "its state file was damaged" if old is None else old.crash or "guard and supervisor were killed"
    return {
        "run_id": old.run_id if old else None,
        "crash": crash,
        "already_reaped": old.reaped if old else 0,
        "killed": [list(entry) for entry in reaped.killed],
        "survivors": [survivor.json() for survivor in reaped.survivors],
    }


def identity(pid: int) -> dict[str, int]:
    """A process for good, as JSON."""
    return asdict(record.Identity(pid, system.start_time(pid) or 0))


def tell(channel: int, message: dict[str, Any]) -> None:
    """One line to the client; it may be gone, which is no reason to stop."""
    with contextlib.suppress(OSError):
        os.write(channel, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    # Nobody's child: no zombie stays in a long-lived client, and no wait of its own can take our exit status.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
