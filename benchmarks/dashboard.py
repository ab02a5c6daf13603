"""The dashboard under load, on a pseudo-terminal of 150 x 42: its cost, how quickly it answers, and how quickly it opens."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks.place import PROGRAMS, PYTHON, Place, cpu_seconds, devctl_command, place, private_bytes
from benchmarks.report import Row, beside, median, milliseconds, percentile
from benchmarks.screen import Screen

SERVICES = 5
RATE = 20_000  # lines a second of all together
WARM, WATCH = 20.0, 60.0  # seconds; after the first the memory that holds lines is full
KEYS = 60
HISTORY = 1_000_000
SEARCHED = 100_000
ROUNDS = 5
HELP = "to the beginning: of the log"  # on the help page, in one piece


def _loud(here: Place) -> None:
    here.write(
        {f"svc{index}": {"command": [*PYTHON, str(PROGRAMS / "loud.py"), str(RATE // SERVICES)]} for index in range(SERVICES)}
    )


def _open(here: Place) -> Screen:
    environ = {**here.environ, "XDG_STATE_HOME": str(here.root), "XDG_CONFIG_HOME": str(here.root)}
    environ.pop("NO_COLOR")
    return Screen([*devctl_command(), "dashboard"], here.project, environ)


def _cost(pid: int) -> tuple[float, float, float]:
    """(percent of a core over the watch, private MB at its begin and end)."""
    before, used, began = private_bytes(pid), cpu_seconds(pid), time.monotonic()
    time.sleep(WATCH)
    percent = 100 * (cpu_seconds(pid) - used) / (time.monotonic() - began)
    return percent, before / 1e6, private_bytes(pid) / 1e6


def _under_load(notes: list[str]) -> list[Row]:
    with place() as here:
        _loud(here)
        here.run("up", "-d")
        with _open(here) as screen:
            screen.wait_for("following")
            time.sleep(WARM)
            percent, before, after = _cost(screen.pid)
            delays = [_key(screen) for _ in range(KEYS)]
        peer = _mprocs(here, notes)
    late = percentile(delays, 95)
    load = f"dashboard, {RATE:,} lines/s over {SERVICES} services"
    notes.append(f"dashboard: key to paint {milliseconds(min(delays))} to {milliseconds(max(delays))}, {KEYS} keys under that load")
    return [
        Row(
            f"{load}: CPU over {WATCH:.0f} s",
            f"{percent:.1f} % of a core",
            "≤ 25 %",
            percent <= 25,
            peer and _beside(peer, percent),
        ),
        Row(f"{load}: key to paint, p95", milliseconds(late), "≤ 80 ms", late <= 0.08),
        Row(f"{load}: growth of private memory", f"{after - before:.1f} MB of {after:.0f}", "≤ 5 MB", after - before <= 5),
    ]


def _beside(peer: float, percent: float) -> str:
    return beside("mprocs", f"{peer:.1f} %", percent / peer) if peer else ""


def _key(screen: Screen) -> float:
    """From a key press to its effect on the screen, in seconds."""
    since = screen.mark()
    began = time.perf_counter()
    screen.press("?")
    seconds = screen.wait_for(HELP, since) - began
    screen.press("\x1b")
    # The escape key is told from a sequence by a pause.
    time.sleep(0.25)
    return seconds


def _mprocs(here: Place, notes: list[str]) -> float:
    """The same load in mprocs: percent of a core; 0 where it is not installed."""
    program = shutil.which("mprocs")
    if program is None:
        notes.append("dashboard: mprocs was skipped: it is not installed (cargo install mprocs)")
        return 0.0
    here.run("down")
    loud = " ".join([*PYTHON, str(PROGRAMS / "loud.py"), str(RATE // SERVICES)])
    with Screen([program, *[loud] * SERVICES], here.project, here.environ) as screen:
        time.sleep(WARM)
        used, began = cpu_seconds(screen.pid), time.monotonic()
        time.sleep(WATCH / 3)
        percent = 100 * (cpu_seconds(screen.pid) - used) / (time.monotonic() - began)
        screen.press("\x01q")
    return percent


def _history(here: Place) -> list[tuple[str, Path]]:
    """Log files of five services with a million lines."""
    from devctl.logs.cri import encode, format_stamp

    logs = here.project / "logs"
    logs.mkdir()
    block = 40  # lines with one stamp, as a block of a loud service
    start = time.time_ns() - 3600 * 10**9
    files = []
    for index in range(SERVICES):
        files.append((f"svc{index}", logs / f"svc{index}.log"))
        with open(files[-1][1], "wb") as file:
            for number in range(HISTORY // SERVICES // block):
                body = b"\n".join(b"INFO request handled path=/api/items/%d status=200" % line for line in range(block))
                file.write(b"".join(encode(body, format_stamp(start + number * 10**7 + index), "stdout")[0]))
    return files


def _quiet() -> list[Row]:
    with place() as here:
        files = _history(here)
        here.write({name: {"command": ["sleep", "600"]} for name, _ in files}, logging={"max_size": "1GB"})
        here.run("up", "-d")
        opened = []
        for _ in range(ROUNDS):
            with _open(here) as screen:
                opened.append(screen.wait_for("/api/items/39") - screen.began)
        with _open(here) as screen:
            screen.wait_for("following")
            time.sleep(3)
            used, began = cpu_seconds(screen.pid), time.monotonic()
            time.sleep(WATCH / 3)
            idle = 100 * (cpu_seconds(screen.pid) - used) / (time.monotonic() - began)
        search = _search(files)
    with place() as here:
        here.write({"svc0": {"command": ["sleep", "600"]}})
        here.run("up", "-d")
        starts = []
        for _ in range(ROUNDS):
            with _open(here) as screen:
                starts.append(screen.wait_for("svc0") - screen.began)
    start, long = median(starts), median(opened)
    return [
        Row("dashboard: from the command to the first paint", milliseconds(start), "≤ 700 ms", start <= 0.7),
        Row(f"dashboard: the same with {HISTORY:,} lines of history", milliseconds(long), "≤ 1000 ms", long <= 1),
        Row(f"dashboard: search over {SEARCHED:,} lines", milliseconds(search), "≤ 150 ms", search <= 0.15),
        Row("dashboard: idle", f"{idle:.1f} % of a core", "≤ 2 %", idle <= 2),
    ]


def _search(files: list[tuple[str, Path]]) -> float:
    """Median seconds to look for something that no line has."""
    from devctl.dashboard.logfilter import Pattern
    from devctl.dashboard.logmodel import LogModel
    from devctl.logs.query import read

    model = LogModel(SEARCHED)
    model.append(list(read(files, tail=SEARCHED)))
    pattern = Pattern("re:items/(x|y)+")
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        assert model.find(len(model) - 1, -1, lambda record: pattern.matches(record.text)) is None
        times.append(time.perf_counter() - began)
    return median(times)


def measure(notes: list[str]) -> list[Row]:
    """Under load, then quiet."""
    return [*_under_load(notes), *_quiet()]
