"""The backend's HTTP face: REST under `/api`, its description at `/docs`."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from stack.backend.router_client import TIMEOUT, RouterClient
from stack.common import peer
from stack.common.background import running
from stack.common.contract import Message, RouteAnswer, RouteRequest, SessionId, Timings, sentence
from stack.common.errors import HANDLERS, ApiError, answer
from stack.common.health import Health
from stack.common.log import Log
from stack.common.serve import Stop
from stack.common.settings import base_url

log = Log("stack.backend")


class ChatRequest(BaseModel):
    """A message to the assistant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: Message
    session_id: SessionId | None = Field(default=None, description="The conversation it belongs to; left out, a new one begins")


class ChatTimings(Timings):
    """How long the answer took, in milliseconds; the total is the backend's view, with the way to the router and back."""

    total_ms: float


class ChatAnswer(RouteAnswer):
    """The assistant's answer and the conversation it belongs to."""

    session_id: str
    timings: ChatTimings


class ErrorDetail(BaseModel):
    """What went wrong: a name for programs, a sentence for people."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


_ERRORS: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorAnswer, "description": "The request makes no sense"},
    502: {"model": ErrorAnswer, "description": "The router failed"},
    503: {"model": ErrorAnswer, "description": "The router is starting or cannot be reached"},
    504: {"model": ErrorAnswer, "description": "The router did not answer in time"},
}


class Assistant:
    """The endpoints of the assistant.

    Args:
        router: who answers.
    """

    def __init__(self, router: RouterClient) -> None:
        self._router = router
        self.routes = APIRouter(prefix="/api/assistant", tags=["assistant"], responses=_ERRORS)
        self.routes.post("/chat", summary="Ask the assistant")(self.chat)
        self.routes.delete("/sessions/{session_id}", status_code=204, summary="Forget a conversation")(self.forget)

    async def chat(self, body: ChatRequest) -> ChatAnswer:
        """Answer a message. Conversations are forgotten after 30 minutes without one."""
        session_id = body.session_id or uuid.uuid4().hex
        began = time.perf_counter()
        routed = await self._router.route(RouteRequest(session_id=session_id, message=body.message))
        total = round((time.perf_counter() - began) * 1000, 2)
        log.info("Answered", session=session_id, agent=routed.agent, total_ms=total)
        timings = ChatTimings(**routed.timings.model_dump(), total_ms=total)
        return ChatAnswer(**routed.model_dump(exclude={"timings"}), session_id=session_id, timings=timings)

    async def forget(self, session_id: Annotated[SessionId, Path()]) -> Response:
        """Forget what was said in a conversation."""
        if not await self._router.forget(session_id):
            raise ApiError(404, "unknown_session", "There is no such conversation, or it ran out.")
        return Response(status_code=204)


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
    client = peer.client(TIMEOUT)
    router_url = base_url("ROUTER_URL", "http://127.0.0.1:8888")
    router = peer.Peer("router", router_url, client)
    health = Health("backend")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client, running(router.watch()):
            yield
        log.info("Closed the connections to the router")

    async def get_health() -> JSONResponse:
        """Whether the backend works: `ok`, or `degraded` while a component it needs does not. Either way it answers 200."""
        return JSONResponse(health.answer({"router": router.state.json()}))

    app = FastAPI(
        title="Assistant backend",
        version="1",
        description="The API of the reference stack's assistant.",
        lifespan=lifespan,
        exception_handlers={**HANDLERS, RequestValidationError: _invalid},
        redoc_url=None,
    )
    app.get("/health", tags=["health"])(get_health)
    app.include_router(Assistant(RouterClient(router_url, client)).routes)
    return app
