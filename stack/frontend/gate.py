"""Who may come in: requests for this page's own address, from this page or from a program that is no browser."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from stack.common.errors import answer
from stack.common.log import Log

log = Log("stack.frontend.gate")

_HOST = re.compile(r"([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?")

# They change nothing, and what they answer a foreign page cannot read.
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

_FOREIGN_HOST = (421, "foreign_host", "This page is not known by that name; PUBLIC_URL sets it.")
_FOREIGN_ORIGIN = (403, "foreign_origin", "Another site's page may not do this.")


def own_host(host: str, public: str) -> bool:
    """Whether a request's Host is one of this page's: `localhost`, an address, or the name in its public URL.

    Any other name means that a foreign site had its own name lead here, so that a browser takes that site's script for ours (DNS
    rebinding). An address cannot be made to lead elsewhere.

    Args:
        host: the header, with or without a port.
        public: the name in the public URL.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    if found[1] in ("localhost", public):
        return True
    try:
        ipaddress.ip_address(found[1].strip("[]"))
    except ValueError:
        return False
    return True


def same_origin(headers: Headers) -> bool:
    """Whether a request comes from this page, or from no page at all: then it has no Origin."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False


class Gate:
    """The layer that refuses requests under a foreign name, and WebSockets and changes that a foreign page asks for.

    Args:
        app: what is behind it.
        public_url: where browsers find the page.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self._app = app
        self._public = urlsplit(public_url).hostname or ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        asked = {name: headers.get(name, "")[:200] for name in ("host", "origin")}
        log.warning("Refused a request", reason=refusal[1], path=scope["path"][:200], **asked)
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(answer(*refusal))
        else:
            await answer(*refusal)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        if not own_host(headers.get("host", ""), self._public):
            return _FOREIGN_HOST
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return None
        return None if same_origin(headers) else _FOREIGN_ORIGIN
