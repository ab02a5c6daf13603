"""The frontend's HTTP face: the page, the proxy, and the state of the services for the page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stack.common import peer
from stack.common.background import running
from stack.common.errors import HANDLERS
from stack.common.health import Health
from stack.common.serve import Stop
from stack.common.settings import base_url
from stack.frontend.proxy import TIMEOUT, Proxy

_STATIC = Path(__file__).with_name("static")

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_HEADERS = {
    # Nothing from elsewhere, and nothing inline: what a reply says can never become script.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
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


def services(own: dict[str, Any], backend: peer.PeerState) -> list[dict[str, Any]]:
    """The state of every service as far as it can be seen from here, the nearest first: `{name, status, detail, latency_ms}` each.

    What lies behind the backend is known from the backend's own health answer.
    """
    rows = [
        {"name": "frontend", "status": own["status"], "detail": "this page's server", "latency_ms": None},
        {"name": "backend", **backend.json()},
    ]
    components = backend.answer.get("components")
    router = components.get("router") if isinstance(components, dict) else None
    if not isinstance(router, dict):
        router = {"status": "unknown", "detail": "only the backend can see it"}
    rows.append({"name": "router"} | {key: router.get(key) for key in ("status", "detail", "latency_ms")})
    return rows


def build(stop: Stop) -> Starlette:
    """The frontend as an application.

    Raises:
        SettingError: a variable holds something that cannot be used.
    """
    client = peer.client(TIMEOUT)
    url = base_url("BACKEND_URL", "http://127.0.0.1:3002")
    backend = peer.Peer("backend", url, client)
    proxy = Proxy(url, client)
    health = Health("frontend")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client, running(backend.watch()):
            yield

    async def get_page(_: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    async def get_health(_: Request) -> Response:
        return JSONResponse(health.answer({"backend": backend.state.json()}))

    async def get_services(_: Request) -> Response:
        own = health.answer({})
        return JSONResponse({"services": services(own, backend.state)})

    routes = [
        Route("/", get_page),
        Route("/health", get_health),
        Route("/services", get_services),
        Route("/api/{path:path}", proxy.hand_on, methods=_METHODS),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_PageHeaders)], exception_handlers=HANDLERS, lifespan=lifespan)
