"""The WebSocket's way from the page to the backend: a second connection, and every message handed on between the two."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from stack.common.errors import answer
from stack.common.log import Log, request_id
from stack.common.web import REQUEST_ID_HEADER
from stack.frontend.proxy import way

log = Log("stack.frontend.tunnel")

MAX_OPEN = 500
"""Open tunnels. A page has one."""

# Seconds for the backend to accept the connection, and for a close to be answered.
_OPEN_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 1.0

# Bytes of one message from the backend. A whole answer with its facts has some ten thousand.
_MAX_MESSAGE = 1024 * 1024

# Messages read ahead of a page that takes them slowly. Then the backend feels it, and decides how long that may go on.
_MAX_AHEAD = 16

# What the backend must know of the page. The rest of the handshake belongs to each connection.
_HANDED_ON = ("authorization", "cookie", "origin", "user-agent", "accept-language")

# RFC 6455, section 7.4.1: 1001 an end that goes away. 1014, registered later: a gateway whose other side failed. 1005, 1006 and
# 1015 only describe a close and are never sent.
_GOING_AWAY = 1001
_BAD_GATEWAY = 1014
_NEVER_SENT = frozenset((1005, 1006, 1015))


class Tunnel:
    """Hands WebSockets on to the backend.

    Args:
        url: the backend's address, http or https, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._open = 0

    async def hand_on(self, page: WebSocket) -> None:
        """Connect a page's WebSocket to the backend until either side closes; the other gets the same code and reason.

        Without the backend the page is refused with an HTTP answer: 502, 503 with too many open, or what the backend answered.
        """
        if self._open >= MAX_OPEN:
            log.error("Too many WebSockets are open", limit=MAX_OPEN)
            await page.send_denial_response(answer(503, "busy", "Too many connections are open; try again in a moment."))
            return
        self._open += 1
        try:
            await self._connect(page)
        finally:
            self._open -= 1

    async def _connect(self, page: WebSocket) -> None:
        try:
            backend = await self._to_backend(page)
        except InvalidStatus as error:
            status = error.response.status_code
            # Whatever it answered, it was no WebSocket.
            status = status if status >= 400 else 502
            log.warning("The backend refused a WebSocket", path=page.url.path, status=status)
            await page.send_denial_response(answer(status, "refused", f"The backend refused the connection ({status})."))
            return
        except (OSError, WebSocketException) as error:
            log.error("The backend cannot be reached", reason=str(error) or type(error).__name__)
            message = "The backend cannot be reached. `devctl status` shows whether it runs."
            await page.send_denial_response(answer(502, "backend_unreachable", message))
            return
        try:
            await page.accept(backend.subprotocol)
            await _relay(page, backend)
        finally:
            await backend.close(_GOING_AWAY)

    async def _to_backend(self, page: WebSocket) -> ClientConnection:
        # The page's own Host: the backend compares it with the Origin. Where to connect is said apart from it.
        host = page.headers["host"]
        path = page.scope["raw_path"].decode("latin-1")
        query = page.scope["query_string"].decode("latin-1")
        headers = {name: page.headers[name] for name in _HANDED_ON if name in page.headers} | way(page.scope)
        headers[REQUEST_ID_HEADER] = request_id.get()
        tls: dict[str, Any] = {"server_hostname": self._host} if self._tls else {}
        return await connect(
            f"{'wss' if self._tls else 'ws'}://{host}{path}{'?' + query if query else ''}",
            host=self._host,
            port=self._port,
            additional_headers=headers,
            user_agent_header=None,
            subprotocols=page.scope["subprotocols"] or None,
            # Between two services of one machine it would only cost time and memory.
            compression=None,
            proxy=None,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=_CLOSE_TIMEOUT,
            max_size=_MAX_MESSAGE,
            max_queue=_MAX_AHEAD,
            **tls,
        )


async def _relay(page: WebSocket, backend: ClientConnection) -> None:
    """Hand messages on in both directions until one side closes, and close the other."""
    outward = asyncio.create_task(_to_page(page, backend))
    inward = asyncio.create_task(_from_page(page, backend))
    try:
        await asyncio.wait((outward, inward), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (outward, inward):
            task.cancel()
        outcomes = await asyncio.gather(outward, inward, return_exceptions=True)
    for outcome in outcomes:
        # A page that is gone is no failure: the other direction knows.
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect | ConnectionClosed | RuntimeError):
            log.error("A WebSocket failed", exc_info=outcome)


async def _to_page(page: WebSocket, backend: ClientConnection) -> None:
    try:
        async for message in backend:
            if isinstance(message, str):
                await page.send_text(message)
            else:
                await page.send_bytes(message)
    except ConnectionClosed:
        pass
    code = backend.close_code or _BAD_GATEWAY
    if code in _NEVER_SENT:
        # 1005: closed without a code, in order. The others: lost.
        code = 1000 if code == 1005 else _BAD_GATEWAY
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await page.close(code, backend.close_reason or "")


async def _from_page(page: WebSocket, backend: ClientConnection) -> None:
    while True:
        message = await page.receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or 1005
            await backend.close(_GOING_AWAY if code in _NEVER_SENT else code, message.get("reason") or "")
            return
        text = message.get("text")
        await backend.send(message["bytes"] if text is None else text)
