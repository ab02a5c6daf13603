"""What devctl costs while nothing happens: 20 HTTP services, each probed every second."""

from __future__ import annotations

import os
import time

from benchmarks import peers
from benchmarks.place import PROGRAMS, PYTHON, await_files, child_pids, cpu_seconds, free_ports, place, private_bytes
from benchmarks.report import Row, beside

SERVICES = 20
SETTLE, WATCH = 3.0, 20.0  # seconds
CPU, MEMORY = 1.0, 45.0  # percent of a core, MB


def _watch(pids: list[int]) -> tuple[float, float]:
    """(percent of a core, private MB) of these processes over the watch."""
    time.sleep(SETTLE)
    before, begin = sum(map(cpu_seconds, pids)), time.monotonic()
    time.sleep(WATCH)
    used, seconds = sum(map(cpu_seconds, pids)) - before, time.monotonic() - begin
    return 100 * used / seconds, sum(map(private_bytes, pids)) / 1e6


def _devctl() -> tuple[float, float]:
    with place() as here:
        here.write(
            {
                f"s{index}": {
                    "command": [*PYTHON, str(PROGRAMS / "answers.py"), str(port)],
                    "healthcheck": {"http": f"http://127.0.0.1:{port}/", "interval": "1s"},
                }
                for index, port in enumerate(free_ports(SERVICES))
            }
        )
        here.run("up", "-d")
        return _watch(here.own_pids())


def _honcho() -> tuple[float, float]:
    with place() as here:
        commands = {f"s{index}": f"echo up > {here.root}/up-{index}; exec sleep 600" for index in range(SERVICES)}
        with peers.running_honcho(commands, here.project) as process:
            await_files([here.root / f"up-{index}" for index in range(SERVICES)])
            # its watchers are forks of itself; the services are not: they have executed something else
            own = [
                pid for pid in child_pids(process.pid) if os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{process.pid}/exe")
            ]
            return _watch(own)


def _process_compose() -> tuple[float, float]:
    with place() as here:
        processes = {}
        files = []
        for index, port in enumerate(free_ports(SERVICES)):
            files.append(here.root / f"open-{index}")
            processes[f"s{index}"] = {
                "command": " ".join([*PYTHON, str(PROGRAMS / "answers.py"), str(port), "0", str(files[-1])]),
                "readiness_probe": {"http_get": {"host": "127.0.0.1", "port": str(port), "path": "/"}, "period_seconds": 1},
            }
        with peers.running_process_compose(processes, here.project) as process:
            await_files(files)
            return _watch([process.pid])


def measure(notes: list[str]) -> list[Row]:
    """CPU and private memory over 20 seconds."""
    cpu, memory = _devctl()
    cpu_beside, memory_beside = [], []
    for name, available, peer in (
        ("honcho (no probes)", peers.honcho(), _honcho),
        ("process-compose", peers.process_compose(), _process_compose),
    ):
        if available[0]:
            peer_cpu, peer_memory = peer()
            cpu_beside.append(beside(name, f"{peer_cpu:.2f} %", cpu / max(peer_cpu, 0.01)))
            memory_beside.append(beside(name, f"{peer_memory:.1f} MB", memory / peer_memory))
    what = f"idle, {SERVICES} services probed each second"
    return [
        Row(f"{what}: CPU", f"{cpu:.2f} % of a core", f"≤ {CPU:.0f} %", cpu <= CPU, "; ".join(cpu_beside)),
        Row(
            f"{what}: private memory of all three",
            f"{memory:.1f} MB",
            f"≤ {MEMORY:.0f} MB",
            memory <= MEMORY,
            "; ".join(memory_beside),
        ),
    ]
