"""A streamed answer on the wire: one JSON object a line (application/x-ndjson), sent as soon as it is known.

`{"type": "routed", "intent", "confidence", "agent"}`, then any number of `{"type": "chunk", "text"}`, then
`{"type": "end", …RouteAnswer}`; or, in place of what would be next, `{"type": "error", "error": {"code", "message"}}`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from stack.common.contract import RouteAnswer
from stack.common.errors import ApiError
from stack.common.log import Log
from stack.router.classifier import Intent
from stack.router.engine import Chunk

log = Log("stack.router")


class LinesResponse(StreamingResponse):
    """The answer to a message as lines.

    Args:
        pieces: what the engine streams. It is closed when the client goes away.
    """

    media_type = "application/x-ndjson"

    def __init__(self, pieces: AsyncGenerator[Intent | Chunk | RouteAnswer, None]) -> None:
        self._lines = _lines(pieces)
        super().__init__(self._lines, headers={"Cache-Control": "no-store"})

    async def stream_response(self, send: Send) -> None:
        # Without this a cancelled stream would hold its conversation's lock until the garbage collector comes by.
        async with contextlib.aclosing(self._lines):
            await super().stream_response(send)


async def _lines(pieces: AsyncGenerator[Intent | Chunk | RouteAnswer, None]) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(pieces):
        try:
            async for piece in pieces:
                yield _line(_content(piece))
        except ApiError as error:
            log.warning("The answer failed", code=error.code, reason=str(error.detail))
            yield _line({"type": "error", "error": {"code": error.code, "message": str(error.detail)}})
        except Exception as error:
            log.error("The answer failed", exc_info=error)
            message = "The router failed to answer; its log says why."
            yield _line({"type": "error", "error": {"code": "internal_error", "message": message}})


def _content(piece: Intent | Chunk | RouteAnswer) -> dict[str, Any]:
    if isinstance(piece, Intent):
        return {"type": "routed", "intent": piece.name, "confidence": piece.confidence, "agent": piece.agent}
    if isinstance(piece, Chunk):
        return {"type": "chunk", "text": piece.text}
    return {"type": "end", **piece.model_dump()}


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
