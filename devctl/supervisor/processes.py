"""The processes of one tree, one by one, measured when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Sequence

from devctl.model import ProcessInfo, ProcessTree
from devctl.process import system
from devctl.supervisor.clock import rfc3339

# A process costs about 0.1 ms to look at, and the supervisor does nothing else meanwhile.
LIMIT = 200
# A shorter interval makes CPU percentages jump, as the kernel counts in ticks of 10 ms.
MIN_INTERVAL = 0.5
# proc_pid_stat(5): field 3.
STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "blocked",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}

Key = tuple[int, int]
"""(pid, start time): a pid alone may be somebody else's by now."""


class ProcessTable:
    """Remembers the CPU time of the processes it has seen: percentages are of the time since they were asked for last."""

    def __init__(self) -> None:
        self._seen: dict[Key, tuple[float, float, float]] = {}

    def tree(self, pids: Sequence[int], leader: int | None) -> ProcessTree:
        """The facts about `pids`, which are a whole tree with parents before children.

        Args:
            leader: the process that was started as the service; None when it has ended.
        """
        now = time.monotonic()
        members = set(pids)
        found = []
        for pid in pids[:LIMIT]:
            stat = system.read_stat(pid)
            if stat is None:
                continue
            began = system.started_at(pid)
            found.append(
                ProcessInfo(
                    pid=pid,
                    ppid=stat.ppid,
                    command=system.command_line(pid),
                    state=STATES.get(stat.state, stat.state),
                    cpu_percent=self._cpu((pid, stat.start_time), stat.cpu_seconds, now),
                    memory_bytes=stat.rss_bytes,
                    started_at=None if began is None else rfc3339(began),
                    kind="main" if pid == leader else "child" if stat.ppid in members else "adopted",
                )
            )
        self._forget(now)
        return ProcessTree(tuple(found), len(pids))

    def _cpu(self, key: Key, used: float, now: float) -> float:
        """Percent of one core; at first the average over the process's life."""
        at, before, percent = self._seen.get(key, (now - max(system.age(key[0]), MIN_INTERVAL), 0.0, -1.0))
        if percent >= 0 and now - at < MIN_INTERVAL:
            return percent
        percent = round(100 * max(0.0, used - before) / (now - at), 1)
        self._seen[key] = (now, used, percent)
        return percent

    def _forget(self, now: float) -> None:
        # What nobody asked about for a minute is not being watched, and the average over a minute would say little.
        self._seen = {key: seen for key, seen in self._seen.items() if now - seen[0] < 60.0}
