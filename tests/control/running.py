"""A real server with a fake supervisor behind it, on a loop of its own in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from devctl.control.client import Client
from devctl.control.server import ControlServer, serve
from tests.control.fake import RUN_ID, FakeSupervisor

T = TypeVar("T")
GUARD = 30.0  # seconds after which a test that hangs is ended; nothing takes a tenth of it


class Running:
    """A server in a thread: `do` runs code on its loop, `client` talks to it from here."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.socket_path = directory / "socket"
        self.directory = directory
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server: ControlServer
        self.supervisor: FakeSupervisor
        self.do(self._open)

    @property
    def client(self) -> Client:
        return Client(self.socket_path, timeout=GUARD)

    def do(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs `function()` on the server's loop and gives its result."""
        return self.begin(function).result(GUARD)

    def begin(self, function: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Begins `function()` on the server's loop."""
        return asyncio.run_coroutine_threadsafe(function(), self._loop)

    def call(self, function: Callable[[], T]) -> T:
        """Runs a plain function on the server's loop."""

        async def run() -> T:
            return function()

        return self.do(run)

    def cut(self) -> None:
        """Breaks every connection off."""
        self.call(lambda: [protocol.transport.abort() for protocol in self._state().connections])

    def die(self) -> None:
        """As a supervisor that is killed: no listener, no connection, no goodbye."""
        self.call(self.server._listeners[0]._server.close)
        self.socket_path.unlink()
        self.cut()

    def until_idle(self) -> None:
        """Waits until no connection and no request is left."""
        self.do(self.server._listeners[0]._drained)

    def _state(self) -> Any:
        return self.server._listeners[0]._state

    def close_server(self) -> None:
        self.do(lambda: self.server.close())

    def stop(self) -> None:
        self.close_server()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GUARD)
        self._loop.close()

    async def _open(self) -> None:
        options = dict(self._options)
        self.supervisor = FakeSupervisor(self.directory / "logs", **options.pop("fake", {}))
        self.server = await serve(self.supervisor, self.socket_path, RUN_ID, **options)
