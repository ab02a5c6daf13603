"""Drives the installed command line: as a subprocess, and on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

DEVCTL = Path(sys.executable).with_name("devctl")
HANG = 60.0  # seconds: a guard against hangs, far above what anything here takes


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    """Whether a process runs. One that is dead, but not yet collected by whoever inherited it, does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Project:
    """A directory with a manifest, and a runtime directory that no other test shares."""

    def __init__(self, root: Path, runtime: Path) -> None:
        self.root = root
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "DEVCTL_PROFILES")},
            "DEVCTL_RUNTIME_DIR": str(runtime),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
        }

    def write(self, text: str, name: str = "services.yaml") -> Path:
        """Writes a manifest."""
        path = self.root / name
        path.write_text(text)
        return path

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs devctl to its end."""
        return subprocess.run(
            [str(DEVCTL), *arguments],
            cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=HANG, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        """What devctl prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def states(self) -> dict[str, str]:
        """Service → state."""
        return {service["name"]: service["state"] for service in self.json("status")["services"]}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts devctl with both outputs in one pipe."""
        return subprocess.Popen(
            [str(DEVCTL), *arguments],
            cwd=self.root, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def terminal(self, *arguments: str) -> Terminal:
        """Starts devctl on a terminal."""
        return Terminal([str(DEVCTL), *arguments], self.root, self.environment)

    def close(self) -> None:
        """Stops whatever a test has left running."""
        self.run("down", "--all", "--timeout", "1s")


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Reads output up to the line with `text`, and returns what was read."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came:\n{seen}")


class Terminal:
    """A program on a pseudo-terminal of its own, as the leader of its session."""

    def __init__(self, argv: list[str], directory: Path, environment: dict[str, str], columns: int = 100, rows: int = 30) -> None:
        self.output = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(directory)
            os.execve(argv[0], argv, environment)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Changes the window's size; the kernel sends SIGWINCH."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._fd, keys.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Reads until `pattern` is found in the output without colours, and returns the match."""
        deadline = time.monotonic() + HANG
        while (match := re.search(pattern, self.text())) is None:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{pattern!r} never came:\n{self.text()}")
        return match

    def text(self) -> str:
        """The output so far without control sequences."""
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self.output)

    def hang_up(self) -> None:
        """Closes the terminal's window."""
        os.close(self._fd)
        self._fd = -1

    def status(self) -> int:
        """Reads to the end and returns the exit status, negative for a signal."""
        deadline = time.monotonic() + HANG
        while self._fd >= 0 and self._read(deadline - time.monotonic()):
            pass
        if self._fd >= 0:
            self.hang_up()
        _, status = os.waitpid(self._pid, 0)
        self._pid = -1
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Ends the program if it still runs."""
        if self._pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if self._fd >= 0:
            self.hang_up()

    def _read(self, timeout: float) -> bool:
        if not select.select([self._fd], [], [], max(0.0, timeout))[0]:
            return False
        try:
            block = os.read(self._fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.output += block.decode("utf-8", "replace")
        return bool(block)
