"""A child leaves for a session of its own, where no signal to the group reaches it."""

import os

from stage import child, deafen, hold, in_position


def leave() -> None:
    os.setsid()
    deafen()
    in_position()


child(leave)
hold()
