"""The router as a process: starting, answering, refusing, ending."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.common.internal import InternalKey
from tests.stack.conftest import Launcher, Service
from tests.stack.openai_server import openai_server


@pytest.fixture(scope="module")
def router(docs_dir: Path) -> Iterator[Service]:
    """A router with something that speaks as the backend's models do; none of the tests may stop it."""
    launcher = Launcher()
    try:
        with openai_server() as backend:
            service = launcher.start("router", DOCS_DIR=str(docs_dir), BACKEND_URL=backend.url.removesuffix("/v1"))
            service.wait_line("Router ready")
            yield service
    finally:
        launcher.close()


def test_health_is_503_until_the_model_is_loaded(launcher: Any) -> None:
    """While it loads, the server answers: 503 for its health, 503 with a cause for a message."""
    router = launcher.start("router", ROUTER_WARMUP_SECONDS="600")
    health = router.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "starting")
    for path in ("/route", "/route/stream"):
        refused = router.post(path, {"session_id": "a", "message": "hello"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "starting")
        assert refused.headers["retry-after"] == "1"
    assert router.get("/sessions/a").status_code == 503


def test_warmup_lengthens_the_start(launcher: Any) -> None:
    """With a warm-up it says so, and becomes ready after it."""
    router = launcher.start("router", ROUTER_WARMUP_SECONDS="0.05")
    router.wait_line("Warming up")
    router.wait_line("Router ready")
    assert router.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("message", "agent", "expected"),
    [
        ("Is everything healthy?", "ops", "router"),
        ("what does the depends_on key do?", "docs", "From docs/guide.md > Guide > Keys"),
        ("hello there", "chat", "Echo: hello there"),
        ("tell me a joke about whales", "chat", "Echo: tell me a joke about whales"),
    ],
)
def test_the_right_agent_answers(router: Any, message: str, agent: str, expected: str) -> None:
    """A message reaches its agent, and the answer has everything that the contract names."""
    answer = router.post("/route", {"session_id": "agents", "message": message}).json()
    assert answer.keys() == {"intent", "confidence", "agent", "reply", "history_length", "timings"}
    assert answer["agent"] == agent == answer["intent"].partition(".")[0]
    assert expected in answer["reply"]
    assert answer["timings"].keys() == {"classify_ms", "agent_ms"}


def test_a_conversation_has_a_history(router: Any) -> None:
    """Each message and its reply are kept, per conversation, until it is deleted."""
    for expected in (2, 4):
        assert router.post("/route", {"session_id": "long", "message": "hello"}).json()["history_length"] == expected
    assert router.post("/route", {"session_id": "other", "message": "hello"}).json()["history_length"] == 2
    told = {"session_id": "long", "history_length": 4}
    told["turns"] = [{"role": "user", "text": "hello"}, {"role": "assistant", "text": "Echo: hello"}] * 2
    assert router.get("/sessions/long").json() == told
    assert router.request("DELETE", "/sessions/long").status_code == 204
    for method in ("GET", "DELETE"):
        gone = router.request(method, "/sessions/long")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_session")


def test_a_long_conversation_is_summarised(router: Any) -> None:
    """Old messages become a summary, which the model gets, and the length stays true."""
    filler = "tell me more about the weather, with clouds and rain and wind and some sun in between. " * 40
    router.post("/route", {"session_id": "tired", "message": "hello, my name is Ada and I live in Paris"})
    for _ in range(3):
        answer = router.post("/route", {"session_id": "tired", "message": filler.strip()}).json()
    assert answer["history_length"] == 8
    first, *others = router.get("/sessions/tired").json()["turns"]
    assert first["role"] == "summary"
    assert "my name is Ada" in first["text"]
    assert len(others) < 8


def test_metrics_are_counted(router: Any) -> None:
    """What was routed, how it was answered and how the components are is told in Prometheus's format."""
    router.post("/route", {"session_id": "metrics", "message": "hello"})
    answer = router.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples[("assistant_routes_total", ("agent", "chat"), ("intent", "chat.greeting"))] >= 1
    assert samples[("assistant_classify_seconds_count",)] >= 1
    assert samples[("assistant_component_up", ("component", "classifier"))] == 1


