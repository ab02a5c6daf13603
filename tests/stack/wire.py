"""A client's end of the assistant's WebSocket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.stack.conftest import GUARD, Service


class Wire:
    """One WebSocket, and what came over it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[dict[str, Any]] = []

    def send(self, kind: str, **fields: Any) -> None:
        """Sends a message."""
        self.connection.send(json.dumps({"type": kind, **fields}))

    def next(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=GUARD))
        self.messages.append(message)
        return message

    def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message of a kind, with these fields."""
        while True:
            message = self.next()
            if message["type"] == kind and fields.items() <= message.items():
                return message

    def ask(self, text: str, **fields: Any) -> dict[str, Any]:
        """Sends a message and waits for the end of its answer."""
        self.send("message", text=text, **fields)
        while True:
            message = self.next()
            if message["type"] in ("stream_end", "error"):
                return message


@contextmanager
def wire(backend: Service, session_id: str = "talk", token: str | None = None, **options: Any) -> Iterator[Wire]:
    """A signed-in WebSocket; with an empty token, one that has not said anything yet."""
    token = backend.token() if token is None else token
    address = f"{backend.url.replace('http', 'ws', 1)}/ws/assistant/{session_id}"
    options = {"open_timeout": GUARD, "close_timeout": GUARD, "proxy": None} | options
    with connect(address, **options) as connection:
        made = Wire(connection)
        if token:
            made.send("auth", token=token)
            made.until("connected")
        yield made
