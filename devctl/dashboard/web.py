"""The dashboard in a browser: textual-serve, on this machine only, and only for who has the token."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from devctl.errors import UsageError

HOST = "127.0.0.1"


def serve(arguments: Sequence[str], port: int) -> int:
    """Serves the dashboard of a stack until Ctrl-C.

    Args:
        arguments: the global options that name the stack.
        port: 0 takes a free one.

    Raises:
        UsageError: textual-serve is not installed, or the port is taken.
    """
    try:
        from devctl.dashboard.webserver import DashboardServer
    except ImportError as error:
        raise UsageError(f"--web needs another package: {error}", "pip install 'devctl[web]'") from error
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"cannot listen on {HOST}:{port}: {error.strerror}", "choose another port, or none for a free one"
        ) from error
    # The interpreter and the module, not the name `devctl`: the same installation, whatever PATH says.
    server = DashboardServer([sys.executable, "-m", "devctl", *arguments, "dashboard"], listener)
    print(f"the dashboard is at {server.address}\nCtrl-C ends it; the stack goes on", flush=True)
    server.run()
    return 0
