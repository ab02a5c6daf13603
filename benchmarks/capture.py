"""Three services write 100-byte lines as fast as they can, three million in all: how fast, how complete, and does memory stay."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import peers
from benchmarks.place import LIMIT, PROGRAMS, PYTHON, await_files, place, private_bytes
from benchmarks.report import Row, beside, median

ROUNDS = 5
WRITERS = 3
LINES = 1_000_000  # of each writer
PEER_LINES = 100_000  # honcho handles each line by itself
BYTES = 100  # of a line
TARGET = 300.0  # MB/s
GROWTH = 16.0  # MB: a few blocks for each stream, and what the allocator keeps; not the 300 MB that went through
BLOCK = re.compile(rb"block (\d{12}) ")


def _writer(directory: Path, index: int, lines: int) -> list[str]:
    return [*PYTHON, str(PROGRAMS / "writes.py"), str(lines), str(directory / "go"), str(directory / f"done-{index}")]


def _floor(directory: Path, sink: Callable[[int], subprocess.Popen[bytes]]) -> float:
    """MB/s of the writers into something that devctl has no part in."""
    processes = [sink(index) for index in range(WRITERS)]
    time.sleep(0.3)  # until all of them wait for the start
    (directory / "go").touch()
    for process in processes:
        process.wait(LIMIT)
    return _rate([directory / f"done-{index}" for index in range(WRITERS)], LINES)


def _rate(done: list[Path], lines: int, end: int = 0) -> float:
    await_files(done)
    moments = [tuple(map(int, file.read_text().split())) for file in done]
    seconds = (max(end, *(moment[1] for moment in moments)) - min(moment[0] for moment in moments)) / 1e9
    return WRITERS * lines * BYTES / seconds / 1e6


def into_null() -> float:
    """MB/s of the writers into /dev/null."""
    with place() as here:
        return _floor(here.root, lambda index: subprocess.Popen(_writer(here.root, index, LINES), stdout=subprocess.DEVNULL))


def through_cat() -> float:
    """MB/s of the writers through a pipe into a file, carried by cat(1): what a pipe costs."""
    with place() as here:

        def piped(index: int) -> subprocess.Popen[bytes]:
            with open(here.root / f"out-{index}", "wb") as out:
                writer = subprocess.Popen(_writer(here.root, index, LINES), stdout=subprocess.PIPE)
                return subprocess.Popen(["cat"], stdin=writer.stdout, stdout=out)

        return _floor(here.root, piped)


def missing_lines(log: Path) -> tuple[int, bool]:
    """(lines that are not in the log, whether the numbered ones are in order)."""
    with open(log, "rb") as file:
        lines, numbers = 0, []
        for line in file:
            lines += 1
            if match := BLOCK.search(line):
                numbers.append(int(match[1]))
    return LINES - lines, numbers == sorted(numbers)


def devctl() -> tuple[float, int, bool, float]:
    """(MB/s, lost lines, in order, growth of the supervisor's private memory in MB)."""
    with place() as here:
        here.write(
            {f"w{index}": {"command": _writer(here.root, index, LINES), "oneshot": True} for index in range(WRITERS)},
            logging={"dir": "logs", "max_size": "2GB"},
        )
        here.run("up", "-d", "--no-wait")
        time.sleep(1.0)  # until all of them wait for the start
        supervisor = here.own_pids()[0]
        before, samples, stop = private_bytes(supervisor), [0], threading.Event()

        def sample() -> None:
            while not stop.wait(0.05):
                samples.append(private_bytes(supervisor))

        sampler = threading.Thread(target=sample)
        sampler.start()
        (here.root / "go").touch()
        here.run("wait", "--for", "completed", "--timeout", f"{LIMIT:.0f}s")
        stop.set()
        sampler.join()
        logs = [here.project / "logs" / f"w{index}.log" for index in range(WRITERS)]
        end = max(log.stat().st_mtime_ns for log in logs)
        rate = _rate([here.root / f"done-{index}" for index in range(WRITERS)], LINES, end)
        counts = [missing_lines(log) for log in logs]
        return rate, sum(lost for lost, _ in counts), all(ordered for _, ordered in counts), (max(samples) - before) / 1e6


def honcho() -> float:
    """MB/s of honcho's labelled output into a file, with fewer lines."""
    with place() as here:
        # the sleep: honcho ends all when one ends, whatever the others still have to say
        commands = {f"w{index}": " ".join(_writer(here.root, index, PEER_LINES)) + "; sleep 600" for index in range(WRITERS)}
        done = [here.root / f"done-{index}" for index in range(WRITERS)]
        output = here.root / "output"
        with open(output, "wb") as out, peers.running_honcho(commands, here.project, out):
            time.sleep(1.0)  # until all of them wait for the start
            (here.root / "go").touch()
            await_files(done)
            end = 0
            while end != (end := output.stat().st_mtime_ns):  # it still writes what it has queued
                time.sleep(0.5)
        return _rate(done, PEER_LINES, end)


def measure(notes: list[str]) -> list[Row]:
    """Throughput beside its floors, in turns, as the disk has its moods; completeness and memory of all rounds."""
    nulls, cats, rounds = [], [], []
    for _ in range(ROUNDS):
        nulls.append(into_null())
        cats.append(through_cat())
        rounds.append(devctl())
    null, cat, rate = median(nulls), median(cats), median([one[0] for one in rounds])
    lost, ordered, growth = sum(one[1] for one in rounds), all(one[2] for one in rounds), max(one[3] for one in rounds)
    ours, theirs = ", ".join(f"{one[0]:.0f}" for one in rounds), ", ".join(f"{one:.0f}" for one in cats)
    notes.append(f"capture: rounds of {ours} MB/s; through cat {theirs} MB/s")
    others = [
        beside("writers into /dev/null", f"{null:.0f} MB/s", rate / null),
        beside("through cat", f"{cat:.0f} MB/s", rate / cat),
    ]
    if peers.honcho()[0]:
        peer = honcho()
        others.append(beside("honcho", f"{peer:.0f} MB/s", rate / peer))
    target = min(TARGET, null / 2)
    what = f"capture, {WRITERS} writers, {WRITERS * LINES // 1_000_000} million lines"
    return [
        Row(what, f"{rate:.0f} MB/s", f"≥ {target:.0f} MB/s", rate >= target, "; ".join(others)),
        Row(f"{what}: lost", f"{lost}{'' if ordered else ', out of order'}", "0, in order", lost == 0 and ordered),
        Row(f"{what}: growth of private memory", f"{growth:.1f} MB", f"≤ {GROWTH:.0f} MB", growth <= GROWTH),
    ]
