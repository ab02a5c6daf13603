"""The orchestrator: cache first, equal questions once, and what is kept for how long."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest

from stack.backend.cache.answers import AnswerCache
from stack.backend.cache.memory import MemoryStore
from stack.backend.llm.build import build_chain
from stack.backend.llm.chain import Retries
from stack.backend.llm.config import LlmSettings, ProviderConfig
from stack.backend.llm.flight import Flight
from stack.backend.llm.provider import Message
from stack.backend.llm.tasks import TASKS
from stack.backend.orchestrator import Answer, AskRequest, Delta, Done, Orchestrator
from stack.common.errors import ApiError
from stack.common.redis_link import RedisLink
from tests.stack.openai_server import Behaviour, OpenAIServer, answer, break_off, fail, openai_server, stall

HELLO = AskRequest.of("hello there")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture
def server(endpoint: OpenAIServer) -> OpenAIServer:
    endpoint.reset()
    return endpoint


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def orchestra(server: OpenAIServer, *, local: bool = True, clock: Clock | None = None) -> AsyncIterator[Orchestrator]:
    models = [{"name": "echo", "input": 1, "output": 2}]
    provider = ProviderConfig.model_validate({"name": "test", "url": server.url, "models": models})
    cache = AnswerCache(RedisLink(None), MemoryStore(clock=clock or Clock()))
    chain = build_chain(LlmSettings((provider,), local=local), retries=Retries(pause=0.001))
    orchestrator = Orchestrator(chain, cache)
    await orchestrator.start()
    try:
        yield orchestrator
    finally:
        await orchestrator.stop()


async def streamed(orchestrator: Orchestrator, request: AskRequest = HELLO) -> tuple[list[str], Answer]:
    texts: list[str] = []
    async with contextlib.aclosing(orchestrator.stream(request)) as pieces:
        async for piece in pieces:
            match piece:
                case Delta():
                    texts.append(piece.text)
                case Done():
                    return texts, piece.answer
    raise AssertionError("no end")


def test_the_second_answer_is_kept_from_the_first(server: OpenAIServer) -> None:
    """An equal question is answered from the cache: same words, no cost, nothing sent; whether streamed or not."""

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            first = await orchestrator.answer(HELLO)
            again = await orchestrator.answer(dataclasses.replace(HELLO, messages=(Message("user", "hello there \r\n"),)))
            assert (first.cached, again.cached, again.text) == (False, True, first.text)
            assert (again.cost, again.usage, again.quality) == (0, first.usage, first.quality)
            assert first.cost > 0
            assert await streamed(orchestrator) == (["Echo: hello there"], dataclasses.replace(again, seconds=ANY))
        assert len(server.requests) == 1

    asyncio.run(scene())


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANY: Any = _Any()


@pytest.mark.parametrize(
    "change",
    [
        {"task": "audit"},
        {"model": "echo"},
        {"temperature": 0.5},
        {"max_tokens": 50},
        {"messages": (Message("user", "hello there!"),)},
        {"messages": (Message("system", "be brief"), Message("user", "hello there"))},
        {"tools": ({"type": "function"},)},
        {"use_cache": False},
    ],
)
def test_another_question_is_asked_anew(server: OpenAIServer, change: dict[str, Any]) -> None:
    """Everything that decides the answer is part of the key; `use_cache: false` reads nothing."""

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            await orchestrator.answer(HELLO)
            assert not (await orchestrator.answer(dataclasses.replace(HELLO, **change))).cached

    asyncio.run(scene())


def test_an_answer_past_the_cache_is_not_kept(server: OpenAIServer) -> None:
    """`use_cache: false` keeps nothing either."""

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            await orchestrator.answer(dataclasses.replace(HELLO, use_cache=False))
            assert not (await orchestrator.answer(HELLO)).cached

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("task", "hours"), [("audit", 24), ("tutoring", 0.5), ("collaboration", 1), ("alignment", 2), ("ethics", 12), ("chat", 1 / 6)]
)
def test_each_task_keeps_its_answers_for_its_time(server: OpenAIServer, task: str, hours: float) -> None:
    """A second before its time an answer is there, then it is asked anew."""
    clock = Clock()

    async def scene() -> None:
        request = AskRequest.of("hello there", task)
        async with orchestra(server, clock=clock) as orchestrator:
            await orchestrator.answer(request)
            clock.now = hours * 3600 - 1
            assert (await orchestrator.answer(request)).cached
            clock.now += 1
            assert not (await orchestrator.answer(request)).cached

    asyncio.run(scene())


def test_a_conversation_without_instruction_gets_the_tasks(server: OpenAIServer) -> None:
    """The task's system message is put first, unless there is one."""

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            await orchestrator.answer(AskRequest.of("hello", "ethics"))
            await orchestrator.answer(AskRequest((Message("system", "mine"), Message("user", "hello")), "ethics"))

    asyncio.run(scene())
    systems = [request.body["messages"][0]["content"] for request in server.requests]
    assert systems == [TASKS["ethics"].instruction, "mine"]


