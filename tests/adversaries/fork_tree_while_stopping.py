"""Grows a tree of some 150 processes when it is asked to stop, or when its leader has died without being asked."""

import os
import signal
import time

from stage import child, deafen, hold, in_position, over

BRANCHES, DEPTH = 5, 3  # 5 + 25 + 125
PACE = 0.002  # seconds between two forks: the growth goes on while it is being stopped


def grow(depth: int) -> None:
    os.setsid()
    for _ in range(BRANCHES if depth else 0):
        child(lambda: grow(depth - 1))
        time.sleep(PACE)


def watch() -> None:
    """Ends of the pipe tell of the leader's death however it died."""
    deafen()
    os.close(writer)
    in_position()
    os.set_blocking(reader, False)
    while not over():
        try:
            if os.read(reader, 1) == b"":
                return grow(DEPTH)
        except BlockingIOError:
            time.sleep(0.001)


reader, writer = os.pipe()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
child(watch)
os.close(reader)
hold()
