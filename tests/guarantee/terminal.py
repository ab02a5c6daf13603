"""A foreground command in a pseudo-terminal of its own: read it, press Ctrl-C, pull the plug."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time

from tests.guarantee.harness import Devctl
from tests.guarantee.stagehand import HANG_GUARD

SIZE = (40, 120)  # lines, columns


class Terminal:
    """Runs `devctl ARGUMENTS` as the foreground job of a new terminal. What it prints is collected all the time, as a person's
    terminal would, so that it never blocks on a full pty."""

    def __init__(self, devctl: Devctl, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self.before = termios.tcgetattr(slave)
        if devctl.uid is not None:
            os.fchown(slave, devctl.uid, -1)
        self.process: subprocess.Popen[bytes] = devctl.popen(
            *arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            text=None,
            errors=None,
            env={**devctl.environ, "TERM": "xterm-256color"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # after setsid: this terminal becomes the controlling one
        )
        os.close(slave)
        self._chunks: list[bytes] = []
        self._news = threading.Condition()
        self._wake_read, self._wake_write = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other side has closed
            while True:
                ready, _, _ = select.select([self._master, self._wake_read], [], [])
                if self._wake_read in ready:
                    break
                chunk = os.read(self._master, 65536)
                if not chunk:
                    break
                with self._news:
                    self._chunks.append(chunk)
                    self._news.notify_all()

    @property
    def text(self) -> str:
        """All that was printed so far."""
        return b"".join(self._chunks).decode(errors="replace")

    def await_text(self, part: str, timeout: float = HANG_GUARD) -> None:
        """Waits until `part` was printed."""
        with self._news:
            assert self._news.wait_for(lambda: part in self.text, timeout), f"{part!r} was not printed:\n{self.text}"

    def settings(self) -> list[object]:
        """The terminal's settings now, as `before` holds them from before the command ran."""
        return termios.tcgetattr(self._master)

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._master, keys.encode())

    def hang_up(self) -> None:
        """Closes the terminal's window: the kernel sends SIGHUP to the foreground job and all further writes fail."""
        os.write(self._wake_write, b"x")
        self._reader.join()
        os.close(self._master)
        self._master = -1

    def await_exit(self, timeout: float = HANG_GUARD) -> int:
        """Waits for the command's end; its exit status."""
        end = time.monotonic() + timeout
        try:
            return self.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.text}") from None

    def close(self) -> None:
        """Frees the terminal; a command that still runs is hung up."""
        if self._master >= 0:
            self.hang_up()
        os.close(self._wake_read)
        os.close(self._wake_write)
