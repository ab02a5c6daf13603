"""Conversations in Redis: they outlive the router.

Each is one JSON string under a key that Redis lets expire. A sorted set has their ids by the time they run out, because counting
keys would mean going through all of them.
"""

from __future__ import annotations

import json
import time
from typing import Any

from redis.asyncio import Redis

from stack.common.log import Log
from stack.common.redis_link import RedisGone, RedisLink
from stack.router.sessions import TIME_TO_LIVE, Session, Turn

log = Log("stack.router.sessions")

_INDEX = "assistant:sessions"


class RedisSessionStore:
    """Sessions in Redis; see `SessionStore`. Every method but `ping` raises RedisGone when it cannot be used.

    Args:
        link: the connection.
        time_to_live: seconds of inactivity.
    """

    def __init__(self, link: RedisLink, time_to_live: float = TIME_TO_LIVE) -> None:
        self._link = link
        self._time_to_live = time_to_live
        self._milliseconds = max(1, round(time_to_live * 1000))

    async def save(self, session: Session) -> None:
        text = _encode(session)

        async def use(client: Redis) -> None:
            async with client.pipeline(transaction=True) as batch:
                batch.set(_key(session.session_id), text, px=self._milliseconds)
                batch.zadd(_INDEX, {session.session_id: self._runs_out()})
                await batch.execute()

        await self._link.call(use)

    async def load(self, session_id: str) -> Session | None:
        async def use(client: Redis) -> bytes | None:
            async with client.pipeline(transaction=True) as batch:
                batch.getex(_key(session_id), px=self._milliseconds)
                # Only where it is known: a session that is not there gets no place in the index.
                batch.zadd(_INDEX, {session_id: self._runs_out()}, xx=True)
                answers = await batch.execute()
            found: bytes | None = answers[0]
            return found

        text = await self._link.call(use)
        return None if text is None else _decode(session_id, text)

    async def delete(self, session_id: str) -> bool:
        async def use(client: Redis) -> bool:
            async with client.pipeline(transaction=True) as batch:
                batch.delete(_key(session_id))
                batch.zrem(_INDEX, session_id)
                answers = await batch.execute()
            return bool(answers[0])

        return await self._link.call(use)

    async def exists(self, session_id: str) -> bool:
        return bool(await self._link.call(lambda client: client.exists(_key(session_id))))

    async def cleanup_expired(self) -> int:
        return int(await self._link.call(lambda client: client.zremrangebyscore(_INDEX, "-inf", time.time())))

    async def get_stats(self) -> dict[str, Any]:
        sessions = await self._link.call(lambda client: client.zcount(_INDEX, f"({time.time()}", "+inf"))
        return {"store": "redis", "sessions": int(sessions)}

    async def ping(self) -> bool:
        try:
            return bool(await self._link.call(lambda client: client.ping()))
        except RedisGone:
            return False

    def _runs_out(self) -> float:
        return time.time() + self._time_to_live


def _key(session_id: str) -> str:
    return f"assistant:session:{session_id}"


def _encode(session: Session) -> str:
    def pairs(turns: tuple[Turn, ...]) -> list[list[str]]:
        return [[turn.role, turn.text] for turn in turns]

    content = {"length": session.length, "summary": pairs(session.summary), "history": pairs(session.history)}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _decode(session_id: str, text: bytes) -> Session | None:
    """The session, or None for what is none: somebody else may have written there."""
    try:
        content = json.loads(text)
        return Session(session_id, _turns(content["history"]), _turns(content["summary"]), int(content["length"]))
    except (ValueError, TypeError, KeyError) as error:
        log.warning("What Redis holds of a conversation is none", session=session_id, reason=str(error)[:200])
        return None


def _turns(pairs: list[list[str]]) -> tuple[Turn, ...]:
    turns = []
    for role, text in pairs:
        if role not in ("user", "assistant") or not isinstance(text, str):
            raise ValueError("a message is malformed")
        turns.append(Turn(role, text))  # type: ignore[arg-type]  # checked above
    return tuple(turns)
