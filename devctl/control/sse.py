"""Server-sent events as text, both ways (WHATWG HTML, section 9.2). Standard library only: clients import it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": alive\n\n"
HEARTBEAT_SECONDS = 15.0  # below the 30 to 60 s after which proxies and clients give a silent connection up


class Message(NamedTuple):
    """One event. `data` is the JSON value it carried, None for a heartbeat."""

    event: str
    data: Any
    id: int | None = None


def dump(value: Any) -> bytes:
    """Compact JSON in pure ASCII, so that names which are no UTF-8 (lone surrogates) survive too."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def encode(data: Mapping[str, Any], *, event: str, id: int | None = None) -> bytes:
    """The text of one event."""
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + dump(data) + b"\n\n"


def decode(lines: Iterable[bytes]) -> Iterator[Message]:
    """The events in a stream of lines (without their ends). A comment is given as a heartbeat.

    Raises:
        ValueError: data that is not JSON.
    """
    event, data, id = "message", bytearray(), None
    for line in lines:
        if line.startswith(b":"):
            yield Message("heartbeat", None)
            continue
        if not line:
            if data:
                yield Message(event, json.loads(data), id)
            event, data, id = "message", bytearray(), None
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            event = value.decode("utf-8", "replace")
        elif field == b"data":
            data += (b"\n" if data else b"") + value
        elif field == b"id" and value.isdigit():
            id = int(value)
