"""The description is complete and true: it names every route, and real answers fit it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from devctl.control.feed import EventFeed
from devctl.control.openapi import document
from devctl.control.routes import OPERATIONS, Pace, Routes
from devctl.plan import LogSettings, Plan, to_json
from tests.control.running import Running

DOCUMENT = document()
PLAN = Plan("s", "/srv", ("/srv/services.yaml",), {}, LogSettings(dir="/srv/logs"))


def check(value: Any, schema: dict[str, Any]) -> None:
    """Validates against a schema of the document, references resolved within it."""
    validator = jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    validator.validate(value)


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    (running.directory / "logs" / "router.log").write_text("2026-11-20T23:50:01.123456789Z stdout F hello\n")
    running.call(lambda: running.supervisor.emit("service_state", "router", state="ready", pid=1))
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(running.socket_path)), base_url="http://devctl") as client:
        yield client


def test_describes_exactly_the_routes() -> None:
    """Every route is described and every description is a route."""
    routes = Routes(None, "r", EventFeed.__new__(EventFeed), None, Pace()).table()  # type: ignore[arg-type]  # only listed
    served = {(route.path, method.lower()) for route in routes for method in route.methods or () if method != "HEAD"}
    described = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == served


def test_every_reference_resolves() -> None:
    """The document has no dangling references, unused schemas or doubled operation ids."""
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
        jsonschema.Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])
    ids = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


UNTIMED = ("since", "until")  # their values are times; a test of the logs has them
REQUESTS: list[tuple[str, str, str, Any]] = [
    ("get", "/health", "/health", None),
    ("get", "/openapi.json", "/openapi.json", None),
    ("get", "/v1/status", "/v1/status", None),
    ("get", "/v1/services/{name}", "/v1/services/router", None),
    ("get", "/v1/services/{name}/why", "/v1/services/router/why", None),
    ("get", "/v1/services/{name}/environment", "/v1/services/router/environment", None),
    ("get", "/v1/services/{name}/health", "/v1/services/router/health", None),
    ("get", "/v1/services/{name}/processes", "/v1/services/router/processes", None),
    ("get", "/v1/wait", "/v1/wait?services=router&for=ready&timeout=1", None),
    ("get", "/v1/wait", "/v1/wait?for=stopped&timeout=0", None),
    ("get", "/v1/events", "/v1/events?after=0&service=router&type=service_state", None),
    ("get", "/v1/timeline", "/v1/timeline", None),
    *(("post", f"/v1/services/{{name}}/{verb}", f"/v1/services/router/{verb}", {o: True}) for verb, o in OPERATIONS.items()),
    *(("post", f"/v1/{verb}", f"/v1/{verb}", {"services": ["router"], o: False}) for verb, o in OPERATIONS.items()),
    ("post", "/v1/services/{name}/signal", "/v1/services/router/signal", {"signal": "SIGHUP"}),
    ("post", "/v1/reload", "/v1/reload", {"plan": to_json(PLAN)}),
    ("post", "/v1/shutdown", "/v1/shutdown", {"force": True}),
]


@pytest.mark.parametrize(("method", "path", "target", "body"), REQUESTS, ids=[f"{m} {t}" for m, _, t, _ in REQUESTS])
def test_real_answer_fits(http: httpx.Client, method: str, path: str, target: str, body: Any) -> None:
    """A real request fits its description, and so does its answer."""
    operation = DOCUMENT["paths"][path][method]
    if body is not None:
        # From JSON and back: tuples are lists there.
        check(json.loads(json.dumps(body)), operation["requestBody"]["content"]["application/json"]["schema"])
    answer = http.request(method, target, json=body)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    check(answer.json(), operation["responses"]["200"]["content"]["application/json"]["schema"])


def test_real_log_line_fits(http: httpx.Client) -> None:
    """Each line of the logs fits its description."""
    content = DOCUMENT["paths"]["/v1/services/{name}/logs"]["get"]["responses"]["200"]["content"]
    answer = http.get("/v1/services/router/logs?tail=1")
    check(json.loads(answer.text), content[answer.headers["content-type"]]["schema"])


@pytest.mark.parametrize(
    ("method", "target"), [("get", "/v1/services/nope"), ("get", "/nope"), ("post", "/v1/status"), ("post", "/v1/stop")]
)
def test_real_error_fits(http: httpx.Client, method: str, target: str) -> None:
    """Every error has the described shape and a code from its list."""
    answer = http.request(method, target)
    assert answer.status_code >= 400
    check(answer.json(), {"$ref": "#/components/schemas/Error"})


def test_parameters_are_the_real_ones(http: httpx.Client) -> None:
    """Each described query parameter is taken, and one that is not described is refused."""
    values = {"services": "router", "service": "router", "for": "ready", "follow": "false", "stream": "stdout", "level": "info"}
    for path, methods in DOCUMENT["paths"].items():
        if "get" not in methods or path in ("/v1/lease", "/metrics", "/openapi.json"):
            continue
        target = path.replace("{name}", "router")
        queries = [p["name"] for p in methods["get"]["parameters"] if p["in"] == "query"]
        assert http.get(target, params={name: values.get(name, "1") for name in queries if name not in UNTIMED}).status_code == 200
        assert http.get(target, params={"surprise": "1"}).status_code == 400


def test_served_document_is_this_one(http: httpx.Client) -> None:
    """/openapi.json is the document, as OpenAPI 3.1."""
    served = http.get("/openapi.json").json()
    assert served == json.loads(json.dumps(DOCUMENT))
    assert served["openapi"].startswith("3.1")
