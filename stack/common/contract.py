"""What goes over the wire between the services."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

# About two pages of text: more is no question, and bounds what a classification costs (5 ms at this length).
MAX_MESSAGE = 4000

MAX_BODY = 64 * 1024
"""Bytes of a request body. 4000 characters written as JSON escapes take 48 KB at most."""

SESSION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SessionId = Annotated[str, StringConstraints(pattern=f"^{SESSION_ID.pattern}$")]
Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_MESSAGE)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RouteRequest(_Strict):
    """A message of a conversation, for the router."""

    session_id: SessionId
    message: Message


class Timings(BaseModel):
    """How long the router's two steps took, in milliseconds."""

    classify_ms: float
    agent_ms: float


class RouteAnswer(BaseModel):
    """The router's answer."""

    intent: str = Field(description="What the message was taken for, such as ops.health")
    confidence: float = Field(description="The classifier's probability for it, 0 to 1")
    agent: str = Field(description="Which agent wrote the reply")
    reply: str
    history_length: int = Field(description="Messages of this conversation so far, this question and its reply included")
    timings: Timings


def first_problem(error: ValidationError) -> str:
    """The first thing wrong with an input, as a sentence that names the field."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return sentence(problem["loc"], problem["msg"])


def sentence(location: tuple[int | str, ...], message: str) -> str:
    """`message` of a validation problem with the path of the field before it."""
    where = ".".join(str(part) for part in location)
    return f"{where}: {message}" if where else message
