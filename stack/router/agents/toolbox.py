"""The backend's tools, as the ops agent uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from stack.common.internal import InternalKey
from stack.common.log import Log, request_id
from stack.common.web import REQUEST_ID_HEADER

log = Log("stack.router.tools")

# Seconds. Longer than the backend gives a tool (30), so that it is the backend that says what was too slow.
_TIMEOUT = httpx.Timeout(35.0, connect=1.0)

# Bytes of an answer; the backend bounds a tool's to some hundred kilobytes.
_MAX_ANSWER = 2 * 1024 * 1024


class ToolTrouble(Exception):
    """A tool cannot be called, or its answer cannot be used; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What came of a call.

    Attributes:
        ok: the tool did it.
        text: what it said, for people.
        data: the same for programs; empty without.
        confirmation: the call waits for a person, who is asked this; else empty.
    """

    ok: bool
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    confirmation: str = ""


class Toolbox:
    """Calls tools.

    Args:
        url: the backend's address, without a slash at the end.
        client: what to call with. Its owner closes it.
        key: what proves to the backend who asks.
    """

    def __init__(self, url: str, client: httpx.AsyncClient, key: InternalKey) -> None:
        self._url = url
        self._client = client
        self._key = key

    async def call(self, name: str, arguments: dict[str, Any], session_id: str = "") -> ToolAnswer:
        """Call a tool.

        Args:
            name: whole, such as `devctl.status`.
            session_id: the conversation; a call that changes something is confirmed there.

        Raises:
            ToolTrouble: the backend cannot be reached, refuses, or gives no usable answer.
        """
        body = {"arguments": arguments} | ({"session_id": session_id} if session_id else {})
        headers = {**self._key.headers("router"), REQUEST_ID_HEADER: request_id.get()}
        try:
            status, answer = await self._post(f"{self._url}/api/tools/{name}", body, headers)
            if status == 202:
                return ToolAnswer(ok=False, text="", confirmation=str(answer["confirmation"]["text"]))
            if status == 200:
                return ToolAnswer(ok=answer["ok"] is True, text=str(answer["text"]), data=answer["data"] or {})
            message = str(answer["error"]["message"])
        except httpx.TimeoutException as error:
            raise ToolTrouble("the backend, which has the tools, does not answer") from error
        except httpx.HTTPError as error:
            raise ToolTrouble("the backend, which has the tools, cannot be reached") from error
        except (ValueError, KeyError, TypeError) as error:
            log.error("The backend's answer about a tool cannot be used", tool=name, reason=str(error)[:300])
            raise ToolTrouble("the backend's answer makes no sense") from error
        log.warning("A tool could not be called", tool=name, status=status, reason=message[:300])
        raise ToolTrouble(message.rstrip("."))

    async def _post(self, url: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        content = b""
        async with self._client.stream("POST", url, json=body, headers=headers, timeout=_TIMEOUT) as response:
            async for block in response.aiter_bytes():
                content += block
                if len(content) > _MAX_ANSWER:
                    raise ValueError("it is too long")
        return response.status_code, httpx.Response(200, content=content).json()
