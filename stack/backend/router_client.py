"""The router, as the backend sees it: its answer, or an error that says which way it failed."""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from stack.common.contract import RouteAnswer, RouteRequest
from stack.common.errors import ApiError
from stack.common.log import Log, request_id
from stack.common.web import REQUEST_ID_HEADER

log = Log("stack.backend.router")

# Seconds. A route takes milliseconds, and up to a second when an agent asks a service that does not answer.
TIMEOUT = 10.0


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
            ApiError: 503 when it is not there or still starts, 504 when it takes too long, 502 when its answer makes no sense.
        """
        response = await self._send("POST", "/route", content=question.model_dump_json())
        if response.status_code == 503:
            raise ApiError(503, "router_starting", "The router is still starting; try again in a moment.", {"Retry-After": "1"})
        try:
            return RouteAnswer.model_validate_json(response.raise_for_status().content)
        except (httpx.HTTPStatusError, ValidationError) as error:
            log.error("The router's answer cannot be used", status=response.status_code, reason=str(error)[:300])
            raise ApiError(502, "router_failed", "The router failed to answer; its log says why.") from error

    async def forget(self, session_id: str) -> bool:
        """Delete a conversation. True when there was one. Raises what `route` raises."""
        response = await self._send("DELETE", f"/sessions/{session_id}")
        if response.status_code not in (204, 404):
            raise ApiError(502, "router_failed", "The router failed to delete the conversation; its log says why.")
        return response.status_code == 204

    async def _send(self, method: str, path: str, *, content: str | None = None) -> httpx.Response:
        headers = {REQUEST_ID_HEADER: request_id.get(), "Content-Type": "application/json"}
        try:
            return await self._client.request(method, self._url + path, content=content, headers=headers)
        except httpx.TimeoutException as error:
            log.error("The router does not answer", url=self._url, seconds=TIMEOUT)
            raise ApiError(504, "router_timeout", f"The router did not answer within {TIMEOUT:g} s.") from error
        except httpx.HTTPError as error:
            log.error("The router cannot be reached", url=self._url, reason=str(error))
            message = "The router cannot be reached. `devctl status` shows whether it runs."
            raise ApiError(503, "router_unreachable", message, {"Retry-After": "1"}) from error
