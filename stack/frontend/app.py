"""The frontend's HTTP face: the page, the way to the backend, and the state of the services for the page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stack.common import metrics, peer
from stack.common.background import running
from stack.common.errors import HANDLERS
from stack.common.health import Health
from stack.common.serve import Stop, at_stop
from stack.common.settings import base_url
from stack.frontend import proxy
from stack.frontend.gate import Gate
from stack.frontend.services import Services
from stack.frontend.tunnel import Tunnel

_STATIC = Path(__file__).with_name("static")

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_HEADERS = {
    # Nothing from elsewhere, nothing inline, and no text that becomes markup: what a reply says can never become script.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The page has no build step and so no versioned names: always ask whether a file changed.
    "Cache-Control": "no-cache",
}


class _PageHeaders:
    """Adds the headers that protect the page. What the backend answered keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_protected)


def build(stop: Stop) -> Starlette:
    """The frontend as an application.

    Raises:
        SettingError: a variable holds something that cannot be used.
    """
    url = base_url("BACKEND_URL", "http://127.0.0.1:3002")
    public_url = base_url("PUBLIC_URL", "http://127.0.0.1:3000")
    client = proxy.client()
    backend = peer.Peer("backend", url, client)
    health = Health("frontend")
    services = Services(health, backend)
    onward = proxy.Proxy(url, client)
    tunnel = Tunnel(url)
    at_stop(services.stop)
    at_stop(onward.stop)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client, running(services.watch()):
            yield

    async def get_page(_: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    async def get_health(_: Request) -> Response:
        return JSONResponse(health.answer({"backend": backend.state.json()}))

    async def get_metrics(_: Request) -> Response:
        return metrics.exposition()

    routes = [
        Route("/", get_page),
        Route("/health", get_health),
        Route("/metrics", get_metrics),
        Route("/services", services.get),
        Route("/services/events", services.get_events),
        Route("/api/{path:path}", onward.hand_on, methods=_METHODS),
        Route("/v1/{path:path}", onward.hand_on, methods=_METHODS),
        WebSocketRoute("/ws/{path:path}", tunnel.hand_on),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    layers = [Middleware(_PageHeaders), Middleware(Gate, public_url=public_url)]
    return Starlette(routes=routes, middleware=layers, exception_handlers=HANDLERS, lifespan=lifespan)