@pytest.mark.parametrize("behaviour", [fail(500), answer("sessions of words " * 60), answer("ask a tool", tool="look")])
def test_what_is_no_good_answer_is_not_kept(server: OpenAIServer, behaviour: Behaviour) -> None:
    """A stand-in, a loop of words, a wish for a tool: the next question is sent again."""
    server.always(behaviour)

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            assert (await orchestrator.answer(HELLO)).stand_in == (behaviour.kind == "fail")
            assert not (await orchestrator.answer(HELLO)).cached

    asyncio.run(scene())


def test_equal_questions_at_once_are_sent_once(server: OpenAIServer) -> None:
    """Twenty of them, streamed and not: one request, everybody gets all of it."""
    server.always(answer(held=True))

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            streams = [asyncio.create_task(streamed(orchestrator)) for _ in range(10)]
            answers = [asyncio.create_task(orchestrator.answer(HELLO)) for _ in range(10)]
            await asyncio.to_thread(server.wait_request)
            server.release()
            texts = {"".join(texts) for texts, _ in await asyncio.gather(*streams)}
            texts |= {each.text for each in await asyncio.gather(*answers)}
            assert texts == {"Echo: hello there"}
        assert len(server.requests) == 1

    asyncio.run(scene())


def test_one_who_leaves_does_not_take_it_from_the_others(server: OpenAIServer) -> None:
    """The work goes on while anybody listens."""
    server.always(answer(held=True))

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            one, other = (asyncio.create_task(orchestrator.answer(HELLO)) for _ in range(2))
            await asyncio.to_thread(server.wait_request)
            one.cancel()
            server.release()
            assert (await other).text == "Echo: hello there"
        assert len(server.requests) == 1

    asyncio.run(scene())


def test_when_everybody_left_the_work_is_given_up(server: OpenAIServer) -> None:
    """The endpoint sees the connection close; the next one who asks begins anew."""
    server.will(stall(1))

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            async with contextlib.aclosing(orchestrator.stream(HELLO)) as pieces:
                assert await anext(pieces) == Delta("Echo: ")
            assert await asyncio.to_thread(server.requests[0].left.wait, 30)
            assert (await orchestrator.answer(HELLO)).text == "Echo: hello there"

    asyncio.run(scene())


def test_who_joined_a_stream_that_broke_off_is_answered(server: OpenAIServer) -> None:
    """The stream's reader sees the break; one who wanted the whole answer has seen nothing, and gets it."""
    server.will(break_off(2, held=True))

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            stream = asyncio.create_task(streamed(orchestrator))
            await asyncio.to_thread(server.wait_request)
            whole = asyncio.create_task(orchestrator.answer(HELLO))
            await asyncio.sleep(0)
            server.release()
            with pytest.raises(ApiError) as caught:
                await stream
            assert caught.value.code == "llm_broken_off"
            assert (await whole).text == "Echo: hello there"

    asyncio.run(scene())


def test_a_failure_is_everybodys_and_not_kept(server: OpenAIServer) -> None:
    """All who waited get the error; who asks later is answered."""
    server.will(fail(400, message="too long"))

    async def scene() -> None:
        async with orchestra(server, local=False) as orchestrator:
            outcomes = await asyncio.gather(*(orchestrator.answer(HELLO) for _ in range(3)), return_exceptions=True)
            assert [each.code for each in outcomes if isinstance(each, ApiError)] == ["llm_rejected"] * 3
            assert len(server.requests) == 1
            assert orchestrator.usage()["models"]["default"]["failed"] == 1

    asyncio.run(scene())


def test_a_stop_ends_what_is_under_way(server: OpenAIServer) -> None:
    """Who waits is told that the service stops, and nothing new begins."""
    server.will(stall())

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            waiting = asyncio.create_task(orchestrator.answer(HELLO))
            await asyncio.to_thread(server.wait_request)
            await orchestrator.stop()
            for each in (waiting, orchestrator.answer(HELLO)):
                with pytest.raises(ApiError) as caught:
                    await each
                assert caught.value.code == "stopping"
            assert not asyncio.all_tasks() - {asyncio.current_task()}

    asyncio.run(scene())


