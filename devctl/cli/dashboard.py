"""`devctl dashboard`: the dashboard on a running stack, and whether `devctl up` opens it."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devctl.cli.style import is_terminal
from devctl.errors import NotRunning, UsageError

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.dashboard.context import Context


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options."""
    parser.value("--web", help="in a browser instead, on this port of this machine (default: a free one)", const=0,
                 type=_port, metavar="PORT")  # fmt: skip


def run(args: Namespace, where: Where) -> int:
    """Opens it until it is closed. Exit status 3 when nothing runs."""
    client = where.client()
    try:
        status = client.get("/v1/status")
    except NotRunning as error:
        raise where.not_running() from error
    if args.web is not None:
        from devctl.dashboard.web import serve

        return serve(where.arguments(), args.web)
    if not has_terminal():
        raise UsageError("the dashboard needs a terminal", "devctl status and devctl logs do without; --web shows it in a browser")
    from devctl.dashboard import run as open_dashboard

    return open_dashboard(context(where, status))


def context(where: Where, status: dict[str, Any], **extra: Any) -> Context:
    """What the dashboard needs to know.

    Args:
        status: of the running stack.
        extra: further fields of `Context`.
    """
    from devctl.cli.down import teardown
    from devctl.dashboard.context import Context

    paths = where.paths()
    services = status["services"]
    log = services[0]["log"] if services else "logs/x.log"
    return Context(
        client=where.client(),
        paths=paths,
        logs=(Path(status["directory"]) / log).parent,
        names=tuple(service["name"] for service in services),
        teardown=lambda force: teardown(paths, force=force),
        **extra,
    )


def has_terminal() -> bool:
    """Whether a person can see and steer a dashboard. The browser's driver is as good as a terminal."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    try:
        # Textual draws on standard error: `devctl up 2>errors` would show nothing, and fill the file.
        return is_terminal(sys.stdout) and is_terminal(sys.stderr) and sys.stdin.isatty()
    except ValueError:  # closed
        return False


def wanted(args: Namespace) -> bool:
    """Whether `devctl up` opens the dashboard: on a terminal, unless told otherwise or meant to end by itself."""
    ends = args.abort_on_exit or args.abort_on_failure or args.exit_code_from is not None
    return not (args.no_ui or args.detach or ends or os.environ.get("CI")) and has_terminal()


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give 1 to 65535")
    return port
