"""A control group for a run, where a cgroup v2 hierarchy is writable: `cgroup.kill` is the atomic last word (cgroups(7)).

Linux 5.14 and later. Everywhere else the functions answer None and the other layers of the guarantee do the work.
"""

from __future__ import annotations

import contextlib
import os
import time

# How long the kernel may take to empty a killed cgroup; it is a matter of milliseconds unless a process hangs in the kernel.
EMPTY_TIMEOUT = 2.0


def create(run_id: str) -> str | None:
    """Makes a cgroup below our own and returns its directory; None where that is not ours to do, or DEVCTL_CGROUP=off."""
    if os.environ.get("DEVCTL_CGROUP") == "off":
        return None
    own = _own_directory()
    if own is None or not os.path.exists(f"{own}/cgroup.procs"):
        return None
    path = f"{own}/devctl-{run_id}"
    try:
        os.mkdir(path)
    except OSError:
        return None
    if not os.path.exists(f"{path}/cgroup.kill"):
        remove(path)
        return None
    return path


def join(path: str) -> bool:
    """Moves this process, and so all it will start, into the cgroup."""
    try:
        with open(f"{path}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
    except OSError:
        return False
    return True


def members(path: str) -> list[int]:
    """The processes in the cgroup and in those that were made below it."""
    found: list[int] = []
    for directory, _, _ in os.walk(path):
        with contextlib.suppress(OSError, ValueError), open(f"{directory}/cgroup.procs") as file:
            found += map(int, file.read().split())
    return found


def kill(path: str) -> bool:
    """Kills all members and waits until none is left. True when it is empty or not there."""
    end = time.monotonic() + EMPTY_TIMEOUT
    while os.path.isdir(path):
        if not _populated(path):
            return True
        try:
            with open(f"{path}/cgroup.kill", "w") as file:
                file.write("1")
        except OSError:
            return False
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def remove(path: str) -> None:
    """Removes an empty cgroup and empty ones below it; what is not empty stays."""
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _populated(path: str) -> bool:
    try:
        with open(f"{path}/cgroup.events") as file:
            return "populated 1" in file.read()
    except OSError:
        return False


def _own_directory() -> str | None:
    try:
        with open("/proc/self/cgroup") as file:
            own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
        with open("/proc/self/mountinfo") as file:
            mount = next((line.split()[4] for line in file if " - cgroup2 " in line), None)
    except OSError:
        return None
    if own is None or mount is None or ".." in own:
        return None
    # mountinfo writes spaces as \040, proc_pid_mountinfo(5).
    return (mount.replace("\\040", " ") + own).rstrip("/")
