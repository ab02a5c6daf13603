"""No sin at all: waits, and goes when asked. For company and comparison."""

from stage import hold, in_position

in_position()
hold()
