"""A TCP connection on a raw non-blocking socket.

asyncio's own streams cost a transport, a protocol and several passes of the loop for every connection; a probe of a healthy
service on loopback needs one pass. Nothing here has a timeout: the caller puts one around the whole of it and cancels.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from devctl.health.address import SocketAddress, Target, show

CHUNK = 8192  # bytes: what one recv() takes: most health answers, and little enough to parse between two passes of the event loop
UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK})


class StreamFailed(Exception):
    """There is no connection, or no TLS on it; the text is the sentence for people."""


class Stream:
    """An open connection; `received` counts the bytes that came. Once closed it may be closed again."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.received = 0

    async def send(self, data: bytes) -> None:
        """Sends all of `data`. Raises OSError."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                await ready(self._socket, writable=True)

    async def receive(self) -> bytes:
        """Some bytes; none at the end. Raises OSError."""
        # Waits first: an answer is hardly ever there at once, and a flood must not keep others from their turn.
        await ready(self._socket, writable=False)
        while True:
            try:
                data = self._socket.recv(CHUNK)
            except BlockingIOError:
                await ready(self._socket, writable=False)
            else:
                self.received += len(data)
                return data

    def close(self) -> None:
        self._socket.close()


async def open_stream(target: Target, deadline: float) -> Stream:
    """Connects to the first address of `target` that accepts, giving each an even share of the time that is left.

    Args:
        deadline: in the loop's time; the last address is left to the caller's own timeout.

    Raises:
        StreamFailed: all of them refused, with the reason of the most telling one.
    """
    loop = asyncio.get_running_loop()
    try:
        addresses = await target.addresses()
    except OSError as error:
        raise StreamFailed(f"cannot resolve the host {target.host!r}: {error.strerror or error}") from None
    failures: list[OSError] = []
    for index, address in enumerate(addresses):
        left = len(addresses) - index
        try:
            if left == 1:
                sock = await _connect(address)
            else:
                async with asyncio.timeout((deadline - loop.time()) / left):
                    sock = await _connect(address)
        except OSError as error:
            failures.append(error)
        else:
            target.prefer(address)
            return Stream(sock)
    raise StreamFailed(_failure(target, addresses, failures))


def self_connected(sock: socket.socket) -> bool:
    """Whether a socket is connected to itself.

    A connection to a free loopback port can meet itself when the kernel picks that very port as its source: TCP calls it a
    simultaneous open (RFC 9293, section 3.5). Asking a port again and again before the service listens makes it happen, the
    probe would pass, and the service could not bind its port.
    """
    return bool(sock.getsockname() == sock.getpeername())


async def _connect(address: SocketAddress) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(where)
        if code in UNDER_WAY:
            # On loopback it is over by now: asking again tells, and saves a pass of the event loop.
            code = sock.connect_ex(where)
        if code in UNDER_WAY:
            await ready(sock, writable=True)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code not in (0, errno.EISCONN):
            raise OSError(code, os.strerror(code))
        if self_connected(sock):
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:
        sock.close()
        raise
    return sock


async def ready(sock: socket.socket, *, writable: bool) -> None:
    """Waits until `sock` can be read or written."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    fd = sock.fileno()
    watch, unwatch = (loop.add_writer, loop.remove_writer) if writable else (loop.add_reader, loop.remove_reader)
    watch(fd, _wake, waiter)
    try:
        await waiter
    finally:
        unwatch(fd)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _failure(target: Target, addresses: list[SocketAddress], failures: list[OSError]) -> str:
    refused = [error for error in failures if error.errno == errno.ECONNREFUSED]
    if refused:
        return f"connection refused on {target}"
    if any(isinstance(error, TimeoutError) for error in failures):
        return f"no connection to {target} in time"
    # With IPv6 switched off the last address fails for that reason alone: the first one says more.
    where = addresses[0][1]
    return f"cannot connect to {show(str(where[0]), target.port)}: {failures[0].strerror or failures[0]}"
