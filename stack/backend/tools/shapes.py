"""What tools are and what comes of calling them.

Free of the SDK, which takes half a second to import and is needed only once a tool is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """What a tool is and takes.

    Attributes:
        name: the server's and its own: `devctl.status`.
        changes: it changes something, so a person is asked first. Every tool that does not say that it only reads counts as one.
    """

    name: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    changes: bool

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "changes": self.changes,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Attributes:
        allowed: it was made; False when a person refused.
        ok: the tool did it.
        text: what it said, for people.
        data: the same for programs, when the tool has an output schema.
    """

    allowed: bool
    ok: bool
    text: str
    data: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        return {"allowed": self.allowed, "ok": self.ok, "text": self.text, "data": self.data}


class ServerGone(Exception):
    """The server is not there; the message says why, as a phrase."""


class Malformed(Exception):
    """The server's answer cannot be used; the message says why, as a phrase."""
