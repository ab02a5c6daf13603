"""What the services do with clients that mean no good: slow ones, huge ones, crooked ones, unknown ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

# Seconds until a test gives up on an answer. Only a hang meets it.
GUARD = 60.0

# Requests that are made up for each operation, twice: right ones, wrong ones. FUZZ_EXAMPLES=200 looks longer than a test should.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))


def wire(url: str) -> socket.socket:
    """A connection to a service, for what no HTTP client would send."""
    address = httpx.URL(url)
    return socket.create_connection((address.host, address.port), GUARD)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of everything that comes until the service closes the connection; (0, b"") without an answer."""
    received = b""
    while block := connection.recv(65536):
        received += block
    head, _, body = received.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body) if head else (0, b"")


def ask(url: str, request: bytes) -> tuple[int, bytes]:
    """What is answered to these bytes, sent as they are."""
    with wire(url) as connection:
        connection.sendall(request)
        return answer(connection)


def code_of(body: bytes) -> str:
    """The code of an error answer, whose shape is checked."""
    error = json.loads(body)["error"]
    assert error.keys() == {"code", "message"}
    return str(error["code"])


@pytest.fixture(scope="module")
def impatient(trio: Any) -> Iterator[Any]:
    """A frontend before the same backend that waits a quarter of a second for a request."""
    from tests.stack.conftest import Launcher

    launcher = Launcher()
    try:
        yield launcher.start("frontend", BACKEND_URL=trio.backend.url, REQUEST_TIMEOUT="0.25")
    finally:
        launcher.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /api/assistant/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        b"POST /api/assistant/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["method", "head", "body", "chunk"],
)
def test_a_slow_request_is_ended(impatient: Any, sent: bytes) -> None:
    """A request that does not arrive in time is answered 408 and logged, wherever it stopped."""
    status, body = ask(impatient.url, sent)
    assert (status, code_of(body)) == (408, "too_slow")
    impatient.wait_line(r"\[WARNING\] A client sends its request too slowly")


def test_a_silent_connection_is_closed(impatient: Any) -> None:
    """Who connects and says nothing is not kept."""
    assert ask(impatient.url, b"") == (0, b"")


def test_slow_clients_hold_nobody_up(impatient: Any) -> None:
    """With two hundred requests half sent, the next visitor is answered, and all of them are ended."""
    slow = [wire(impatient.url) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert impatient.get("/").status_code == 200
        assert {answer(connection)[0] for connection in slow} == {408}
    finally:
        for connection in slow:
            connection.close()


def test_a_kept_connection_has_the_same_patience_each_time(impatient: Any) -> None:
    """The second request of a connection may not come slowly either."""
    with wire(impatient.url) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health HT")
        assert answer(connection)[0] == 408


def test_an_open_websocket_is_not_a_slow_request(trio: Any, impatient: Any) -> None:
    """What was upgraded may be silent for longer than a request."""
    origin = impatient.url.replace("http", "ws", 1)
    with connect(f"{origin}/ws/assistant/{secrets.token_hex(8)}", open_timeout=GUARD) as opened:
        opened.send(json.dumps({"type": "auth", "token": trio.backend.token()}))
        assert json.loads(opened.recv(GUARD))["type"] == "connected"
        # Another connection's end shows that the patience is over.
        assert ask(impatient.url, b"") == (0, b"")
        opened.send(json.dumps({"type": "ping"}))
        assert json.loads(opened.recv(GUARD))["type"] == "pong"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA B: c\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["tls", "header", "no host", "negative", "two lengths", "huge head"],
)
@pytest.mark.parametrize("name", ["router", "backend", "frontend"])
def test_what_is_no_http_is_refused(trio: Any, name: str, sent: bytes) -> None:
    """Bytes that are no request are answered 400 in the common shape and logged."""
    service = getattr(trio, name)
    # The kernel drops the answer together with what was not read, when there is that much: the log tells then.
    with wire(service.url) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(sent)
        status, body = answer(connection)
        assert (status, code_of(body)) == (400, "invalid_http")
    service.wait_line(r"\[WARNING\] A client sends what is no HTTP")


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("path", ["/api/assistant/chat", "/api/auth/login", "/api/assistant/ask", "/v1/chat/completions"])
def test_huge_bodies_are_refused(trio: Any, path: str, declared: bool) -> None:
    """Three megabytes are too many for every address, through the page's server, whether or not their number is declared."""
    block = b"x" * 1_000_000
    body: Any = block * 3 if declared else iter([block] * 3)
    refused = trio.frontend.request("POST", path, content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert code_of(refused.content) == "too_large"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..%5capp.py",
        "/static/app.js%00.py",
        "/static/%ff%fe",
        "/%2e%2e/%2e%2e/services.yaml",
        "/api/../health",
        "/api/%2e%2e/metrics",
        "/api/..%2fmetrics",
        "/api/./../docs",
        "/v1/../metrics",
        "//evil.example/api",
        "/static/" + "a/" * 3000,
    ],
)
def test_paths_lead_nowhere_else(trio: Any, path: str) -> None:
    """No spelling of a path leaves the folder of the page, or reaches what the backend does not show under /api."""
    status, body = ask(trio.frontend.url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert 400 <= status < 500
    assert code_of(body)
    assert b"import" not in body
    assert b"root:" not in body


def operations(trio: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation of the backend's description: method, path, facts."""
    paths = trio.backend.get("/openapi.json").json()["paths"]
    return [(method.upper(), path, facts) for path, methods in paths.items() for method, facts in methods.items()]


# What somebody needs who is about to sign in, and what watches the services.
OPEN = re.compile(r"/health|/metrics|/api/auth/(options|register|login|demo|refresh|logout|oidc/start|oidc/callback)")


def test_everything_else_wants_a_sign_in(trio: Any) -> None:
    """Whatever is not for strangers answers them 401, in the common shape."""
    closed = [(method, path) for method, path, _ in operations(trio) if not OPEN.fullmatch(path)]
    assert len(closed) > 10
    for method, path in closed:
        address = trio.backend.url + re.sub(r"\{[^}]*\}", "a" * 32, path)
        refused = httpx.request(method, address, json={}, timeout=GUARD)
        assert (method, path, refused.status_code) == (method, path, 401)
        assert code_of(refused.content)


def test_tokens_are_no_part_of_an_address(trio: Any) -> None:
    """No operation takes a token or a password in its path or its query, where logs and histories would keep it."""
    for _, path, facts in operations(trio):
        names = [parameter["name"] for parameter in facts.get("parameters", []) if parameter["in"] in ("query", "path")]
        assert not [name for name in names if re.search(r"token|password|secret", name, re.I)], path


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 30_000, b'{"unknown": 1}']
)
def test_malformed_bodies_are_refused(trio: Any, body: bytes) -> None:
    """Every operation that takes JSON answers 4xx in the common shape to what is none, and to unknown fields."""
    for method, path, facts in operations(trio):
        if "requestBody" not in facts or not facts["requestBody"].get("required"):
            continue
        address = re.sub(r"\{[^}]*\}", "a" * 32, path)
        headers = {"Content-Type": "application/json", **trio.backend.signed_in}
        refused = trio.backend.request(method, address, content=body, headers=headers)
        assert (path, 400 <= refused.status_code < 500) == (path, True), refused.text
        assert code_of(refused.content)


