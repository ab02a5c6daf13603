"""The chain over real endpoints: retry, pauses, fallback, breaker, deadline, budget."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from stack.backend.llm.breaker import Breaker
from stack.backend.llm.budget import Budget
from stack.backend.llm.chain import Chain, Completed, Link, Retries
from stack.backend.llm.local_provider import LocalProvider
from stack.backend.llm.openai_provider import OpenAIProvider
from stack.backend.llm.prices import Price
from stack.backend.llm.provider import ChatRequest, Message
from stack.common.errors import ApiError
from tests.stack.openai_server import Behaviour, OpenAIServer, answer, break_off, fail, openai_server, stall

HELLO = ChatRequest("", (Message("user", "hello there"),))
QUICK = Retries(pause=0.001)


@pytest.fixture(scope="module")
def endpoints() -> Iterator[tuple[OpenAIServer, OpenAIServer]]:
    with openai_server() as first, openai_server() as second:
        yield first, second


@pytest.fixture
def first(endpoints: tuple[OpenAIServer, OpenAIServer]) -> OpenAIServer:
    return fresh(endpoints[0])


@pytest.fixture
def second(endpoints: tuple[OpenAIServer, OpenAIServer]) -> OpenAIServer:
    return fresh(endpoints[1])


def fresh(server: OpenAIServer) -> OpenAIServer:
    server.reset()
    return server


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def link(server: OpenAIServer, model: str = "echo", *, breaker: Breaker | None = None, price: Price | None = None) -> Link:
    provider = OpenAIProvider(f"at-{server.port}", server.url, [model], patience=10)
    return Link(provider, model, breaker or Breaker(), price or Price())


LOCAL = Link(LocalProvider(), "local", Breaker())


@contextlib.asynccontextmanager
async def chained(*links: Link, **options: Any) -> AsyncIterator[Chain]:
    chain = Chain(links, **{"retries": QUICK, **options})
    try:
        yield chain
    finally:
        for each in links:
            await each.provider.aclose()


async def ask(chain: Chain, model: str | None = None, *, whole: bool = True, request: ChatRequest = HELLO) -> Completed:
    async with contextlib.aclosing(chain.stream(request, model, whole=whole)) as pieces:
        found = [piece async for piece in pieces]
    last = found.pop()
    assert isinstance(last, Completed)
    assert "".join(piece for piece in found if isinstance(piece, str)) == last.text
    return last


def asked(*links: Link, model: str | None = None, whole: bool = True, request: ChatRequest = HELLO, **options: Any) -> Completed:
    async def scene() -> Completed:
        async with chained(*links, **options) as chain:
            return await ask(chain, model, whole=whole, request=request)

    return asyncio.run(scene())


def refused(*links: Link, **options: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        asked(*links, **options)
    return caught.value


@pytest.mark.parametrize("behaviour", [fail(500), fail(429), fail(429, retry_after=0), break_off(), Behaviour("empty")])
def test_a_failure_in_passing_is_tried_again(first: OpenAIServer, behaviour: Behaviour) -> None:
    """What may succeed in a moment does, without anybody noticing."""
    first.will(behaviour, behaviour)
    done = asked(link(first))
    assert (done.text, done.attempts, len(first.requests)) == ("Echo: hello there", 3, 3)


def test_after_three_attempts_the_next_is_asked(first: OpenAIServer, second: OpenAIServer) -> None:
    """One provider's outage is another one's work, and no stand-in."""
    first.always(fail(503))
    done = asked(link(first), link(second), LOCAL)
    assert done.link.provider.name == f"at-{second.port}"
    assert (len(first.requests), len(second.requests), done.stand_in) == (3, 1, False)


@pytest.mark.parametrize("behaviour", [fail(401), fail(404), fail(400)])
def test_a_refusal_is_not_tried_again(first: OpenAIServer, second: OpenAIServer, behaviour: Behaviour) -> None:
    """A wrong key, address or request stays wrong: the next provider is asked at once."""
    first.always(behaviour)
    assert asked(link(first), link(second)).text == "Echo: hello there"
    assert len(first.requests) == 1


def test_the_built_in_provider_stands_in_last(first: OpenAIServer) -> None:
    """When nobody else answers it does, says what it is, and is marked."""
    first.always(fail(500))
    done = asked(link(first), LOCAL)
    assert done.stand_in
    assert "built-in provider" in done.text


def test_alone_the_built_in_provider_stands_in_for_nobody() -> None:
    """Where nothing else is configured its answers are the normal ones."""
    assert not asked(LOCAL).stand_in


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        (fail(500), 502, "llm_failed"),
        (fail(429), 503, "llm_overloaded"),
        (fail(403), 502, "llm_refused"),
        (fail(400), 422, "llm_rejected"),
        (break_off(), 503, "llm_unreachable"),
        (break_off(1), 502, "llm_failed"),
        (answer("\x00\x01 garbled"), 502, "llm_failed"),
    ],
)
def test_without_a_stand_in_the_last_failure_is_told(first: OpenAIServer, behaviour: Behaviour, status: int, code: str) -> None:
    """Each kind of failure has a status and a code of its own."""
    first.always(behaviour)
    error = refused(link(first))
    assert (error.status_code, error.code) == (status, code)


def test_a_whole_answer_that_broke_off_is_asked_again(first: OpenAIServer) -> None:
    """Nobody has seen its beginning, so it can be forgotten."""
    first.will(break_off(2))
    assert asked(link(first)).text == "Echo: hello there"


def test_strange_characters_may_be_repeated(first: OpenAIServer) -> None:
    """Control characters in an answer are garbage, except where the question has some."""
    strange = ChatRequest("", (Message("user", "what is \x1b[0m?"),))
    assert asked(link(first), request=strange).text == "Echo: what is \x1b[0m?"
    assert not asked(LOCAL, request=strange).text.count("\x1b")


def test_a_stream_that_broke_off_says_so(first: OpenAIServer, second: OpenAIServer) -> None:
    """What was shown cannot be taken back: an error, and no second answer behind the first half."""
    first.will(break_off(2))

    async def scene() -> list[Any]:
        async with chained(link(first), link(second)) as chain:
            pieces = chain.stream(HELLO)
            shown = [await anext(pieces), await anext(pieces)]
            with pytest.raises(ApiError) as caught:
                await anext(pieces)
        assert caught.value.code == "llm_broken_off"
        return shown

    assert asyncio.run(scene()) == ["Echo: ", "hello "]
    assert (len(first.requests), len(second.requests)) == (1, 0)


def test_a_long_pause_asked_for_is_granted(first: OpenAIServer, second: OpenAIServer) -> None:
    """A provider that wants to be left alone for a minute is, and the next one is asked meanwhile."""
    first.will(fail(429, retry_after=60))
    clock = Clock()
    one = link(first, breaker=Breaker(clock=clock))

    async def scene() -> list[str]:
        names = []
        async with chained(one, link(second)) as chain:
            for moment in (0, 59, 61):
                clock.now = moment
                names.append((await ask(chain)).link.provider.name)
        return names

    assert asyncio.run(scene()) == [f"at-{second.port}", f"at-{second.port}", f"at-{first.port}"]
    assert len(first.requests) == 2


def test_the_breaker_spares_a_broken_provider(first: OpenAIServer) -> None:
    """After five failures in a row nothing is sent; after its rest one request is, and closes it when it is answered."""
    clock = Clock()
    breaker = Breaker(clock=clock)
    first.always(fail(500))

    async def scene() -> None:
        async with chained(link(first, breaker=breaker)) as chain:
            codes = []
            for _ in range(4):
                with pytest.raises(ApiError) as caught:
                    await ask(chain)
                codes.append(caught.value.code)
            assert codes == ["llm_failed", "llm_failed", "llm_resting", "llm_resting"]
            assert (len(first.requests), breaker.state) == (5, "open")
            clock.now = 31
            first.always(Behaviour())
            assert (await ask(chain)).attempts == 1
            assert breaker.state == "closed"

    asyncio.run(scene())


def test_rejected_requests_do_not_break_the_circuit(first: OpenAIServer) -> None:
    """Requests that are at fault themselves say nothing about the provider."""
    breaker = Breaker()
    first.always(fail(400))

    async def scene() -> None:
        async with chained(link(first, breaker=breaker)) as chain:
            for _ in range(6):
                with pytest.raises(ApiError):
                    await ask(chain)

    asyncio.run(scene())
    assert (breaker.state, breaker.failures) == ("closed", 0)


def test_a_probe_that_is_given_up_frees_its_place(first: OpenAIServer) -> None:
    """Who leaves a half-open provider's only request does not lock it for ever."""
    clock = Clock()
    breaker = Breaker(failures=1, clock=clock)
    first.will(fail(400), stall(1))

    async def scene() -> None:
        async with chained(link(first, breaker=breaker), retries=Retries(attempts=1)) as chain:
            leave = breaker.attempt()
            assert leave is not None
            leave.failed()
            clock.now = 31
            with pytest.raises(ApiError):
                await ask(chain)
            async with contextlib.aclosing(chain.stream(HELLO)) as pieces:
                assert await anext(pieces) == "Echo: "
            assert (await ask(chain)).text == "Echo: hello there"

    asyncio.run(scene())


