"""HTTP/1.1 and WebSockets as uvicorn speaks them, hardened: patience ends, and refusals have the common shape."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from stack.common.log import Log
from stack.common.settings import number

log = Log("stack.protocol")

PATIENCE = 20.0
"""Seconds that a client has to send a request, head and body. REQUEST_TIMEOUT sets it."""

# Bytes that may wait for a WebSocket's client which goes on sending pings. A conversation's longest message has a quarter of it.
_UNREAD_PONGS = 1024 * 1024

# The client owes a part of its request: the head, or the body.
_OWING = (h11.IDLE, h11.SEND_BODY)


def patience() -> float:
    """REQUEST_TIMEOUT in seconds.

    Raises:
        SettingError: it is none.
    """
    return number("REQUEST_TIMEOUT", PATIENCE, least=0.05, most=600)


class Protocol(H11Protocol):
    """One connection.

    uvicorn waits for a request as long as the client likes, so that anybody can hold thousands of connections with a byte a minute.
    """

    _patience = PATIENCE
    _clock: asyncio.TimerHandle | None = None
    _begun = False
    _upgraded = False

    @classmethod
    def with_patience(cls, seconds: float) -> type[Protocol]:
        """The class of connections with another patience."""
        return type("Protocol", (cls,), {"_patience": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._clock = self.loop.call_later(self._patience, self._give_up)

    def data_received(self, data: bytes) -> None:
        self._begun = True
        super().data_received(data)
        if self._upgraded:
            return
        # The clock goes on from a request's first byte to its last, and starts anew with the next one of the connection.
        if self.conn.their_state not in _OWING:
            self._stop_clock()
        elif self._clock is None:
            self._clock = self.loop.call_later(self._patience, self._give_up)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        # From here on another protocol has the connection, and clocks of its own.
        self._upgraded = True
        self._stop_clock()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        log.warning("A client sends what is no HTTP", address=self.client[0] if self.client else "unknown")
        self._refuse(HTTPStatus.BAD_REQUEST, "invalid_http", "This is no HTTP request.")

    def _give_up(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        if not self._begun or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # Nothing was asked, or it is answered already.
            self.transport.close()
            return
        address = self.client[0] if self.client else "unknown"
        log.warning("A client sends its request too slowly", address=address, seconds=self._patience)
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "too_slow", f"The request did not arrive within {self._patience:g} s.")
        if self.cycle is not None:
            # Whoever waits for the body learns that no more of it comes, and cannot answer a second time.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        events = (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        # In the middle of another answer all that can be done is to end it.
        with contextlib.suppress(h11.LocalProtocolError):
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket.

    uvicorn keeps the answers to a client's pings however many the client leaves unread: it could fill the memory with them.
    """

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.transport.get_write_buffer_size() > _UNREAD_PONGS:
            log.warning("A client sends pings and takes no answers", address=self.client[0] if self.client else "unknown")
            self.transport.abort()
