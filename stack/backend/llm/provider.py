"""What a language model is asked, what it sends back, and what a provider of models must offer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant", "tool"]

# Characters of one answer. Ten times what a long answer has; a model that never stops is stopped here.
MAX_ANSWER = 256 * 1024


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; `arguments` is JSON text as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        tool_calls: what an assistant's message asked for.
        tool_call_id: which of those calls a tool's message answers.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to be continued.

    Attributes:
        model: the provider's own name of a model.
        messages: oldest first; at least one.
        temperature: 0 to 2; None leaves it to the provider.
        max_tokens: the longest answer wanted; None leaves it to the provider.
        tools: functions the model may ask for, in the form of OpenAI's `tools`.
        tool_choice: `auto`, `none`, `required` or a function, in the form of OpenAI's `tool_choice`.
        task: what the answer is for, one of `tasks.TASKS`. No part of what is sent to an endpoint.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    task: str = "chat"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request and its answer. `estimated` when the provider did not tell and they were guessed from the text."""

    prompt_tokens: int
    completion_tokens: int
    estimated: bool

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def json(self) -> dict[str, Any]:
        """In the form of OpenAI's `usage`, with the mark of an estimate."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "estimated": self.estimated,
        }


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one has a `finish_reason` (`stop`, `length`, `tool_calls`, `content_filter`).

    Attributes:
        tool_calls: whole calls; they come with the last chunk.
        usage: with the last chunk, when the provider tells.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None


class ProviderError(Exception):
    """A provider did not answer, or not usably.

    Args:
        kind: `unreachable`, `timeout`, `rate_limited`, `refused`, `rejected`, `failed`, `garbage`, `broken_off` or `empty`.
        message: what happened, for the log. Holds no key and nothing of the conversation.
        retry_after: seconds after which the provider asks to be tried again.
    """

    def __init__(self, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed in a moment: not when its key or the request itself is refused."""
        return self.kind not in ("refused", "rejected")

    @property
    def blames_provider(self) -> bool:
        """Whether it says something about the provider's health: a rejected request does not."""
        return self.kind != "rejected"


class Provider(Protocol):
    """Where answers come from.

    Attributes:
        name: as people call it; also its name in metrics.
        models: what can be asked of it; the first is its default.
        built_in: it holds no language model and stands in for one.
    """

    name: str
    models: tuple[str, ...]
    built_in: bool

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """The answer, piece by piece. Must be closed when it is left early.

        Raises:
            ProviderError: while iterating.
        """

    async def aclose(self) -> None:
        """Close its connections."""
