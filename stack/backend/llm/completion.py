"""OpenAI's chat completions on the wire: the request's JSON, and the answer's, whole or in chunks."""

from __future__ import annotations

import json
import re
from typing import Any

from stack.backend.llm.provider import ChatRequest, Chunk, Message, ProviderError, ToolCall, Usage

# Calls in one answer, as OpenAI has it.
_MAX_CALLS = 128

# Halves of characters beyond U+FFFF, as JSON escapes write them. Some endpoints send the two halves in two chunks.
_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF = re.compile("[\ud800-\udbff]$")

# Tokens in one answer that a provider may claim. More is a mistake, and would spend a budget at once.
_MAX_TOKENS = 10_000_000


def request_body(request: ChatRequest) -> bytes:
    """The body of `POST /chat/completions`, asking for a stream that ends with its usage."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message_json(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.tools:
        body["tools"] = [dict(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    # As ASCII: what a client sent may hold halves of characters, which cannot be written as UTF-8.
    return json.dumps(body).encode("ascii")


def _message_json(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    return body


class Reader:
    """Puts an answer together from the parts of its JSON."""

    def __init__(self) -> None:
        self._calls: dict[int, ToolCall] = {}
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._half = ""

    @property
    def finished(self) -> bool:
        """Whether the answer said that it ends; a stream that stops before has broken off."""
        return self._finish_reason is not None

    def last(self) -> Chunk:
        """The chunk that ends the answer."""
        calls = tuple(self._calls[index] for index in sorted(self._calls))
        return Chunk(tool_calls=calls, finish_reason=self._finish_reason, usage=self._usage)

    def read(self, payload: str | bytes) -> str:
        """Take in one part, of a stream or a whole answer, and return the text in it.

        Raises:
            ProviderError: it makes no sense, or says that the provider failed.
        """
        try:
            part = json.loads(payload)
            if error := part.get("error"):
                raise ProviderError("failed", f"the endpoint sent an error: {_words(error)}")
            self._read_usage(part.get("usage"))
            text = "".join(self._read_choice(choice) for choice in part.get("choices") or [])
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
            raise ProviderError("garbage", "the endpoint's answer is no chat completion") from error
        return text

    def _read_choice(self, choice: dict[str, Any]) -> str:
        if choice.get("index", 0) != 0:
            return ""
        delta = choice.get("delta") or choice.get("message") or {}
        for position, call in enumerate(delta.get("tool_calls") or []):
            self._read_call(position, call)
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)[:40]
        text = delta.get("content") or ""
        if not isinstance(text, str):
            raise TypeError("content is no text")
        text = self._half + text
        self._half = ""
        if _FIRST_HALF.search(text) and self._finish_reason is None:
            text, self._half = text[:-1], text[-1]
        return _joined(text)

    def _read_call(self, position: int, call: dict[str, Any]) -> None:
        index = int(call.get("index", position))
        if not 0 <= index < _MAX_CALLS:
            raise ValueError("too many calls")
        before = self._calls.get(index, ToolCall("", "", ""))
        function = call.get("function") or {}
        self._calls[index] = ToolCall(
            before.id or _joined(str(call.get("id") or "")),
            before.name + _joined(str(function.get("name") or "")),
            before.arguments + _joined(str(function.get("arguments") or "")),
        )

    def _read_usage(self, usage: dict[str, Any] | None) -> None:
        if usage:
            self._usage = Usage(_count(usage["prompt_tokens"]), _count(usage["completion_tokens"]), estimated=False)


def _joined(text: str) -> str:
    """The text with halves of characters joined; one without its other half becomes U+FFFD, as it could not be sent on."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_TOKENS:
        raise ValueError("no number of tokens")
    return value


def _words(error: Any) -> str:
    """What an error object of the API says, shortly."""
    return str(error.get("message") if isinstance(error, dict) else error)[:200]


def error_words(body: bytes) -> str:
    """What the body of an answer that is no success says, shortly; empty when it is not in the API's form."""
    try:
        return _words(json.loads(body)["error"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
