"""Moves to a user namespace of its own, where it is root, and leaves a daemon there. Exits 77 where that is not permitted."""

import ctypes
import os
import sys

from stage import daemon, deafen, hold, in_position

CLONE_NEWUSER = 0x10000000  # unshare(2)

uid = os.getuid()
if ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
    sys.exit(77)
with open("/proc/self/uid_map", "w") as file:
    file.write(f"0 {uid} 1")


def stay() -> None:
    deafen()
    in_position()


daemon(stay)
hold()
