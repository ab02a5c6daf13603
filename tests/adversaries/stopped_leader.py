"""The leader stops itself; a child that ignores TERM sees that it is so."""

import os
import signal
import time

from stage import child, deafen, hold, in_position

leader = os.getpid()


def watch() -> None:
    deafen()
    while True:
        with open(f"/proc/{leader}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"T":
                return in_position()
        time.sleep(0.001)


child(watch)
os.kill(leader, signal.SIGSTOP)
hold()
