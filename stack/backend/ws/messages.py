"""What a client may say over its WebSocket, checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stack.common.contract import Message, first_problem
from stack.common.errors import ApiError


class _Client(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuthMessage(_Client):
    """Who the client is: an access token. The first message, and again with a new token before the old one ends."""

    type: Literal["auth"]
    token: str = Field(min_length=1, max_length=4096)


class ChatMessage(_Client):
    """Something to answer."""

    type: Literal["message"]
    text: Message
    mode: Literal["assistant", "direct"] | None = None


class ResumeMessage(_Client):
    """Send again what came after message `after`."""

    type: Literal["resume"]
    after: int = Field(ge=0, le=2**53)


class ConfirmMessage(_Client):
    """Whether a tool may do what it asked for."""

    type: Literal["confirm"]
    call_id: str = Field(min_length=1, max_length=64)
    allow: bool


class PingMessage(_Client):
    """Is anybody there?"""

    type: Literal["ping"]


class CancelMessage(_Client):
    """Stop the answer under way."""

    type: Literal["cancel"]


ClientMessage = AuthMessage | ChatMessage | ResumeMessage | ConfirmMessage | PingMessage | CancelMessage
_ADAPTER: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def parse(text: str) -> ClientMessage:
    """A client's message. Raises ApiError (422) for anything else."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise ApiError(422, "invalid_message", first_problem(error)) from error
