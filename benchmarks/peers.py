"""The peers, honcho from PyPI and process-compose from the Go module proxy: put into benchmarks/.cache, asked to do the same work.

A peer that cannot be had is skipped, and the table's notes say so.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.place import LIMIT, child_pids

CACHE = Path(__file__).with_name(".cache")
HONCHO = "honcho==2.0.0"
PROCESS_COMPOSE = "github.com/f1bonacc1/process-compose"
SETTLE = 1.0  # seconds
PATIENCE = 900.0  # seconds; process-compose is a large build on two cores


@cache
def honcho() -> tuple[str | None, str]:
    """(path of honcho, "") or (None, why not)."""
    target = CACHE / "honcho"
    program = target / "bin" / "honcho"
    if not program.exists():
        done = _build([sys.executable, "-m", "pip", "install", "-q", "--target", str(target), HONCHO])
        if not program.exists():
            return None, f"honcho was skipped: {done}"
    return str(program), ""


@cache
def process_compose() -> tuple[str | None, str]:
    """(path of process-compose, "") or (None, why not)."""
    if found := shutil.which("process-compose"):
        return found, ""
    program = CACHE / "process-compose" / "process-compose"
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            return None, "process-compose was skipped: it is not installed and there is no Go compiler to build it with"
        program.parent.mkdir(parents=True, exist_ok=True)
        module = program.parent / "module"
        module.mkdir(exist_ok=True)
        # Its package is ./src of its module; a module of ours that requires it avoids the question which part is the module's path.
        (module / "go.mod").write_text("module peer\n\ngo 1.22\n")
        for command in (["get", f"{PROCESS_COMPOSE}/src@latest"], ["build", "-o", str(program), f"{PROCESS_COMPOSE}/src"]):
            done = _build([go, *command], cwd=module)
            if done:
                return None, f"process-compose was skipped: {done}"
    return str(program), ""


def _build(command: list[str], cwd: Path | None = None) -> str:
    """Runs a build; "" or the last line of what went wrong."""
    CACHE.mkdir(exist_ok=True)
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"its build failed ({type(error).__name__})"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or ["no output"]
    return f"its build failed ({lines[-1].strip()})"


@contextlib.contextmanager
def running_honcho(
    commands: Mapping[str, str], directory: Path, output: Any = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """honcho with a Procfile of `commands`, its output to `output`; stopped at the end."""
    program, _ = honcho()
    assert program is not None
    (directory / "Procfile").write_text("".join(f"{name}: {command}\n" for name, command in commands.items()))
    environ = {**os.environ, "PYTHONPATH": str(CACHE / "honcho")}
    process = subprocess.Popen(
        [sys.executable, program, "start"], cwd=directory, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    with _stopped_at_the_end(process):
        yield process


@contextlib.contextmanager
def running_process_compose(processes: Mapping[str, Any], directory: Path, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """process-compose with these processes, without its screen and server; stopped at the end."""
    program, _ = process_compose()
    assert program is not None
    (directory / "process-compose.yaml").write_text(json.dumps({"version": "0.5", "processes": processes, **settings}))
    process = subprocess.Popen(
        [program, "up", "-t=false", "--no-server", "-f", "process-compose.yaml"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with _stopped_at_the_end(process):
        yield process


def seconds_to_stop(process: subprocess.Popen[bytes]) -> float:
    """Asks a peer to stop and waits until it has. Gives it time to settle first: honcho dies of a KeyError, and hangs, when the
    signal comes before it has noted the pid of every service."""
    time.sleep(SETTLE)
    begin = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    process.wait(LIMIT)
    return time.perf_counter() - begin


@contextlib.contextmanager
def _stopped_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """SIGTERM, SIGKILL later; then SIGKILL to what the peer has left behind."""
    try:
        yield
    finally:
        if process.poll() is None:
            fds = []
            for pid in child_pids(process.pid):
                with contextlib.suppress(OSError):
                    fds.append(os.pidfd_open(pid))
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for fd in fds:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
