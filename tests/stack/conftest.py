"""The real services as processes on free ports. Which one answers and when is read from their own log lines."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack.openai_server import OpenAIServer, openai_server

PROJECT = Path(__file__).parents[2]

# Seconds until a test gives up on something that takes one at most. Only a hang meets it.
GUARD = 60.0

# What a developer may have set for a stack of their own. Tests set what they mean.
_SETTINGS = ("HOST", "LOG_LEVEL", "LOG_FILE", "DOCS_DIR", "ROUTER_WARMUP_SECONDS", "METRICS_TOKEN", "PUBLIC_URL", "MCP_SERVERS")
_SETTINGS += ("REDIS_URL", "NATS_URL", "DATABASE_URL")
_FAMILIES = ("AUTH", "LLM_", "OIDC_", "OPENAI_", "STACK_", "DEVCTL_")


class Service:
    """One running service: its process, its address, the lines it wrote so far."""

    def __init__(self, name: str, environment: dict[str, str], port: int) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in _SETTINGS and not key.startswith(_FAMILIES)}
        self.url = f"http://127.0.0.1:{port}"
        self.lines: list[str] = []
        self._position = 0
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
        self._token = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def token(self) -> str:
        """An access token of the demo account; the service is the backend, or the page before it."""
        if not self._token:
            answer = httpx.post(self.url + "/api/auth/demo", timeout=GUARD, trust_env=False)
            self._token = answer.raise_for_status().json()["access_token"]
        return self._token

    @property
    def signed_in(self) -> dict[str, str]:
        """The header of the demo account."""
        return {"Authorization": f"Bearer {self.token()}"}

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arrivals.put(line.rstrip("\n"))
        self._arrivals.put(None)

    def wait_line(self, pattern: str, *, look_only: bool = False) -> str:
        """The next line in which `pattern` is found; fails the test when the service ends without one.

        With `look_only` the lines up to it can be found again.
        """
        deadline = time.monotonic() + GUARD
        position = self._position
        while True:
            while position < len(self.lines):
                position += 1
                if re.search(pattern, self.lines[position - 1]):
                    self._position = self._position if look_only else position
                    return self.lines[position - 1]
            line = self._arrivals.get(timeout=max(0.0, deadline - time.monotonic()))
            if line is None:
                pytest.fail(f"ended without a line matching {pattern!r}:\n" + "\n".join(self.lines))
            self.lines.append(line)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET, signed in where that is needed."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        """POST with JSON, signed in where that is needed."""
        return self.request("POST", path, json=body, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request. Paths below `/api` and `/v1` get the demo account's token, unless `headers` has an `Authorization`."""
        headers = dict(options.pop("headers", None) or {})
        if path.startswith(("/api/", "/v1/")) and not path.startswith("/api/auth/") and "Authorization" not in headers:
            headers |= self.signed_in
        return httpx.request(method, self.url + path, headers=headers, timeout=GUARD, trust_env=False, **options)

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
    """Starts services and holds the ports that they get, so that nothing else takes them in between.

    Its services share a state directory that goes with it, and have no tools: each test says which it wants.
    """

    def __init__(self) -> None:
        self._state = tempfile.TemporaryDirectory(prefix="stack-state-", ignore_cleanup_errors=True)
        self._held: list[socket.socket] = []
        self._services: list[Service] = []

    @property
    def state(self) -> str:
        """The state directory of its services."""
        return self._state.name

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
        service.wait_line(r"\] Serving", look_only=True)
        return service

    def spawn(self, name: str, port: int | None = None, **environment: str) -> Service:
        """Start a service; returns at once."""
        defaults = {"STACK_STATE": self.state, "MCP_SERVERS": "{}"}
        service = Service(name, defaults | environment, self.port() if port is None else port)
        self._services.append(service)
        return service

    def close(self) -> None:
        for service in self._services:
            service.close()
        for held in self._held:
            held.close()
        self._state.cleanup()


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


@pytest.fixture(scope="session")
def trio(docs_dir: Path) -> Iterator[Trio]:
    """The whole stack, shared by all tests; none of them may stop it."""
    launcher = Launcher()
    try:
        yield Trio(launcher, docs_dir)
    finally:
        launcher.close()


class Scene:
    """A backend before a router and a model."""

    def __init__(self, launcher: Launcher, docs: Path, model: OpenAIServer) -> None:
        port = launcher.port()
        self.router = launcher.start("router", DOCS_DIR=str(docs), BACKEND_URL=f"http://127.0.0.1:{port}")
        self.backend = start_backend(launcher, model, port, ROUTER_URL=self.router.url)
        self.model = model
        self.router.wait_line("Router ready")


def start_backend(launcher: Launcher, model: OpenAIServer, port: int | None = None, **environment: str) -> Service:
    """A backend that asks `model`."""
    provider = {"name": "test", "url": model.url, "models": ["small"]}
    return launcher.start("backend", port, LLM_PROVIDERS=json.dumps([provider]), LLM_LOCAL="off", **environment)


@pytest.fixture(scope="session")
def scene(docs_dir: Path) -> Iterator[Scene]:
    """A backend before a router and a model that does as it is told; none of the tests may stop it."""
    launcher = Launcher()
    try:
        with openai_server() as model:
            yield Scene(launcher, docs_dir, model)
    finally:
        launcher.close()
