"""Errors on their way over the API: an exception becomes JSON at the server and the same exception again at the client.

{"error": {"code": "unknown_service", "message": "…", "mend": "…", "exit_status": 2}}
"""

from __future__ import annotations

from typing import Any

from devctl.errors import (
    ControlError,
    DevctlError,
    LaunchError,
    ManifestError,
    NotReady,
    NotRunning,
    PortBusy,
    Problem,
    SpawnError,
    StackBusy,
    StackError,
    UnknownService,
    UnsafePath,
    UsageError,
)

# Most special first: an error takes the first class it is an instance of.
_KNOWN: tuple[tuple[str, type[DevctlError], int], ...] = (
    ("unknown_service", UnknownService, 404),
    ("manifest", ManifestError, 400),
    ("usage", UsageError, 400),
    ("not_running", NotRunning, 409),
    ("stack_busy", StackBusy, 409),
    ("port_busy", PortBusy, 409),
    ("spawn", SpawnError, 409),
    ("not_ready", NotReady, 409),
    ("launch", LaunchError, 500),
    ("control", ControlError, 500),
    ("stack", StackError, 409),
    ("unsafe_path", UnsafePath, 500),
)

# Refusals of the server itself, before a supervisor is asked.
_REFUSALS: dict[str, type[DevctlError]] = {
    "bad_request": UsageError,
    "too_large": UsageError,
    "not_found": ControlError,
    "method_not_allowed": ControlError,
    "unauthorized": ControlError,
    "forbidden": ControlError,
    "internal": ControlError,
}

CODES: tuple[str, ...] = (*(code for code, _, _ in _KNOWN), *_REFUSALS)
"""Every code that an answer can carry."""


class Refused(UsageError):
    """The server will not take this request: malformed, too large, an unknown path.

    Args:
        code: one of the server's own codes, such as "bad_request".
        http_status: the status of the answer.
    """

    def __init__(self, what: str, mend: str = "", *, code: str = "bad_request", http_status: int = 400) -> None:
        super().__init__(what, mend)
        self.code = code
        self.http_status = http_status


def error_json(code: str, what: str, mend: str, exit_status: int) -> dict[str, Any]:
    """The body of an answer that is an error."""
    return {"error": {"code": code, "message": what, "mend": mend, "exit_status": exit_status}}


def describe(error: DevctlError) -> tuple[int, dict[str, Any]]:
    """HTTP status and body for an error."""
    if isinstance(error, Refused):
        return error.http_status, error_json(error.code, error.what, error.mend, _REFUSALS[error.code].exit_status)
    for code, kind, status in _KNOWN:
        if isinstance(error, kind):
            return status, error_json(code, error.what, error.mend, error.exit_status)
    return 500, error_json("internal", error.what, error.mend, error.exit_status)


def restore(body: Any) -> DevctlError:
    """The error that `describe` gave. A body of another shape, from some other server, becomes a ControlError."""
    fields = body.get("error") if isinstance(body, dict) else None
    if not isinstance(fields, dict):
        return ControlError("the supervisor answered with an error that devctl does not understand", "run `devctl doctor`")
    code, what, mend = fields.get("code"), str(fields.get("message", "")), str(fields.get("mend", ""))
    if code == "manifest":
        return ManifestError([Problem("", 0, 0, what, mend)])
    for known, kind, _ in _KNOWN:
        if code == known:
            return kind(what, mend)
    return _REFUSALS.get(str(code), ControlError)(what, mend)
