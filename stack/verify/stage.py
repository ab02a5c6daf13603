"""A place where the stack runs under devctl, apart from every other run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).parents[2]

PATIENCE = 60.0
"""Seconds for anything that takes one or two; a busy machine takes longer."""

# The caller's settings for a stack of their own, which would be another one than the one to prove.
_OWN = (
    *("DEVCTL_", "STACK_STATE", "AUTH", "DATABASE_URL", "REDIS_URL", "NATS_URL", "MCP_", "OIDC_", "LLM_", "METRICS_", "ROUTER_"),
    *("PUBLIC_URL", "ALLOWED_ORIGINS", "HOST", "LOG_FILE", "REQUEST_TIMEOUT"),
)


class Unproven(Exception):
    """Something is not as it should be; the message says what."""


class Stage:
    """Runs devctl on services.yaml.

    Args:
        profiles: active ones.
    """

    def __init__(self, profiles: Sequence[str] = ()) -> None:
        # Short: a socket's path has at most 107 bytes.
        self.root = Path(tempfile.mkdtemp(prefix="verify-"))
        (self.root / "run").mkdir(mode=0o700)
        overlay = self.root / "overlay.yaml"
        overlay.write_text(json.dumps({"logging": {"dir": str(self.root / "logs")}}), encoding="utf-8")
        beside = Path(sys.executable).with_name("devctl")
        command = str(beside) if beside.exists() else shutil.which("devctl")
        if command is None:
            raise Unproven("there is no devctl beside the interpreter or on PATH")
        manifests = ["-f", str(PROJECT / "services.yaml"), "-f", str(overlay)]
        self._devctl = [command, *manifests, *(word for profile in profiles for word in ("--profile", profile))]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)} | {
            "DEVCTL_RUNTIME_DIR": str(self.root / "run"),
            "STACK_STATE": str(self.root / "state"),
            "STACK_PYTHON": sys.executable,
            "NO_COLOR": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.devctl("down", check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def devctl(self, *arguments: str, check: bool = True) -> str:
        """Run a command and return what it wrote.

        Raises:
            Unproven: it failed, or took longer than PATIENCE.
        """
        try:
            done = subprocess.run(
                [*self._devctl, *arguments],
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired as error:
            raise Unproven(f"devctl {' '.join(arguments)} did not end within {PATIENCE:g} s") from error
        if check and done.returncode != 0:
            raise Unproven(f"devctl {' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        """The facts of `devctl status --json`."""
        answer: dict[str, Any] = json.loads(self.devctl("status", "--json"))
        return answer

    def service(self, name: str) -> dict[str, Any]:
        """One service of these."""
        for service in self.status()["services"]:
            if service["name"] == name:
                found: dict[str, Any] = service
                return found
        raise Unproven(f"{name} is not part of the stack")

    def kill(self, name: str) -> float:
        """SIGKILL to a service's first process; returns once devctl has another one ready, with the seconds that took."""
        before = self.service(name)["pid"]
        began = time.monotonic()
        os.kill(before, signal.SIGKILL)

        def back() -> bool:
            service = self.service(name)
            return bool(service["state"] == "ready" and service["pid"] != before)

        until(back, f"{name} is ready again after its death")
        return time.monotonic() - began

    def tail(self, lines: int = 20) -> str:
        """The last lines that the services wrote, problems first of all; for a failure's report."""
        return self.devctl("logs", "-n", str(lines), "--level", "warning", check=False)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds. What it asks may fail meanwhile.

    Raises:
        Unproven: not within PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    problem: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if holds():
                return
            problem = None
        except Exception as error:
            problem = error
        time.sleep(0.05)
    raise Unproven(f"{PATIENCE:g} s passed, and not yet: {what}" + (f" ({problem})" if problem else ""))


def processes_of(run_id: str) -> list[int]:
    """The processes of a run of devctl: those whose environment names it."""
    cookie = f"DEVCTL_RUN_ID={run_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if cookie in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def accepts(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