def test_too_many_at_once_are_refused(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a question is refused at once, with a time to come back."""
    monkeypatch.setattr("stack.backend.orchestrator._MAX_FLIGHTS", 2)
    server.always(answer(held=True))

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            waiting = [asyncio.create_task(orchestrator.answer(AskRequest.of(text))) for text in ("one", "two")]
            for _ in waiting:
                await asyncio.to_thread(server.wait_request)
            with pytest.raises(ApiError) as caught:
                await orchestrator.answer(AskRequest.of("three"))
            assert (caught.value.code, caught.value.status_code) == ("too_many_requests", 503)
            server.release()
            await asyncio.gather(*waiting)
            assert (await orchestrator.answer(AskRequest.of("three"))).text == "Echo: three"

    asyncio.run(scene())


def test_the_state_tells_of_a_broken_provider(server: OpenAIServer) -> None:
    """While a provider is left alone the component is degraded and names it; usage tells what was used."""
    server.always(fail(500))

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            assert orchestrator.state() == {"status": "ok", "detail": "2 models", "models": ["echo", "local"]}
            for text in ("one", "two"):
                assert (await orchestrator.answer(AskRequest.of(text))).stand_in
            assert orchestrator.state()["status"] == "degraded"
            assert "test" in orchestrator.state()["detail"]
            usage = orchestrator.usage()
            assert usage["providers"]["test"]["state"] == "open"
            assert usage["models"]["local"]["answers"] == 2
            assert usage["total"]["cost"] == 0

    asyncio.run(scene())


def test_garbage_in_the_cache_is_no_answer(server: OpenAIServer) -> None:
    """What somebody else wrote under a key is asked anew and replaced."""

    async def scene() -> None:
        cache = AnswerCache(RedisLink(None))
        provider = ProviderConfig.model_validate({"name": "test", "url": server.url, "models": ["echo"]})
        orchestrator = Orchestrator(build_chain(LlmSettings((provider,))), cache)
        for value in (b"\xff", b"[]", b"{}", b'{"usage": [1]}', b"[" * 100_000):
            await cache.set(_key_of_hello(), value, 60)
            assert not (await orchestrator.answer(HELLO)).cached
            assert (await orchestrator.answer(HELLO)).cached
            await cache.invalidate("*")
        await orchestrator.stop()

    asyncio.run(scene())


def _key_of_hello() -> str:
    messages = (Message("system", TASKS["chat"].instruction), *HELLO.messages)
    return dataclasses.replace(HELLO, messages=messages).key(["test/echo", "local/local"])


def test_an_unknown_task_is_refused(server: OpenAIServer) -> None:
    """A task that nobody knows is the asker's mistake, and makes no series in the metrics."""

    async def scene() -> None:
        async with orchestra(server) as orchestrator:
            with pytest.raises(ApiError) as caught:
                await orchestrator.answer(AskRequest.of("x", "dancing"))
            assert (caught.value.status_code, caught.value.code) == (422, "unknown_task")

    asyncio.run(scene())


def test_tools_that_are_nested_without_end_are_refused() -> None:
    """A request that cannot be written down is an invalid one, not a crash."""
    tool: dict[str, Any] = {}
    for _ in range(5000):
        tool = {"a": tool}
    with pytest.raises(ApiError) as caught:
        AskRequest.of("x", tools=(tool,)).key([])
    assert caught.value.status_code == 422


def test_a_late_listener_gets_everything() -> None:
    """Who joins a flight in its middle gets its beginning as well, and its error."""

    async def scene() -> None:
        go = asyncio.Event()

        async def work() -> AsyncGenerator[int, None]:
            yield 1
            await go.wait()
            yield 2
            raise ValueError("over")

        async def listen(flight: Flight[int]) -> list[int | str]:
            found: list[int | str] = []
            try:
                async for each in flight.listen():
                    found.append(each)
            except ValueError as error:
                found.append(str(error))
            return found

        flight = Flight(work())
        early = asyncio.create_task(listen(flight))
        await asyncio.sleep(0)
        late = asyncio.create_task(listen(flight))
        await asyncio.sleep(0)
        go.set()
        assert await early == await late == [1, 2, "over"]
        assert flight.over

    asyncio.run(scene())
