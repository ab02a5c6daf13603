"""Ignores TERM, INT, HUP and QUIT."""

from stage import deafen, hold, in_position

deafen()
in_position()
hold()
