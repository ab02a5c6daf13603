"""One HTTP request on a connection of its own, everything bounded in bytes and time.

h11 parses (uvicorn needs it anyway); httpx would cost 100 ms of imports, 12 MB and 1 ms a request.
"""

from __future__ import annotations

import asyncio

import h11

from devctl.health.request import HttpRequest
from devctl.health.result import EXCERPT_LENGTH, excerpt
from devctl.health.stream import CHUNK, Stream, StreamFailed, open_stream
from devctl.health.tls import TlsStream

HEAD_LIMIT = 65_536  # bytes of status line and headers, informational answers included; servers' own limits are 8 to 32 KiB
SETTLE_TIME = 0.05  # seconds to let the server finish writing before we close
SETTLE_LIMIT = 1_048_576  # bytes to take off its hands meanwhile

Answer = h11.Response | h11.InformationalResponse
"""A final answer; the second for 101 alone, after which HTTP ends."""


class ExchangeFailed(Exception):
    """There was no HTTP answer; the text is the sentence for people."""


class Exchange:
    """One request and its answer.

    Args:
        deadline: in the loop's time; `response` and `body` end by then.
    """

    def __init__(self, request: HttpRequest, deadline: float) -> None:
        self.deadline = deadline
        self._request = request
        self._stream: Stream | None = None
        # Above our own limit by a block, so that ours is met first and says what it is.
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT + CHUNK)
        self._head = b""
        self._encrypting = False

    async def response(self) -> Answer:
        """Connects, asks, and reads up to the end of the headers.

        Raises:
            TimeoutError: the deadline passed.
            StreamFailed, ExchangeFailed: with the sentence for people.
        """
        async with asyncio.timeout_at(self.deadline):
            stream = self._stream = await open_stream(self._request.target, self.deadline)
            try:
                if self._request.tls:
                    stream = await self._encrypt(stream)
                await stream.send(
                    (self._parser.send(self._request.message) or b"") + (self._parser.send(h11.EndOfMessage()) or b"")
                )
                return await self._read_head(stream)
            except h11.ProtocolError as error:
                raise ExchangeFailed(f"the answer is not valid HTTP: {excerpt(str(error))}") from None
            except OSError as error:
                when = " in the TLS handshake" if self._encrypting else ""
                raise ExchangeFailed(f"{_trouble(error)}{when}{self.received()}") from None

    async def body(self, limit: int, deadline: float) -> str:
        """What came of the body until its end, `limit` bytes on the wire, `deadline` or an error, whichever is first."""
        stream = self._stream
        assert stream is not None
        parts: list[bytes] = []
        start = stream.received
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    event = self._parser.next_event()
                    if isinstance(event, h11.Data):
                        parts.append(bytes(event.data))
                    elif event is not h11.NEED_DATA or stream.received - start >= limit:
                        break
                    else:
                        self._parser.receive_data(await stream.receive())
        except (OSError, StreamFailed, h11.ProtocolError):
            pass  # TimeoutError is an OSError. What came is what is judged
        return b"".join(parts)[:limit].decode(errors="replace")

    async def settle(self) -> None:
        """Lets the server finish its answer, within bounds, and closes.

        Closing in the middle of it makes servers log a broken pipe, once a second.
        """
        try:
            # Usually the whole answer is here already, and no timer is needed.
            if self._stream is not None and self._at_gap():
                async with asyncio.timeout(SETTLE_TIME):
                    await self._drain(self._stream)
        except (OSError, StreamFailed, h11.ProtocolError):
            pass  # it had its chance
        finally:
            self.close()

    async def _drain(self, stream: Stream) -> None:
        end = stream.received + SETTLE_LIMIT
        while stream.received < end and self._at_gap():
            self._parser.receive_data(await stream.receive())

    def _at_gap(self) -> bool:
        """Whether more of the answer is to come, after what has come was parsed."""
        while self._parser.their_state is h11.SEND_BODY:
            if self._parser.next_event() is h11.NEED_DATA:
                return True
        return False

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def progress(self) -> str:
        """How far it got, for the sentence about a timeout."""
        if self._stream is None:
            return f"no connection to {self._request.target}"
        if self._encrypting:
            return "no TLS handshake"
        return "no complete answer" if self._stream.received else "no answer"

    def received(self) -> str:
        """ " (connected, 17 bytes: HTTP/1.1 2)", or nothing before there was a connection."""
        if self._stream is None:
            return ""
        quoted = excerpt(self._head.decode("latin-1"))
        return f" (connected, {self._stream.received} bytes{': ' + quoted if quoted else ''})"

    async def _encrypt(self, stream: Stream) -> TlsStream:
        self._encrypting = True
        self._stream = encrypted = TlsStream(stream, self._request.target.host)
        await encrypted.handshake()
        self._encrypting = False
        return encrypted

    async def _read_head(self, stream: Stream) -> Answer:
        while True:
            data = await stream.receive()
            self._head = (self._head + data)[:EXCERPT_LENGTH] if len(self._head) < EXCERPT_LENGTH else self._head
            if not data:
                raise ExchangeFailed(
                    f"the connection was closed without {'a complete' if stream.received else 'an'} answer{self.received()}"
                )
            if not self._head.startswith(b"HTTP/"[: len(self._head)]):
                raise ExchangeFailed(_not_http(self._head))
            self._parser.receive_data(data)
            while (event := self._parser.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response) or (isinstance(event, h11.InformationalResponse) and event.status_code == 101):
                    return event
                if not isinstance(event, h11.InformationalResponse):
                    raise ExchangeFailed("the answer is not valid HTTP")
            if stream.received >= HEAD_LIMIT:
                raise ExchangeFailed(f"the headers are longer than {HEAD_LIMIT // 1024} KiB")


def _not_http(head: bytes) -> str:
    if head[:1] in (b"\x15", b"\x16"):  # an alert or a handshake, RFC 8446, section 5.1
        return "the answer is not HTTP but TLS: use https://"
    return f"the answer is not HTTP: {excerpt(head.decode('latin-1'))}"


def _trouble(error: OSError) -> str:
    return "the connection was reset" if isinstance(error, ConnectionResetError | BrokenPipeError) else error.strerror or str(error)
