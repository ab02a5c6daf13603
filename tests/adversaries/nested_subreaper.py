"""A child that is a subreaper itself: daemons below it become its children, not those of whoever runs the service."""

import ctypes
import os

from stage import child, daemon, deafen, hold, in_position

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def adopt() -> None:
    os.setsid()
    deafen()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for _ in range(3):
        daemon(lambda: None)
    in_position()


child(adopt)
hold()
