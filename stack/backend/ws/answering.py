"""Answers to a conversation's messages: begun here, told to whoever is connected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from stack.backend.ws.conversation import Conversation
from stack.common.errors import ApiError
from stack.common.log import Log, request_id

log = Log("stack.backend.answering")

LONGEST = 300.0
"""Seconds for one answer. A model that writes for longer has lost its way."""

Source = Callable[[str, str, str], AsyncIterator[dict[str, Any]]]
"""Called with the router's key, the conversation's name and the message: pieces `routed`, `chunk`…, `end`. Raises ApiError."""

Decide = Callable[[str, bool, str], Any]
"""Awaited with a call's id, whether it is allowed, and the conversation's key. Raises ApiError."""


class Answering:
    """Begins, cancels and tells answers; one at a time for each conversation.

    Args:
        sources: by mode, where answers come from.
        decide: tells the tools what a person has decided.
    """

    def __init__(self, sources: Mapping[str, Source], decide: Decide) -> None:
        self._sources = sources
        self._decide = decide
        self._deciding: set[asyncio.Task[None]] = set()

    def begin(self, conversation: Conversation, message_id: str, text: str, mode: str | None = None) -> None:
        """Begins to answer, in another mode when one is given. Raises ApiError (409) while another answer is under way."""
        if conversation.busy:
            raise ApiError(409, "answering", "The last message is still being answered; wait for it, or cancel it.")
        conversation.mode = mode or conversation.mode
        conversation.message_count += 1
        conversation.publish("typing", message_id=message_id, active=True)
        task = conversation.answering = asyncio.create_task(self._answer(conversation, message_id, text))
        task.add_done_callback(lambda ended: self._over(conversation, message_id, ended))

    def cancel(self, conversation: Conversation) -> None:
        """Stops the answer under way, if there is one."""
        if conversation.answering is not None:
            conversation.answering.cancel()

    def confirm(self, conversation: Conversation, call_id: str, allow: bool) -> None:
        """Hands a decision on; what comes of it is told when the tool has answered, which may take half a minute."""
        task = asyncio.create_task(self._confirm(conversation, call_id, allow))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)

    async def _confirm(self, conversation: Conversation, call_id: str, allow: bool) -> None:
        try:
            outcome = await self._decide(call_id, allow, conversation.key)
        except ApiError as error:
            conversation.publish("error", error={"code": error.code, "message": str(error.detail)}, call_id=call_id)
        except Exception as error:
            log.error("A confirmed call failed", exc_info=error)
            failure = {"code": "internal_error", "message": "The backend failed to make the call; its log says why."}
            conversation.publish("error", error=failure, call_id=call_id)
        else:
            conversation.publish(
                "system", kind="confirmed", call_id=call_id, allowed=outcome.allowed, ok=outcome.ok, text=outcome.text
            )

    async def _answer(self, conversation: Conversation, message_id: str, text: str) -> None:
        request_id.set(message_id)
        try:
            async with asyncio.timeout(LONGEST):
                await self._tell(conversation, message_id, text)
        except ApiError as error:
            self._failed(conversation, message_id, error.code, str(error.detail))
        except TimeoutError:
            self._failed(conversation, message_id, "too_long", f"The answer took over {LONGEST:g} s and was stopped.")
        except Exception as error:
            log.error("An answer failed", exc_info=error)
            self._failed(conversation, message_id, "internal_error", "The backend failed to answer; its log says why.")

    def _over(self, conversation: Conversation, message_id: str, task: asyncio.Task[None]) -> None:
        # Not said within the task: one that is cancelled at once never runs.
        if task.cancelled():
            self._failed(conversation, message_id, "cancelled", "The answer was stopped.")
        conversation.idle()

    async def _tell(self, conversation: Conversation, message_id: str, text: str) -> None:
        source = self._sources[conversation.mode]
        async with contextlib.AsyncExitStack() as opened:
            pieces = source(conversation.key, conversation.session_id, text)
            await opened.enter_async_context(aclosing(pieces))  # type: ignore[type-var]
            async for piece in pieces:
                fields = {key: value for key, value in piece.items() if key != "type"}
                match piece["type"]:
                    case "routed":
                        conversation.publish("stream_start", message_id=message_id, request_id=message_id, **fields)
                    case "chunk":
                        conversation.publish("stream_chunk", message_id=message_id, text=str(fields["text"]))
                    case "end":
                        conversation.publish("stream_end", message_id=message_id, **fields)

    def _failed(self, conversation: Conversation, message_id: str, code: str, message: str) -> None:
        conversation.publish("error", message_id=message_id, error={"code": code, "message": message})
