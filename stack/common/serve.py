"""Running an application as a service: the port, the signals, the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp

from stack.common import log as logs
from stack.common.settings import SettingError, integer
from stack.common.web import RequestContext

log = logs.Log("stack.serve")

# Seconds that requests in flight get after SIGTERM. With uvicorn's own two ticks of 0.1 s, stopping stays under a second.
DRAIN = 0.5

# Longer than the 5 s for which httpx keeps an idle connection: the side that reuses connections should be the one to close them,
# or a request can meet a close that is under way.
KEEP_ALIVE = 30

Stop = Callable[[int], None]
"""Ends the service gracefully with the given exit status; for failures that only show after the start."""


class _Server(uvicorn.Server):
    """uvicorn with exit status 0 after a graceful end, and an immediate end on the second signal."""

    status = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("Serving")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.stop(0)

    def stop(self, status: int) -> None:
        if not self.should_exit:
            self.status = status
            self.should_exit = True


def run(name: str, default_port: int, build: Callable[[Stop], ASGIApp]) -> NoReturn:
    """Serve an application until a signal, then exit. Never returns.

    The address is 127.0.0.1, or HOST; the port is PORT, or `default_port`; 0 takes any free one, and the log names it. Exit status:
    0 after SIGTERM or SIGINT, 1 when it failed, 2 when a setting is wrong.

    Args:
        name: the service's name, for its log.
        default_port: 1 to 65535.
        build: makes the application. It may raise SettingError.
    """
    try:
        logs.configure()
        port = integer("PORT", default_port, least=0, most=65535)
        servers: list[_Server] = []
        app = build(lambda status: servers[0].stop(status))
    except SettingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        _leave(2)
    host = os.environ.get("HOST", "").strip() or "127.0.0.1"
    try:
        listener = _bind(host, port)
    except OSError as error:
        log.error(f"Cannot listen on {host}:{port}: {error.strerror or error}")
        _leave(1)
    config = uvicorn.Config(
        RequestContext(app),
        loop="asyncio",
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,  # type: ignore[arg-type]  # declared as int, handed to asyncio.wait_for as it is
    )
    server = _Server(config)
    servers.append(server)
    log.info(f"Starting {name}", url=_url(listener), pid=os.getpid())
    asyncio.run(server.serve(sockets=[listener]))
    log.info(f"Stopped {name}", exit_status=server.status)
    _leave(server.status)


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Not listening yet: until uvicorn does, clients are refused instead of left waiting.
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _leave(status: int) -> NoReturn:
    """Exit without the interpreter's own clean-up: it can neither stop a thread that loads a model nor be trusted beside one."""
    for stream in (sys.stdout, sys.stderr):
        # Nobody may be reading it any more.
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)
