"""The one shape of every error answer: `{"error": {"code", "message"}}`.

`code` is for programs and stays as it is; `message` is a sentence for people.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class ApiError(HTTPException):
    """An answer other than success.

    Args:
        status: the HTTP status, 400 to 599.
        code: a short name for programs, snake_case.
        message: what happened and what would mend it, for people.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)
        self.code = code


def answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error answer in the common shape."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(error.status_code, _code(error), str(error.detail), error.headers)


def _code(error: HTTPException) -> str:
    if isinstance(error, ApiError):
        return error.code
    # What the framework itself refuses: 404 becomes not_found, 405 method_not_allowed.
    return HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")


async def _crash(request: Request, error: Exception) -> Response:
    return answer(500, "internal_error", "The service failed to handle this request; its log says why.")


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    HTTPException: _http_error,
    Exception: _crash,
}
"""Exception handlers for a Starlette or FastAPI application."""
