"""A program on a pseudo-terminal whose output is taken as fast as it comes, and searched."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
import threading
import time
from pathlib import Path
from typing import Self

COLUMNS, ROWS = 150, 42
KEPT = 4 << 20  # bytes of output; a frame has some 20 kB


class Screen:
    """A running program.

    Args:
        argv: an absolute path and its arguments.
    """

    def __init__(self, argv: list[str], directory: Path, environ: dict[str, str]) -> None:
        self._output = bytearray()
        self._dropped = 0
        self._changed = threading.Condition()
        self.began = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execve(argv[0], argv, {**environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:
                return
            with self._changed:
                self._output += data
                if len(self._output) > KEPT:
                    gone = len(self._output) - KEPT // 2
                    del self._output[:gone]
                    self._dropped += gone
                self._changed.notify_all()

    def mark(self) -> int:
        """The place in the output that is reached now."""
        with self._changed:
            return self._dropped + len(self._output)

    def press(self, key: str) -> None:
        """Types."""
        os.write(self._fd, key.encode())

    def wait_for(self, text: str, since: int = 0, timeout: float = 30.0) -> float:
        """The moment (perf_counter) at which `text` is in the output that came after `since`. Raises TimeoutError."""
        wanted = text.encode()
        end = time.monotonic() + timeout
        with self._changed:
            while self._output.find(wanted, max(0, since - self._dropped)) < 0:
                if not self._changed.wait(end - time.monotonic()) or time.monotonic() > end:
                    raise TimeoutError(f"{text!r} was not painted within {timeout:.0f} s")
        return time.perf_counter()
