"""Conversations with a model directly, without the router: the mode `direct` of a WebSocket."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from stack.backend.llm.provider import Message
from stack.backend.orchestrator import AskRequest, Delta, Done, Orchestrator

# Conversations whose last messages are remembered, and how many of each. Beyond it the oldest are forgotten.
_CONVERSATIONS = 500
_MESSAGES = 20


class Direct:
    """Conversations by the router's keys; each remembers its last messages."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._histories: OrderedDict[str, tuple[Message, ...]] = OrderedDict()

    def forget(self, key: str) -> bool:
        """Forgets a conversation. True when there was one."""
        return self._histories.pop(key, None) is not None

    async def stream(self, key: str, session_id: str, message: str) -> AsyncIterator[dict[str, Any]]:
        """Answers from the chain of models, in the form of the router's. Raises ApiError."""
        began = time.perf_counter()
        history = (*self._histories.get(key, ()), Message("user", message))
        yield {"type": "routed", "intent": "chat.direct", "confidence": 1.0, "agent": "model"}
        async with aclosing(self._orchestrator.stream(AskRequest(history))) as pieces:
            async for piece in pieces:
                match piece:
                    case Delta():
                        yield {"type": "chunk", "text": piece.text}
                    case Done():
                        history = (*history, Message("assistant", piece.answer.text))[-_MESSAGES:]
                        self._histories[key] = history
                        self._histories.move_to_end(key)
                        while len(self._histories) > _CONVERSATIONS:
                            self._histories.popitem(last=False)
                        took = round((time.perf_counter() - began) * 1000, 2)
                        yield {
                            "type": "end",
                            "intent": "chat.direct",
                            "confidence": 1.0,
                            "agent": "model",
                            "reply": piece.answer.text,
                            "history_length": len(history),
                            "model": piece.answer.model,
                            "cached": piece.answer.cached,
                            "timings": {"classify_ms": 0.0, "agent_ms": took, "total_ms": took},
                        }
