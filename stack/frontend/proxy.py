"""The way from the page to the backend: requests are handed on, answers streamed back as they come."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stack.common.errors import ApiError
from stack.common.log import Log, request_id
from stack.common.web import REQUEST_ID_HEADER

log = Log("stack.frontend.proxy")

# Seconds. Longer than the backend's own patience with the router, so that its answer, which knows the cause, arrives first.
TIMEOUT = 15.0

# Seconds between two pieces of a stream. Events have a heartbeat well within it; a model may think for long before its first word.
STREAM_TIMEOUT = 120.0

# Requests under way at once, most of them waiting streams. A page has one or two.
MAX_CONNECTIONS = 500

# Seconds to wait for one of them: longer would only add to the crowd.
_POOL_TIMEOUT = 2.0

# What concerns one connection only and must not be handed on (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

# What a client says of the way it came is not believed: we are where the way begins.
_OF_THE_WAY = frozenset(("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip"))
_SET_BY_CLIENT = frozenset(("content-length",))
_SET_BY_SERVER = frozenset((b"date",))
_NOT_BACK = frozenset(name.encode() for name in _HOP_BY_HOP) | _SET_BY_SERVER


def client() -> httpx.AsyncClient:
    """What to call the backend with. It takes no proxy from the environment, and leaves redirects to the browser."""
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=20)
    return httpx.AsyncClient(trust_env=False, timeout=TIMEOUT, limits=limits)


def way(scope: Scope) -> dict[str, str]:
    """The headers that tell the backend where a request came from."""
    address = scope["client"][0] if scope.get("client") else "unknown"
    # A WebSocket's scheme is ws or wss; the header knows http and https.
    scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
    return {"x-forwarded-for": address, "x-forwarded-proto": scheme}


class Proxy:
    """Hands requests on to the backend, with the Host, Origin and cookies that they came with.

    Args:
        url: the backend's address, without a slash at the end.
        client: what to call with, as from `client`. Its owner closes it.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = httpx.URL(url)
        self._client = client
        self._stopping = asyncio.Event()

    async def stop(self) -> None:
        """End the streams of events: their readers come back to whoever serves next."""
        self._stopping.set()

    async def hand_on(self, request: Request) -> Response:
        """The backend's answer to `request`, whatever its status.

        Raises:
            ApiError: 404 when the path climbs, 502 when the backend cannot be reached, 503 when too much is under way, 504 when it
                takes too long.
        """
        onward = self._onward(request, await request.body())
        try:
            response = await self._client.send(onward, stream=True)
        except httpx.PoolTimeout as error:
            log.error("Too many requests are under way", limit=MAX_CONNECTIONS)
            raise ApiError(503, "busy", "Too many requests are under way; try again in a moment.", {"Retry-After": "1"}) from error
        except httpx.TimeoutException as error:
            log.error("The backend does not answer", url=str(self._url), seconds=_patience(request))
            message = f"The backend did not answer within {_patience(request):g} s."
            raise ApiError(504, "backend_timeout", message) from error
        except httpx.HTTPError as error:
            log.error("The backend cannot be reached", url=str(self._url), reason=str(error))
            message = "The backend cannot be reached. `devctl status` shows whether it runs."
            raise ApiError(502, "backend_unreachable", message) from error
        return _Relay(response, self._stopping)

    def _onward(self, request: Request, body: bytes) -> httpx.Request:
        # As it came, undecoded: %2F and the like mean what the client meant.
        path = request.scope["raw_path"]
        if {b".", b".."} & set(path.split(b"/")):
            # The client library would resolve them, and reach what is not below /api.
            raise ApiError(404, "not_found", "A path without . and .. is needed.")
        query = request.scope["query_string"]
        dropped = _HOP_BY_HOP | _SET_BY_CLIENT | _OF_THE_WAY
        patience = httpx.Timeout(TIMEOUT, read=_patience(request), pool=_POOL_TIMEOUT)
        onward = self._client.build_request(
            request.method,
            self._url.copy_with(raw_path=path + b"?" + query if query else path),
            headers=[(name, value) for name, value in request.headers.items() if name not in dropped],
            content=body,
            timeout=patience,
        )
        onward.headers.update(way(request.scope))
        onward.headers[REQUEST_ID_HEADER] = request_id.get()
        return onward


def _patience(request: Request) -> float:
    stream = "text/event-stream" in request.headers.get("accept", "") or request.url.path.startswith("/v1/")
    return STREAM_TIMEOUT if stream else TIMEOUT


class _Relay(Response):
    """An answer of the backend, handed back piece by piece: one is only read when the client has taken the one before.

    Args:
        response: the answer, its body not read yet. Closed at the end, however that comes.
        stopping: set when streams of events are to end.
    """

    def __init__(self, response: httpx.Response, stopping: asyncio.Event) -> None:
        self.status_code = response.status_code
        self.background = None
        self.body = b""
        self.raw_headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _NOT_BACK]
        self._response = response
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(_disconnected(receive))]
        if self._response.headers.get("content-type", "").startswith("text/event-stream"):
            ends.append(asyncio.create_task(self._stopping.wait()))
        tasks = [sending, *ends]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(httpx.HTTPError):
                await self._response.aclose()
        if not sending.cancelled():
            sending.result()
        elif self._stopping.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            # Raw, so that a compressed body stays what its headers say.
            async for block in self._response.aiter_raw():
                await send({"type": "http.response.body", "body": block, "more_body": True})
        except httpx.HTTPError as error:
            # No last piece is sent: the server then breaks the connection, and the client sees that the answer is not whole.
            log.warning("The backend broke off its answer", reason=str(error) or type(error).__name__)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
