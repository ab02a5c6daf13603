"""Who may use the router: with AUTH=required only the other services, else anybody on this machine."""

from __future__ import annotations

import hmac
import os

from starlette.requests import Request

from stack.common.errors import ApiError
from stack.common.internal import InternalKey
from stack.common.settings import SettingError


class Access:
    """The rules, from AUTH (`development`, the default, or `required`) and METRICS_TOKEN.

    Args:
        key: what the other services prove themselves with.

    Raises:
        SettingError: AUTH is neither.
    """

    def __init__(self, key: InternalKey) -> None:
        mode = os.environ.get("AUTH", "").strip().lower() or "development"
        if mode not in ("development", "required"):
            raise SettingError(f"AUTH={mode!r}: give development or required")
        self._required = mode == "required"
        self._metrics_token = os.environ.get("METRICS_TOKEN", "").strip()
        self._key = key

    def check(self, request: Request) -> None:
        """Raises ApiError 401 for who may not use the router."""
        if self._required and self._key.verify(request.headers.get("Authorization")) is None:
            raise _refusal("The router answers the other services only. Ask the backend.")

    def check_metrics(self, request: Request) -> None:
        """Raises ApiError 401 for who may not read the metrics: those who know METRICS_TOKEN may as well (as `Bearer`)."""
        header = request.headers.get("Authorization", "")
        if not self._required or self._key.verify(header) is not None:
            return
        scheme, _, token = header.partition(" ")
        expected = self._metrics_token
        if not expected or scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected.encode()):
            raise _refusal("The metrics are for those who know METRICS_TOKEN.")


def _refusal(message: str) -> ApiError:
    return ApiError(401, "not_signed_in", message, {"WWW-Authenticate": "Bearer"})
