"""The assistant: a message in, an answer out, whole or piece by piece."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from stack.backend.auth.guard import Principal, require
from stack.backend.direct import Direct
from stack.backend.events import EventBus
from stack.backend.router_client import RouterClient
from stack.backend.ws.hub import Hub, key_of
from stack.common.contract import Message, RouteAnswer, RouteRequest, SessionId, Timings
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.backend")

Known = Annotated[Principal, Depends(require)]


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


class TurnView(BaseModel):
    """One message of a conversation; `summary` stands for the oldest ones."""

    role: str
    text: str


class History(BaseModel):
    """What was said in a conversation, oldest first."""

    session_id: str
    turns: list[TurnView]
    history_length: int


class Assistant:
    """Answers through the router.

    Args:
        router: who answers.
        bus: told of every answer.
    """

    def __init__(self, router: RouterClient, bus: EventBus) -> None:
        self._router = router
        self._bus = bus

    async def answer(self, key: str, session_id: str, message: str) -> ChatAnswer:
        """The whole answer. Raises ApiError."""
        began = time.perf_counter()
        routed = await self._router.route(RouteRequest(session_id=key, message=message))
        total = _milliseconds(began)
        self._note(session_id, routed.agent, routed.intent, total)
        timings = ChatTimings(**routed.timings.model_dump(), total_ms=total)
        return ChatAnswer(**routed.model_dump(exclude={"timings"}), session_id=session_id, timings=timings)

    async def stream(self, key: str, session_id: str, message: str) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in pieces: `routed`, `chunk`…, and `end` with a ChatAnswer's fields. Raises ApiError, also between two."""
        began = time.perf_counter()
        async for piece in self._router.stream(RouteRequest(session_id=key, message=message)):
            if piece["type"] == "end":
                total = _milliseconds(began)
                self._note(session_id, str(piece["agent"]), str(piece["intent"]), total)
                piece = {**piece, "timings": {**piece["timings"], "total_ms": total}}
            yield piece

    async def history(self, key: str, session_id: str) -> History:
        """What was said. Raises ApiError."""
        return History.model_validate({"session_id": session_id, **await self._router.history(key)})

    async def forget(self, key: str) -> bool:
        """Deletes a conversation; True when there was one. Raises ApiError."""
        return await self._router.forget(key)

    def _note(self, session_id: str, agent: str, intent: str, total: float) -> None:
        log.info("Answered", session=session_id, agent=agent, total_ms=total)
        self._bus.publish("ai", {"agent": agent, "intent": intent, "total_ms": total})


def router(assistant: Assistant, hub: Hub, direct: Direct) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/assistant", tags=["assistant"])

    @routes.post("/chat", summary="Ask the assistant")
    async def chat(body: ChatRequest, principal: Known) -> ChatAnswer:
        """Answer a message. Conversations are forgotten after 30 minutes without one."""
        session_id = body.session_id or uuid.uuid4().hex
        return await assistant.answer(key_of(principal.account_id, session_id), session_id, body.message)

    @routes.get("/sessions/{session_id}/history", summary="What was said in a conversation")
    async def history(session_id: Annotated[SessionId, Path()], principal: Known) -> History:
        """The messages as far as they are kept; the oldest may be summarised. Empty when there is no such conversation."""
        return await assistant.history(key_of(principal.account_id, session_id), session_id)

    @routes.delete("/sessions/{session_id}", status_code=204, summary="Forget a conversation")
    async def forget(session_id: Annotated[SessionId, Path()], principal: Known) -> Response:
        """Forget what was said in a conversation."""
        key = key_of(principal.account_id, session_id)
        hub.forget(key)
        known = direct.forget(key)
        if not await assistant.forget(key) and not known:
            raise ApiError(404, "unknown_session", "There is no such conversation, or it ran out.")
        return Response(status_code=204)

    return routes


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
