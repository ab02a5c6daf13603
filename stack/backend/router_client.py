"""The router, as the backend sees it: its answer, or an error that says which way it failed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from pydantic import ValidationError

from stack.common import internal
from stack.common.contract import RouteAnswer, RouteRequest
from stack.common.errors import ApiError
from stack.common.log import Log, request_id
from stack.common.web import REQUEST_ID_HEADER

log = Log("stack.backend.router")

# Seconds. A route takes milliseconds, and up to a second when an agent asks a service that does not answer.
TIMEOUT = 10.0

# Seconds between two pieces of a streamed answer: a model may think for a while before its first word.
STREAM_TIMEOUT = 90.0

# Characters of one line of a streamed answer. The last one repeats the whole reply.
_LINE = 256 * 1024

# What the router refuses with, by status: the code and the message.
_REFUSALS = {
    429: ("busy", "Too many messages of this conversation wait for their turn."),
    503: ("router_starting", "The router is still starting; try again in a moment."),
    504: ("agent_timeout", "The agent took too long and was given up."),
}

# The same said in the midst of a stream, by code.
_STATUSES = {"busy": 429, "stopping": 503, "agent_timeout": 504}
_AGAIN = {"Retry-After": "1"}

_FAILED = "The router failed to answer; its log says why."


class RouterClient:
    """Calls the router.

    Args:
        url: its address, without a slash at the end.
        client: what to call with. Its owner closes it.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def route(self, question: RouteRequest) -> RouteAnswer:
        """The router's answer to a message.

        Raises:
            ApiError: 503 when it is not there or still starts, 504 when it takes too long, 429 when too many messages of the
                conversation wait already, 502 when its answer makes no sense.
        """
        response = await self._send("POST", "/route", content=question.model_dump_json())
        try:
            return RouteAnswer.model_validate_json(response.raise_for_status().content)
        except (httpx.HTTPStatusError, ValidationError) as error:
            log.error("The router's answer cannot be used", status=response.status_code, reason=str(error)[:300])
            raise ApiError(502, "router_failed", _FAILED) from error

    async def stream(self, question: RouteRequest) -> AsyncIterator[dict[str, Any]]:
        """The router's answer piece by piece: `routed`, any number of `chunk`, and `end`, which is a RouteAnswer as well.

        Raises:
            ApiError: as `route` does, also in the midst of the answer.
        """
        timeout = httpx.Timeout(TIMEOUT, read=STREAM_TIMEOUT)
        try:
            async with self._client.stream(
                "POST", f"{self._url}/route/stream", content=question.model_dump_json(), headers=_headers(), timeout=timeout
            ) as response:
                _check(response)
                response.raise_for_status()
                async for line in _lines(response):
                    piece = json.loads(line)
                    if piece["type"] == "error":
                        error = piece["error"]
                        raise _error(_STATUSES.get(error["code"], 502), str(error["code"]), str(error["message"]))
                    if piece["type"] == "end":
                        RouteAnswer.model_validate({key: value for key, value in piece.items() if key != "type"})
                        yield piece
                        return
                    yield piece
                raise ValueError("it ended in the midst")
        except (httpx.HTTPStatusError, ValidationError, ValueError, KeyError, TypeError) as failure:
            log.error("The router's answer cannot be used", reason=str(failure)[:300])
            raise ApiError(502, "router_failed", _FAILED) from failure
        except httpx.HTTPError as failure:
            raise self._unreachable(failure, STREAM_TIMEOUT) from failure

    async def history(self, session_id: str) -> dict[str, Any]:
        """What was said in a conversation: `turns`, each with `role` and `text`; none when there is no such conversation."""
        response = await self._send("GET", f"/sessions/{session_id}")
        if response.status_code == 404:
            return {"turns": [], "history_length": 0}
        try:
            answer = response.raise_for_status().json()
            return {"turns": list(answer["turns"]), "history_length": int(answer["history_length"])}
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            raise ApiError(502, "router_failed", _FAILED) from error

    async def forget(self, session_id: str) -> bool:
        """Delete a conversation. True when there was one. Raises what `route` raises."""
        response = await self._send("DELETE", f"/sessions/{session_id}")
        if response.status_code not in (204, 404):
            raise ApiError(502, "router_failed", "The router failed to delete the conversation; its log says why.")
        return response.status_code == 204

    async def _send(self, method: str, path: str, *, content: str | None = None) -> httpx.Response:
        try:
            response = await self._client.request(method, self._url + path, content=content, headers=_headers())
        except httpx.HTTPError as error:
            raise self._unreachable(error, TIMEOUT) from error
        _check(response)
        return response

    def _unreachable(self, error: httpx.HTTPError, seconds: float) -> ApiError:
        if isinstance(error, httpx.TimeoutException):
            log.error("The router does not answer", url=self._url, seconds=seconds)
            return ApiError(504, "router_timeout", f"The router did not answer within {seconds:g} s.")
        log.error("The router cannot be reached", url=self._url, reason=str(error))
        message = "The router cannot be reached. `devctl status` shows whether it runs."
        return ApiError(503, "router_unreachable", message, {"Retry-After": "1"})


def _check(response: httpx.Response) -> None:
    """Raises ApiError for what the router refuses."""
    if refusal := _REFUSALS.get(response.status_code):
        raise _error(response.status_code, *refusal)


def _error(status: int, code: str, message: str) -> ApiError:
    # Made anew each time: an error that is raised again and again keeps every frame that it came through.
    return ApiError(status, code, message, _AGAIN if status in (429, 503) else None)


def _headers() -> dict[str, str]:
    return {REQUEST_ID_HEADER: request_id.get(), "Content-Type": "application/json", **internal.headers("backend")}


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for block in response.aiter_bytes():
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _LINE:
            raise ValueError(f"a line is over {_LINE} bytes")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
