"""From a URL in the manifest to the request that is sent: worked out once, sent many times."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import h11

from devctl.health.address import Target, show
from devctl.plan import HttpProbe
from devctl.version import __version__

PORTS = {"http": 80, "https": 443}
SAFE = "/%:=&?~+!$,;'@()*[]|"  # left as the user wrote them; anything else is percent-encoded


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request and where it goes."""

    target: Target
    tls: bool
    message: h11.Request


def build_request(probe: HttpProbe) -> HttpRequest:
    """The request of `probe`. Raises ValueError with a sentence for the user when its URL or headers make none."""
    try:
        url = urlsplit(probe.url)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ValueError(f"{probe.url!r} is no URL: {error}") from None
    if url.scheme not in PORTS or not host:
        raise ValueError(f"{probe.url!r} is no http:// or https:// URL with a host")
    if not host.isascii():
        host = host.encode("idna").decode()
    host = host.replace("%25", "%")  # a zone, RFC 6874
    default_port = PORTS[url.scheme]
    headers = [(name.encode("ascii", "replace"), value.strip().encode()) for name, value in probe.headers]
    given = {name.lower() for name, _ in headers}
    name = host.partition("%")[0]
    defaults = {
        b"Host": show(name, port) if port not in (None, default_port) else show(name, 0).removesuffix(":0"),
        b"User-Agent": f"devctl/{__version__}",
        b"Accept": "*/*",
        b"Accept-Encoding": "identity",
        b"Connection": "close",
    }
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        defaults[b"Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
    if probe.method.upper() in ("POST", "PUT", "PATCH"):
        defaults[b"Content-Length"] = "0"
    headers += [(name, value.encode()) for name, value in defaults.items() if name.lower() not in given]
    path = quote(url.path or "/", safe=SAFE) + ("?" + quote(url.query, safe=SAFE) if url.query else "")
    try:
        message = h11.Request(method=probe.method.upper(), target=path, headers=headers)
    except h11.LocalProtocolError as error:
        raise ValueError(f"the request to {probe.url!r} cannot be sent: {error}") from None
    return HttpRequest(Target(host, port or default_port), url.scheme == "https", message)
