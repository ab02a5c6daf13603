"""The control API's own description, OpenAPI 3.1. A test compares it with the routes and with real answers."""

from __future__ import annotations

import re
from typing import Any

from devctl.control.metrics import CONTENT_TYPE
from devctl.control.schemas import BOOLEAN, COMPONENTS, COUNT, NUMBER, STRING, Schema, array, obj, ref
from devctl.control.sse import MEDIA_TYPE
from devctl.control.streams import NDJSON
from devctl.version import __version__

Content = dict[str, Schema]

_SERVICE = "/v1/services/{name}"
_JSON = "application/json"


def _json(name: str) -> Content:
    return {_JSON: ref(name)}


def _body(properties: dict[str, Schema], *, required: tuple[str, ...] = ()) -> Schema:
    return obj(properties, optional=True, **({"required": list(required)} if required else {}))


def _query(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_DEPENDENCIES = {"with_dependencies": {**BOOLEAN, "default": True, "description": "Also start what they depend on."}}
_DEPENDENTS = {"with_dependents": {**BOOLEAN, "default": False, "description": "Also do it to what depends on them."}}
_NAMES = {"services": {**array(STRING), "minItems": 1}}
_FILTERS = [
    _query("service", STRING, "Only events of these services, comma-separated."),
    _query("type", STRING, "Only events of these types, comma-separated."),
]
_LOG_FILTERS = [
    _query("tail", COUNT, "Only the last so many lines."),
    _query("since", STRING, "Only lines from then on: a time (RFC 3339) or an age (5m)."),
    _query("until", STRING, "Only lines up to then: a time or an age."),
    _query("grep", STRING, "Only lines that contain this text, which is no pattern."),
    _query("level", STRING, "Only lines of this level and above."),
    _query("stream", {"type": "string", "enum": ["stdout", "stderr"]}, "Only lines of this stream."),
    _query("follow", BOOLEAN, "Go on with the lines to come, until the client leaves or the stack ends."),
]
_WAIT = [
    _query("services", STRING, "Which ones, comma-separated; all when absent."),
    _query("for", {"type": "string", "enum": ["ready", "stopped", "unhealthy", "completed"], "default": "ready"}, "What for."),
    _query("timeout", {**NUMBER, "minimum": 0, "maximum": 86400, "default": 60}, "Seconds to wait at most."),
]

# path → method → (summary, answer by content type, query parameters, request body)
_OPERATIONS: dict[str, dict[str, tuple[str, Content, list[dict[str, Any]], Schema | None]]] = {
    "/health": {"get": ("Whether the supervisor answers", _json("ServerHealth"), [], None)},
    "/metrics": {"get": ("The stack's numbers for Prometheus", {CONTENT_TYPE: STRING}, [], None)},
    "/openapi.json": {"get": ("This description", {_JSON: {"type": "object"}}, [], None)},
    "/v1/status": {"get": ("The stack and all its services", _json("StackStatus"), [], None)},
    _SERVICE: {"get": ("One service", _json("ServiceStatus"), [], None)},
    f"{_SERVICE}/why": {"get": ("Why the service is in its state", _json("Explanation"), [], None)},
    f"{_SERVICE}/environment": {"get": ("What the service runs, and with which environment", _json("Environment"), [], None)},
    f"{_SERVICE}/health": {"get": ("How the service is checked, and what the last checks said", _json("HealthHistory"), [], None)},
    f"{_SERVICE}/processes": {"get": ("The processes of the service's tree", _json("Processes"), [], None)},
    f"{_SERVICE}/start": {"post": ("Start the service", _json("Services"), [], _body(_DEPENDENCIES))},
    f"{_SERVICE}/stop": {"post": ("Stop the service; answered when it is gone", _json("Services"), [], _body(_DEPENDENTS))},
    f"{_SERVICE}/restart": {
        "post": ("Restart the service; answered when the old one is gone", _json("Services"), [], _body(_DEPENDENTS))
    },
    f"{_SERVICE}/signal": {
        "post": ("Send the service a signal", _json("Nothing"), [], _body({"signal": STRING}, required=("signal",)))
    },
    f"{_SERVICE}/logs": {"get": ("The service's log lines, one JSON object a line", {NDJSON: ref("LogLine")}, _LOG_FILTERS, None)},
    "/v1/start": {"post": ("Start services", _json("Services"), [], _body({**_NAMES, **_DEPENDENCIES}, required=("services",)))},
    "/v1/stop": {"post": ("Stop services", _json("Services"), [], _body({**_NAMES, **_DEPENDENTS}, required=("services",)))},
    "/v1/restart": {"post": ("Restart services", _json("Services"), [], _body({**_NAMES, **_DEPENDENTS}, required=("services",)))},
    "/v1/wait": {"get": ("Wait until services meet a condition, or no longer can", _json("WaitResult"), _WAIT, None)},
    "/v1/events": {
        "get": (
            "The recent history; with `Accept: text/event-stream` also what is still to come, resumed by `Last-Event-ID`",
            {**_json("Events"), MEDIA_TYPE: STRING},
            [_query("after", COUNT, "Only events after this id. A stream without it has new events only."), *_FILTERS],
            None,
        )
    },
    "/v1/timeline": {"get": ("The start-up of this run", _json("Timeline"), [], None)},
    "/v1/reload": {
        "post": (
            "Make the stack match another plan",
            _json("ReloadResult"),
            [],
            _body({"plan": {"type": "object"}}, required=("plan",)),
        )
    },
    "/v1/shutdown": {
        "post": (
            "End the stack; answered when all its processes are gone",
            _json("Receipt"),
            [],
            _body({"force": {**BOOLEAN, "default": False, "description": "Without grace periods."}}),
        )
    },
    "/v1/lease": {"get": ("Hold the stack: it is stopped when this stream's client goes", {MEDIA_TYPE: STRING}, [], None)},
    "/v1/lease/{id}/detach": {"post": ("Give a lease up; the stack goes on", _json("Nothing"), [], _body({}))},
}


def document() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "devctl control API",
            "version": __version__,
            "description": "A running stack. Errors have the shape of `Error`; unknown keys and parameters are refused.",
        },
        "paths": {path: {method: _operation(path, method) for method in methods} for path, methods in sorted(_OPERATIONS.items())},
        "components": {
            "schemas": COMPONENTS,
            "responses": {"Error": {"description": "It was refused or failed.", "content": {_JSON: {"schema": ref("Error")}}}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Over TCP only."}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(path: str, method: str) -> dict[str, Any]:
    summary, content, query, body = _OPERATIONS[path][method]
    in_path = [{"name": name, "in": "path", "required": True, "schema": STRING} for name in re.findall(r"\{(\w+)\}", path)]
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": "_".join([method, *re.findall(r"\w+", path)]),
        "parameters": [*in_path, *query],
        "responses": {
            "200": {"description": "Done.", "content": {kind: {"schema": schema} for kind, schema in content.items()}},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": "required" in body, "content": {_JSON: {"schema": body}}}
    return operation
