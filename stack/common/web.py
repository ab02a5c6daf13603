"""What every request passes through: its correlation id, its line in the log, the bound on its body."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stack.common.contract import MAX_BODY
from stack.common.errors import ApiError, answer
from stack.common.log import Log, request_id
from stack.common.metrics import HTTP_REQUESTS, HTTP_SECONDS

log = Log("stack.http")

REQUEST_ID_HEADER = "X-Request-ID"
_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Asked every second or two by devctl, by the page and by the services themselves: at INFO they would drown everything else.
_QUIET = ("/health", "/services", "/metrics", "/static/")

# What HTTP has as methods. A client may send any word, and each would be a series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestContext:
    """The outermost layer of every service.

    It takes the request's id from its header, or makes one, and answers with it; bounds the body; logs and counts the request when
    it is done. A WebSocket gets its id here as well.

    Args:
        bodies: by the beginning of a path, how many bytes a body may have where MAX_BODY would not do.
    """

    def __init__(self, app: ASGIApp, bodies: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._bodies = dict(bodies or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        identity = given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex
        request_id.set(identity)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        most = next((size for prefix, size in self._bodies.items() if scope["path"].startswith(prefix)), MAX_BODY)
        began = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = identity
            await send(message)

        # uvicorn has made sure that it is a number.
        oversized = int(headers.get("content-length", "0")) > most
        app = answer(*_too_large(most)) if oversized else self._app
        try:
            await app(scope, _bounded(receive, most), send_marked)
        except ClientDisconnect:
            log.debug(f"The client left {scope['method']} {scope['path']} unfinished")
        except asyncio.CancelledError:
            # The service ends, and the request has had its time.
            log.warning(f"{scope['method']} {scope['path']} was given up")
            if not status:
                message = "The service is stopping; ask again in a moment."
                goodbye = answer(503, "stopping", message, {"Retry-After": "2", "Connection": "close"})
                await goodbye(scope, receive, send_marked)
        except Exception as error:
            # Starlette raises it again when it has answered 500, for servers to log. This is where that happens.
            log.error(f"{scope['method']} {scope['path']} failed", exc_info=error)
        finally:
            took = time.perf_counter() - began
            write = log.debug if scope["path"].startswith(_QUIET) else log.info
            write(f"{scope['method']} {scope['path']}", status=status, ms=round(took * 1000, 1))
            # The pattern, not the path: a path may hold anything.
            route = str(getattr(scope.get("route"), "path", "other"))
            HTTP_REQUESTS.labels(scope["method"] if scope["method"] in _METHODS else "other", route, str(status)).inc()
            HTTP_SECONDS.labels(route).observe(took)


def _too_large(most: int) -> tuple[int, str, str]:
    return 413, "too_large", f"The body is over {most} bytes."


def _bounded(receive: Receive, most: int) -> Receive:
    """`receive`, refusing a body that turns out too large: one sent in chunks declares no length."""
    total = 0

    async def counting() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise ApiError(*_too_large(most))
        return message

    return counting
