"""textual-serve's server behind a gate: a token in the address is exchanged for a cookie, and nobody else gets anything."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import shlex
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiohttp import web
from textual_serve.server import Server

PAGE = Path(__file__).with_name("page")
# Each open page is a dashboard process of some 60 MB.
VISITORS = 8
# Scripts from here only. The terminal sets styles on its elements.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' {0}; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DashboardServer(Server):
    """Serves a dashboard to each visitor.

    Args:
        command: what is run for each of them.
        listener: a listening socket of this machine.
    """

    def __init__(self, command: Sequence[str], listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        # `exec`: no shell stays between us and the dashboard.
        super().__init__(f"exec {shlex.join(command)}", host, port, title="devctl", templates_path=PAGE)
        self._listener = listener
        self._token = secrets.token_urlsafe(32)
        self._cookie = f"devctl_{port}"
        self._visitors = 0

    @property
    def address(self) -> str:
        """The page's address with its token, for the one who is to see it."""
        return f"{self.public_url}/?token={self._token}"

    def run(self) -> None:
        """Serves until SIGINT, SIGTERM or SIGHUP; every dashboard has ended on return."""
        logging.getLogger("textual-serve").setLevel(logging.ERROR)
        asyncio.run(self._run())

    async def _run(self) -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, ended.set)
        app = await self._make_app()
        app.middlewares.append(self._gate)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=5.0)
        await runner.setup()
        await web.SockSite(runner, self._listener).start()
        await ended.wait()
        await runner.cleanup()

    async def on_startup(self, app: web.Application) -> None:
        """Says nothing: the command has said where the page is."""

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuses other hosts (DNS rebinding), other origins, and who has neither token nor cookie."""
        origin = request.headers.get("Origin")
        if request.host not in (f"{self.host}:{self.port}", f"localhost:{self.port}"):
            raise web.HTTPForbidden(text="this page is for this machine only\n")
        if origin is not None and origin not in (f"http://{self.host}:{self.port}", f"http://localhost:{self.port}"):
            raise web.HTTPForbidden(text="other pages may not use the dashboard\n")
        given = request.query.get("token")
        if given is not None and request.path == "/":
            if not self._known(given):
                raise web.HTTPForbidden(text="the token is wrong: devctl dashboard --web prints the address\n")
            # Out of the address bar, and so out of the history and of what is sent on as a referrer.
            answer = web.HTTPSeeOther("/")
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict", path="/")
            raise answer
        if not self._known(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(text="the token is missing: devctl dashboard --web prints the address\n")
        if request.path == "/ws":
            return await self._visit(request, handler)
        response = await handler(request)
        response.headers["Content-Security-Policy"] = POLICY.format(f"ws://{self.host}:{self.port} ws://localhost:{self.port}")
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    async def _visit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._visitors >= VISITORS:
            raise web.HTTPServiceUnavailable(text=f"{VISITORS} dashboards are open already; close one\n")
        self._visitors += 1
        try:
            return await handler(request)
        finally:
            self._visitors -= 1

    def _known(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())
