"""The chat agent and the models that it asks, over a real connection: what it sends, and what it says when no answer comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.common import peer
from stack.common.internal import InternalKey
from stack.router.agents import Question
from stack.router.agents.chat import ChatAgent
from stack.router.agents.model import Model
from stack.router.sessions import Turn
from tests.stack.openai_server import Behaviour, OpenAIServer, answer, break_off, fail, garbage, openai_server, stall

JOKE = Question("tell me a joke", "chat.general")


@pytest.fixture(scope="module")
def backend() -> Iterator[OpenAIServer]:
    """What speaks as the backend's OpenAI face does."""
    with openai_server() as server:
        yield server


@pytest.fixture
def key(tmp_path: Path) -> InternalKey:
    return InternalKey(tmp_path / "internal.key")


def ask(url: str, key: InternalKey, question: Question = JOKE, patience: float = 30.0) -> list[str]:
    """The pieces of the chat agent's reply."""

    async def scene() -> list[str]:
        async with peer.client(peer.TIMEOUT) as client:
            agent = ChatAgent(Model(url.removesuffix("/v1"), client, key, patience))
            return [text async for text in agent.stream(question)]

    return asyncio.run(scene())


def test_the_models_answer_comes_in_pieces(backend: OpenAIServer, key: InternalKey) -> None:
    """Each piece of the model's answer is one of the reply, as it is, whatever characters it has."""
    backend.will(answer("Why did the 🐋 cross\nthe ocean?"))
    pieces = ask(backend.url, key)
    assert len(pieces) > 3
    assert "".join(pieces) == "Why did the 🐋 cross\nthe ocean?"


def test_the_model_gets_the_conversation(backend: OpenAIServer, key: InternalKey) -> None:
    """It gets the summary, the messages before, and the question; and the proof that a service asks."""
    backend.requests.clear()
    history = (Turn("user", "I am Ada"), Turn("assistant", "Hello Ada"))
    ask(backend.url, key, Question("who am I?", "chat.general", history, "user: I live in London."))
    seen = backend.requests[0]
    first, *others = seen.body["messages"]
    assert first["role"] == "system"
    assert "I live in London." in first["content"]
    assert [(message["role"], message["content"]) for message in others] == [
        ("user", "I am Ada"),
        ("assistant", "Hello Ada"),
        ("user", "who am I?"),
    ]
    assert (seen.body["model"], seen.body["stream"]) == ("default", True)
    assert key.verify(seen.headers["authorization"]) == "router"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (fail(500), "the backend answered 500"),
        (fail(429, retry_after=1), "the backend answered 429"),
        (break_off(), "the connection to the backend broke"),
        (stall(), "the backend took too long"),
        (Behaviour("empty"), "its answer is empty"),
        (garbage("data: <html>\n\n"), "its answer makes no sense"),
        (garbage("data: []\n\n"), "its answer makes no sense"),
        (garbage('data: {"choices": [7]}\n\n'), "its answer makes no sense"),
        (garbage("data: \udcff\udcfe\n\n"), "its answer makes no sense"),
        (garbage("x" * 100_000), "its answer makes no sense"),
        (garbage(""), "its answer has no end"),
    ],
    ids=["500", "429", "broken", "stalled", "empty", "html", "list", "odd", "bytes", "huge", "nothing"],
)
def test_without_an_answer_it_has_one_of_its_own(
    backend: OpenAIServer, key: InternalKey, behaviour: Behaviour, reason: str
) -> None:
    """Whatever goes wrong before the first word: a prepared answer, which says so and why."""
    backend.will(behaviour)
    reply = "".join(ask(backend.url, key, patience=0.2 if behaviour.kind == "stall" else 30.0))
    assert reply.startswith("I cannot answer that without a language model.")
    assert reply.endswith(f"[A built-in answer: the language model cannot be asked, {reason}.]")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (break_off(after=2), "the connection to the backend broke"),
        (stall(after=2), "the backend took too long"),
        (garbage("data: {\n\n", after=2), "its answer makes no sense"),
        (Behaviour("error_event", after=2, message="The budget is spent."), "The budget is spent"),
    ],
    ids=["broken", "stalled", "garbage", "error"],
)
def test_an_answer_that_breaks_off_says_so(backend: OpenAIServer, key: InternalKey, behaviour: Behaviour, reason: str) -> None:
    """What was said stays, and the end says that it is none."""
    backend.will(behaviour)
    reply = "".join(ask(backend.url, key, patience=0.2 if behaviour.kind == "stall" else 30.0))
    assert reply.startswith("Echo: tell")
    assert reply.endswith(f"\n\n[The language model broke off here: {reason}.]")


@pytest.mark.parametrize(
    ("message", "intent", "expected"),
    [
        ("hello there", "chat.greeting", "Hello!"),
        ("thanks, bye", "chat.greeting", "You are welcome. Goodbye!"),
        ("who are you?", "chat.about", "I am the assistant of this stack."),
    ],
)
def test_prepared_answers_fit_the_question(key: InternalKey, message: str, intent: str, expected: str) -> None:
    """With nobody to ask, pleasantries and questions about itself are still answered, and say why so."""
    # Nothing listens on the discard port of this machine.
    reply = "".join(ask("http://127.0.0.1:9", key, Question(message, intent)))
    assert reply.startswith(expected)
    assert "the backend cannot be reached" in reply
