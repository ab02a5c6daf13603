"""Processes: spawning, trees, and the guarantee that none is left. See docs/guarantee.md."""