def test_the_deadline_holds_over_all_attempts(first: OpenAIServer, second: OpenAIServer) -> None:
    """A provider that drips never ends by itself: the deadline ends it, and nobody else is asked after it."""
    first.always(answer("a b c d e f g h " * 1000, pause=0.02))
    error = refused(link(first), link(second), retries=Retries(deadline=0.2))
    assert (error.status_code, error.code) == (504, "llm_timeout")
    assert not second.requests


def test_a_model_by_name_has_no_fallback(first: OpenAIServer) -> None:
    """Who names a model gets that one or an error."""
    first.always(fail(500))
    assert refused(link(first), LOCAL, model="echo").code == "llm_failed"
    assert refused(link(first), LOCAL, model="nobody").status_code == 404


def test_one_model_at_two_providers(first: OpenAIServer, second: OpenAIServer) -> None:
    """A name that two providers have is asked at the second when the first fails."""
    first.always(fail(500))
    assert asked(link(first), link(second), model="echo").link.provider.name == f"at-{second.port}"


def test_a_task_has_an_order_of_its_own(first: OpenAIServer, second: OpenAIServer) -> None:
    """The configured order of a task beats that of the providers; other tasks keep the latter."""
    orders = {"audit": ["careful", "echo"]}
    audit = ChatRequest("", HELLO.messages, task="audit")
    assert asked(link(first), link(second, "careful"), orders=orders, request=audit).link.model == "careful"
    assert asked(link(first), link(second, "careful"), orders=orders).link.model == "echo"


