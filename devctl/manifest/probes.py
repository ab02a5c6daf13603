"""The healthcheck key: its probes, and the addresses they go to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from devctl.manifest.command import CommandForm
from devctl.manifest.forms import Key, MapOf, Table
from devctl.manifest.nodes import Mapping, Node
from devctl.manifest.nodes import Sequence as ListNode
from devctl.manifest.scalars import VARIABLE, Duration, Flag, Number, Regex, Schema, Text, expect_scalar
from devctl.manifest.source import Problems, Wrong, quoted
from devctl.plan import REFERENCE, HttpProbe, TcpProbe

_URL_HELP = "write http://127.0.0.1:PORT/path"
_TCP_HELP = "write host:port, such as 127.0.0.1:${services.NAME.port}"
_STATUS_HELP = "write 200, 2xx, 200-299, or a list of those"
_STATUS = r"[1-5]xx|[1-5]\d\d(-[1-5]\d\d)?"


@dataclass(frozen=True)
class HttpUrl:
    """An http or https URL; references may stand in it."""

    def read(self, node: Node, problems: Problems) -> str:
        text = expect_scalar(node, "a URL", _URL_HELP, references=True)
        # A whole URL as a reference (`${services.x.url}/health`) is only known once ports are.
        known = REFERENCE.sub(lambda match: "1" if match[1].endswith("port") or ".ports." in match[1] else "http://url", text)
        try:
            parts = urlsplit(known)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or re.search(r"[\s\x7f]", known):
            raise Wrong(node, f"{quoted(text)} is not an http URL", _URL_HELP)
        return text

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^https?://|\$"}

    def label(self) -> str:
        return "URL"


@dataclass(frozen=True)
class StatusForm:
    """Status codes that pass, as inclusive ranges."""

    def read(self, node: Node, problems: Problems) -> tuple[tuple[int, int], ...]:
        if not isinstance(node, ListNode):
            return (self._range(node),)
        if not node.items:
            raise Wrong(node, "no status would ever pass", _STATUS_HELP)
        return tuple(self._range(item) for item in node.items)

    def _range(self, node: Node) -> tuple[int, int]:
        text = expect_scalar(node, "an HTTP status", _STATUS_HELP)
        if not re.fullmatch(_STATUS, text, re.ASCII):
            raise Wrong(node, f"{quoted(text)} is not an HTTP status", _STATUS_HELP)
        if text.endswith("xx"):
            return int(text[0]) * 100, int(text[0]) * 100 + 99
        low, _, high = text.partition("-")
        if high and int(high) < int(low):
            raise Wrong(node, f"{quoted(text)} is an empty range", "write the smaller status first")
        return int(low), int(high or low)

    def schema(self) -> Schema:
        one: Schema = {
            "anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": rf"^({_STATUS})$|\$"}]
        }
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}

    def label(self) -> str:
        return "status or list"


HTTP = Table(
    "an http probe",
    (
        Key("url", HttpUrl(), "Where to ask. Redirects are not followed."),
        Key("method", Text("an HTTP method", pattern=r"[A-Za-z]{1,20}"), "The request's method.", default="`GET`"),
        Key(
            "headers",
            MapOf(
                Text("a header's value", references=True, pattern=r"[^\r\n]*", empty=True),
                r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}",
                "a header's name has no spaces or colons",
            ),
            "Headers to send.",
            merge="map",
        ),
        Key("status", StatusForm(), "Statuses that pass: `200`, `[200, 204]`, `2xx`.", default="`200-399`"),
        Key("body", Regex(), "A regular expression that the body must contain."),
    ),
    elsewhere={"path": "write it as part of `url`", "port": "write it as part of `url`", "host": "write it as part of `url`"},
)


@dataclass(frozen=True)
class HttpForm:
    """A URL, or a map with the details."""

    def read(self, node: Node, problems: Problems) -> HttpProbe | None:
        if not isinstance(node, Mapping):
            return HttpProbe(HttpUrl().read(node, problems))
        values = HTTP.read(node, problems)
        if "url" not in node.entries:
            raise Wrong(node, "an http probe needs a `url`", _URL_HELP)
        if "url" not in values:
            return None
        return HttpProbe(
            url=values["url"],
            method=values.get("method", "GET").upper(),
            headers=tuple(values.get("headers", {}).items()),
            status=values.get("status", ((200, 399),)),
            body=values.get("body"),
        )

    def schema(self) -> Schema:
        return {"anyOf": [HttpUrl().schema(), {**HTTP.definition(), "required": ["url"]}]}

    def label(self) -> str:
        return "URL or map"


@dataclass(frozen=True)
class TcpForm:
    """host:port."""

    def read(self, node: Node, problems: Problems) -> TcpProbe:
        text = expect_scalar(node, "host:port", _TCP_HELP, references=True)
        host, _, port = REFERENCE.sub("1", text).rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        bracketed = host.startswith("[") and host.endswith("]")
        if (
            not bare
            or re.search(r"[\s/@]", host)
            or (":" in bare and not bracketed)
            or not re.fullmatch(r"\d{1,5}", port, re.ASCII)
        ):
            raise Wrong(node, f"{quoted(text)} is not host:port", _TCP_HELP)
        if not 1 <= int(port) <= 65535:
            raise Wrong(node, f"{port} is no port: they go from 1 to 65535", _TCP_HELP)
        return TcpProbe(text)

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^.+:\d+$|\$"}

    def label(self) -> str:
        return "`host:port`"


@dataclass(frozen=True)
class StartInterval:
    """`auto`, read as 0, or a duration."""

    def read(self, node: Node, problems: Problems) -> float:
        if expect_scalar(node, "a duration or auto") == "auto":
            return 0.0
        seconds: float = Duration().read(node, problems)
        return seconds

    def schema(self) -> Schema:
        return {"anyOf": [{"const": "auto"}, Duration().schema(), VARIABLE]}

    def label(self) -> str:
        return "duration or `auto`"


PROBE_KEYS = ("http", "tcp", "exec", "log", "notify")

HEALTHCHECK = Table(
    "healthcheck",
    (
        Key("http", HttpForm(), "Passes when this URL answers with a good status.", merge="probe"),
        Key("tcp", TcpForm(), "Passes when this address accepts a connection.", merge="probe"),
        Key("exec", CommandForm(), "Passes when this command exits 0. Its whole tree dies with its timeout.", merge="probe"),
        Key("log", Regex(), "Passes once this regular expression is found in the service's own output.", merge="probe"),
        Key("notify", Flag(), "Passes when the service sends `READY=1` to `NOTIFY_SOCKET`, as sd_notify does.", merge="probe"),
        Key("interval", Duration(), "Time between probes once the service is ready.", default="`1s`"),
        Key("timeout", Duration(), "How long one probe may take.", default="`2s`"),
        Key("retries", Number(1, 1000), "Failures in a row that make a ready service unhealthy.", default="`3`"),
        Key(
            "start_period", Duration(), "How long the service may take to become ready at all; then it has failed.", default="`30s`"
        ),
        Key(
            "start_interval",
            StartInterval(),
            "Time between probes before the first success; `auto` finds readiness fast.",
            default="`auto`",
        ),
        Key("disable", Flag(), "Turns the default check of a service with a `port` off.", default="`false`"),
    ),
    elsewhere={
        "test": "Compose's `test` is `exec` here, without CMD: exec: [curl, -f, …], or use `http`",
        "command": "write `exec`",
        "url": "write `http`",
        "cmd": "write `exec`",
        "port": "write tcp: 127.0.0.1:PORT",
    },
)


def read_probe(node: Mapping, values: dict[str, Any], problems: Problems) -> Any:
    """The raw value of the one probe that a healthcheck names, None when it names none. Two are reported."""
    named = [name for name in PROBE_KEYS if name in node.entries and not (name == "notify" and values.get("notify") is False)]
    if len(named) > 1:
        place = node.entries[named[1]][0]
        problems.add(place, f"two probes, `{named[0]}` and `{named[1]}`", "keep one; a healthcheck has exactly one probe")
    return named[0] if named else None
