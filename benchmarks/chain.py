"""A chain of ten services, each ready as soon as its program is: what the gates and the command add to the programs' own start."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.place import PROGRAMS, PYTHON, await_files, free_ports, place
from benchmarks.report import Row, beside, median, milliseconds

LENGTH = 10
ROUNDS = 5
TARGET = 0.400  # seconds above the sum of the services' own start-up


def _command(port: int, file: Path) -> list[str]:
    return [*PYTHON, str(PROGRAMS / "answers.py"), str(port), "0", str(file)]


def own_start(directory: Path) -> float:
    """How long one of the services takes to be ready when nobody manages it: median seconds."""
    times = []
    for index, port in enumerate(free_ports(ROUNDS * 2)):
        file = directory / f"alone-{index}"
        begin = time.time_ns()
        process = subprocess.Popen(_command(port, file), stdin=subprocess.DEVNULL)
        try:
            await_files([file])
            times.append((int(file.read_text()) - begin) / 1e9)
        finally:
            process.kill()
            process.wait()
    return median(times)


def _devctl() -> float:
    with place() as here:
        ports = free_ports(LENGTH)
        services: dict[str, Any] = {}
        for index, port in enumerate(ports):
            services[f"s{index}"] = {
                "command": _command(port, here.root / f"open-{index}"),
                "healthcheck": {"http": f"http://127.0.0.1:{port}/"},
                "depends_on": [f"s{index - 1}"] if index else [],
            }
        here.write(services)
        return here.run("up", "-d")


def _process_compose() -> float:
    with place() as here:
        processes: dict[str, Any] = {}
        ports = free_ports(LENGTH)
        for index, port in enumerate(ports):
            get = {"host": "127.0.0.1", "port": str(port), "path": "/"}
            processes[f"s{index}"] = {
                "command": " ".join(_command(port, here.root / f"open-{index}")),
                "readiness_probe": {"http_get": get, "initial_delay_seconds": 0, "period_seconds": 1},
                "depends_on": {f"s{index - 1}": {"condition": "process_healthy"}} if index else {},
            }
        begin = time.time_ns()
        with peers.running_process_compose(processes, here.project):
            last = here.root / f"open-{LENGTH - 1}"
            await_files([last])
            return (int(last.read_text()) - begin) / 1e9


def measure(notes: list[str]) -> list[Row]:
    """`up -d` to all ready, above ten times one service's own start-up; median of five rounds."""
    with place() as here:
        own = own_start(here.root) * LENGTH
    total = median([_devctl() for _ in range(ROUNDS)])
    added = total - own
    other = ""
    if peers.process_compose()[0]:
        peer = _process_compose() - own
        other = beside("process-compose", milliseconds(peer), added / peer)
    notes.append(f"chain: {milliseconds(total)} in all, of which {milliseconds(own)} are the ten programs' own start")
    return [
        Row(
            f"chain of {LENGTH}: `up -d` above own start-up",
            milliseconds(added),
            f"≤ {milliseconds(TARGET)}",
            added <= TARGET,
            other,
        )
    ]
