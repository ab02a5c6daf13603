"""Routing: classify a message, let an agent answer, remember both."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from stack.common.contract import RouteAnswer, Timings
from stack.common.errors import ApiError
from stack.common.log import Log
from stack.common.metrics import CLASSIFY_SECONDS, ROUTES
from stack.router.agents import Agent, Question
from stack.router.classifier import Intent, IntentClassifier
from stack.router.sessions import Session, SessionStore, Turn
from stack.router.summary import as_text, condense

log = Log("stack.router")

MAX_REPLY = 32_000
"""Characters of a reply, some ten pages. An agent that goes on is cut off."""

SILENCE = 60.0
"""Seconds that an agent may take for the next piece of its reply. A model may think for a while before its first."""

DURATION = 300.0
"""Seconds that a whole reply may take. The next message of the conversation waits for it."""

QUEUE = 20
"""Messages of one conversation that may wait for their turn. People send one; a program that sends more is told so."""

# In one round of the event loop, which they keep for some milliseconds each.
_CLASSIFY_AT_ONCE = 4

_CUT_OFF = "\n\n[The reply is cut off here: it is too long.]"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the reply."""

    text: str


class Engine:
    """Answers messages.

    Args:
        classifier: tells what a message is about.
        agents: by name; one for every agent that the classifier's intents name.
        sessions: where conversations are kept.

    Raises:
        ValueError: an intent names an agent that is not there.
    """

    def __init__(self, classifier: IntentClassifier, agents: Mapping[str, Agent], sessions: SessionStore) -> None:
        missing = {intent.partition(".")[0] for intent in classifier.intents} - agents.keys()
        if missing:
            raise ValueError(f"no agent for the intents of {', '.join(sorted(missing))}")
        self._classifier = classifier
        self._agents = agents
        self._sessions = sessions
        # The messages of one conversation are answered one after the other, or two at once would each save without the other.
        self._turns: WeakValueDictionary[str, _Turns] = WeakValueDictionary()
        self._classifying = asyncio.Semaphore(_CLASSIFY_AT_ONCE)
        # The waits for agents' next pieces, to be ended when the service ends.
        self._waits: set[asyncio.Timeout] = set()
        self._ending = False

    async def route(self, session_id: str, message: str) -> RouteAnswer:
        """Answer a message of a conversation. Raises what `stream` raises."""
        async with contextlib.aclosing(self.stream(session_id, message)) as pieces:
            async for piece in pieces:
                if isinstance(piece, RouteAnswer):
                    return piece
        raise AssertionError("a stream ends with its answer")

    async def stream(self, session_id: str, message: str) -> AsyncGenerator[Intent | Chunk | RouteAnswer, None]:
        """Answer a message piece by piece: what it was taken for, the reply as it comes, the whole answer.

        An answer that is not taken to its end is not remembered, nor is its question.

        Raises:
            ApiError: the agent has no reply, and this is what to say; 504 when it takes too long, 429 when too many messages wait
                already, 503 when the service ends.
        """
        async with self._turn(session_id):
            session = await self._sessions.load(session_id) or Session(session_id)
            async with self._classifying:
                began = time.perf_counter()
                intent = self._classifier.classify(message)
                classified = time.perf_counter()
                # Others get their turn: many classifications in a row would keep everything else waiting.
                await asyncio.sleep(0)
            CLASSIFY_SECONDS.observe(classified - began)
            yield intent
            question = Question(message, intent.name, session.history, as_text(session.summary), session_id)
            texts: list[str] = []
            async with contextlib.aclosing(self._bounded(self._agents[intent.agent], question)) as pieces:
                async for text in pieces:
                    texts.append(text)
                    yield Chunk(text)
            reply = "".join(texts)
            answered = time.perf_counter()
            session = condense(session.with_turns(Turn("user", message), Turn("assistant", reply)))
            await self._sessions.save(session)
            ROUTES.labels(intent.name, intent.agent).inc()
            timings = Timings(classify_ms=_milliseconds(classified - began), agent_ms=_milliseconds(answered - classified))
            log.info("Routed", session=session_id, intent=intent.name, confidence=intent.confidence, **timings.model_dump())
            yield RouteAnswer(
                intent=intent.name,
                confidence=intent.confidence,
                agent=intent.agent,
                reply=reply,
                history_length=session.length,
                timings=timings,
            )

    async def session(self, session_id: str) -> Session | None:
        """A conversation as it is remembered, or None."""
        return await self._sessions.load(session_id)

    async def forget(self, session_id: str) -> bool:
        """Forget a conversation, after the answer that is under way. True when there was one."""
        async with self._turn(session_id):
            return await self._sessions.delete(session_id)

    def end(self) -> None:
        """The service ends: so do the answers under way, each with an error that says so."""
        self._ending = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())

    @contextlib.asynccontextmanager
    async def _turn(self, session_id: str) -> AsyncIterator[None]:
        turns = self._turns.get(session_id)
        if turns is None:
            turns = self._turns[session_id] = _Turns()
        if turns.taken > QUEUE:
            raise ApiError(429, "busy", "Too many messages of this conversation wait for their turn.", {"Retry-After": "1"})
        turns.taken += 1
        try:
            async with turns.lock:
                yield
        finally:
            turns.taken -= 1

    async def _bounded(self, agent: Agent, question: Question) -> AsyncGenerator[str, None]:
        """The agent's reply, cut off where it gets too long, given up where it falls silent."""
        left = MAX_REPLY
        deadline = time.monotonic() + DURATION
        async with contextlib.aclosing(agent.stream(question)) as texts:
            while True:
                text = await self._next(agent.name, texts, min(SILENCE, deadline - time.monotonic()))
                if text is None:
                    return
                if len(text) > left:
                    yield text[:left] + _CUT_OFF
                    return
                left -= len(text)
                if text:
                    yield text

    async def _next(self, agent: str, texts: AsyncGenerator[str, None], seconds: float) -> str | None:
        try:
            async with asyncio.timeout(0 if self._ending else seconds) as wait:
                self._waits.add(wait)
                try:
                    return await anext(texts, None)
                finally:
                    self._waits.discard(wait)
        except TimeoutError as error:
            if self._ending:
                raise ApiError(503, "stopping", "The router is stopping; ask again in a moment.", {"Retry-After": "1"}) from error
            raise ApiError(504, "agent_timeout", f"The {agent} agent took too long and was given up.") from error


class _Turns:
    """Whose turn it is in one conversation: how many messages have or await theirs, and the lock that they take."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.taken = 0


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
