"""From a pipe into a log, on the event loop: big blocks, a bounded amount at a time, no thread."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable

from devctl.logs.cri import Stream
from devctl.logs.store import ServiceLog

# 256 KiB: fits the second-level cache while it is stamped and written (1 MiB is slower), and takes well under a millisecond, so
# that a flood from one service delays nobody. The loop serves every ready pipe once a round.
BLOCK_SIZE = 256 * 1024
# 32 KiB: half of what a pipe holds unless told otherwise. A full one may hold less than 64 KiB, as each write begins a new page.
CROWDED = 32_768
# 1 MiB: the most an unprivileged process may ask for, pipe(7). A writer then rarely waits for us.
LARGE_PIPE_SIZE = 1 << 20
# Pipes of one user may hold 64 MiB in all; beyond that every new pipe of this user, in any program, gets a single page (pipe(7),
# pipe-user-pages-soft). So only crowded pipes are enlarged, and no more than this many.
LARGE_PIPES = 16
# 0.1 s: an unfinished line after so much silence is a prompt, and is shown.
SILENCE = 0.1


class Capture:
    """Reads one stream of one instance until its end.

    Args:
        fd: the read end of a pipe, or a pty's master; the capture owns it from now on and closes it.
        stream: what it is.
        log: where it goes.
        on_block: sees every block after it was kept (health checks on output).
    """

    _large_pipes = 0

    def __init__(self, fd: int, stream: Stream, log: ServiceLog, *, on_block: Callable[[bytes], None] | None = None) -> None:
        self._fd = fd
        self._stream: Stream = stream
        self._log = log
        self._on_block = on_block
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last_block = 0.0
        self._enlarged = False
        os.set_blocking(fd, False)

    def __repr__(self) -> str:
        return f"<Capture of {self._stream} into {self._log.path}, {'ended' if self._fd < 0 else f'fd {self._fd}'}>"

    def start(self) -> None:
        """Begins to read, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    async def drained(self) -> None:
        """Returns when the stream has ended: every process that had it has closed it, or `finish` was called."""
        await self._ended.wait()

    def finish(self) -> None:
        """Reads what is in the pipe right now, ends the last line and closes.

        For when the service is gone. A process that escaped and still holds the pipe cannot keep this going: at most one pipe's
        capacity is read. Idempotent.
        """
        if self._fd < 0:
            return
        left = self._capacity()
        try:
            while self._fd >= 0 and left > 0 and (block := self._read()) is not None:
                left -= len(block)
                self._take(block)
        finally:
            self._end()

    def _readable(self) -> None:
        block = self._read()
        if block is not None:
            self._take(block)

    def _read(self) -> bytes | None:
        """The next block; b"" at the end, None when there is nothing now."""
        try:
            return os.read(self._fd, BLOCK_SIZE)
        except BlockingIOError:
            return None
        except OSError:  # EIO: the other side of a pty is gone; anything else is no better than the end either
            return b""

    def _take(self, block: bytes) -> None:
        if not block:
            self._end()
            return
        self._log.append(self._stream, block)
        if not self._enlarged and len(block) >= CROWDED:
            self._enlarge()
        if self._loop is not None:
            self._last_block = self._loop.time()
            if self._timer is None and self._log.holds(self._stream):
                self._timer = self._loop.call_later(SILENCE, self._check_silence)
        if self._on_block is not None:
            self._on_block(block)

    def _check_silence(self) -> None:
        """One timer at a time, not one a block: it looks how long the silence has lasted and comes back when it was too short."""
        assert self._loop is not None
        self._timer = None
        if not self._log.holds(self._stream):
            return
        due = self._last_block + SILENCE
        if due <= self._loop.time():
            self._log.flush_partial(self._stream)
        else:
            self._timer = self._loop.call_at(due, self._check_silence)

    def _end(self) -> None:
        if self._fd < 0:
            return
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        if self._enlarged:
            Capture._large_pipes -= 1
        os.close(self._fd)
        self._fd = -1
        self._log.end_line(self._stream)
        self._ended.set()

    def _enlarge(self) -> None:
        if not hasattr(fcntl, "F_SETPIPE_SZ") or Capture._large_pipes >= LARGE_PIPES:
            return
        with contextlib.suppress(OSError):  # not a pipe, or this user's pipes hold too much already: it works without
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, LARGE_PIPE_SIZE)
            self._enlarged = True
            Capture._large_pipes += 1

    def _capacity(self) -> int:
        """How many bytes can be in the pipe right now."""
        with contextlib.suppress(OSError, AttributeError):
            return fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        return LARGE_PIPE_SIZE
