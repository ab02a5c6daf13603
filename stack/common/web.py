"""What every request passes through: its correlation id, its line in the log, the bound on its body."""

from __future__ import annotations

import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stack.common.contract import MAX_BODY
from stack.common.errors import ApiError, answer
from stack.common.log import Log, request_id

log = Log("stack.http")

REQUEST_ID_HEADER = "X-Request-ID"
_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Asked every second or two by devctl, by the page and by the services themselves: at INFO they would drown everything else.
_QUIET = ("/health", "/services")

_TOO_LARGE = (413, "too_large", f"The body is over {MAX_BODY} bytes.")


class RequestContext:
    """The outermost layer of every service.

    It takes the request's id from its header, or makes one, and answers with it; bounds the body; logs the request when it is done.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        identity = given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex
        request_id.set(identity)
        began = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = identity
            await send(message)

        # uvicorn has made sure that it is a number.
        oversized = int(headers.get("content-length", "0")) > MAX_BODY
        app = answer(*_TOO_LARGE) if oversized else self._app
        try:
            await app(scope, _bounded(receive), send_marked)
        except Exception as error:
            # Starlette raises it again when it has answered 500, for servers to log. This is where that happens.
            log.error(f"{scope['method']} {scope['path']} failed", exc_info=error)
        finally:
            write = log.debug if scope["path"] in _QUIET else log.info
            write(f"{scope['method']} {scope['path']}", status=status, ms=round((time.perf_counter() - began) * 1000, 1))


def _bounded(receive: Receive) -> Receive:
    """`receive`, refusing a body that turns out too large: one sent in chunks declares no length."""
    total = 0

    async def counting() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY:
            raise ApiError(*_TOO_LARGE)
        return message

    return counting
