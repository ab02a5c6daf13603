"""The way from the page to the backend: requests under `/api` are handed on, answers streamed back."""

from __future__ import annotations

import httpx
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from stack.common.errors import ApiError
from stack.common.log import Log, request_id
from stack.common.web import REQUEST_ID_HEADER

log = Log("stack.frontend.proxy")

# Seconds. Longer than the backend's own patience with the router, so that its answer, which knows the cause, arrives first.
TIMEOUT = 15.0

# What concerns one connection only and must not be handed on (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

_SET_BY_CLIENT = frozenset(("host", "content-length"))
_SET_BY_SERVER = frozenset(("date",))


class Proxy:
    """Hands requests on to the backend.

    Args:
        url: the backend's address, without a slash at the end.
        client: what to call with. Its owner closes it.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = httpx.URL(url)
        self._client = client

    async def hand_on(self, request: Request) -> Response:
        """The backend's answer to `request`, whatever its status.

        Raises:
            ApiError: 502 when the backend cannot be reached, 504 when it takes too long.
        """
        # As it came, undecoded: %2F and the like mean what the client meant.
        path = request.scope["raw_path"]
        query = request.scope["query_string"]
        onward = self._client.build_request(
            request.method,
            self._url.copy_with(raw_path=path + b"?" + query if query else path),
            headers=[(name, value) for name, value in request.headers.items() if name not in _HOP_BY_HOP | _SET_BY_CLIENT],
            content=await request.body(),
        )
        onward.headers[REQUEST_ID_HEADER] = request_id.get()
        try:
            response = await self._client.send(onward, stream=True)
        except httpx.TimeoutException as error:
            log.error("The backend does not answer", url=str(self._url), seconds=TIMEOUT)
            raise ApiError(504, "backend_timeout", f"The backend did not answer within {TIMEOUT:g} s.") from error
        except httpx.HTTPError as error:
            log.error("The backend cannot be reached", url=str(self._url), reason=str(error))
            message = "The backend cannot be reached. `devctl status` shows whether it runs."
            raise ApiError(502, "backend_unreachable", message) from error
        # Raw, so that a compressed body stays what its headers say.
        answer = StreamingResponse(response.aiter_raw(), response.status_code, background=BackgroundTask(response.aclose))
        dropped = {name.encode() for name in _HOP_BY_HOP | _SET_BY_SERVER}
        answer.raw_headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in dropped]
        return answer
