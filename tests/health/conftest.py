"""Servers with every sin a health probe meets, and one way to ask them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devctl.health import ProbeResult, probe_once
from devctl.plan import Probe

HANG_GUARD = 30.0  # seconds: only a hang takes that long
CERTIFICATE = Path(__file__).with_name("untrusted.pem")  # self-signed, for another host, expired

Sin = Callable[["Connection"], None]


class Connection:
    """One accepted connection, in a thread of its own."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over

    def request(self) -> bytes:
        """The request's head."""
        data = b""
        while b"\r\n\r\n" not in data:
            block = self.sock.recv(4096)
            if not block:
                break
            data += block
        return data

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Holds the connection open; True when the test is over."""
        return self.over.wait(seconds)

    def drip(self, data: bytes) -> None:
        """Sends byte by byte, 20 ms apart, until the test is over."""
        for index in range(len(data)):
            self.say(data[index : index + 1])
            if self.wait(0.02):
                return

    def flood(self, data: bytes) -> None:
        """Sends `data` again and again until the test is over."""
        while not self.over.is_set():
            self.say(data)

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Server:
    """Does `sin` to everyone who connects."""

    def __init__(self, sin: Sin, host: str = "127.0.0.1", port: int = 0, *, tls: bool = False) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.open = 0
        self.most_open = 0
        self._sin = sin
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANG_GUARD)
            assert not thread.is_alive()
        for sock in (*self._sockets, self._listener):
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            connection = Connection(sock, self._over)
            self._sin(connection)
        except OSError:
            pass
        finally:
            with self._lock:
                self.open -= 1
            with contextlib.suppress(OSError):
                sock.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(sin, host=…, port=…, tls=…) starts a server that ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(sin: Sin, host: str = "127.0.0.1", port: int = 0, *, tls: bool = False) -> Server:
            server = Server(sin, host, port, tls=tls)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that is held but not listened on: a connection to it is refused."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


Ask = Callable[..., ProbeResult]


@pytest.fixture
def ask() -> Ask:
    """ask(probe, timeout) asks once in an event loop of its own."""

    def once(probe: Probe, timeout: float = 10.0) -> ProbeResult:
        async def guarded() -> ProbeResult:
            async with asyncio.timeout(HANG_GUARD):
                return await probe_once(probe, timeout)

        return asyncio.run(guarded())

    return once
