"""The sign-in service by itself, served over a real socket, on a clock that tests can turn, over a database of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import httpx
import uvicorn
from argon2 import PasswordHasher
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from stack.backend.auth import passwords
from stack.backend.auth.guard import Principal, require, require_metrics
from stack.backend.auth.service import Auth
from stack.backend.auth.settings import AuthSettings
from stack.backend.database.database import Database
from stack.backend.routes import auth as routes
from stack.common.errors import HANDLERS, answer
from stack.common.internal import InternalKey
from stack.common.lifecycle import Components
from stack.common.web import RequestContext

# Seconds until a test gives up. Only a hang meets it.
GUARD = 30.0

PASSWORD = "correct horse"

Json = dict[str, Any]


class Clock:
    """The real time, and as much later as a test wants."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class AuthServer:
    """What is served.

    Attributes:
        url: its address.
        auth: the service.
        clock: what it takes the time from.
        internal: the key of the services.
        revoked: ids of sessions that it said have ended.
    """

    def __init__(self, directory: Path, settings: AuthSettings, database_url: str | None) -> None:
        self.clock = Clock()
        self.internal = InternalKey(directory / "internal.key")
        self.database = Database(database_url, directory)
        self.auth = Auth(self.database, settings, directory, self.internal, self.clock)
        self.revoked: list[str] = []
        self.auth.on_revoked(self.revoked.append)
        self.url = ""
        self.loop: asyncio.AbstractEventLoop | None = None

    def client(self, *, page: bool = False, **headers: str) -> httpx.Client:
        """A client with cookies of its own; as the page, it says so."""
        mark = {"X-Requested-With": "page"} if page else {}
        return httpx.Client(base_url=self.url, timeout=GUARD, trust_env=False, headers=mark | headers)

    def application(self) -> FastAPI:
        """The routes, one that is protected, and metrics."""

        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> Any:
            self.loop = asyncio.get_running_loop()
            async with Components([self.database, self.auth]).running():
                yield

        async def protected(principal: Annotated[Principal, Depends(require)]) -> dict[str, Any]:
            return {"account_id": principal.account_id, "name": principal.name, "internal": principal.internal}

        app = FastAPI(lifespan=lifespan, exception_handlers={**HANDLERS, RequestValidationError: _invalid})
        app.state.auth = self.auth
        app.include_router(routes.router(self.auth))
        app.get("/api/protected")(protected)
        app.get("/metrics", dependencies=[Depends(require_metrics)])(lambda: "numbers")
        return app


async def _invalid(request: Request, error: Exception) -> Response:
    """As the backend's own: without the input, which may be no text that an answer could hold."""
    return answer(422, "invalid_request", "The request makes no sense.")


@contextlib.contextmanager
def auth_server(directory: Path, settings: AuthSettings | None = None, database_url: str | None = None) -> Iterator[AuthServer]:
    """Serves the sign-in service until the block ends."""
    made = AuthServer(directory, settings or AuthSettings(), database_url)
    # Hashes of the real cost would be most of the time that these tests take.
    cheap = mock.patch.object(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    with cheap, serving(RequestContext(made.application())) as made.url:
        yield made


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serves an application from a thread; yields its address once it answers."""
    # With the protocol named, asyncio switches off Nagle's algorithm for what is accepted; without, each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    # A daemon: a hang here must not become one of the whole test run.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        # The socket listens already, so that this waits until the application has started.
        httpx.get(f"{url}/openapi.json", timeout=GUARD, trust_env=False)
        yield url
    finally:
        server.should_exit = True
        thread.join(GUARD)
        listener.close()
        assert not thread.is_alive()


def register(client: httpx.Client, name: str) -> Json:
    """A new account's tokens."""
    answer = client.post("/api/auth/register", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    tokens: Json = answer.json()
    return tokens


def protected(client: httpx.Client, token: str) -> httpx.Response:
    """The protected route, asked with an access token."""
    return client.get("/api/protected", headers={"Authorization": f"Bearer {token}"})


def refresh(client: httpx.Client, token: str) -> httpx.Response:
    """Refresh as a program that has this token."""
    return client.post("/api/auth/refresh", json={"refresh_token": token})


def show(server: AuthServer, cookies: dict[str, str]) -> httpx.Response:
    """Refresh as a page that has these cookies."""
    with server.client(page=True) as browser:
        browser.cookies.update(cookies)
        return browser.post("/api/auth/refresh")


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error answer."""
    return answer.status_code, answer.json()["error"]["code"]