def test_a_spent_budget_refuses(first: OpenAIServer) -> None:
    """Nothing is sent when an answer could cost more than is left, and nothing prepared is given instead."""
    price = Price(1_000, 1_000)
    error = refused(link(first, price=price), LOCAL, budget=Budget(0.5))
    assert (error.status_code, error.code) == (429, "budget_spent")
    assert int((error.headers or {})["Retry-After"]) > 0
    assert not first.requests


def test_free_models_go_on_after_the_budget(first: OpenAIServer, second: OpenAIServer) -> None:
    """A model that costs nothing needs no budget."""
    assert asked(link(first, price=Price(1_000, 1_000)), link(second), budget=Budget(0)).text == "Echo: hello there"
    assert not first.requests


def test_what_was_sent_is_paid(first: OpenAIServer) -> None:
    """The provider's own count is charged; of a broken answer, an estimate of what came."""
    budget = Budget(100)
    first.will(break_off(2))
    done = asked(link(first, price=Price(1_000_000, 2_000_000)), budget=budget, request=short())
    assert done.cost == 2 * 1 + 3 * 2
    assert budget.json()["spent"] > done.cost
    assert budget.json()["reserved"] == 0


def short() -> ChatRequest:
    return ChatRequest("", HELLO.messages, max_tokens=20)


def test_many_at_once_do_not_pass_the_budget(first: OpenAIServer) -> None:
    """Requests under way hold what they may cost: of ten at once, only those that fit are sent."""
    first.always(answer(held=True))
    # At most 6 tokens of prompt and 20 of answer are set aside for each: 26 dollars.
    one = link(first, price=Price(1_000_000, 1_000_000))

    async def scene() -> list[Any]:
        async with chained(one, budget=Budget(60)) as chain:
            work = [asyncio.create_task(ask(chain, request=short())) for _ in range(10)]
            for _ in range(2):
                await asyncio.to_thread(first.wait_request)
            first.release()
            return await asyncio.gather(*work, return_exceptions=True)

    outcomes = asyncio.run(scene())
    assert sum(isinstance(each, Completed) for each in outcomes) == 2
    assert {each.code for each in outcomes if isinstance(each, ApiError)} == {"budget_spent"}