def test_with_sign_in_required_only_services_may_ask(launcher: Any) -> None:
    """With AUTH=required, whoever is no service of this stack gets 401, also for the metrics; the health stays open."""
    router = launcher.start("router", AUTH="required", METRICS_TOKEN="a-token-for-the-metrics")
    router.wait_line("Router ready")
    question = {"session_id": "a", "message": "what does depends_on do?"}
    attempts = [
        ("POST", "/route"),
        ("POST", "/route/stream"),
        ("GET", "/sessions/a"),
        ("DELETE", "/sessions/a"),
        ("GET", "/metrics"),
    ]
    for method, path in attempts:
        for token in ("", "Internal x.9999999999.0", "Bearer a-token-for-the-metric"):
            refused = router.request(method, path, json=question, headers={"Authorization": token})
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "not_signed_in"), (method, path, token)
    assert router.get("/health").status_code == 200
    assert router.get("/metrics", headers={"Authorization": "Bearer a-token-for-the-metrics"}).status_code == 200
    proof = InternalKey(Path(launcher.state) / "internal.key").headers("backend")
    assert router.post("/route", question, headers=proof).status_code == 200
    assert router.get("/metrics", headers=proof).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"message": "no session"}',
        b'{"session_id": "a"}',
        b'{"session_id": "a", "message": "  "}',
        b'{"session_id": "a", "message": 7}',
        b'{"session_id": "../a", "message": "x"}',
        b'{"session_id": "a", "message": "x", "more": 1}',
        json.dumps({"session_id": "a", "message": "x" * 4001}).encode(),
        b"\xff\xfe",
    ],
)
def test_bad_messages_are_refused(router: Any, body: bytes) -> None:
    """What is no message is answered 422 in the common shape."""
    refused = httpx.post(router.url + "/route", content=body)
    assert refused.status_code == 422
    assert refused.json()["error"].keys() == {"code", "message"}
    assert refused.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_large_bodies_are_refused(router: Any, declared: bool) -> None:
    """A body beyond the bound is answered 413, whether or not it declares its length."""
    body = b"x" * 100_000
    refused = httpx.post(router.url + "/route", content=body if declared else iter([body]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/route", 405)])
def test_unknown_paths_and_methods(router: Any, method: str, path: str, status: int) -> None:
    """The framework's own refusals have the common shape too."""
    refused = httpx.request(method, router.url + path)
    assert refused.status_code == status
    assert refused.json()["error"].keys() == {"code", "message"}


def test_log_lines_have_one_form(launcher: Any) -> None:
    """Every line is `[timestamp] [LEVEL] message {json}`, and a newline in a path does not begin another."""
    router = launcher.start("router")
    router.wait_line("Router ready")
    router.get("/a%0A[x]%20[ERROR]%20forged")
    assert router.stop() == 0
    lines = router.output().splitlines()
    form = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] \[(DEBUG|INFO|METRIC|WARNING|ERROR)\] [^\n]+?( \{.*\})?")
    assert all(form.fullmatch(line) for line in lines), lines
    assert any("Using in-memory session store" in line for line in lines)
    assert "Starting router" in lines[0]
    assert lines[-1].endswith('Stopped router {"exit_status": 0}')


@pytest.mark.parametrize(
    ("name", "signal_number"),
    [("router", signal.SIGTERM), ("backend", signal.SIGTERM), ("frontend", signal.SIGTERM), ("frontend", signal.SIGINT)],
)
def test_a_signal_ends_it_gracefully(launcher: Any, name: str, signal_number: int) -> None:
    """Status 0 on TERM and INT, with a connection open that never sends its request."""
    service = launcher.start(name)
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port)) as idle:
        idle.sendall(b"POST /route HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert service.stop(signal_number) == 0


def test_a_second_signal_ends_it_at_once(launcher: Any) -> None:
    """The second signal is not caught any more: the service ends by it, without its last words."""
    router = launcher.start("router")
    # Stopped in between, so that both are pending when it goes on, however slow this test runs.
    router.process.send_signal(signal.SIGSTOP)
    router.process.send_signal(signal.SIGTERM)
    router.process.send_signal(signal.SIGINT)
    assert router.stop(signal.SIGCONT) in (-signal.SIGTERM, -signal.SIGINT)
    assert "Stopped router" not in router.output()


def test_it_stops_while_the_model_loads(launcher: Any) -> None:
    """Stopping does not wait for the load."""
    router = launcher.start("router")
    assert router.stop() == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("ROUTER_WARMUP_SECONDS", "nan"),
        ("BACKEND_URL", "localhost"),
        ("LOG_LEVEL", "loud"),
        ("AUTH", "maybe"),
    ],
)
def test_a_wrong_setting_is_named(launcher: Any, variable: str, value: str) -> None:
    """A setting that cannot be used ends the start with status 2 and one line that names it."""
    router = launcher.spawn("router", **{variable: value})
    assert re.fullmatch(rf"router: {variable}='{value}': give .*", router.output())
    assert router.process.returncode == 2


def test_a_state_directory_that_cannot_be_is_named(launcher: Any) -> None:
    """Without a place for the services' common key the router ends with status 2 and says which setting names it."""
    router = launcher.spawn("router", STACK_STATE="/dev/null/state")
    assert re.fullmatch(r"router: STACK_STATE: the services' common key cannot be read there: .*", router.output())
    assert router.process.returncode == 2


def test_a_busy_port_is_named(launcher: Any) -> None:
    """A port that something listens on ends the start with status 1 and says which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        router = launcher.spawn("router", port)
        assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in router.output()
    assert router.process.returncode == 1
