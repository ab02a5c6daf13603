"""An OpenAI-compatible endpoint over a real connection: what is sent, what is understood, and each way in which it can fail."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import socket
import time
from collections.abc import Iterator

import pytest

from stack.backend.llm.openai_provider import OpenAIProvider
from stack.backend.llm.provider import ChatRequest, Chunk, Message, ProviderError, ToolCall, Usage
from tests.stack.openai_server import Behaviour, OpenAIServer, answer, break_off, fail, garbage, openai_server, stall

KEY = "sk-very-secret"
HELLO = ChatRequest("echo", (Message("user", "hello there"),))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture
def server(endpoint: OpenAIServer) -> OpenAIServer:
    endpoint.reset()
    return endpoint


async def ask(url: str, request: ChatRequest = HELLO, patience: float = 10) -> list[Chunk]:
    provider = OpenAIProvider("test", url, ["echo"], KEY, patience)
    try:
        async with contextlib.aclosing(provider.stream(request)) as chunks:
            return [chunk async for chunk in chunks]
    finally:
        await provider.aclose()


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_an_answer_streams_and_tells_its_tokens(server: OpenAIServer) -> None:
    """Text comes in the pieces in which it was sent; the last chunk has the reason of the end and the provider's own count."""
    chunks = asyncio.run(ask(server.url))
    assert [chunk.text for chunk in chunks] == ["Echo: ", "hello ", "there", ""]
    assert chunks[-1] == Chunk(finish_reason="stop", usage=Usage(2, 3, estimated=False))


def test_the_request_is_what_the_api_wants(server: OpenAIServer) -> None:
    """The key as a bearer token, a stream with its usage, and only what was set."""
    call = ToolCall("c1", "look", "{}")
    messages = (Message("user", "x"), Message("assistant", "", (call,)), Message("tool", "seen", tool_call_id="c1"))
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    asyncio.run(ask(server.url, ChatRequest("echo", messages, 0.5, 100, (tool,), "auto")))
    seen = server.requests[0]
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "echo",
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "seen", "tool_call_id": "c1"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "max_tokens": 100,
        "tools": [tool],
        "tool_choice": "auto",
    }


def test_a_tool_call_is_put_together(server: OpenAIServer) -> None:
    """A call that comes in pieces is whole in the last chunk."""
    server.will(answer("", tool="look"))
    last = asyncio.run(ask(server.url))[-1]
    assert (last.finish_reason, last.tool_calls) == ("tool_calls", (ToolCall("call-1", "look", '{"text": "x"}'),))


def test_an_endpoint_without_streaming_is_understood(server: OpenAIServer) -> None:
    """One JSON body in place of a stream is an answer as well."""
    server.will(answer(whole=True))
    chunks = asyncio.run(ask(server.url))
    assert text_of(chunks) == "Echo: hello there"
    assert chunks[-1].usage == Usage(2, 3, estimated=False)


def test_tokens_may_be_left_out(server: OpenAIServer) -> None:
    """An endpoint that does not tell its tokens still answers."""
    server.will(answer(usage=False))
    assert asyncio.run(ask(server.url))[-1] == Chunk(finish_reason="stop")


def test_characters_torn_in_two_are_joined(server: OpenAIServer) -> None:
    """A character sent as two halves in two chunks comes out whole; a half alone becomes the replacement character."""

    def event(text: str, reason: str | None = None) -> str:
        return "data: " + json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": reason}]}) + "\n\n"

    server.will(garbage(event("a\ud83d") + event("\ude00b\ude00c") + event("", "stop")))
    assert text_of(asyncio.run(ask(server.url))) == "a😀b\ufffdc"


