"""uvicorn's HTTP/1.1 protocol on sockets that we bind ourselves.

Only the protocol class is used, not `uvicorn.Server`: that one takes SIGINT and SIGTERM, opens its Unix socket to everybody, wakes
up ten times a second, and sleeps 100 ms when it closes. What remains for us is an accept loop, which asyncio has, and a close.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path

import h11
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from devctl.errors import UnsafePath

MAX_CONNECTIONS = 256  # of the 1024 descriptors a process has by default, services' pipes and probes need the rest
IDLE_SECONDS = 5  # a connection that asks nothing; httpx keeps its own for as long
BACKLOG = 128


class _State(ServerState):
    """uvicorn's own state and what closing needs: an event whenever a connection is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()


class _Protocol(H11Protocol):
    """uvicorn's protocol, with a bound on connections, and with `abort` for those that are stuck."""

    server_state: _State

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        # Handlers reach it as scope["state"]["abort"]; close() would first wait until the client has taken everything.
        self.app_state = {"abort": transport.abort}
        # uvicorn starts this clock after the first request only; a client that never asks would stay for ever.
        self.timeout_keep_alive_task = self.loop.call_later(IDLE_SECONDS, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.server_state.lost.set()

    def data_received(self, data: bytes) -> None:
        # RFC 9110, 6.6.1: a server with a clock says the date. uvicorn's server does it by a timer, even when nobody asks.
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        super().data_received(data)


class Listener:
    """An ASGI application behind one listening socket."""

    def __init__(self, server: asyncio.Server, state: _State) -> None:
        self._server = server
        self._state = state

    @classmethod
    async def open(cls, app: ASGIApp, sock: socket.socket) -> Listener:
        """Serves `app` on `sock`, which is bound and owned by the listener from here on."""
        config = Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,  # logging is the supervisor's to configure
            log_level="error",  # uvicorn's own loggers: garbage from a client is no news
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
        )
        config.load()
        state = _State()
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return _Protocol(config=config, server_state=state, app_state={}, _loop=loop)

        sock.setblocking(False)
        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(protocol, sock=sock, backlog=BACKLOG)
        else:
            server = await loop.create_server(protocol, sock=sock, backlog=BACKLOG)
        return cls(server, state)

    async def close(self, grace: float) -> None:
        """Accepts no more, lets requests under way finish for at most `grace` seconds, then cuts what is left."""
        self._server.close()
        for connection in list(self._state.connections):
            with suppress(h11.LocalProtocolError):  # it is being closed after a protocol error already
                connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._drained()
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        # Cancelled handlers end and aborted connections are gone in the loop's next turns.
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._drained()

    async def _drained(self) -> None:
        while self._state.tasks or self._state.connections:
            if self._state.tasks:
                await asyncio.wait(self._state.tasks)
            else:
                self._state.lost.clear()
                await self._state.lost.wait()


def bind_private(path: Path) -> socket.socket:
    """A Unix socket bound at `path`, mode 0600 from its first moment on, whatever the umask. The caller holds the stack's lock.

    Raises:
        UnsafePath: a directory is in the way, or the directory cannot be written to.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode of the socket's inode (unix(7)); macOS refuses this, and has the 0700 directory around it.
        with suppress(OSError):
            os.fchmod(sock.fileno(), 0o600)
        with suppress(FileNotFoundError):
            # The directory is ours alone and the lock is held: what is there was left by a supervisor that was killed.
            os.unlink(path)
        sock.bind(os.fspath(path))
        # A umask such as 0777 took bits away from what fchmod asked for.
        os.chmod(path, 0o600)
    except OSError as error:
        sock.close()
        what = f"the control socket {path} cannot be created: {error.strerror or error}"
        raise UnsafePath(what, "run `devctl doctor`") from error
    except UnsafePath:
        sock.close()
        raise
    return sock
