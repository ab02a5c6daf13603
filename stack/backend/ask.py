"""A question to the models, and its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stack.backend.cache.keys import key_of, normal
from stack.backend.llm.provider import Message, ToolCall, Usage
from stack.common.errors import ApiError


@dataclass(frozen=True, slots=True)
class AskRequest:
    """A question to the models.

    Attributes:
        messages: the conversation, oldest first; without a system message, the task's own is put before it.
        task: one of `tasks.TASKS`; decides who is asked and how long the answer is kept.
        model: a model's name; None or `default` for the task's chain.
        use_cache: False neither reads nor keeps the answer.
        tools, tool_choice: see `ChatRequest`.
    """

    messages: tuple[Message, ...]
    task: str = "chat"
    model: str | None = None
    use_cache: bool = True
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None

    @classmethod
    def of(cls, prompt: str, task: str = "chat", **further: Any) -> AskRequest:
        """A request of one message."""
        return cls((Message("user", prompt),), task, **further)

    def key(self, chain: Sequence[str]) -> str:
        """The key of its answer. `chain`, who will be asked, is part of it: another configuration gives other answers.

        Raises:
            ApiError: 422, its tools are nested too deeply.
        """
        decisive = {
            "chain": chain,
            "messages": [
                [message.role, normal(message.content), _calls(message), message.tool_call_id] for message in self.messages
            ],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "tools": self.tools,
            "tool_choice": self.tool_choice,
        }
        try:
            return key_of(self.task, self.model or "default", decisive)
        except RecursionError as error:
            raise ApiError(422, "invalid_request", "tools: nested too deeply") from error


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        cached: it was kept from before; then it costs nothing now, and `usage` is what it took then.
        stand_in: no model answered, the built-in provider did.
        cost: dollars.
        quality: 0 to 1, see `quality.score`.
        seconds: until it was whole.
    """

    text: str
    model: str
    provider: str
    cached: bool
    usage: Usage
    cost: float
    quality: float
    seconds: float
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    stand_in: bool = False

    def json(self) -> dict[str, Any]:
        """For a client; without tool calls, which only the OpenAI face hands on."""
        return {
            "text": self.text,
            "model": self.model,
            "provider": self.provider,
            "cached": self.cached,
            "stand_in": self.stand_in,
            "usage": self.usage.json(),
            "cost": round(self.cost, 8),
            "quality": self.quality,
            "seconds": round(self.seconds, 4),
            "finish_reason": self.finish_reason,
        }

    def packed(self) -> bytes:
        """For the cache; without tool calls, as such an answer is not kept."""
        kept = {
            "text": self.text,
            "model": self.model,
            "provider": self.provider,
            "usage": [self.usage.prompt_tokens, self.usage.completion_tokens, self.usage.estimated],
            "quality": self.quality,
            "finish_reason": self.finish_reason,
        }
        return json.dumps(kept).encode("ascii")

    @classmethod
    def unpacked(cls, value: bytes) -> Answer:
        """What `packed` gave, as a cached answer.

        Raises:
            ValueError: it is something else.
        """
        try:
            kept = json.loads(value)
            prompt, completion, estimated = kept["usage"]
            usage = Usage(int(prompt), int(completion), bool(estimated))
            text, model, provider = str(kept["text"]), str(kept["model"]), str(kept["provider"])
            return cls(text, model, provider, True, usage, 0.0, float(kept["quality"]), 0.0, str(kept["finish_reason"]))
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no answer: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a stream."""

    answer: Answer


def _calls(message: Message) -> list[list[str]]:
    return [[call.id, call.name, call.arguments] for call in message.tool_calls]