def test_comments_and_missing_newlines_are_no_matter(server: OpenAIServer) -> None:
    """Heartbeats, other fields, CRLF, and a last line without an end are understood."""
    end = json.dumps({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]})
    server.will(garbage(f": heartbeat\r\n\r\nevent: x\r\nid: 1\r\ndata:{end}"))
    assert text_of(asyncio.run(ask(server.url))) == "hi"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (fail(500), "failed"),
        (fail(408), "failed"),
        (fail(429), "rate_limited"),
        (fail(401), "refused"),
        (fail(404), "refused"),
        (fail(307), "refused"),
        (fail(400), "rejected"),
        (break_off(), "unreachable"),
        (break_off(1), "broken_off"),
        (Behaviour("empty"), None),
        (Behaviour("error_event"), "failed"),
        (garbage("data: {not json\n\n"), "garbage"),
        (garbage("data: [1, 2]\n\n"), "garbage"),
        (garbage("data: 7\n\n"), "garbage"),
        (garbage('data: {"choices": [{"delta": {"content": 7}}]}\n\n'), "garbage"),
        (garbage('data: {"choices": {"a": 1}}\n\n'), "garbage"),
        (garbage('data: {"usage": {"prompt_tokens": -1, "completion_tokens": 1}}\n\n'), "garbage"),
        (garbage('data: {"usage": {"prompt_tokens": 1e400, "completion_tokens": 1}}\n\n'), "garbage"),
        (garbage('data: {"choices": [{"delta": {"tool_calls": [{"index": 999999999}]}}]}\n\n'), "garbage"),
        (garbage("data: " + "[" * 100_000 + "\n\n"), "garbage"),
        (garbage("data: \udcff\udcfe\n\n"), "garbage"),
        (garbage("x" * 3_000_000), "garbage"),
        (garbage("<html>It works!</html>", content_type="text/html"), "garbage"),
        (garbage("{", content_type="application/json"), "garbage"),
        (garbage(""), "broken_off"),
        (garbage("data: [DONE]\n\n", after=1), "broken_off"),
    ],
)
def test_each_failure_has_its_kind(server: OpenAIServer, behaviour: Behaviour, kind: str | None) -> None:
    """What an endpoint does wrong is told by its kind; nothing else than a ProviderError comes out."""
    server.will(behaviour)
    if kind is None:
        assert text_of(asyncio.run(ask(server.url))) == ""
        return
    with pytest.raises(ProviderError) as caught:
        asyncio.run(ask(server.url))
    assert caught.value.kind == kind


@pytest.mark.parametrize("behaviour", [stall(), stall(0), stall(1)])
def test_a_stall_ends_at_the_patience(server: OpenAIServer, behaviour: Behaviour) -> None:
    """Silence is a timeout, before the answer's head, after it, and in the middle; the connection is closed."""
    server.will(behaviour)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(ask(server.url, patience=0.15))
    assert caught.value.kind == "timeout"
    assert server.requests[0].left.wait(30)


def test_an_endless_answer_is_cut(server: OpenAIServer) -> None:
    """More text than an answer may have is garbage."""
    server.will(answer("word " * 20 + "x" * 300_000))
    with pytest.raises(ProviderError) as caught:
        asyncio.run(ask(server.url))
    assert caught.value.kind == "garbage"


def test_nobody_there_is_unreachable() -> None:
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(ProviderError) as caught:
            asyncio.run(ask(f"http://127.0.0.1:{held.getsockname()[1]}/v1"))
    assert caught.value.kind == "unreachable"


def test_retry_after_is_read_in_both_forms(server: OpenAIServer) -> None:
    """Seconds and dates (RFC 9110, 10.2.3); what is neither is left out."""
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    server.will(fail(429, retry_after=7), fail(429, retry_after=date), fail(429, retry_after="soon"), fail(503, retry_after=2))
    found = []
    for _ in range(4):
        with pytest.raises(ProviderError) as caught:
            asyncio.run(ask(server.url))
        found.append(caught.value.retry_after)
    assert found[0] == 7
    assert found[1] is not None
    assert 90 < found[1] <= 100
    assert found[2:] == [None, 2]


def test_the_key_stays_out_of_the_message(server: OpenAIServer) -> None:
    """An endpoint that quotes the key does not bring it into the log."""
    server.will(fail(401, message=f"Incorrect API key provided: {KEY}."))
    with pytest.raises(ProviderError) as caught:
        asyncio.run(ask(server.url))
    assert "Incorrect API key provided: ***" in str(caught.value)


def test_leaving_early_closes_the_connection(server: OpenAIServer) -> None:
    """Who stops listening stops the endpoint's work."""
    server.will(stall(1))

    async def scene() -> None:
        provider = OpenAIProvider("test", server.url, ["echo"])
        async with contextlib.aclosing(provider.stream(HELLO)) as chunks:
            assert (await anext(chunks)).text == "Echo: "
        await asyncio.to_thread(server.requests[0].left.wait, 30)
        await provider.aclose()

    asyncio.run(scene())
    assert server.requests[0].left.is_set()


@pytest.mark.parametrize("behaviour", [answer(), answer(whole=True)])
def test_a_connection_is_used_again(server: OpenAIServer, behaviour: Behaviour) -> None:
    """An answer is read to its end, so that the next request needs no new connection."""
    server.always(behaviour)

    async def scene() -> None:
        provider = OpenAIProvider("test", server.url, ["echo"])
        for _ in range(3):
            async with contextlib.aclosing(provider.stream(HELLO)) as chunks:
                assert text_of([chunk async for chunk in chunks]) == "Echo: hello there"
        await provider.aclose()

    asyncio.run(scene())
    assert server.connections == 1


def test_an_answer_does_not_wait_for_the_connections_end(server: OpenAIServer) -> None:
    """After its last event a stream is over, whether or not the endpoint ends it: no patience is needed."""
    server.will(answer(open_end=True))
    assert text_of(asyncio.run(ask(server.url, patience=300))) == "Echo: hello there"
