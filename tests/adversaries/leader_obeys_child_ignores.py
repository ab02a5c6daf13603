"""The leader goes at the first TERM; a child in its process group ignores it and stays."""

from stage import child, deafen, hold, in_position


def stay() -> None:
    deafen()
    in_position()


child(stay)
hold()
