"""The orchestrator: an answer from the cache when there is one, else from the chain of models, checked, scored and kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from stack.backend.ask import Answer, AskRequest, Delta, Done
from stack.backend.cache.answers import AnswerCache
from stack.backend.llm import quality
from stack.backend.llm.chain import Chain, Completed
from stack.backend.llm.failures import CUT_SHORT
from stack.backend.llm.flight import Flight, FlightEnded
from stack.backend.llm.provider import ChatRequest, Message
from stack.backend.llm.tasks import TASKS
from stack.common.errors import ApiError
from stack.common.log import Log
from stack.common.metrics import AI_QUALITY, AI_REQUESTS, AI_SECONDS

__all__ = ["Answer", "AskRequest", "Delta", "Done", "Orchestrator"]

log = Log("stack.orchestrator")

# Different requests at the same time. 200 clients that stream at once fit; each holds at most an answer.
_MAX_FLIGHTS = 256


class Orchestrator:
    """Answers questions. A component of the service.

    Args:
        chain: who is asked.
        cache: where answers are kept.
    """

    name = "llm"

    def __init__(self, chain: Chain, cache: AnswerCache) -> None:
        self._chain = chain
        self._cache = cache
        self._flights: dict[str, Flight[Delta | Done]] = {}
        self._airborne: set[Flight[Delta | Done]] = set()
        self._stopping = False

    async def start(self) -> None:
        """Say who answers."""
        log.info("Models", chain=self.models())

    async def stop(self) -> None:
        """Give up what is under way and close the connections."""
        self._stopping = True
        await asyncio.gather(*(flight.give_up() for flight in self._airborne))
        for provider in {id(link.provider): link.provider for link in self._chain.links}.values():
            await provider.aclose()

    def state(self) -> dict[str, Any]:
        """For the health answer: `degraded` while a provider is left alone because it failed."""
        resting = sorted({link.provider.name for link in self._chain.links if link.breaker.state != "closed"})
        detail = f"left alone after failures: {', '.join(resting)}" if resting else f"{len(self._chain.links)} models"
        return {"status": "degraded" if resting else "ok", "detail": detail, "models": self.models()}

    def models(self) -> list[str]:
        """The names that `AskRequest.model` may have, besides `default`."""
        return list(dict.fromkeys(link.model for link in self._chain.links))

    def usage(self) -> dict[str, Any]:
        """What was used since the start, by model; the budget of the day; the providers' state."""
        providers = {
            link.provider.name: {"state": link.breaker.state, "failures": link.breaker.failures} for link in self._chain.links
        }
        return {**self._chain.book.json(), "budget": self._chain.budget.json(), "providers": providers}

    async def answer(self, request: AskRequest) -> Answer:
        """The whole answer.

        Raises:
            ApiError: nobody answered; see `failures`.
        """
        try:
            return await self._last(request)
        except ApiError as error:
            # It had joined a stream, whose beginning could not be taken back. Nobody has seen it here, so it can be asked again.
            if error.code != CUT_SHORT[1]:
                raise
            return await self._last(request)

    async def _last(self, request: AskRequest) -> Answer:
        async with contextlib.aclosing(self._pieces(request, whole=True)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Done):
                    return piece.answer
        raise AssertionError("a stream without an end")

    async def stream(self, request: AskRequest) -> AsyncGenerator[Delta | Done, None]:
        """The answer as it comes, then `Done` with all of it. Must be closed when it is left early.

        Raises:
            ApiError: nobody answered, or the answer broke off; see `failures`.
        """
        async with contextlib.aclosing(self._pieces(request, whole=False)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(self, request: AskRequest, *, whole: bool) -> AsyncGenerator[Delta | Done, None]:
        began = time.perf_counter()
        if request.task not in TASKS:
            raise ApiError(422, "unknown_task", f"There is no such task; there are {', '.join(TASKS)}.")
        request = _with_instruction(request)
        # Before the cache, so that an unknown model is one whether or not somebody once had it.
        links = self._chain.links_for(request.task, request.model)
        asked = request.model or "default"
        key = request.key([f"{link.provider.name}/{link.model}" for link in links])
        if request.use_cache and (kept := await self._kept(key)) is not None:
            answer = replace(kept, seconds=time.perf_counter() - began)
            AI_REQUESTS.labels(request.task, answer.model, "cached").inc()
            self._chain.book.cached(answer.model)
            log.info("Answered", task=request.task, asked=asked, model=answer.model, cached=True, ms=_ms(answer.seconds))
            if answer.text:
                yield Delta(answer.text)
            yield Done(answer)
            return
        try:
            async with contextlib.aclosing(self._flight(key, request, whole).listen()) as pieces:
                async for piece in pieces:
                    yield piece
        except FlightEnded as error:
            raise ApiError(503, "stopping", "The service is stopping; ask again in a moment.", {"Retry-After": "2"}) from error

    def _flight(self, key: str, request: AskRequest, whole: bool) -> Flight[Delta | Done]:
        """The flight for a request: the one of an equal request, or a new one."""
        if self._stopping:
            raise FlightEnded("the service stops")
        under_way = self._flights.get(key) if request.use_cache else None
        if under_way is not None and not under_way.over:
            return under_way
        if len(self._airborne) >= _MAX_FLIGHTS:
            message = "Too many questions are being answered at the moment; try again."
            raise ApiError(503, "too_many_requests", message, {"Retry-After": "1"})
        flight = Flight(self._ask(key, request, whole))
        self._airborne.add(flight)
        if request.use_cache:
            self._flights[key] = flight
        flight.when_over(lambda: self._landed(key, flight))
        return flight

    def _landed(self, key: str, flight: Flight[Delta | Done]) -> None:
        self._airborne.discard(flight)
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _ask(self, key: str, request: AskRequest, whole: bool) -> AsyncGenerator[Delta | Done, None]:
        began = time.perf_counter()
        asked = ChatRequest(
            "", request.messages, request.temperature, request.max_tokens, request.tools, request.tool_choice, request.task
        )
        try:
            async with contextlib.aclosing(self._chain.stream(asked, request.model, whole=whole)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Completed):
                        answer = self._checked(request, piece, time.perf_counter() - began)
                        await self._keep(key, request, answer)
                        yield Done(answer)
                    else:
                        yield Delta(piece)
        except ApiError as error:
            # Names of models come from the configuration and from nowhere else: this one was found in it.
            AI_REQUESTS.labels(request.task, request.model or "default", "failed").inc()
            self._chain.book.failed(request.model or "default")
            log.error("No model answered", task=request.task, asked=request.model or "default", code=error.code)
            raise

    def _checked(self, request: AskRequest, completed: Completed, seconds: float) -> Answer:
        """The answer with its score, told to the metrics and the log."""
        rating = quality.score(request.messages, completed.text, completed.finish_reason, tools=bool(completed.tool_calls))
        model, usage, task = completed.link.model, completed.usage, request.task
        AI_REQUESTS.labels(task, model, "ok").inc()
        AI_SECONDS.labels(task, model).observe(seconds)
        AI_QUALITY.labels(task).observe(rating)
        self._chain.book.answered(model)
        log.info(
            "Answered",
            task=task,
            asked=request.model or "default",
            provider=completed.link.provider.name,
            model=model,
            stand_in=completed.stand_in,
            attempts=completed.attempts,
            tokens=usage.total_tokens,
            cost=round(completed.cost, 8),
            quality=rating,
            ms=_ms(seconds),
        )
        return Answer(
            completed.text,
            model,
            completed.link.provider.name,
            False,
            usage,
            completed.cost,
            rating,
            seconds,
            completed.finish_reason,
            completed.tool_calls,
            completed.stand_in,
        )

    async def _keep(self, key: str, request: AskRequest, answer: Answer) -> None:
        # A stand-in is no answer that should last longer than the outage; a tool is to be called each time.
        if not request.use_cache or answer.stand_in or answer.tool_calls or answer.quality < quality.KEEP:
            return
        await self._cache.set(key, answer.packed(), TASKS[request.task].time_to_live)

    async def _kept(self, key: str) -> Answer | None:
        if (value := await self._cache.get(key)) is None:
            return None
        try:
            return Answer.unpacked(value)
        except ValueError as error:
            # Another version's, or somebody else wrote into this Redis.
            log.warning("A cached answer cannot be read", key=key, reason=str(error)[:200])
            return None


def _with_instruction(request: AskRequest) -> AskRequest:
    if any(message.role == "system" for message in request.messages):
        return request
    return replace(request, messages=(Message("system", TASKS[request.task].instruction), *request.messages))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
