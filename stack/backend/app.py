"""The backend: its parts, put together. REST under `/api`, described at `/docs`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

from stack.backend import chat, sse
from stack.backend.auth import settings as auth_settings
from stack.backend.auth.guard import Principal, require, require_metrics
from stack.backend.auth.service import Auth
from stack.backend.cache.answers import AnswerCache
from stack.backend.database.database import Database
from stack.backend.direct import Direct
from stack.backend.events import EventBus
from stack.backend.llm.build import build_chain
from stack.backend.llm.config import read_settings
from stack.backend.monitor import Monitor
from stack.backend.openai_face import Face
from stack.backend.orchestrator import AskRequest, Orchestrator
from stack.backend.queue.queue import Queue
from stack.backend.queue.sql_store import SqlTaskStore
from stack.backend.queue.tasks import Task, TaskRecord
from stack.backend.router_client import TIMEOUT, RouterClient
from stack.backend.routes import auth as auth_routes
from stack.backend.routes import llm as llm_routes
from stack.backend.routes import queue as queue_routes
from stack.backend.routes import tools as tool_routes
from stack.backend.tools.config import servers_of_environment
from stack.backend.tools.confirmations import Confirmation
from stack.backend.tools.tools import Tools
from stack.backend.ws.answering import Answering
from stack.backend.ws.endpoint import Socket
from stack.backend.ws.hub import Hub
from stack.common import peer, serve
from stack.common.background import running
from stack.common.contract import sentence
from stack.common.errors import HANDLERS, answer
from stack.common.internal import stack_key
from stack.common.lifecycle import Components
from stack.common.log import Log
from stack.common.metrics import exposition
from stack.common.redis_link import RedisLink
from stack.common.serve import Stop
from stack.common.settings import SettingError, base_url
from stack.common.state_dir import state_dir

log = Log("stack.backend")


class Backend:
    """The service's parts.

    Raises:
        SettingError: a variable holds something that cannot be used.
    """

    def __init__(self) -> None:
        directory = _state_dir()
        self._client = peer.client(TIMEOUT)
        router_url = base_url("ROUTER_URL", "http://127.0.0.1:8888")
        self._router = peer.Peer("router", router_url, self._client)
        self.bus = EventBus()
        self.hub = Hub()
        self.database = Database(os.environ.get("DATABASE_URL", "").strip() or None, directory)
        self.auth = Auth(self.database, auth_settings.from_environment(), directory, stack_key())
        self.auth.on_revoked(self.hub.revoked)
        self.auth.on_revoked(self.bus.revoked)
        redis = RedisLink(os.environ.get("REDIS_URL", "").strip() or None)
        self.cache = AnswerCache(redis)
        self.orchestrator = Orchestrator(build_chain(read_settings(), directory / "budget.json"), self.cache)
        self.queue = Queue(SqlTaskStore(self.database), self._answer_task, os.environ.get("NATS_URL", "").strip() or None)
        self.queue.listen(self._tell_of_task)
        self.tools = Tools(servers_of_environment(), self._ask_for_confirmation)
        self.assistant = chat.Assistant(RouterClient(router_url, self._client), self.bus)
        self.direct = Direct(self.orchestrator)
        sources = {"assistant": self.assistant.stream, "direct": self.direct.stream}
        self.face = Face(self.orchestrator, self.assistant)
        self.socket = Socket(self.hub, self.auth, Answering(sources, self.tools.decide), _origins())
        self.monitor = Monitor(self._router, self.orchestrator.models, self.bus)
        # In the order of their start: what a part uses comes before it.
        self.components = Components(
            [
                self.database,
                redis,
                self.cache,
                self.orchestrator,
                self.tools,
                self.auth,
                self.queue,
                self.bus,
                self.hub,
                self.monitor,
            ]
        )
        self.monitor.components = self.components

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Everything runs inside the block."""
        serve.at_stop(self._farewell)
        async with self._client, running(self._router.watch()), self.components.running():
            yield
        log.info("Closed the connections to the router")

    async def _farewell(self) -> None:
        self.bus.close()
        self.face.end()
        await self.hub.farewell()

    async def _answer_task(self, task: Task) -> dict[str, object]:
        """What the queue's workers do with a task."""
        return (await self.orchestrator.answer(AskRequest.of(task.prompt, task.task))).json()

    def _tell_of_task(self, record: TaskRecord) -> None:
        told = {"id": record.task.id, "task": record.task.task, "state": record.state}
        self.bus.publish("queue", told, record.task.account_id)

    def _ask_for_confirmation(self, confirmation: Confirmation) -> None:
        """Asks whoever is connected to the conversation in which a tool wants to change something."""
        conversation = self.hub.find(confirmation.session_id or "")
        if conversation is not None:
            conversation.publish("system", kind="confirmation", **confirmation.json())


def _state_dir() -> Path:
    try:
        return state_dir()
    except OSError as error:
        raise SettingError(f"STACK_STATE: the directory cannot be made: {error}") from error


def _origins() -> frozenset[str]:
    """Pages other than our own that may connect, from ALLOWED_ORIGINS: `https://a.example,https://b.example`."""
    texts = [text.strip() for text in os.environ.get("ALLOWED_ORIGINS", "").split(",")]
    for text in texts:
        if text and (not text.startswith(("http://", "https://")) or text.count("/") != 2):
            raise SettingError(f"ALLOWED_ORIGINS={text!r}: give origins such as https://example.org, separated by commas")
    return frozenset(text for text in texts if text)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return answer(422, "invalid_request", "The body is no JSON.")
    # The first part says where the input came from (body, path); the field's name is enough.
    return answer(422, "invalid_request", sentence(tuple(problem["loc"])[1:], problem["msg"]))


def build(stop: Stop) -> FastAPI:
    """The backend as an application.

    Raises:
        SettingError: a variable holds something that cannot be used.
    """
    backend = Backend()
    app = FastAPI(
        title="Assistant backend",
        version="1",
        description="The API of the reference stack's assistant.",
        lifespan=backend.lifespan,
        exception_handlers={**HANDLERS, RequestValidationError: _invalid},
        redoc_url=None,
    )
    app.state.auth = backend.auth

    @app.get("/health", tags=["health"])
    async def get_health() -> JSONResponse:
        """Whether the backend works: `ok`, or `degraded` while a component it needs does not. Either way it answers 200."""
        return JSONResponse(backend.monitor.health())

    @app.get("/metrics", tags=["health"], dependencies=[Depends(require_metrics)])
    async def get_metrics() -> Response:
        """Prometheus's format."""
        return exposition()

    @app.get("/api/websocket/stats", tags=["assistant"])
    async def websocket_stats(_: Annotated[Principal, Depends(require)]) -> dict[str, int]:
        """Open connections and conversations."""
        return backend.hub.stats()

    for routes in (
        chat.router(backend.assistant, backend.hub, backend.direct),
        llm_routes.router(backend.orchestrator, backend.cache),
        queue_routes.router(backend.queue),
        tool_routes.router(backend.tools),
        auth_routes.router(backend.auth),
        sse.router(backend.bus),
        backend.face.routes(),
        backend.socket.routes(),
    ):
        app.include_router(routes)
    return app
