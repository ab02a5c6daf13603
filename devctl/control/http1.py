"""HTTP/1.1 over a Unix socket: the part of RFC 9112 that a client of one trusted server needs.

`http.client` would do the same, but brings the email package along: 16 ms on every command, which is more than everything else that
`devctl status` does. One request a connection, so there is no reuse, no pipelining and no redirect; bodies come with a length, in
chunks, or until the end of the connection.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD_LIMIT = 64 * 1024  # bytes of a line and of all header lines together; the server sends a few hundred
READ_SIZE = 64 * 1024  # a Unix socket hands over no more than its buffer at once


class ProtocolError(Exception):
    """What came back is no HTTP, ends too early, or is larger than the caller allows."""


# RFC 3986's unreserved characters; everything else in a path segment or a query value is escaped.
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quote(text: str) -> str:
    """`text` as one path segment or query value (urllib.parse.quote, without importing urllib)."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def query(values: Mapping[str, object]) -> str:
    """`?a=1&b=x` for the values that are not None, "" when there is none. True is "true", and lists are the caller's to join."""
    pairs = [f"{quote(key)}={quote(_plain(value))}" for key, value in values.items() if value is not None]
    return "?" + "&".join(pairs) if pairs else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def connect(path: Path, timeout: float) -> socket.socket:
    """A connection to the socket at `path`. Raises OSError; a path over the kernel's limit is FileNotFoundError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(os.fspath(path))
    except BaseException as error:
        connection.close()
        # CPython refuses the path before the kernel sees it: "AF_UNIX path too long". No server can listen there either.
        if isinstance(error, OSError) and error.errno is None and not isinstance(error, TimeoutError):
            raise FileNotFoundError(str(error)) from error
        raise
    return connection


class Exchange:
    """One request and its answer. Use it as a context manager: leaving closes the connection.

    Args:
        connection: connected, with a timeout in seconds that holds for every single wait; owned from here on.
        target: path and query, already escaped.

    Raises (every method):
        ProtocolError: the answer cannot be understood.
        OSError: the connection failed; TimeoutError when the server was silent for too long.
    """

    def __init__(
        self, connection: socket.socket, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        self._connection = connection
        try:
            lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if body is not None:
                lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
            self._send("\r\n".join([*lines, "", ""]).encode("ascii") + (body or b""))
            self._reader = connection.makefile("rb")
            self.status, self.headers = self._head()
            while 100 <= self.status < 200:  # an interim answer; the real one follows
                self.status, self.headers = self._head()
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; a thread that reads from it sees its end."""
        with suppress(OSError):  # the other side was first
            self._connection.shutdown(socket.SHUT_RDWR)
        self.forget()

    def forget(self) -> None:
        """Closes this process's descriptor only: after a fork, the other process goes on with the connection."""
        self._reader.close()
        self._connection.close()

    def fileno(self) -> int:
        """The connection's descriptor, -1 once closed."""
        return self._connection.fileno()

    def read(self, limit: int) -> bytes:
        """The whole body. Raises ProtocolError when it is over `limit` bytes."""
        body = bytearray()
        for block in self.blocks():
            body += block
            if len(body) > limit:
                raise ProtocolError(f"the answer is over {limit} bytes")
        return bytes(body)

    def lines(self, limit: int) -> Iterator[bytes]:
        """The body's lines without their ends, as they come; an unfinished last one is left out.

        Raises ProtocolError when one is over `limit` bytes.
        """
        pending: list[bytes] = []
        size = 0
        for block in self.blocks():
            *whole, rest = block.split(b"\n")
            for line in whole:
                yield b"".join([*pending, line]).removesuffix(b"\r")
                pending, size = [], 0
            pending.append(rest)
            size += len(rest)
            if size > limit:
                raise ProtocolError(f"a line of the answer is over {limit} bytes")

    def blocks(self) -> Iterator[bytes]:
        """The body in the pieces it comes in."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif (length := self.headers.get("content-length")) is not None:
            yield from self._exactly(_size(length, 10))
        else:
            while block := self._reader.read1(READ_SIZE):
                yield block

    def _send(self, request: bytes) -> None:
        # The server may have refused a large body before its end: the answer explains more than the broken pipe.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(request)

    def _head(self) -> tuple[int, dict[str, str]]:
        version, _, rest = self._line().partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdecimal():
            raise ProtocolError("the answer is not HTTP")
        headers: dict[str, str] = {}
        size = 0
        while line := self._line():
            size += len(line)
            name, colon, value = line.partition(":")
            if not colon or size > HEAD_LIMIT:
                raise ProtocolError("the answer's headers cannot be read")
            headers[name.lower()] = value.strip()
        return int(status), headers

    def _line(self) -> str:
        line = self._reader.readline(HEAD_LIMIT)
        if not line:
            raise ConnectionResetError("the connection ended before the answer did")
        if not line.endswith(b"\n"):
            raise ProtocolError("a line of the answer has no end")
        return line.rstrip(b"\r\n").decode("latin-1")

    def _chunks(self) -> Iterator[bytes]:
        while size := _size(self._line().partition(";")[0].strip(), 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass  # trailers say nothing to us

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            block = self._reader.read1(min(size, READ_SIZE))
            if not block:
                raise ConnectionResetError("the connection ended before the answer did")
            size -= len(block)
            yield block


def _size(text: str, base: int) -> int:
    # int() would also take signs, underscores and spaces.
    if not text or len(text) > 16 or not set(text.lower()) <= set("0123456789abcdef"[:base]):
        raise ProtocolError(f"the answer announces a body of {text[:20]!r} bytes")
    return int(text, base)
