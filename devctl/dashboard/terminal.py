"""The terminal as it was, whatever ends the dashboard: a small process waits for the case that it is killed.

A program on the alternate screen that dies by SIGKILL leaves the terminal without echo, with mouse reports, and on that screen. The
watcher is forked off before anything big is imported; it holds a pipe and the terminal's settings, and sleeps.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator

# What is undone: mouse and focus reports, bracketed paste, in-band resize, extended keys, the hidden cursor, the other screen.
RESTORE = (
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"
    b"\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[<u\x1b[?25h\x1b[?7h\x1b[0m\x1b[?1049l"
)
WORDS = b"\r\nthe dashboard was killed; devctl status tells whether the stack still runs. If the terminal looks odd: reset\r\n"
DONE = b"d"
PIPE = 3  # the watcher's only descriptor besides the standard streams


@contextlib.contextmanager
def guarded() -> Iterator[Callable[[], None]]:
    """Restores the terminal if this process dies inside the block.

    Gives a function to call when the terminal has been restored properly.
    """
    try:
        settings = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):
        yield lambda: None  # no terminal: a browser's
        return
    read_end, write_end = os.pipe()
    watcher = _fork(read_end, settings)
    os.close(read_end)

    def ended() -> None:
        with contextlib.suppress(OSError):
            os.write(write_end, DONE)

    try:
        yield ended
    except BaseException:
        # Python gets to tell its user why; what it prints must be seen.
        with contextlib.suppress(OSError, termios.error, ValueError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, settings)
        raise
    finally:
        ended()
        os.close(write_end)
        if watcher:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(watcher, 0)


def _fork(read_end: int, settings: list[object]) -> int:
    """The watcher's pid; 0 when there can be none."""
    try:
        pid = os.fork()
    except OSError:
        return 0
    if pid:
        return pid
    try:
        # Among what is inherited is the hold on the stack. A terminal that takes no more output (Ctrl-S, a dead line) keeps the
        # watcher waiting; it must not keep the stack of a dead dashboard alive meanwhile.
        os.dup2(read_end, PIPE)
        os.closerange(PIPE + 1, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU, signal.SIGTTIN):
            signal.signal(number, signal.SIG_IGN)
        # Not in the dashboard's process group: `kill -9 %1` must not hit both. Writing to the terminal is allowed all the same.
        os.setpgid(0, 0)
        if os.read(PIPE, 1) != DONE:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, settings)  # type: ignore[arg-type]
            # Where Textual has drawn; standard input may be open for reading only.
            os.write(sys.stderr.fileno(), RESTORE + WORDS)
    finally:
        os._exit(0)
