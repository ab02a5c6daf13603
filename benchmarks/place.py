"""A private place to run a stack in: manifest, runtime directory, the command, and what the kernel says of its processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).with_name("programs")
PYTHON = [sys.executable, "-S", "-E"]  # without site-packages: the measured programs start in 10 ms
LIMIT = 120.0  # seconds; nothing measured here may take that long


def devctl_command() -> list[str]:
    """The installed command, else the module."""
    script = Path(sys.executable).with_name("devctl")
    return [str(script)] if script.exists() else [sys.executable, "-m", "devctl"]


class Place:
    """A project directory below a short temporary one (a socket's path may have 107 bytes)."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="db-"))
        self.project = self.root / "project"
        self.project.mkdir()
        (self.root / "run").mkdir(mode=0o700)
        self.environ = {**os.environ, "DEVCTL_RUNTIME_DIR": str(self.root / "run"), "NO_COLOR": "1"}

    def write(self, services: Mapping[str, Any], **stack: Any) -> None:
        """Writes services.yaml (as JSON, which is YAML)."""
        (self.project / "services.yaml").write_text(json.dumps({"services": services, **stack}))

    def run(self, *arguments: str, check: bool = True) -> float:
        """Runs a devctl command; returns the seconds it took. Raises CalledProcessError with its output shown."""
        begin = time.perf_counter()
        done = subprocess.run(
            [*devctl_command(), *arguments],
            cwd=self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        seconds = time.perf_counter() - begin
        if check and done.returncode != 0:
            raise RuntimeError(f"devctl {' '.join(arguments)} exited {done.returncode}\n{done.stdout}{done.stderr}")
        self.output = done.stdout
        return seconds

    def status(self) -> dict[str, Any]:
        self.run("status", "--json")
        answer: dict[str, Any] = json.loads(self.output)
        return answer

    def own_pids(self) -> list[int]:
        """Supervisor, guard and sweeper."""
        info = self.status()["supervisor"]
        return [info["pid"], info["guard_pid"], info["sweeper_pid"]]

    def close(self) -> None:
        self.run("down", check=False)
        shutil.rmtree(self.root, ignore_errors=True)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A place that is taken down and removed at the end."""
    here = Place()
    try:
        yield here
    finally:
        here.close()


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads that live, to the nanosecond (schedstat; /proc/PID/stat counts whole ticks of 10 ms only)."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0])
    return total / 1e9


def private_bytes(pid: int) -> int:
    """Memory that is the process's own: Private_Clean + Private_Dirty of proc_pid_smaps(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def child_pids(pid: int) -> list[int]:
    """All descendants of `pid`, itself first."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for tid in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{tid}/children").read_text().split())
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody held a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def await_files(files: Iterable[Path], timeout: float = LIMIT) -> None:
    """Waits until every file exists and has content. Raises TimeoutError."""
    end = time.monotonic() + timeout
    for file in files:
        while not (file.exists() and file.stat().st_size):
            if time.monotonic() > end:
                raise TimeoutError(f"{file.name} was not written within {timeout:.0f} s")
            time.sleep(0.005)
