"""The backend and the frontend as processes: the way of a message, and what happens when the next service is missing."""

from __future__ import annotations

import socket
from typing import Any

import pytest


def test_chat_goes_through_the_whole_stack(trio: Any) -> None:
    """A message sent to the frontend is answered by an agent of the router; a conversation is begun when none is named."""
    answer = trio.frontend.post("/api/assistant/chat", {"message": "hello"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["agent"], body["intent"], body["history_length"]) == ("chat", "chat.greeting", 2)
    assert body["timings"].keys() == {"classify_ms", "agent_ms", "total_ms"}
    again = trio.frontend.post("/api/assistant/chat", {"message": "hello", "session_id": body["session_id"]}).json()
    assert again["history_length"] == 4


def test_one_request_id_from_page_to_router(trio: Any) -> None:
    """The id that a client gives stands in the log of all three services and in the answer."""
    headers = {"X-Request-ID": "trace-me-7"}
    answer = trio.frontend.post("/api/assistant/chat", {"message": "hello"}, headers=headers)
    assert answer.headers["x-request-id"] == "trace-me-7"
    for service in (trio.frontend, trio.backend, trio.router):
        service.wait_line(r'"request_id": "trace-me-7"')


def test_a_conversation_is_forgotten_on_request(trio: Any) -> None:
    """Deleting works once, from the page's side."""
    trio.frontend.post("/api/assistant/chat", {"message": "hello", "session_id": "short-lived"})
    path = "/api/assistant/sessions/short-lived"
    assert trio.frontend.request("DELETE", path).status_code == 204
    assert trio.frontend.request("DELETE", path).json()["error"]["code"] == "unknown_session"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body is no JSON."),
        (b'{"message": ""}', "message: String should have at least 1 character"),
        (b'{"message": "x", "session_id": "a/b"}', "session_id: String should match"),
        (b'{"message": "x", "model": "big"}', "model: Extra inputs are not permitted"),
    ],
)
def test_bad_input_is_refused(trio: Any, body: bytes, message: str) -> None:
    """What is no chat request is answered 422 in the common shape, naming the field."""
    headers = {"Content-Type": "application/json"}
    refused = trio.backend.request("POST", "/api/assistant/chat", content=body, headers=headers)
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "invalid_request"
    assert refused.json()["error"]["message"].startswith(message)


def test_the_api_describes_itself(trio: Any) -> None:
    """OpenAPI has the chat endpoint, and /docs shows it."""
    assert "/api/assistant/chat" in trio.backend.get("/openapi.json").json()["paths"]
    assert "/openapi.json" in trio.backend.get("/docs").text


def test_health_names_the_components(trio: Any) -> None:
    """The backend's health tells the router's state, the frontend's page that of all three and of what they use."""
    health = trio.backend.get("/health").json()
    assert (health["status"], health["components"]["router"]["status"]) == ("ok", "ok")
    rows = trio.frontend.get("/services").json()["services"]
    assert [(row["name"], row["status"]) for row in rows][:3] == [("frontend", "ok"), ("backend", "ok"), ("router", "ok")]
    assert {"database", "queue"} <= {row["name"] for row in rows}


def test_the_page_is_served_protected(trio: Any) -> None:
    """The page allows nothing from elsewhere; its files are there; nothing outside its folder is."""
    page = trio.frontend.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert trio.frontend.get("/static/app.js").headers["content-type"].startswith("text/javascript")
    assert trio.frontend.get("/static/%2e%2e/app.py").status_code == 404


def test_a_lost_router_degrades_and_its_return_is_noticed(launcher: Any) -> None:
    """Without its router the backend says so and stays; when the router is back, it is used again."""
    port = launcher.port()
    router = launcher.start("router", port)
    backend = launcher.start("backend", ROUTER_URL=router.url)
    backend.wait_line("router is ok")
    assert router.stop() == 0
    backend.wait_line(r"\[WARNING\] router is unreachable")
    health = backend.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    refused = backend.post("/api/assistant/chat", {"message": "hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "router_unreachable")
    launcher.start("router", port, ROUTER_WARMUP_SECONDS="600")
    backend.wait_line("router is starting")
    refused = backend.post("/api/assistant/chat", {"message": "hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "router_starting")


def test_a_lost_backend_is_told_by_the_frontend(launcher: Any) -> None:
    """Without a backend the page still comes, and requests are answered 502 in the common shape."""
    frontend = launcher.start("frontend", BACKEND_URL=f"http://127.0.0.1:{launcher.port()}")
    frontend.wait_line("backend is unreachable")
    assert frontend.get("/").status_code == 200
    refused = frontend.post("/api/assistant/chat", {"message": "hello"}, headers={"Authorization": "Bearer none"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "backend_unreachable")
    rows = frontend.get("/services").json()["services"]
    assert [(row["name"], row["status"]) for row in rows] == [
        ("frontend", "ok"),
        ("backend", "unreachable"),
        ("router", "unknown"),
    ]


def test_a_router_that_is_none_is_seen_through(launcher: Any) -> None:
    """Something else on the router's port is a 502, not an answer; its health is no health."""
    # Any HTTP server that answers these paths otherwise; the frontend is one.
    impostor = launcher.start("frontend")
    backend = launcher.start("backend", ROUTER_URL=impostor.url)
    refused = backend.post("/api/assistant/chat", {"message": "hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "router_failed")


def test_a_router_that_hangs_does_not_hang_health(launcher: Any) -> None:
    """A router that accepts and says nothing is found out, while the backend goes on answering."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = launcher.start("backend", ROUTER_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert backend.get("/health").json()["components"]["router"]["status"] == "unknown"
        backend.wait_line("router is unreachable")
        assert backend.get("/health").json()["components"]["router"]["detail"] == "no answer within 1 s"


def test_everything_works_where_sign_in_is_required(launcher: Any) -> None:
    """Services know each other, people need an account, the demo account is off, and metrics need their token."""
    required = {"AUTH": "required", "METRICS_TOKEN": "m" * 32}
    backend_port = launcher.port()
    router = launcher.start("router", BACKEND_URL=f"http://127.0.0.1:{backend_port}", **required)
    backend = launcher.start("backend", backend_port, ROUTER_URL=router.url, **required)
    router.wait_line("Router ready")
    assert backend.post("/api/auth/demo").status_code == 403
    made = backend.post("/api/auth/register", {"name": "ann", "password": "correct horse battery"}).json()
    mine = {"Authorization": f"Bearer {made['access_token']}"}
    answered = backend.post("/api/assistant/chat", {"message": "write a haiku"}, headers=mine).json()
    assert answered["agent"] == "chat"
    assert "built-in provider" in answered["reply"]
    assert router.post("/route", {"session_id": "x", "message": "hello"}).status_code == 401
    for service in (router, backend):
        assert service.get("/metrics").status_code == 401
        assert service.get("/metrics", headers={"Authorization": f"Bearer {'m' * 32}"}).status_code == 200
