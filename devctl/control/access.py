"""Who may use the control API over TCP.

A Unix socket has its file mode for this, and no browser can reach it. A TCP port is open to every user of the machine and to every
page in a browser, so there a bearer token is asked for, and requests a browser was tricked into are refused: a foreign Origin, or a
Host that is a name, which its owner may have pointed at this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from devctl.control import sse
from devctl.control.problems import error_json
from devctl.errors import ControlError, UsageError

MIN_TOKEN = 16  # characters; `secrets.token_urlsafe()` gives 43
PUBLIC = frozenset({"/health"})  # says nothing but that it runs, and load balancers bring no tokens


@dataclass(frozen=True, slots=True)
class Listen:
    """A TCP address to serve the API on, and the token that opens it. `port` 0 takes a free one."""

    host: str
    port: int
    token: str = field(repr=False)

    @classmethod
    def parse(cls, text: str, token: str, *, allow_remote: bool = False) -> Listen:
        """From "host:port", "[::1]:port" or "port" alone, which means 127.0.0.1.

        Raises:
            UsageError: no address, a token that is too short, or an address that other machines reach without `allow_remote`.
        """
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
            raise UsageError(f"{text!r} is no address to listen on", "use host:port, such as 127.0.0.1:7070")
        if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
            raise UsageError(
                f"the token for {text} is too weak", f"use at least {MIN_TOKEN} printable ASCII characters, best random ones"
            )
        if not (allow_remote or _is_loopback(host)):
            raise UsageError(
                f"{host} is reached by other machines, and the API can run and stop programs here",
                "listen on 127.0.0.1, or allow remote access explicitly",
            )
        return cls(host, int(port), token)

    def bind(self) -> socket.socket:
        """A bound TCP socket. Raises ControlError when the address cannot be had."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(address)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            what = f"cannot listen on {self.host}:{self.port}: {error.strerror or error}"
            raise ControlError(what, "choose another address") from error
        return sock


class Guard:
    """ASGI middleware: lets requests through that carry the token and come from where they say.

    Args:
        app: what is guarded.
        token: the bearer token (RFC 6750, section 2.1).
        host_names: names besides "localhost" that the Host header may have; addresses are always fine.
    """

    def __init__(self, app: ASGIApp, token: str, *, host_names: Iterable[str] = ()) -> None:
        self._app = app
        self._token = token.encode("ascii")
        self._host_names = frozenset({"localhost", *(name.lower() for name in host_names)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts, origins, credentials = (_values(headers, name) for name in (b"host", b"origin", b"authorization"))
        if len(hosts) != 1 or not self._host_allowed(hosts[0]):
            return HTTPStatus.FORBIDDEN, "this Host header is not served", "use the address itself, or localhost"
        # Browsers send an Origin with everything that a foreign page can make them send with a body or read back.
        if any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in origins):
            return HTTPStatus.FORBIDDEN, "requests from another site's pages are refused", "ask from outside a browser"
        if scope["path"] in PUBLIC and scope["method"] in ("GET", "HEAD"):
            return None
        scheme, _, given = credentials[0].partition(" ") if len(credentials) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), self._token):
            return HTTPStatus.UNAUTHORIZED, "this needs the API's token", "send `Authorization: Bearer TOKEN`"
        return None

    def _host_allowed(self, value: str) -> bool:
        name, colon, port = value.rpartition(":")
        if not colon or value.endswith("]"):
            name, port = value, ""
        if port and not (port.isascii() and port.isdecimal()):
            return False
        return name.lower() in self._host_names or _is_address(name.removeprefix("[").removesuffix("]"))


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


async def _refuse(send: Send, status: HTTPStatus, what: str, mend: str) -> None:
    body = sse.dump(error_json(status.name.lower(), what, mend, ControlError.exit_status))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
