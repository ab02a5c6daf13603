"""The chain: asks one model after another until one answers, and leaves those alone that keep failing.

For each model: up to three attempts with growing pauses, unless its provider asks for a longer pause or refuses for good. Once text
has been handed on there is no second attempt, as it could not be taken back; with `whole`, it is handed on when all of it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace

from stack.backend.llm.breaker import Breaker
from stack.backend.llm.budget import Bill, Budget, BudgetSpent
from stack.backend.llm.failures import CUT_SHORT, Overdue, no_answer, unknown_model
from stack.backend.llm.prices import FREE, Price
from stack.backend.llm.provider import ChatRequest, Provider, ProviderError, ToolCall, Usage
from stack.backend.llm.quality import garbled
from stack.backend.llm.tokens import estimate, estimate_prompt
from stack.backend.llm.usage import UsageBook
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.llm")

# Tokens set aside from the budget for an answer that is not limited: a long one.
_USUAL_ANSWER = 1024

# Seconds. A provider may ask for more, by mistake or for a quota of the month; then it is asked again after this.
_LONGEST_REST = 600.0


@dataclass(frozen=True, slots=True)
class Link:
    """One model of one provider. All models of a provider share its breaker."""

    provider: Provider
    model: str
    breaker: Breaker
    price: Price = FREE


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently.

    Attributes:
        attempts: of one model.
        pause: seconds before the second attempt; doubled for each further one, and varied, so that callers do not return together.
        longest_pause: seconds; a provider that asks for more is left for the next one.
        deadline: seconds for everything together.
    """

    attempts: int = 3
    pause: float = 0.25
    longest_pause: float = 4.0
    deadline: float = 120.0

    def pause_after(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait after attempt number `attempt`, from 1; no less than the provider asked for."""
        longest = min(self.longest_pause, self.pause * 2.0 ** (attempt - 1))
        return max(longest * random.uniform(0.5, 1), asked or 0)


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of an answer.

    Attributes:
        link: who gave it.
        text: all of it.
        stand_in: the built-in provider answered because others failed.
        attempts: requests that were sent for it, by all models together.
    """

    link: Link
    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    usage: Usage
    cost: float
    stand_in: bool = False
    attempts: int = 1


@dataclass(slots=True)
class _Course:
    """What happened so far to one request."""

    whole: bool
    attempts: int = 0
    shown: bool = False
    last: ProviderError | None = None
    spent: BudgetSpent | None = None


class Chain:
    """Models in the order in which they are asked.

    Args:
        links: every model of every provider, in order.
        orders: by task, the names of the models to ask; a task without an order asks each provider's first model.
        budget: what may be spent.
        retries: how patiently.
    """

    def __init__(
        self,
        links: Sequence[Link],
        orders: Mapping[str, Sequence[str]] | None = None,
        budget: Budget | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.links = tuple(links)
        self.budget = budget or Budget(None)
        self.book = UsageBook()
        self._orders = orders or {}
        self._retries = retries or Retries()

    def links_for(self, task: str, model: str | None) -> tuple[Link, ...]:
        """Who is asked: everybody who has `model`, or without one (None, `default`) the chain of the task.

        Raises:
            ApiError: 404, nobody has it.
        """
        if model in (None, "default"):
            order = self._orders.get(task)
            if order is None:
                return tuple(link for link in self.links if link.model == link.provider.models[0])
            named = tuple(link for name in order for link in self.links if link.model == name)
            return named + tuple(link for link in self.links if link.provider.built_in and link not in named)
        found = tuple(link for link in self.links if link.model == model)
        if not found:
            raise unknown_model([link.model for link in self.links])
        return found

    async def stream(
        self, request: ChatRequest, model: str | None = None, *, whole: bool = False
    ) -> AsyncGenerator[str | Completed, None]:
        """The answer's text piece by piece, then how it ended. `request.model` is set here.

        Raises:
            ApiError: nobody answered; 429 `budget_spent` when what is left is not enough.
        """
        links = self.links_for(request.task, model)
        course = _Course(whole)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._retries.deadline
        for position, link in enumerate(links):
            if loop.time() >= ends:
                break
            if link.provider.built_in and course.spent and course.last is None:
                # A spent budget is to be noticed, not to be answered with something prepared.
                continue
            async with contextlib.aclosing(self._ask(link, request, course, ends)) as answer:
                async for piece in answer:
                    if isinstance(piece, Completed):
                        yield replace(piece, stand_in=link.provider.built_in and position > 0, attempts=course.attempts)
                        return
                    course.shown = True
                    yield piece
        raise no_answer(course.last, course.spent, len(links))

    async def _ask(self, link: Link, request: ChatRequest, course: _Course, ends: float) -> AsyncGenerator[str | Completed, None]:
        """What one model answers; ends without `Completed` when the next one should be asked."""
        request = replace(request, model=link.model)
        for number in range(1, self._retries.attempts + 1):
            leave = link.breaker.attempt()
            if leave is None:
                log.debug("Left alone for now", provider=link.provider.name, state=link.breaker.state)
                return
            told = False
            try:
                with self.budget.reserved(self._most(link, request)) as bill:
                    course.attempts += 1
                    async with contextlib.aclosing(self._attempt(link, request, course, bill, ends)) as pieces:
                        async for piece in pieces:
                            if isinstance(piece, Completed):
                                leave.succeeded()
                                told = True
                            yield piece
                return
            except BudgetSpent as spent:
                course.spent = spent
                return
            except ProviderError as error:
                course.last = error
                pause = self._retries.pause_after(number, error.retry_after)
                too_long = pause > self._retries.longest_pause
                if error.blames_provider:
                    leave.failed(min(pause, _LONGEST_REST) if too_long else None)
                    told = True
                log.warning(
                    "A provider failed",
                    provider=link.provider.name,
                    model=link.model,
                    kind=error.kind,
                    reason=str(error),
                    attempt=number,
                )
            finally:
                if not told:
                    leave.abandoned()
            if course.shown:
                raise ApiError(*CUT_SHORT) from course.last
            if too_long or not course.last.retryable or number == self._retries.attempts:
                return
            if asyncio.get_running_loop().time() + pause >= ends:
                return
            await asyncio.sleep(pause)

    async def _attempt(
        self, link: Link, request: ChatRequest, course: _Course, bill: Bill, ends: float
    ) -> AsyncGenerator[str | Completed, None]:
        """One request to one model. Fills in the bill also when it fails or is left: what was sent is paid."""
        text: list[str] = []
        usage: Usage | None = None
        sent = False
        try:
            async with contextlib.aclosing(link.provider.stream(request)) as chunks:
                while True:
                    try:
                        async with asyncio.timeout_at(ends):
                            chunk = await anext(chunks)
                    except StopAsyncIteration as end:
                        raise ProviderError("broken_off", "the answer has no end") from end
                    except TimeoutError as late:
                        raise Overdue(self._retries.deadline) from late
                    sent = True
                    usage = chunk.usage or usage
                    if chunk.text:
                        text.append(chunk.text)
                        if not course.whole:
                            yield chunk.text
                    if chunk.finish_reason is not None:
                        break
            answer = "".join(text)
            if not answer.strip() and not chunk.tool_calls:
                raise ProviderError("empty", "the answer has no text")
            # Asked about such characters, a model may well repeat them.
            if course.whole and garbled(answer) and not any(garbled(message.content) for message in request.messages):
                raise ProviderError("garbage", "the answer has characters that no text has")
            usage = usage or _guess(request, answer)
            if course.whole and answer:
                yield answer
            yield Completed(link, answer, chunk.tool_calls, chunk.finish_reason, usage, link.price.of(usage))
        finally:
            if sent:
                usage = usage or _guess(request, "".join(text))
                bill.dollars = link.price.of(usage)
                self.book.charged(link.model, usage, bill.dollars)

    def _most(self, link: Link, request: ChatRequest) -> float:
        """Dollars that a request may cost."""
        if link.price.free:
            return 0.0
        return link.price.of(Usage(estimate_prompt(request.messages), request.max_tokens or _USUAL_ANSWER, estimated=True))


def _guess(request: ChatRequest, answer: str) -> Usage:
    return Usage(estimate_prompt(request.messages), estimate(answer), estimated=True)