def test_no_operation_fails_on_what_schemathesis_sends(trio: Any) -> None:
    """Requests made from the description, right ones and wrong ones, are never answered 5xx."""
    schema = schemathesis.openapi.from_url(f"{trio.backend.url}/openapi.json")
    statuses: list[int] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/api/events":
            continue  # a stream without end
        # A new sign-in for each: some operations end it.
        headers = trio.backend.signed_in
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # An operation without input cannot be called wrongly.
            with contextlib.suppress(Unsatisfiable):
                statuses += _sent(operation, mode, headers)
    assert len(statuses) > 100
    # Wrong ones are refused, and right ones do something.
    assert {200, 422} <= set(statuses)


def _sent(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> list[int]:
    """Send requests of an operation; the statuses of the answers."""
    statuses = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        response = case.call(headers=headers, timeout=GUARD)
        statuses.append(response.status_code)
        case.validate_response(response, checks=[not_a_server_error])

    send()
    return statuses


def test_other_origins_get_nothing(trio: Any) -> None:
    """A page from elsewhere may neither read answers (no CORS) nor open a WebSocket, nor sign anybody in."""
    elsewhere = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for service in (trio.backend, trio.frontend):
        asked = httpx.options(f"{service.url}/api/assistant/chat", headers=elsewhere, timeout=GUARD)
        assert not [name for name in asked.headers if name.startswith("access-control-")]
        address = f"ws{service.url.removeprefix('http')}/ws/assistant/{secrets.token_hex(8)}"
        with pytest.raises(InvalidStatus) as refused:
            connect(address, origin="https://evil.example", open_timeout=GUARD).close()  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
    crossed = {"Sec-Fetch-Site": "cross-site"}
    assert httpx.post(f"{trio.backend.url}/api/auth/demo", headers=crossed, timeout=GUARD).status_code == 403


def test_no_secret_is_logged(launcher: Any) -> None:
    """Passwords, tokens and keys stand in no line of the log, at its most talkative, whether they were right or wrong."""
    metrics_token, api_key, name = secrets.token_hex(16), secrets.token_hex(16), f"u{secrets.token_hex(4)}"
    backend = launcher.start("backend", LOG_LEVEL="debug", METRICS_TOKEN=metrics_token, OPENAI_API_KEY=api_key, AUTH="required")
    frontend = launcher.start("frontend", LOG_LEVEL="debug", BACKEND_URL=backend.url)
    right, wrong = secrets.token_hex(16), secrets.token_hex(16)
    made = frontend.post("/api/auth/register", {"name": name, "password": right}).json()
    frontend.post("/api/auth/login", {"name": name, "password": wrong})
    frontend.post("/api/auth/login", {"name": name, "password": right, "more": wrong})
    renewed = frontend.post("/api/auth/refresh", {"refresh_token": made["refresh_token"]}).json()
    used = {"Authorization": f"Bearer {made['access_token']}"}
    assert frontend.request("GET", "/api/auth/me", headers=used).status_code == 200
    frontend.request("GET", "/api/auth/me", headers={"Authorization": f"Bearer {wrong}"})
    assert backend.request("GET", "/metrics", headers={"Authorization": f"Bearer {metrics_token}"}).status_code == 200
    backend.stop()
    frontend.stop()
    written = backend.output() + frontend.output()
    assert "POST /api/auth/login" in written
    tokens = [answered[kind] for answered in (made, renewed) for kind in ("access_token", "refresh_token")]
    for secret in (right, wrong, metrics_token, api_key, *tokens):
        assert secret not in written


def test_metrics_are_for_those_who_know_the_token(launcher: Any) -> None:
    """With AUTH=required the metrics want METRICS_TOKEN; without, a developer may look."""
    backend = launcher.start("backend", AUTH="required", METRICS_TOKEN="only-for-prometheus")
    assert backend.get("/metrics").status_code == 401
    assert backend.request("GET", "/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert backend.request("GET", "/metrics", headers={"Authorization": "Bearer only-for-prometheus"}).status_code == 200
