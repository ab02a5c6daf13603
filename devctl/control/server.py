"""Serving a supervisor's control API."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from devctl.control.access import Guard, Listen
from devctl.control.feed import EventFeed
from devctl.control.interface import Supervisor
from devctl.control.listener import Listener, bind_private
from devctl.control.routes import Pace, Routes, application

CLOSE_GRACE = 2.0  # answers under way are small and local; a client that takes longer to read one is stuck


async def serve(
    supervisor: Supervisor, socket_path: Path, run_id: str, *, listen: Listen | None = None, pace: Pace | None = None
) -> ControlServer:
    """Serves until `ControlServer.close`.

    Args:
        supervisor: what the requests are for; called on the running loop only.
        socket_path: where the Unix socket is made, mode 0600, in the stack's private directory. What a killed supervisor left
            there is replaced, so hold the stack's lock.
        listen: a TCP address as well, guarded by its token.
        pace: other rhythms for streams than the default.

    Raises:
        UnsafePath: the socket cannot be made.
        ControlError: the TCP address cannot be had.
    """
    tcp = listen.bind() if listen is not None else None
    try:
        unix = bind_private(socket_path)
    except BaseException:
        if tcp is not None:
            tcp.close()
        raise
    identity = _identity(socket_path)
    closing = asyncio.Event()
    feed = EventFeed(supervisor)
    app = application(Routes(supervisor, run_id, feed, closing, pace or Pace()))
    listeners = [await Listener.open(app, unix)]
    port = None
    if tcp is not None and listen is not None:
        port = tcp.getsockname()[1]
        listeners.append(await Listener.open(Guard(app, listen.token, host_names=[listen.host]), tcp))
    return ControlServer(socket_path, identity, port, listeners, feed, closing)


class ControlServer:
    """A running server; `serve` makes it.

    Attributes:
        socket_path: the Unix socket.
        port: the TCP port, None without one.
    """

    def __init__(
        self,
        socket_path: Path,
        identity: tuple[int, int] | None,
        port: int | None,
        listeners: list[Listener],
        feed: EventFeed,
        closing: asyncio.Event,
    ) -> None:
        self.socket_path = socket_path
        self.port = port
        self._identity = identity
        self._listeners = listeners
        self._feed = feed
        self._closing = closing

    def __repr__(self) -> str:
        return f"<ControlServer on {self.socket_path}>"

    async def close(self, grace: float = CLOSE_GRACE) -> None:
        """Ends the service: no new connections, a final event on every stream, answers under way delivered.

        Args:
            grace: seconds for all of that; what is left is then cut off.
        """
        if self._identity is not None and _identity(self.socket_path) == self._identity:
            os.unlink(self.socket_path)
        self._closing.set()
        await self._feed.close()
        await asyncio.gather(*(listener.close(grace) for listener in self._listeners))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return info.st_dev, info.st_ino
