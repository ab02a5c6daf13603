"""The models' endpoints of the real backend, over a real endpoint that behaves as told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack.conftest import Launcher
from tests.stack.openai_server import OpenAIServer, fail, openai_server

KEY = "sk-never-to-be-seen"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture(scope="module")
def running(endpoint: OpenAIServer) -> Iterator[Any]:
    launcher = Launcher()
    provider = {"name": "test", "url": endpoint.url, "key": KEY, "models": [{"name": "echo", "input": 1, "output": 2}]}
    try:
        yield launcher.start("backend", LLM_PROVIDERS=json.dumps([provider]), LLM_BUDGET_DOLLARS="0.15")
    finally:
        launcher.close()


@pytest.fixture
def backend(running: Any, endpoint: OpenAIServer) -> Any:
    endpoint.reset()
    running.post("/api/cache/invalidate?pattern=*")
    return running


def test_a_question_is_answered_and_kept(backend: Any, endpoint: OpenAIServer) -> None:
    """The answer tells who gave it, what it took and how good it looks; the second time it comes from the cache."""
    body = {"task": "tutoring", "prompt": "explain depends_on"}
    first = backend.post("/api/assistant/ask", body).json()
    assert first["seconds"] > 0
    assert first | {"seconds": 0} == {
        "text": "Echo: explain depends_on",
        "model": "echo",
        "provider": "test",
        "cached": False,
        "stand_in": False,
        "usage": {"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 20, "estimated": False},
        "cost": 0.000023,
        "quality": 1.0,
        "seconds": 0,
        "finish_reason": "stop",
    }
    again = backend.post("/api/assistant/ask", body).json()
    assert (again["cached"], again["text"], again["cost"]) == (True, first["text"], 0)
    assert len(endpoint.requests) == 1


def test_a_conversation_is_answered(backend: Any, endpoint: OpenAIServer) -> None:
    """Messages instead of a prompt, past the cache."""
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]
    for _ in range(2):
        answer = backend.post("/api/assistant/ask", {"messages": messages, "use_cache": False}).json()
        assert (answer["text"], answer["cached"]) == ("Echo: three", False)
    assert [message["content"] for message in endpoint.requests[0].body["messages"][1:]] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "give either prompt or messages"),
        ({"prompt": "x", "messages": [{"role": "user", "content": "x"}]}, "give either prompt or messages"),
        ({"prompt": " "}, "prompt: "),
        ({"prompt": "x" * 32_001}, "prompt: "),
        ({"messages": []}, "messages: "),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: "),
        ({"prompt": "x", "task": "dancing"}, "task: "),
        ({"prompt": "x", "temperature": 3}, "temperature: "),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens: "),
        ({"prompt": "x", "further": 1}, "further: "),
    ],
)
def test_what_is_no_question_is_refused(backend: Any, body: dict[str, Any], said: str) -> None:
    """422 in the one shape, naming the field."""
    refused = backend.post("/api/assistant/ask", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")
    assert said in refused.json()["error"]["message"]


def test_an_unknown_model_is_a_404(backend: Any) -> None:
    """And names those there are."""
    refused = backend.post("/api/assistant/ask", {"prompt": "x", "model": "huge"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_model")
    assert "default, echo, local" in refused.json()["error"]["message"]


def test_a_failing_endpoint_is_told(backend: Any, endpoint: OpenAIServer) -> None:
    """By name a model has no stand-in: its failure is an error answer in the one shape. Its key is in no line of the log."""
    endpoint.will(fail(401, message=f"wrong key {KEY}"))
    refused = backend.post("/api/assistant/ask", {"prompt": "x", "model": "echo"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "llm_refused")
    line = backend.wait_line("A provider failed")
    assert "wrong key ***" in line
    assert KEY not in "\n".join(backend.lines)


def test_the_budget_refuses(backend: Any, endpoint: OpenAIServer) -> None:
    """An answer that could cost more than is left of the day is not asked for; what is free is given."""
    body = {"prompt": "a long one", "max_tokens": 100_000}
    refused = backend.post("/api/assistant/ask", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_spent")
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert not endpoint.requests
    assert backend.post("/api/assistant/ask", {**body, "model": "local"}).json()["provider"] == "local"


def test_the_cache_tells_of_itself(backend: Any) -> None:
    """Counts, which store, and that it is well."""
    backend.post("/api/assistant/ask", {"prompt": "for the statistics"})
    before = backend.get("/api/cache/stats").json()
    backend.post("/api/assistant/ask", {"prompt": "for the statistics"})
    after = backend.get("/api/cache/stats").json()
    assert (after["hits"], after["misses"]) == (before["hits"] + 1, before["misses"])
    health = backend.get("/api/cache/health").json()
    assert (health["status"], health["store"], health["pending_invalidations"]) == ("ok", "memory", 0)


def test_a_pattern_invalidates(backend: Any) -> None:
    """What fits is forgotten and counted; what is no pattern is refused."""
    for task in ("audit", "ethics"):
        backend.post("/api/assistant/ask", {"prompt": "to be forgotten", "task": task})
    assert backend.post("/api/cache/invalidate?pattern=audit:*").json() == {"invalidated": 1, "pending": False}
    assert backend.post("/api/assistant/ask", {"prompt": "to be forgotten", "task": "ethics"}).json()["cached"]
    for wrong in ("", "[a]", "a b", "x" * 101, "a%0a"):
        assert backend.post(f"/api/cache/invalidate?pattern={wrong}").status_code == 422
    assert backend.post("/api/cache/invalidate").status_code == 422


def test_usage_and_metrics_count(backend: Any) -> None:
    """Tokens and cost by model, the budget, and the same in the metrics; health names the models."""
    backend.post("/api/assistant/ask", {"prompt": "to be counted", "use_cache": False})
    usage = backend.get("/api/llm/usage").json()
    assert usage["models"]["echo"]["prompt_tokens"] > 0
    assert usage["budget"]["limit"] == 0.15
    assert 0 < usage["budget"]["spent"] == pytest.approx(usage["total"]["cost"])
    metrics = backend.get("/metrics").text
    assert 'assistant_ai_requests_total{model="echo",outcome="ok",task="chat"}' in metrics
    assert 'assistant_ai_tokens_total{kind="prompt",model="echo"}' in metrics
    assert backend.get("/health").json()["components"]["llm"]["models"] == ["echo", "local"]


def test_strangers_are_refused(backend: Any) -> None:
    """Without a token nothing is answered."""
    stranger = {"headers": {"Authorization": "none"}}
    assert backend.post("/api/assistant/ask", {"prompt": "x"}, **stranger).status_code == 401
    assert backend.post("/api/cache/invalidate?pattern=*", **stranger).status_code == 401
    for path in ("/api/cache/stats", "/api/cache/health", "/api/llm/usage"):
        assert backend.get(path, **stranger).status_code == 401
