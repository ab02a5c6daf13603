"""The dye: a mark that every process of a run carries and none can wash off.

RLIMIT_RTTIME limits CPU time of real-time tasks; at about 2^61 microseconds it limits nothing. It survives fork, exec, setsid,
`env -i` and setuid, unprivileged code can never raise it, and everybody can read it. hard = BASE + run, soft = hard - index.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from devctl.process import system

BASE = 1 << 61
# A run's number: 24 bits of the stack's digest, 12 random bits, 20 bits that stay free for indices. With the digest in it, what a
# run left can be told even when its state file is lost.
STACK_SHIFT, RANDOM_SHIFT = 32, 20
INDEX_LIMIT = 1 << RANDOM_SHIFT


def new_run_number(digest: str) -> int:
    """A number for a run of the stack with this hexadecimal digest."""
    return int(digest[:6], 16) << STACK_SHIFT | (int.from_bytes(os.urandom(2), "big") & 0xFFF) << RANDOM_SHIFT


def apply(run: int) -> bool:
    """Dyes this process with index 0. False when we are dyed already (devctl inside devctl): only the cookie tells then."""
    if system.own_rttime_limit()[1] != -1:
        return False
    return system.set_rttime_limit(_hard(run), _hard(run))


def set_index(run: int, index: int) -> None:
    """What is spawned from now on carries `index`."""
    system.set_rttime_limit(_hard(run) - index, _hard(run))


def index_of(pid: int, run: int) -> int | None:
    """The index that a process of this run carries; None when it is not of this run."""
    limits = system.rttime_limit(pid)
    if limits is None or limits[1] != _hard(run):
        return None
    return limits[1] - limits[0]


def run_of(pid: int) -> int | None:
    """The run whose dye a process carries; None for none."""
    limits = system.rttime_limit(pid)
    return None if limits is None or limits[1] < BASE else limits[1] - _hard(0)


def carries(run: int, run_id: str) -> Callable[[int], bool]:
    """A test for pids: does it carry the dye or, as second best, the environment cookie of the run?"""

    def test(pid: int) -> bool:
        return index_of(pid, run) is not None or system.environment_value(pid, "DEVCTL_RUN_ID") == run_id

    return test


def carries_stack(digest: str) -> Callable[[int], bool]:
    """The same for any run of a stack: run ids begin with its digest."""
    stack = int(digest[:6], 16)

    def test(pid: int) -> bool:
        limits = system.rttime_limit(pid)
        if limits is not None and (limits[1] - BASE) >> STACK_SHIFT == stack:
            return True
        return (system.environment_value(pid, "DEVCTL_RUN_ID") or "").startswith(f"{digest}-")

    return test


def _hard(run: int) -> int:
    # The middle of the run's range, so that hard - index never leaves it.
    return BASE + run + INDEX_LIMIT - 1
