"""TLS over a stream, whatever the certificate says."""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache

from devctl.health.stream import CHUNK, Stream, StreamFailed, ready


class TlsStream(Stream):
    """A `Stream` that encrypts, over one that is not to be used any more. Errors of TLS itself are StreamFailed as well."""

    _socket: ssl.SSLSocket

    def __init__(self, stream: Stream, host: str) -> None:
        plain = stream._socket  # wrap_socket takes its descriptor over, and its being non-blocking
        try:
            encrypted = _unverified_context().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            plain.close()
            raise StreamFailed(f"TLS cannot start: {error}") from None
        super().__init__(encrypted)

    async def handshake(self) -> None:
        """Raises StreamFailed or OSError."""
        while True:
            try:
                return self._socket.do_handshake()
            except OSError as error:
                await self._wait(error, "TLS handshake failed")

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except OSError as error:
                await self._wait(error, "TLS failed")

    async def receive(self) -> bytes:
        await asyncio.sleep(0)  # a record may be decrypted already: others get their turn even so
        while True:
            try:
                data = self._socket.recv(CHUNK)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""  # many servers just close; what the answer lacks is seen by its own framing
            except OSError as error:
                await self._wait(error, "TLS failed")
            else:
                self.received += len(data)
                return data

    async def _wait(self, error: OSError, what: str) -> None:
        # Either call may need either direction: TLS has messages of its own.
        if isinstance(error, ssl.SSLWantReadError):
            await ready(self._socket, writable=False)
        elif isinstance(error, ssl.SSLWantWriteError):
            await ready(self._socket, writable=True)
        elif isinstance(error, ssl.SSLError):
            raise StreamFailed(f"{what}: {_reason(error)}") from None
        else:
            raise error


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # which one depends on the version of OpenSSL
        return "the connection was closed"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    # What OpenSSL makes of an answer in plain HTTP, by version.
    plain = ("wrong version number", "http request", "record layer failure", "packet length too long")
    return f"{reason} (does the port speak plain http?)" if reason in plain else reason


@lru_cache(maxsize=1)
def _unverified_context() -> ssl.SSLContext:
    # Shared, as building one takes milliseconds. Unverified, as development certificates are self-signed.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
