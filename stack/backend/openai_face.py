"""The OpenAI-compatible face: `GET /v1/models`, `POST /v1/chat/completions`, for any client that speaks it.

Models: `default` is the chain of the task `chat`, `assistant` the router with its agents, the others are the providers' own.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import JSONResponse, Response, StreamingResponse

from stack.backend.auth.guard import Principal, require
from stack.backend.chat import Assistant
from stack.backend.llm.provider import Message, ToolCall, Usage
from stack.backend.llm.tasks import TASKS
from stack.backend.llm.tokens import estimate
from stack.backend.orchestrator import AskRequest, Delta, Done, Orchestrator
from stack.backend.ws.hub import key_of
from stack.common.contract import MAX_MESSAGE, SessionId
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.backend.openai")

DEFAULT, ASSISTANT = "default", "assistant"

MAX_REQUEST = 1024 * 1024
"""Bytes of a request's body: a conversation with its tools. More than a model of 200,000 tokens would read."""

# Messages and tools of one request.
_MOST_MESSAGES = 500
_MOST_TOOLS = 128

Known = Annotated[Principal, Depends(require)]


class _Part(BaseModel):
    # Clients send fields that come and go with their versions; what we do not know we do not need.
    model_config = ConfigDict(extra="ignore", frozen=True)


class FunctionCall(_Part):
    """What a model wanted called."""

    name: str = Field(max_length=200)
    arguments: str = Field(max_length=MAX_REQUEST)


class Call(_Part):
    """One call of an assistant's message."""

    id: str = Field(max_length=200)
    function: FunctionCall


class TextPart(_Part):
    """A part of a message's content. We understand text."""

    type: Literal["text"]
    text: str


class MessageBody(_Part):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[Call] | None = Field(default=None, max_length=_MOST_TOOLS)
    tool_call_id: str | None = Field(default=None, max_length=200)

    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    def message(self) -> Message:
        """As the models take it."""
        calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or ())
        # `developer` is what newer clients call the system's messages.
        role = "system" if self.role == "developer" else self.role
        return Message(role, self.text(), calls, self.tool_call_id)


class StreamOptions(_Part):
    """What a stream contains."""

    include_usage: bool = False


class CompletionRequest(_Part):
    """A request for a chat completion; a part of what OpenAI's has."""

    model: str = Field(default=DEFAULT, min_length=1, max_length=200)
    messages: list[MessageBody] = Field(min_length=1, max_length=_MOST_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    tools: list[dict[str, Any]] | None = Field(default=None, max_length=_MOST_TOOLS)
    tool_choice: str | dict[str, Any] | None = None
    n: Literal[1] | None = 1
    # Ours.
    task: str = Field(default="chat", description="What the answer is for; decides the chain of models and how long it is kept")
    use_cache: bool = Field(default=False, description="Whether an answer given before will do")
    session_id: SessionId | None = Field(
        default=None, description="For `assistant`: the conversation; else each request is its own"
    )

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"one of {', '.join(TASKS)}")
        return task

    def ask(self) -> AskRequest:
        """For the models."""
        return AskRequest(
            messages=tuple(message.message() for message in self.messages),
            task=self.task,
            model=None if self.model == DEFAULT else self.model,
            use_cache=self.use_cache,
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            tools=tuple(self.tools or ()),
            tool_choice=self.tool_choice,
        )


