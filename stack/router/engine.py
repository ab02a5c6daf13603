"""Routing: classify a message, let an agent answer, remember both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from weakref import WeakValueDictionary

from stack.common.contract import RouteAnswer, Timings
from stack.router.agents import Agent, Question
from stack.router.classifier import IntentClassifier
from stack.router.sessions import Session, SessionStore, Turn


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
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def route(self, session_id: str, message: str) -> RouteAnswer:
        """Answer a message of a conversation."""
        lock = self._turns.get(session_id)
        if lock is None:
            lock = self._turns[session_id] = asyncio.Lock()
        async with lock:
            session = await self._sessions.load(session_id) or Session(session_id)
            began = time.perf_counter()
            intent = self._classifier.classify(message)
            classified = time.perf_counter()
            reply = await self._agents[intent.agent].answer(Question(message, intent.name, session.history))
            answered = time.perf_counter()
            session = session.with_turns(Turn("user", message), Turn("assistant", reply))
            await self._sessions.save(session)
        return RouteAnswer(
            intent=intent.name,
            confidence=intent.confidence,
            agent=intent.agent,
            reply=reply,
            history_length=len(session.history),
            timings=Timings(classify_ms=_milliseconds(classified - began), agent_ms=_milliseconds(answered - classified)),
        )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
