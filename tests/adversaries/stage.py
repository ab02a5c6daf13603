"""What the adversaries share: their arguments, the word that they are in position, and a way to stay that always ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

MARKER, STAGE = sys.argv[1:3]
LIFE = 120.0  # seconds; longer than any test, short enough that a lost one does not stay for the day
BORN = time.monotonic()  # children inherit it, so that a chain of forks ends too


def in_position() -> None:
    """Says once that the sin is committed. Nobody listening is fine: the program can be tried by hand."""
    try:
        fd = os.open(f"{STAGE}/ready", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    os.write(fd, b"1")
    os.close(fd)


def pulse() -> None:
    """Leaves a trace that changes as long as somebody lives: the file's modification time and its text."""
    fd = os.open(f"{STAGE}/pulse", os.O_WRONLY | os.O_CREAT, 0o666)
    os.pwrite(fd, f"{os.getpid():>10} {time.monotonic_ns():>20}\n".encode(), 0)
    os.close(fd)


def over() -> bool:
    """Whether it is time to leave by oneself."""
    return time.monotonic() - BORN > LIFE or os.path.exists(f"{STAGE}/stop")


def hold() -> NoReturn:
    """Stays until it is over, then leaves without running any handlers."""
    while not over():
        time.sleep(0.5)
    os._exit(0)


def deafen() -> None:
    """Ignores the polite signals."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def child(play: Callable[[], object]) -> int:
    """Forks; the child plays its part and then holds. Returns the child's pid to the parent."""
    pid = os.fork()
    if pid == 0:
        try:
            play()
            hold()
        finally:
            os._exit(1)
    return pid


def daemon(play: Callable[[], object]) -> None:
    """A double fork with a new session: the daemon is nobody's child when this returns."""

    def middle() -> None:
        os.setsid()
        child(play)
        os._exit(0)

    os.waitpid(child(middle), 0)
