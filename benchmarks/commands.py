"""What a command costs, as a multiple of starting the interpreter: measured in turns, so that the machine's moods hit all alike."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.place import Place, place
from benchmarks.report import Row, beside, median, milliseconds

ROUNDS = 21
TARGET = 8.0  # times `python -c pass`
SERVICES = 5


def interpreter_start() -> float:
    """Seconds of `python -c pass`."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin


def measure(notes: list[str]) -> list[Row]:
    """Medians of 21 rounds of each, interleaved."""
    with place() as running, place() as nothing:
        services = {f"s{index}": {"command": ["/bin/sh", "-c", "seq 1 500; exec sleep 600"]} for index in range(SERVICES)}
        running.write(services)
        nothing.write(services)
        running.run("up", "-d")
        nothing.run("down")
        cases: dict[str, tuple[Place, list[str]]] = {
            "status": (running, ["status"]),
            "logs -n 50": (running, ["logs", "-n", "50"]),
            "down (nothing runs)": (nothing, ["down"]),
            "--help": (nothing, ["--help"]),
        }
        floor: list[float] = []
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(ROUNDS):
            floor.append(interpreter_start())
            for name, (where, arguments) in cases.items():
                times[name].append(where.run(*arguments))
    base = median(floor)
    return [
        Row(
            f"`devctl {name}`",
            milliseconds(median(values)),
            f"≤ {TARGET:.0f} x python -c pass",
            median(values) <= TARGET * base,
            beside("python -c pass", milliseconds(base), median(values) / base),
        )
        for name, values in times.items()
    ]
