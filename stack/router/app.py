"""The router's HTTP face."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
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
from stack.common.internal import stack_key
from stack.common.lifecycle import Components
from stack.common.log import Log
from stack.common.metrics import exposition, record_components
from stack.common.redis_link import RedisLink
from stack.common.serve import Stop, at_stop
from stack.common.settings import base_url, number
from stack.router.access import Access
from stack.router.agents import Agent
from stack.router.agents.chat import ChatAgent
from stack.router.agents.docs import DocsAgent
from stack.router.agents.model import Model
from stack.router.agents.ops import OpsAgent
from stack.router.agents.passages import read_passages
from stack.router.agents.toolbox import Toolbox
from stack.router.classifier import DATA, IntentClassifier, examples
from stack.router.engine import Engine
from stack.router.lines import LinesResponse
from stack.router.redis_sessions import RedisSessionStore
from stack.router.sessions import MemorySessionStore, Session
from stack.router.summary import as_text
from stack.router.switching_sessions import SwitchingSessionStore

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
        self._key = stack_key()
        self._access = Access(self._key)
        self._redis = RedisLink(os.environ.get("REDIS_URL", "").strip())
        self._sessions = SwitchingSessionStore(self._redis, RedisSessionStore(self._redis), MemorySessionStore())
        self._engine: Engine | None = None

    def app(self) -> Starlette:
        """The application. It loads the engine when it starts, and answers meanwhile."""
        routes = [
            Route("/health", self._get_health),
            Route("/metrics", self._get_metrics),
            Route("/route", self._post_route, methods=["POST"]),
            Route("/route/stream", self._post_route_stream, methods=["POST"]),
            Route("/sessions/{session_id}", self._get_session, methods=["GET"]),
            Route("/sessions/{session_id}", self._delete_session, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        components = Components([self._redis, self._sessions])
        async with peer.client(peer.TIMEOUT) as client, components.running(), running(self._load(client), self._clean_up()):
            yield

    async def _load(self, client: httpx.AsyncClient) -> None:
        began = time.perf_counter()

        def load() -> tuple[IntentClassifier, DocsAgent]:
            return IntentClassifier(examples(DATA / "train.jsonl")), DocsAgent(read_passages(self._docs))

        try:
            classifier, docs = await in_thread(load)
            ops = OpsAgent(
                Toolbox(self._backend_url, client, self._key), self._describe, peer.Peer("backend", self._backend_url, client)
            )
            agents: list[Agent] = [docs, ops, ChatAgent(Model(self._backend_url, client, self._key))]
            engine = Engine(classifier, {agent.name: agent for agent in agents}, self._sessions)
        except Exception as error:
            log.error("Cannot load the router's model", exc_info=error)
            self._stop(1)
            return
        if self._warmup:
            log.info("Warming up", seconds=self._warmup)
            await asyncio.sleep(self._warmup)
        self._engine = engine
        at_stop(self._say_goodbye)
        log.metric("Router ready", load_seconds=round(time.perf_counter() - began, 3), intents=len(classifier.intents))

    async def _say_goodbye(self) -> None:
        self._loaded().end()

    async def _clean_up(self) -> None:
        while True:
            await asyncio.sleep(_CLEANUP_INTERVAL)
            if dropped := await self._sessions.cleanup_expired():
                log.info("Dropped expired sessions", count=dropped)

    async def _describe(self) -> dict[str, Any]:
        components = {
            "classifier": {"status": "ok" if self._engine else "starting"},
            "sessions": {"status": "ok", **await self._sessions.get_stats()},
            "redis": self._redis.state(),
        }
        return self._health.answer(components, status=None if self._engine else "starting")

    async def _get_health(self, _: Request) -> Response:
        health = await self._describe()
        return JSONResponse(health, 503 if health["status"] == "starting" else 200)

    async def _get_metrics(self, request: Request) -> Response:
        self._access.check_metrics(request)
        record_components((await self._describe())["components"])
        return exposition()

    async def _post_route(self, request: Request) -> Response:
        engine, question = await self._question(request)
        answer = await engine.route(question.session_id, question.message)
        return JSONResponse(answer.model_dump())

    async def _post_route_stream(self, request: Request) -> Response:
        engine, question = await self._question(request)
        return LinesResponse(engine.stream(question.session_id, question.message))

    async def _question(self, request: Request) -> tuple[Engine, RouteRequest]:
        self._access.check(request)
        try:
            question = RouteRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise ApiError(422, "invalid_request", first_problem(error)) from error
        return self._loaded(), question

    async def _get_session(self, request: Request) -> Response:
        session = await self._loaded().session(self._session_id(request))
        if session is None:
            raise _unknown_session()
        return JSONResponse({"session_id": session.session_id, "turns": _turns(session), "history_length": session.length})

    async def _delete_session(self, request: Request) -> Response:
        if not await self._loaded().forget(self._session_id(request)):
            raise _unknown_session()
        return Response(status_code=204)

    def _session_id(self, request: Request) -> str:
        self._access.check(request)
        session_id: str = request.path_params["session_id"]
        if not SESSION_ID.fullmatch(session_id):
            raise _unknown_session()
        return session_id

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise ApiError(503, "starting", "The router is still loading its model; try again in a moment.", {"Retry-After": "1"})
        return self._engine


def build(stop: Stop) -> Starlette:
    """The router as an application; see `Router`."""
    return Router(stop).app()


def _turns(session: Session) -> list[dict[str, str]]:
    summary = [{"role": "summary", "text": as_text(session.summary)}] if session.summary else []
    return [*summary, *({"role": turn.role, "text": turn.text} for turn in session.history)]


def _unknown_session() -> ApiError:
    return ApiError(404, "unknown_session", "There is no such conversation, or it ran out.")
