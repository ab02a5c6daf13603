"""The guard in front of protected routes: `Depends(require)` answers 401 to whoever it does not know."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection, Request

from stack.common.errors import ApiError

if TYPE_CHECKING:
    from stack.backend.auth.service import Auth

INTERNAL = "internal"
"""The account id of another service of this stack."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking.

    Attributes:
        account_id: stays the same for ever; `internal` for another service of this stack.
        name: as people call the account.
        session_id: which of the account's sign-ins this is; `internal` for another service.
        admin: whether it may change what concerns everybody.
    """

    account_id: str
    name: str
    session_id: str
    admin: bool

    @property
    def internal(self) -> bool:
        """Whether another service of this stack is asking, not a person."""
        return self.account_id == INTERNAL


def unknown(code: str, message: str) -> ApiError:
    """The 401 answer (RFC 6750, section 3)."""
    return ApiError(401, code, message, {"WWW-Authenticate": "Bearer"})


# For the description of the API, where it makes the routes' need known; the header itself is read below, which says more.
_BEARER = HTTPBearer(auto_error=False, description="An access token, as from POST /api/auth/login")


async def require(request: Request, _: Annotated[object, Security(_BEARER)] = None) -> Principal:
    """Who is asking, by an access token (`Bearer`) or as another service of this stack (`Internal`).

    Raises:
        ApiError: 401 when neither is given or valid, 503 when it cannot be checked now.
    """
    auth = _auth(request)
    header = request.headers.get("Authorization", "")
    if (service := auth.internal.verify(header)) is not None:
        return Principal(INTERNAL, service, INTERNAL, admin=False)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise unknown("not_signed_in", "Sign in first: the request carries no access token.")
    return await auth.principal_of(token.strip())


async def require_admin(request: Request, _: Annotated[object, Security(_BEARER)] = None) -> Principal:
    """As `require`, for what concerns everybody: 403 for those who are no admins."""
    principal = await require(request)
    if not principal.admin:
        raise ApiError(403, "admins_only", "Only an admin may do this.")
    return principal


async def require_metrics(request: Request) -> None:
    """For `/metrics`: with AUTH=required only METRICS_TOKEN (as `Bearer`) or another service may read; else anybody.

    Raises:
        ApiError: 401.
    """
    auth = _auth(request)
    header = request.headers.get("Authorization", "")
    if not auth.settings.required or auth.internal.verify(header) is not None:
        return
    scheme, _, token = header.partition(" ")
    expected = auth.settings.metrics_token
    if expected and scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), expected.encode()):
        return
    raise unknown("not_signed_in", "The metrics are for those who know METRICS_TOKEN.")


def _auth(connection: HTTPConnection) -> Auth:
    auth: Auth = connection.app.state.auth
    return auth
