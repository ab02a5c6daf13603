"""What the tools need to know of the stack. Who starts the server (`devctl mcp`) knows it, and is asked anew at each call:

a manifest may be written, and a run may begin or end, while the server lives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from devctl.control.client import Client
from devctl.errors import NotRunning
from devctl.plan import Plan


class Place(Protocol):
    """One stack, running or not. Every method raises UsageError when there is no manifest."""

    def client(self) -> Client:
        """The way to its supervisor; nothing is connected yet."""

    def not_running(self) -> NotRunning:
        """What to say when nobody answers: how the last run crashed, if it did."""

    def plan(self) -> Plan:
        """The manifest, loaded and checked. Raises ManifestError with every problem."""

    def logs(self) -> dict[str, Path]:
        """Service → its current log file, for every service that ever wrote one."""

    def run_window(self) -> tuple[int | None, int | None]:
        """First and last moment of the current run, else of the last one, in nanoseconds since the epoch; None: no limit."""

    def last_run(self) -> list[dict[str, Any]]:
        """The events of the last run, oldest first; empty when there was none."""
