"""Running an application as a service: the port, the signals, the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import FrameType
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp

from stack.common import log as logs
from stack.common.protocol import Protocol, WebSocketProtocol, patience
from stack.common.settings import SettingError, integer
from stack.common.web import RequestContext

log = logs.Log("stack.serve")

# Seconds that requests in flight get after SIGTERM. With uvicorn's own two ticks of 0.1 s, stopping stays under a second.
DRAIN = 0.5

# Seconds that the farewells get, all of them together.
FAREWELL = 0.5

# Milliseconds after which a connection whose peer takes nothing more is broken off. Without it, what was written to a client that
# does not read is kept for as long as the client likes.
_UNREAD = 30_000

# Bytes of a WebSocket message, and seconds between two signs of life.
_WS_MESSAGE = 64 * 1024
_WS_PING = 20.0

# Longer than the 5 s for which httpx keeps an idle connection: the side that reuses connections should be the one to close them,
# or a request can meet a close that is under way.
KEEP_ALIVE = 30

Stop = Callable[[int], None]
"""Ends the service gracefully with the given exit status; for failures that only show after the start."""


_farewells: list[Callable[[], Awaitable[None]]] = []


def at_stop(farewell: Callable[[], Awaitable[None]]) -> None:
    """Has `farewell()` awaited when the service is told to end, before connections are closed: for streams to say goodbye.

    All of them run at once and have half a second.
    """
    _farewells.append(farewell)


class _Server(uvicorn.Server):
    """uvicorn with exit status 0 after a graceful end, and an immediate end on the second signal."""

    status = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("Serving")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        try:
            async with asyncio.timeout(FAREWELL):
                await asyncio.gather(*(farewell() for farewell in _farewells), return_exceptions=True)
        except TimeoutError:
            log.warning("Not everybody was told goodbye in time", seconds=FAREWELL)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.stop(0)

    def stop(self, status: int) -> None:
        if not self.should_exit:
            self.status = status
            self.should_exit = True


def run(name: str, default_port: int, build: Callable[[Stop], ASGIApp], bodies: Mapping[str, int] | None = None) -> NoReturn:
    """Serve an application until a signal, then exit. Never returns.

    The address is 127.0.0.1, or HOST; the port is PORT, or `default_port`; 0 takes any free one, and the log names it. Exit status:
    0 after SIGTERM or SIGINT, 1 when it failed, 2 when a setting is wrong.

    Args:
        name: the service's name, for its log.
        default_port: 1 to 65535.
        build: makes the application. It may raise SettingError.
        bodies: by the beginning of a path, how many bytes a body may have where MAX_BODY would not do.
    """
    try:
        logs.configure()
        port = integer("PORT", default_port, least=0, most=65535)
        protocol = Protocol.with_patience(patience())
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
        RequestContext(app, bodies),
        loop="asyncio",
        http=protocol,
        ws=WebSocketProtocol,
        ws_max_size=_WS_MESSAGE,
        ws_ping_interval=_WS_PING,
        ws_ping_timeout=_WS_PING,
        # The messages are small, and compressing costs each connection its own memory.
        ws_per_message_deflate=False,
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
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
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
