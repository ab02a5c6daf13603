"""Active sessions: one for each sign-in, kept alive by refresh tokens of which each is good for one use."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stack.backend.auth.accounts import Account
from stack.backend.database.tables import refresh_tokens, sessions

IDLE = 7 * 24 * 3600.0
"""Seconds without a refresh after which a session has ended."""

LONGEST = 30 * 24 * 3600.0
"""Seconds after which a session has ended in any case."""

REPEAT = 10.0
"""Seconds in which a page may show a used token again. A reload can lose the answer that brought the next one, and two tabs share
one cookie. It gets that same next token, as long as that is unused: there is never a second chain, so a theft still shows."""

# Active sessions of an account. The one unused for longest goes.
MAX_SESSIONS = 100

# Characters kept of what a browser calls itself: enough for a person to recognise it.
_MAX_AGENT = 200

Outcome = Literal["ok", "unknown", "ended", "reused"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from.

    Attributes:
        address: the client's, as text.
        user_agent: what it calls itself.
        page: it is the page, whose refresh token lives in a cookie.
    """

    address: str
    user_agent: str = ""
    page: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that has not ended.

    Attributes:
        session_id: its id.
        method: how: password, oidc or demo.
        address: from where.
        user_agent: with what.
        created: Unix seconds.
        last_used: when it was refreshed last, Unix seconds.
        expires: when it ends unless it is refreshed, Unix seconds.
    """

    session_id: str
    method: str
    address: str
    user_agent: str
    created: float
    last_used: float
    expires: float


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of a refresh token.

    Attributes:
        outcome: `ok`; `unknown`: none of ours; `ended`: its session has; `reused`: used before, so that its session was ended now.
        session_id: its session; empty when unknown.
        account_id: whose; empty when unknown.
        token: the next one; empty unless ok.
    """

    outcome: Outcome
    session_id: str = ""
    account_id: str = ""
    token: str = ""


async def begin(connection: AsyncConnection, account: Account, method: str, caller: Caller, now: float) -> tuple[str, str]:
    """Begin a session; returns its id and its first refresh token."""
    await _make_room(connection, account.account_id, now)
    session_id = uuid.uuid4().hex
    await connection.execute(
        insert(sessions).values(
            id=session_id,
            account_id=account.account_id,
            method=method,
            address=caller.address,
            user_agent=caller.user_agent[:_MAX_AGENT],
            created=now,
            last_used=now,
            expires=now + IDLE,
        )
    )
    token = secrets.token_urlsafe(32)
    await _keep(connection, token, session_id, now)
    return session_id, token


async def refresh(
    connection: AsyncConnection, token: str, now: float, successor: Callable[[str], bytes], *, page: bool = False
) -> Refreshed:
    """Use a refresh token. Whoever shows one that was used before may have stolen it: then its session ends.

    Args:
        connection: in a transaction, to be committed whatever the outcome.
        token: the token.
        now: Unix seconds.
        successor: makes the next token from this one, always the same, so that it can be given again.
        page: it came in the page's cookie: REPEAT applies.
    """
    hashed = _hash(token)
    # One statement finds and uses it: of two requests at once, one gets it.
    take = update(refresh_tokens).where(refresh_tokens.c.hash == hashed, refresh_tokens.c.used.is_(None)).values(used=now)
    taken = (await connection.execute(take)).rowcount == 1
    query = (
        select(refresh_tokens.c.used, sessions)
        .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
        .where(refresh_tokens.c.hash == hashed)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return Refreshed("unknown")
    if row.revoked is not None or row.expires <= now:
        return Refreshed("ended", row.id, row.account_id)
    following = base64.urlsafe_b64encode(successor(token)).rstrip(b"=").decode("ascii")
    if taken:
        await _keep(connection, following, row.id, now)
        expires = min(now + IDLE, row.created + LONGEST)
        await connection.execute(update(sessions).where(sessions.c.id == row.id).values(last_used=now, expires=expires))
        return Refreshed("ok", row.id, row.account_id, following)
    if page and now - row.used < REPEAT and await _unused(connection, following):
        return Refreshed("ok", row.id, row.account_id, following)
    await revoke(connection, row.account_id, row.id, now)
    return Refreshed("reused", row.id, row.account_id)


async def owner_of(connection: AsyncConnection, token: str) -> tuple[str, str] | None:
    """The account and the session of a refresh token, used or not; None for an unknown one."""
    query = (
        select(sessions.c.account_id, sessions.c.id)
        .join(refresh_tokens, refresh_tokens.c.session_id == sessions.c.id)
        .where(refresh_tokens.c.hash == _hash(token))
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.account_id, row.id)


async def active(connection: AsyncConnection, session_id: str, now: float) -> bool:
    """Whether the session has neither been revoked nor run out."""
    query = select(sessions.c.id).where(sessions.c.id == session_id, *_active(now))
    return (await connection.execute(query)).one_or_none() is not None


async def of_account(connection: AsyncConnection, account_id: str, now: float) -> list[Session]:
    """The account's active sessions, the one used last first."""
    query = (
        select(sessions)
        .where(sessions.c.account_id == account_id, *_active(now))
        .order_by(sessions.c.last_used.desc(), sessions.c.id)
    )
    return [
        Session(row.id, row.method, row.address, row.user_agent, row.created, row.last_used, row.expires)
        for row in await connection.execute(query)
    ]


async def revoke(connection: AsyncConnection, account_id: str, session_id: str, now: float) -> bool:
    """End a session of this account. False when there is no such active one."""
    ending = (
        update(sessions).where(sessions.c.id == session_id, sessions.c.account_id == account_id, *_active(now)).values(revoked=now)
    )
    return (await connection.execute(ending)).rowcount == 1


async def sweep(connection: AsyncConnection, now: float) -> int:
    """Delete the sessions that ended an idle time ago, and their tokens; until then a replay is recognised. Returns how many."""
    old = await connection.execute(delete(sessions).where((sessions.c.expires < now - IDLE) | (sessions.c.revoked < now - IDLE)))
    return old.rowcount


def _active(now: float) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.revoked.is_(None), sessions.c.expires > now


async def _make_room(connection: AsyncConnection, account_id: str, now: float) -> None:
    held = await of_account(connection, account_id, now)
    for session in held[MAX_SESSIONS - 1 :]:
        await revoke(connection, account_id, session.session_id, now)


async def _unused(connection: AsyncConnection, token: str) -> bool:
    query = select(refresh_tokens.c.hash).where(refresh_tokens.c.hash == _hash(token), refresh_tokens.c.used.is_(None))
    return (await connection.execute(query)).one_or_none() is not None


async def _keep(connection: AsyncConnection, token: str, session_id: str, now: float) -> None:
    await connection.execute(insert(refresh_tokens).values(hash=_hash(token), session_id=session_id, created=now))


def _hash(token: str) -> str:
    """Without salt or cost: a token has 256 random bits, which no list of likely ones holds."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
