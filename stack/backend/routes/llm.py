"""Asking the models, and looking after their cache: `/api/assistant/ask`, `/api/cache`, `/api/llm`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from stack.backend.auth.guard import require
from stack.backend.cache.answers import AnswerCache
from stack.backend.cache.store import PATTERN
from stack.backend.llm.provider import Message
from stack.backend.orchestrator import AskRequest, Orchestrator

# Characters. With the other fields, within what a request's body may have.
_MAX_PROMPT = 32_000
_MAX_MESSAGES = 100

Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=_MAX_PROMPT)]
Task = Literal["chat", "audit", "tutoring", "collaboration", "alignment", "ethics"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AskMessage(_Strict):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Prompt


class AskBody(_Strict):
    """A question: either one prompt or a conversation."""

    task: Task = "chat"
    prompt: Prompt | None = None
    messages: list[AskMessage] | None = Field(default=None, min_length=1, max_length=_MAX_MESSAGES)
    use_cache: bool = Field(default=True, description="False: ask anew, and do not keep the answer")
    model: str | None = Field(default=None, min_length=1, max_length=100, description="A model; left out, the task's chain")
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)
    temperature: float | None = Field(default=None, ge=0, le=2)

    @model_validator(mode="after")
    def _one_question(self) -> AskBody:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages")
        return self

    def request(self) -> AskRequest:
        """For the orchestrator."""
        if self.prompt is not None:
            messages: tuple[Message, ...] = (Message("user", self.prompt),)
        else:
            messages = tuple(Message(message.role, message.content) for message in self.messages or ())
        return AskRequest(messages, self.task, self.model, self.use_cache, self.temperature, self.max_tokens)


class UsageAnswer(BaseModel):
    """Tokens; `estimated` when the provider did not tell."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool


class AskAnswer(BaseModel):
    """An answer."""

    text: str
    model: str
    provider: str
    cached: bool = Field(description="Kept from before; then it costs nothing now")
    stand_in: bool = Field(description="No model answered; these are the built-in provider's prepared words")
    usage: UsageAnswer
    cost: float = Field(description="US dollars")
    quality: float = Field(description="0 to 1")
    seconds: float
    finish_reason: str


class Invalidated(BaseModel):
    """What was forgotten; `pending`: Redis is away and will forget when it is back."""

    invalidated: int
    pending: bool


def router(orchestrator: Orchestrator, cache: AnswerCache) -> APIRouter:
    """The endpoints. Everybody who is signed in may use them."""
    routes = APIRouter(prefix="/api", tags=["models"], dependencies=[Depends(require)])

    @routes.post("/assistant/ask", summary="Ask the models, past the router")
    async def ask(body: AskBody) -> AskAnswer:
        """Answer a question of a task: from the cache when it was answered lately, else by the task's chain of models."""
        return AskAnswer.model_validate((await orchestrator.answer(body.request())).json())

    @routes.get("/cache/stats", summary="What the cache holds and was good for")
    async def cache_stats() -> dict[str, Any]:
        return await cache.stats()

    @routes.post("/cache/invalidate", summary="Forget cached answers")
    async def cache_invalidate(
        pattern: Annotated[str, Query(pattern=f"^{PATTERN.pattern}$", description="Of `task:model:digest`, such as `audit:*`")],
    ) -> Invalidated:
        return Invalidated.model_validate(await cache.invalidate(pattern))

    @routes.get("/cache/health", summary="Which store is in use")
    async def cache_health() -> dict[str, Any]:
        return await cache.health()

    @routes.get("/llm/usage", summary="Tokens and cost by model, budget, state of the providers")
    async def usage() -> dict[str, Any]:
        return orchestrator.usage()

    return routes
