"""What a request says of the browser that sent it: from where, whether from the page, and the page's cookies.

The page's refresh token lives in a cookie that scripts cannot read and other sites cannot send. SameSite alone is not enough: it
knows no ports, so that any other server on this machine is the same site. A request therefore counts as the page's only with a
header that no other origin can send without asking first, which is never granted, or with the browser's own word for it.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from stack.backend.auth.flow import FLOW_LIFETIME
from stack.backend.auth.sessions import IDLE, Caller
from stack.backend.auth.settings import AuthSettings
from stack.common.errors import ApiError

PAGE_HEADER = "X-Requested-With"
"""Any value: the caller is the page."""

PATH = "/api/auth"
"""Where the refresh token is sent to, and nowhere else."""

# A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port (RFC 3986, section 3.2).
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::\d*)?")


def caller_of(request: Request) -> Caller:
    """Where the request comes from."""
    address = request.client.host if request.client else "unknown"
    # The frontend's proxy, on this machine, says for whom it asks. Nobody else is believed: they could be anybody at every try.
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    if forwarded and address in ("127.0.0.1", "::1"):
        address = _address(forwarded) or address
    page = PAGE_HEADER in request.headers or request.headers.get("Sec-Fetch-Site") == "same-origin"
    return Caller(address, request.headers.get("User-Agent", ""), page)


async def same_origin(request: Request) -> None:
    """Refuse what a page of another origin sends (403). Browsers say so themselves; another port here is `same-site`."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise ApiError(403, "other_origin", "Sign-ins are taken from this stack's own page only.")


def known_host(request: Request, settings: AuthSettings) -> None:
    """Refuse a host name that is not ours (403): a page elsewhere can let its own name lead to this machine (DNS rebinding)."""
    # The header itself: `request.url` puts the server's address in place of a name that it finds odd.
    found = _HOST.fullmatch(request.headers.get("Host", ""))
    host = found[1].strip("[]") if found else ""
    if host not in ("localhost", urlsplit(settings.public_url).hostname) and _address(host) is None:
        raise ApiError(403, "unknown_host", "This stack is not known by that name; PUBLIC_URL sets it.")


class Cookies:
    """The cookies of the page. Their names have its port: two stacks on one machine keep apart.

    Args:
        settings: where the page is.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._secure = settings.secure
        self._refresh = f"assistant_refresh_{settings.port}"
        self._flow = f"assistant_oidc_{settings.port}"

    def refresh(self, request: Request) -> str | None:
        """The refresh token that a request carries."""
        return request.cookies.get(self._refresh)

    def flow(self, request: Request) -> str:
        """The sealed flow that a request carries; empty without one."""
        return request.cookies.get(self._flow, "")

    def set_refresh(self, response: Response, token: str) -> None:
        """Have the page keep a refresh token."""
        response.set_cookie(self._refresh, token, int(IDLE), path=PATH, httponly=True, samesite="strict", secure=self._secure)

    def drop_refresh(self, response: Response) -> None:
        """Have the page forget its refresh token."""
        response.delete_cookie(self._refresh, path=PATH, httponly=True, samesite="strict", secure=self._secure)

    def set_flow(self, response: Response, sealed: str) -> None:
        """Have the browser keep a flow. Lax: the provider sends the browser back, and a strict cookie would stay behind."""
        path = f"{PATH}/oidc"
        response.set_cookie(self._flow, sealed, FLOW_LIFETIME, path=path, httponly=True, samesite="lax", secure=self._secure)

    def drop_flow(self, response: Response) -> None:
        """Have the browser forget the flow."""
        response.delete_cookie(self._flow, path=f"{PATH}/oidc", httponly=True, samesite="lax", secure=self._secure)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
