"""Lowers the limit that devctl marks processes by, then empties its environment: only an ancestor or a cgroup can find it."""

import os
import resource
import sys

from stage import MARKER, STAGE, daemon, deafen, hold, in_position


def wash() -> None:
    resource.setrlimit(resource.RLIMIT_RTTIME, (1 << 40, 1 << 40))
    os.execve(sys.executable, [sys.executable, "-S", "-E", os.path.abspath(__file__), MARKER, STAGE, "washed"], {})


if sys.argv[3:] == ["washed"]:
    deafen()
    in_position()
else:
    daemon(wash)
hold()
