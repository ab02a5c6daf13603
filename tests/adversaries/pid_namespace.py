"""Starts a pid namespace within a user namespace; a daemon there sees another pid 1. Exits 77 where that is not permitted."""

import ctypes
import os
import sys

from stage import child, daemon, deafen, hold, in_position

CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000  # unshare(2)

if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0:
    sys.exit(77)


def init() -> None:
    assert os.getpid() == 1
    deafen()
    daemon(deafen)
    in_position()


child(init)
hold()
