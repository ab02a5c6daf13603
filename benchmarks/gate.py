"""Dependency becomes ready → dependent spawned.

Each try is a pair: an HTTP server that opens its port after a random time, and a dependent whose first act is to write down the
time. So a try holds: the probe's delay, the decision, fork, exec and the start of `date`.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.place import PROGRAMS, PYTHON, await_files, free_ports, place
from benchmarks.report import Row, beside, median, milliseconds, percentile

TRIES, AT_ONCE = 50, 5  # five pairs in one stack: ten stacks instead of fifty, and still next to no load
SEED = 20261120  # the same delays for every contestant
MEDIAN, P99 = 0.030, 0.120  # seconds


def _pair(directory: Path, index: int, port: int, delay: float) -> tuple[list[str], str, Path, Path]:
    opened, spawned = directory / f"opened-{index}", directory / f"spawned-{index}"
    first = [*PYTHON, str(PROGRAMS / "answers.py"), str(port), f"{delay:.3f}", str(opened)]
    return first, f"date +%s%N > {spawned}; exec sleep 600", opened, spawned


def _latencies(files: list[tuple[Path, Path]]) -> list[float]:
    await_files([file for pair in files for file in pair], timeout=30)
    return [(int(spawned.read_text()) - int(opened.read_text())) / 1e9 for opened, spawned in files]


def _devctl(delays: list[float]) -> list[float]:
    with place() as here:
        services: dict[str, Any] = {}
        files = []
        for index, (delay, port) in enumerate(zip(delays, free_ports(len(delays)), strict=True)):
            first, second, opened, spawned = _pair(here.root, index, port, delay)
            services[f"first-{index}"] = {"command": first, "healthcheck": {"http": f"http://127.0.0.1:{port}/"}}
            services[f"second-{index}"] = {"command": ["/bin/sh", "-c", second], "depends_on": [f"first-{index}"]}
            files.append((opened, spawned))
        here.write(services)
        here.run("up", "-d")
        return _latencies(files)


def _process_compose(delays: list[float]) -> list[float]:
    with place() as here:
        processes: dict[str, Any] = {}
        files = []
        for index, (delay, port) in enumerate(zip(delays, free_ports(len(delays)), strict=True)):
            first, second, opened, spawned = _pair(here.root, index, port, delay)
            get = {"host": "127.0.0.1", "port": str(port), "path": "/"}
            probe = {"http_get": get, "initial_delay_seconds": 0, "period_seconds": 1}  # the shortest it allows
            processes[f"first-{index}"] = {"command": " ".join(first), "readiness_probe": probe}
            gate = {f"first-{index}": {"condition": "process_healthy"}}
            processes[f"second-{index}"] = {"command": second, "depends_on": gate}
            files.append((opened, spawned))
        with peers.running_process_compose(processes, here.project):
            return _latencies(files)


def measure(notes: list[str]) -> list[Row]:
    """Median and p99 of 50 tries."""
    source = random.Random(SEED)
    delays = [source.uniform(0.2, 3) for _ in range(TRIES)]
    stacks = [delays[at : at + AT_ONCE] for at in range(0, TRIES, AT_ONCE)]
    ours = [latency for stack in stacks for latency in _devctl(stack)]
    theirs: list[float] = []
    if peers.process_compose()[0]:
        theirs = [latency for stack in stacks for latency in _process_compose(stack)]
    notes.append(f"gate: {TRIES} tries, {milliseconds(min(ours))} to {milliseconds(max(ours))}; the clock of `date` included")
    rows = []
    for name, percent, target in (("median", 50, MEDIAN), ("p99", 99, P99)):
        value = percentile(ours, percent) if percent != 50 else median(ours)
        other = ""
        if theirs:
            peer = percentile(theirs, percent)
            other = beside("process-compose", milliseconds(peer), value / peer)
        rows.append(
            Row(
                f"gate: ready → dependent spawned, {name}", milliseconds(value), f"≤ {milliseconds(target)}", value <= target, other
            )
        )
    return rows
