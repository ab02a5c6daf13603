"""Streamed answers of a running router: line by line, to the end or to where they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.router.engine import QUEUE
from tests.stack.conftest import GUARD, Launcher, Service
from tests.stack.openai_server import OpenAIServer, answer, openai_server, stall


@pytest.fixture(scope="module")
def models() -> Iterator[OpenAIServer]:
    """What speaks as the backend's OpenAI face does."""
    with openai_server() as server:
        yield server


@pytest.fixture
def backend(models: OpenAIServer) -> OpenAIServer:
    """The same, without what an earlier test told it."""
    models.reset()
    return models


@pytest.fixture(scope="module")
def router(models: OpenAIServer, docs_dir: Path) -> Iterator[Service]:
    """A router; none of the tests may stop it."""
    launcher = Launcher()
    try:
        service = launcher.start("router", DOCS_DIR=str(docs_dir), BACKEND_URL=models.url.removesuffix("/v1"))
        service.wait_line("Router ready")
        yield service
    finally:
        launcher.close()


def stream(router: Service, session_id: str, message: str) -> list[dict[str, Any]]:
    """All lines of an answer."""
    question = {"session_id": session_id, "message": message}
    with httpx.stream("POST", router.url + "/route/stream", json=question, timeout=GUARD, trust_env=False) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in response.iter_lines()]


def test_an_answer_comes_in_pieces(router: Service, backend: OpenAIServer) -> None:
    """First what it was taken for, then the pieces, then the whole, which is what they make together."""
    backend.will(answer("one two three\nfour “five” 🫖"))
    routed, *chunks, end = stream(router, "pieces", "hello there")
    assert routed == {"type": "routed", "intent": "chat.greeting", "confidence": end["confidence"], "agent": "chat"}
    assert {chunk["type"] for chunk in chunks} == {"chunk"}
    assert len(chunks) > 3
    assert "".join(chunk["text"] for chunk in chunks) == end["reply"] == "one two three\nfour “five” 🫖"
    assert end.keys() == {"type", "intent", "confidence", "agent", "reply", "history_length", "timings"}
    assert end["history_length"] == 2


def test_a_piece_arrives_before_the_next_is_there(router: Service, backend: OpenAIServer) -> None:
    """Nothing is held back: the first piece can be read while the model still keeps the second."""
    backend.will(answer("one two", hold_after=1))
    question = {"session_id": "early", "message": "hello there"}
    with httpx.stream("POST", router.url + "/route/stream", json=question, timeout=GUARD, trust_env=False) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["type"] == "routed"
        assert json.loads(next(lines)) == {"type": "chunk", "text": "one "}
        backend.release()
        assert [json.loads(line)["type"] for line in lines] == ["chunk", "end"]


def test_who_goes_away_is_not_waited_for(router: Service, backend: OpenAIServer) -> None:
    """A client that leaves in the midst ends the model's work; the answer is not remembered, and the conversation goes on."""
    backend.will(stall(after=1))
    question = {"session_id": "gone", "message": "hello there"}
    with httpx.stream("POST", router.url + "/route/stream", json=question, timeout=GUARD, trust_env=False) as response:
        lines = response.iter_lines()
        assert [json.loads(next(lines))["type"] for _ in range(2)] == ["routed", "chunk"]
    assert backend.requests[0].left.wait(GUARD)
    assert stream(router, "gone", "hello again")[-1]["history_length"] == 2


def test_too_long_a_reply_is_cut_off(router: Service, backend: OpenAIServer) -> None:
    """A model that does not stop is stopped."""
    backend.will(answer("x" * 20_000 + " " + "y" * 20_000))
    end = stream(router, "endless", "hello there")[-1]
    assert end["reply"].endswith("[The reply is cut off here: it is too long.]")
    assert len(end["reply"]) < 33_000


def test_messages_of_one_conversation_wait_for_one_another(router: Service, backend: OpenAIServer) -> None:
    """Ten at once are ten turns afterwards."""
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: stream(router, "crowd", f"hello {number}")[-1], range(10)))
    assert sorted(each["history_length"] for each in answers) == list(range(2, 22, 2))
    turns = router.get("/sessions/crowd").json()["turns"]
    assert all(reply["text"] == f"Echo: {asked['text']}" for asked, reply in zip(turns[::2], turns[1::2], strict=True))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"session_id": "a"}', b'{"session_id": "../a", "message": "x"}'])
def test_bad_messages_are_refused(router: Service, body: bytes) -> None:
    """What is no message is answered 422 in the common shape, before anything streams."""
    refused = httpx.post(router.url + "/route/stream", content=body, timeout=GUARD, trust_env=False)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")


def test_a_router_that_stops_ends_its_streams(launcher: Launcher, backend: OpenAIServer) -> None:
    """On SIGTERM an answer under way ends with an error that says why, and the router goes at once."""
    router = launcher.start("router", BACKEND_URL=backend.url.removesuffix("/v1"))
    router.wait_line("Router ready")
    backend.will(stall(after=1))
    question = {"session_id": "a", "message": "hello there"}
    with httpx.stream("POST", router.url + "/route/stream", json=question, timeout=GUARD, trust_env=False) as response:
        lines = response.iter_lines()
        assert [json.loads(next(lines))["type"] for _ in range(2)] == ["routed", "chunk"]
        router.process.terminate()
        last = json.loads(next(lines))
        assert (last["type"], last["error"]["code"]) == ("error", "stopping")
        assert list(lines) == []
    assert router.process.wait(GUARD) == 0


def test_too_many_waiting_messages_are_refused(router: Service, backend: OpenAIServer) -> None:
    """A program that floods one conversation is told so; the others wait, and all of them are answered in the end."""
    backend.always(answer(held=True))
    question = {"session_id": "flood", "message": "hello there"}
    with ThreadPoolExecutor(30) as pool:
        answers = [pool.submit(router.post, "/route", question) for _ in range(30)]
        refused = [done.result() for done in islice(as_completed(answers), 30 - 1 - QUEUE)]
        assert {(each.status_code, each.json()["error"]["code"]) for each in refused} == {(429, "busy")}
        backend.release()
        statuses = sorted(done.result().status_code for done in answers)
    assert statuses == [200] * (1 + QUEUE) + [429] * len(refused)