class Face:
    """The endpoints.

    Args:
        assistant: answers for the model `assistant`.
    """

    def __init__(self, orchestrator: Orchestrator, assistant: Assistant) -> None:
        self._orchestrator = orchestrator
        self._assistant = assistant
        self._began = int(time.time())
        # The waits for next pieces, to be ended when the service ends.
        self._waits: set[asyncio.Timeout] = set()
        self._ending = False

    def routes(self) -> APIRouter:
        """Both routes."""
        routes = APIRouter(prefix="/v1", tags=["openai"])
        routes.get("/models", summary="The models that can be asked")(self.models)
        routes.post("/chat/completions", summary="Continue a conversation", response_model=None)(self.complete)
        return routes

    def end(self) -> None:
        """The service ends: so do the answers under way, each with an error that says so."""
        self._ending = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())

    async def models(self, _: Known) -> dict[str, Any]:
        """`default`, `assistant`, and the providers' own, in OpenAI's form."""
        names = dict.fromkeys([DEFAULT, ASSISTANT, *self._orchestrator.models()])
        data = [{"id": name, "object": "model", "created": self._began, "owned_by": "assistant"} for name in names]
        return {"object": "list", "data": data}

    async def complete(self, body: CompletionRequest, principal: Known) -> Response:
        """A chat completion, or with `stream` its chunks as server-sent events."""
        answer = _Completion(body.model)
        pieces = self._from_router(body, principal) if body.model == ASSISTANT else self._from_models(body)
        if not body.stream:
            async with aclosing(pieces):
                while (piece := await self._next(pieces)) is not None:
                    answer.take(piece)
            return JSONResponse(answer.whole())
        # The first piece decides about the status: until then an error can still be an honest HTTP answer.
        try:
            first = await self._next(pieces) or {}
        except BaseException:
            await pieces.aclose()
            raise
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        lines = self._lines(answer, first, pieces, include_usage)
        return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _lines(
        self, answer: _Completion, first: Mapping[str, Any], pieces: AsyncGenerator[Mapping[str, Any], None], include_usage: bool
    ) -> AsyncIterator[bytes]:
        async with aclosing(pieces):
            try:
                yield _data(answer.chunk({"role": "assistant", "content": ""}))
                answer.take(first)
                if first.get("text"):
                    yield _data(answer.chunk({"content": first["text"]}))
                while (piece := await self._next(pieces)) is not None:
                    answer.take(piece)
                    if piece.get("text"):
                        yield _data(answer.chunk({"content": piece["text"]}))
                if answer.tool_calls:
                    yield _data(answer.chunk({"tool_calls": [{"index": i, **c} for i, c in enumerate(answer.tool_calls)]}))
                yield _data(answer.chunk({}, answer.finish_reason))
                if include_usage:
                    yield _data({**answer.chunk({}), "choices": [], "usage": answer.usage.json()})
                yield b"data: [DONE]\n\n"
            except ApiError as error:
                yield _data({"error": {"code": error.code, "message": str(error.detail), "type": "server_error"}})

    async def _next(self, pieces: AsyncGenerator[Mapping[str, Any], None]) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(0 if self._ending else None) as wait:
                self._waits.add(wait)
                try:
                    return await anext(pieces, None)
                finally:
                    self._waits.discard(wait)
        except TimeoutError as error:
            if not self._ending:
                raise
            raise ApiError(503, "stopping", "The service is stopping; ask again in a moment.", {"Retry-After": "2"}) from error

    async def _from_models(self, body: CompletionRequest) -> AsyncGenerator[Mapping[str, Any], None]:
        async with aclosing(self._orchestrator.stream(body.ask())) as stream:
            async for piece in stream:
                match piece:
                    case Delta():
                        yield {"text": piece.text}
                    case Done():
                        yield {"answer": piece.answer}

    async def _from_router(self, body: CompletionRequest, principal: Principal) -> AsyncGenerator[Mapping[str, Any], None]:
        question = next((each.text() for each in reversed(body.messages) if each.role == "user"), "").strip()
        if not question or len(question) > MAX_MESSAGE:
            message = f"messages: the last user message must have 1 to {MAX_MESSAGE} characters"
            raise ApiError(422, "invalid_request", message)
        session_id = body.session_id or uuid.uuid4().hex
        key = key_of(principal.account_id, session_id)
        async with aclosing(self._assistant.stream(key, session_id, question)) as stream:
            async for piece in stream:
                match piece["type"]:
                    case "chunk":
                        yield {"text": str(piece["text"])}
                    case "end":
                        yield {"usage": Usage(estimate(question), estimate(str(piece["reply"])), estimated=True)}


class _Completion:
    """An answer in OpenAI's form, put together from pieces."""

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self._text: list[str] = []
        self.finish_reason = "stop"
        self.usage = Usage(0, 0, estimated=True)
        self.tool_calls: list[dict[str, Any]] = []

    def take(self, piece: Mapping[str, Any]) -> None:
        """A piece: `text`, `usage`, or the models' whole `answer`."""
        self._text.append(piece.get("text", ""))
        self.usage = piece.get("usage", self.usage)
        if (answer := piece.get("answer")) is not None:
            self.usage = answer.usage
            self.finish_reason = answer.finish_reason
            self._model = answer.model
            self.tool_calls = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in answer.tool_calls
            ]

    def whole(self) -> dict[str, Any]:
        """The completion."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage.json()}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """A chunk of the stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _data(body: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
