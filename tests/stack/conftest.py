"""The real services as processes on free ports. Which one answers and when is read from their own log lines."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

PROJECT = Path(__file__).parents[2]

# Seconds until a test gives up on something that takes one at most. Only a hang meets it.
GUARD = 60.0


class Service:
    """One running service: its process, its address, the lines it wrote so far."""

    def __init__(self, name: str, environment: dict[str, str], port: int) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in ("HOST", "LOG_LEVEL", "DOCS_DIR")}
        self.url = f"http://127.0.0.1:{port}"
        self.lines: list[str] = []
        self._arrivals: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", f"stack.{name}"],
            cwd=PROJECT,
            env=inherited | {"PORT": str(port)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arrivals.put(line.rstrip("\n"))
        self._arrivals.put(None)

    def wait_line(self, pattern: str) -> str:
        """The next line in which `pattern` is found; fails the test when the service ends without one."""
        deadline = time.monotonic() + GUARD
        while (line := self._arrivals.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
            if re.search(pattern, line):
                return line
        pytest.fail(f"ended without a line matching {pattern!r}:\n" + "\n".join(self.lines))

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=GUARD, trust_env=False)

    def post(self, path: str, body: object) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=GUARD, trust_env=False)

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status, negative for death by signal."""
        self.process.send_signal(signal_number)
        return self.process.wait(GUARD)

    def output(self) -> str:
        """Everything the ended service wrote."""
        self.process.wait(GUARD)
        self._reader.join(GUARD)
        while (line := self._arrivals.get(timeout=GUARD)) is not None:
            self.lines.append(line)
        return "\n".join(self.lines)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(GUARD)
        self._reader.join(GUARD)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Launcher:
    """Starts services and holds the ports that they get, so that nothing else takes them in between."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self._services: list[Service] = []

    def port(self) -> int:
        """A free port. It is bound, not listened on: with SO_REUSEADDR on both sides (Linux) a service can bind it as well."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def start(self, name: str, port: int | None = None, **environment: str) -> Service:
        """Start a service; returns once it serves."""
        service = self.spawn(name, port, **environment)
        service.wait_line(r"\] Serving")
        return service

    def spawn(self, name: str, port: int | None = None, **environment: str) -> Service:
        """Start a service; returns at once."""
        service = Service(name, environment, self.port() if port is None else port)
        self._services.append(service)
        return service

    def close(self) -> None:
        for service in self._services:
            service.close()
        for held in self._held:
            held.close()


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    """Starts services; what still runs at the end is killed."""
    made = Launcher()
    yield made
    made.close()


@pytest.fixture(scope="session")
def docs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project with documentation."""
    root = tmp_path_factory.mktemp("project")
    (root / "docs").mkdir()
    (root / "README.md").write_text("# Kettle\n\nBoils water.\n\n## Install\n\nRun `make kettle` in the kitchen.\n")
    (root / "docs" / "guide.md").write_text(
        "# Guide\n\n## Keys\n\n| key | meaning |\n|---|---|\n| `depends_on` | waits until another service is ready |\n"
        "| `port` | where it listens |\n\n## Descaling\n\n- Use vinegar once a month.\n- Rinse twice.\n"
    )
    return root


class Trio:
    """Router, backend and frontend, connected and ready."""

    def __init__(self, launcher: Launcher, docs: Path) -> None:
        backend_port = launcher.port()
        self.router = launcher.start("router", DOCS_DIR=str(docs), BACKEND_URL=f"http://127.0.0.1:{backend_port}")
        self.backend = launcher.start("backend", backend_port, ROUTER_URL=self.router.url)
        self.frontend = launcher.start("frontend", BACKEND_URL=self.backend.url)
        self.router.wait_line("Router ready")
        self.backend.wait_line("router is ok")
        # The frontend's first look may find the backend degraded or ok; a later one finds it ok.
        self.frontend.wait_line("backend is ok")


@pytest.fixture(scope="module")
def trio(docs_dir: Path) -> Iterator[Trio]:
    """The whole stack, shared by the tests of a module; none of them may stop it."""
    launcher = Launcher()
    try:
        yield Trio(launcher, docs_dir)
    finally:
        launcher.close()
