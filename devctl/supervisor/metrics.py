"""CPU and memory of whole trees, measured when somebody asks and never otherwise: an idle supervisor is idle."""

from __future__ import annotations

import time
from dataclasses import dataclass

from devctl.process import system
from devctl.process.roster import Roster

# A shorter interval makes CPU percentages jump, as the kernel counts in ticks of 10 ms.
MIN_INTERVAL = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What one tree uses. `cpu_percent` is of one core."""

    processes: int = 0
    cpu_percent: float = 0.0
    memory_bytes: int = 0


class Metrics:
    """Samples all trees in one pass and remembers the last sample, from which CPU is counted."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._at = 0.0
        self._cpu: dict[tuple[int, int], float] = {}
        self._usage: dict[int, Usage] = {}

    def usage(self) -> dict[int, Usage]:
        """Owner index → usage. At most `MIN_INTERVAL` seconds old; process counts are of now."""
        trees = self._roster.trees()
        now = time.monotonic()
        if now - self._at < MIN_INTERVAL:
            return {
                index: Usage(len(pids), self._usage[index].cpu_percent, self._usage[index].memory_bytes)
                if index in self._usage
                else self._fresh(pids)
                for index, pids in trees.items()
            }
        cpu: dict[tuple[int, int], float] = {}
        usage = {}
        for index, pids in trees.items():
            used = memory = 0.0
            for pid in pids:
                stat = system.read_stat(pid)
                if stat is None:
                    continue
                key = (pid, stat.start_time)
                cpu[key] = stat.cpu_seconds
                used += stat.cpu_seconds - self._cpu.get(key, 0.0)
                memory += stat.rss_bytes
            interval = now - self._at if self._at else self._age(pids)
            usage[index] = Usage(len(pids), round(100 * used / interval, 1) if interval > 0 else 0.0, int(memory))
        self._at, self._cpu, self._usage = now, cpu, usage
        return usage

    def _fresh(self, pids: list[int]) -> Usage:
        stats = [stat for pid in pids if (stat := system.read_stat(pid)) is not None]
        return Usage(len(pids), 0.0, sum(stat.rss_bytes for stat in stats))

    @staticmethod
    def _age(pids: list[int]) -> float:
        """Seconds since the first of these started: the first sample is an average over its life."""
        return max((system.age(pid) for pid in pids), default=0.0)
