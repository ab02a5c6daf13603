"""The OpenAI-compatible face, used as its clients use it: with the official library."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.stack.conftest import GUARD, Scene
from tests.stack.openai_server import answer, break_off, fail


@pytest.fixture
def client(scene: Scene) -> Iterator[openai.OpenAI]:
    """The official client, pointed at the backend."""
    with openai.OpenAI(base_url=scene.backend.url + "/v1", api_key=scene.backend.token(), timeout=GUARD, max_retries=0) as made:
        yield made


def user(text: str) -> list[dict[str, str]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def test_models(client: openai.OpenAI) -> None:
    """Ours and the providers' own."""
    assert [model.id for model in client.models.list()] == ["default", "assistant", "small"]


@pytest.mark.parametrize("model", ["default", "small"])
def test_a_completion(client: openai.OpenAI, scene: Scene, model: str) -> None:
    """The provider's text and usage come through."""
    scene.model.will(answer("four of them"))
    completion = client.chat.completions.create(model=model, messages=user("how many?"))  # type: ignore[arg-type]
    assert completion.choices[0].message.content == "four of them"
    assert completion.choices[0].finish_reason == "stop"
    assert (completion.model, completion.usage.completion_tokens) == ("small", 3)


def test_a_stream(client: openai.OpenAI, scene: Scene) -> None:
    """Chunk by chunk, with usage at the end when asked for."""
    scene.model.will(answer("one two three"))
    stream = client.chat.completions.create(
        model="default",
        messages=user("count"),  # type: ignore[arg-type]
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert texts == ["one ", "two ", "three"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 3


def test_the_assistant_is_a_model(client: openai.OpenAI) -> None:
    """`assistant` is the router with its agents, streamed as well."""
    asked = user("what does depends_on do?")
    whole = client.chat.completions.create(model="assistant", messages=asked)  # type: ignore[arg-type]
    stream = client.chat.completions.create(model="assistant", messages=asked, stream=True)  # type: ignore[arg-type]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "depends_on" in text
    assert whole.choices[0].message.content == text


def test_tools_are_handed_through(client: openai.OpenAI, scene: Scene) -> None:
    """A model's wish to call a function reaches the client whole."""
    scene.model.will(answer("", tool="look"))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    completion = client.chat.completions.create(model="default", messages=user("look"), tools=[tool])  # type: ignore[arg-type, list-item]
    call = completion.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("look", '{"text": "x"}')
    assert completion.choices[0].finish_reason == "tool_calls"
    assert scene.model.requests[-1].body["tools"] == [tool]


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_refuses_is_an_honest_error(client: openai.OpenAI, scene: Scene, stream: bool) -> None:
    """Nothing has been sent yet, so the status can say it."""
    scene.model.will(fail(400))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="small", messages=user("fail"), stream=stream)  # type: ignore[call-overload]
    assert caught.value.status_code == 422
    assert caught.value.body["code"]


def test_an_answer_that_breaks_off_is_no_answer(client: openai.OpenAI, scene: Scene) -> None:
    """Half an answer has been shown: the stream ends with an error, not as if it were whole."""
    scene.model.will(break_off(2, text="one two three"))
    stream = client.chat.completions.create(model="default", messages=user("break"), stream=True)  # type: ignore[call-overload]
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass


def test_strangers_are_refused(scene: Scene) -> None:
    """A key that is none is a 401, as clients expect."""
    stranger = openai.OpenAI(base_url=scene.backend.url + "/v1", api_key="sk-none", timeout=GUARD, max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "alien", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}], "n": 2},
        {"messages": [{"role": "user", "content": "x"}], "task": "none"},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
        {"messages": [{"role": "assistant", "content": "x"}], "model": "assistant"},
        {"messages": [{"role": "user", "content": "x"}], "model": "no-such-model"},
    ],
)
def test_what_cannot_be_answered_is_refused(scene: Scene, body: object) -> None:
    """With a status below 500, and in words."""
    refused = scene.backend.post("/v1/chat/completions", body)
    assert refused.status_code in (404, 422)
    assert refused.json()["error"]["message"]
