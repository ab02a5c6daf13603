"""`devctl mcp`: the stack as MCP tools on standard input and output, until the agent that started it hangs up."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devctl.cli.history import last_run
from devctl.cli.logs import RUNS
from devctl.cli.stopped import EVENTS_FILE, log_directory, log_files
from devctl.errors import NotRunning, UsageError

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.control.client import Client
    from devctl.plan import Plan


def configure(parser: CommandParser, name: str) -> None:
    """Has no options of its own."""


def run(args: Namespace, where: Where) -> int:
    """Serves until standard input ends."""
    try:
        from devctl.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise UsageError("devctl mcp needs the MCP SDK, which is not installed", "pip install 'devctl[mcp]'") from error
    serve(Here(where))
    return 0


class Here:
    """The stack that the command line means: `devctl.mcp.place.Place`."""

    def __init__(self, where: Where) -> None:
        self._where = where

    def client(self) -> Client:
        return self._where.client()

    def not_running(self) -> NotRunning:
        return self._where.not_running()

    def plan(self) -> Plan:
        return self._where.plan()

    def logs(self) -> dict[str, Path]:
        return log_files(log_directory(self._where))

    def run_window(self) -> tuple[int | None, int | None]:
        from devctl.logs.runs import window

        events = log_directory(self._where) / EVENTS_FILE
        for which in RUNS:
            try:
                return window(events, which)
            except UsageError:
                continue  # "all" always exists
        return None, None

    def last_run(self) -> list[dict[str, Any]]:
        return last_run(self._where)
