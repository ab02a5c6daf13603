"""The router's HTTP face."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stack.common import peer
from stack.common.background import in_thread, running
from stack.common.contract import SESSION_ID, RouteRequest, first_problem
from stack.common.errors import HANDLERS, ApiError
from stack.common.health import Health
from stack.common.log import Log
from stack.common.serve import Stop
from stack.common.settings import base_url, number
from stack.router.agents import Agent
from stack.router.agents.chat import ChatAgent
from stack.router.agents.docs import DocsAgent
from stack.router.agents.ops import OpsAgent
from stack.router.agents.passages import read_passages
from stack.router.classifier import DATA, IntentClassifier, examples
from stack.router.engine import Engine
from stack.router.sessions import MemorySessionStore, SessionStore

log = Log("stack.router")

# Seconds. Expired sessions are invisible anyway; this only gives their memory back.
_CLEANUP_INTERVAL = 60.0

# The repository when run from it; DOCS_DIR names another place.
_PROJECT = Path(__file__).parents[2]


class Router:
    """The service: its parts, and its engine once that is loaded.

    Args:
        stop: ends the service when it cannot load.

    Raises:
        SettingError: a variable holds something that cannot be used.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._warmup = number("ROUTER_WARMUP_SECONDS", 0, least=0, most=600)
        self._docs = Path(os.environ.get("DOCS_DIR") or _PROJECT)
        self._backend_url = base_url("BACKEND_URL", "http://127.0.0.1:3002")
        self._health = Health("router")
        self._sessions: SessionStore = MemorySessionStore()
        self._engine: Engine | None = None

    def app(self) -> Starlette:
        """The application. It loads the engine when it starts, and answers meanwhile."""
        routes = [
            Route("/health", self._get_health),
            Route("/route", self._post_route, methods=["POST"]),
            Route("/sessions/{session_id}", self._delete_session, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        log.info("Using in-memory session store")
        async with peer.client(peer.TIMEOUT) as client:
            backend = peer.Peer("backend", self._backend_url, client)
            async with running(self._load(backend), self._clean_up()):
                yield

    async def _load(self, backend: peer.Peer) -> None:
        began = time.perf_counter()

        def load() -> tuple[IntentClassifier, DocsAgent]:
            return IntentClassifier(examples(DATA / "train.jsonl")), DocsAgent(read_passages(self._docs))

        try:
            classifier, docs = await in_thread(load)
            agents: list[Agent] = [docs, OpsAgent(self._describe, backend), ChatAgent()]
            engine = Engine(classifier, {agent.name: agent for agent in agents}, self._sessions)
        except Exception as error:
            log.error("Cannot load the router's model", exc_info=error)
            self._stop(1)
            return
        if self._warmup:
            log.info("Warming up", seconds=self._warmup)
            await asyncio.sleep(self._warmup)
        self._engine = engine
        log.metric("Router ready", load_seconds=round(time.perf_counter() - began, 3), intents=len(classifier.intents))

    async def _clean_up(self) -> None:
        while True:
            await asyncio.sleep(_CLEANUP_INTERVAL)
            if dropped := await self._sessions.cleanup_expired():
                log.info("Dropped expired sessions", count=dropped)

    async def _describe(self) -> dict[str, Any]:
        sessions = {"status": "ok" if await self._sessions.ping() else "unreachable", **await self._sessions.get_stats()}
        classifier = {"status": "ok" if self._engine else "starting"}
        status = None if self._engine else "starting"
        return self._health.answer({"classifier": classifier, "sessions": sessions}, status=status)

    async def _get_health(self, _: Request) -> Response:
        health = await self._describe()
        return JSONResponse(health, 503 if health["status"] == "starting" else 200)

    async def _post_route(self, request: Request) -> Response:
        try:
            question = RouteRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise ApiError(422, "invalid_request", first_problem(error)) from error
        if self._engine is None:
            raise ApiError(503, "starting", "The router is still loading its model; try again in a moment.", {"Retry-After": "1"})
        answer = await self._engine.route(question.session_id, question.message)
        log.info(
            "Routed",
            session=question.session_id,
            intent=answer.intent,
            confidence=answer.confidence,
            **answer.timings.model_dump(),
        )
        return JSONResponse(answer.model_dump())

    async def _delete_session(self, request: Request) -> Response:
        session_id = request.path_params["session_id"]
        if not SESSION_ID.fullmatch(session_id) or not await self._sessions.delete(session_id):
            raise ApiError(404, "unknown_session", "There is no such conversation, or it ran out.")
        return Response(status_code=204)


def build(stop: Stop) -> Starlette:
    """The router as an application; see `Router`."""
    return Router(stop).app()
