"""All conversations that are open over WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any

from stack.backend.auth.guard import Principal
from stack.backend.ws.connection import Connection
from stack.backend.ws.conversation import Conversation
from stack.common.errors import ApiError
from stack.common.log import Log
from stack.common.metrics import WS_CONNECTIONS

log = Log("stack.backend.ws")

MOST_CONNECTIONS = 1000
"""WebSockets open at once."""

MOST_PER_ACCOUNT = 250
"""WebSockets of one account; the demo account is shared by everybody on the machine."""

MOST_CONVERSATIONS = 2000
"""Conversations remembered. Beyond it the one that is idle for longest is forgotten; what was said in it is the router's."""

IDLE = 1800.0
"""Seconds without a client after which a conversation is forgotten, as in the router."""

SIGN_IN_AGAIN = 4401
"""The close code for a client that must sign in, or sign in again."""

# Seconds between two looks for idle ones.
_SWEEP = 30.0

# Seconds in which the clients can take the goodbye, all of them at once.
_GOODBYE = 0.3

# Going away (RFC 6455, section 7.4.1).
_GOING_AWAY = 1001


def key_of(account_id: str, session_id: str) -> str:
    """What the router calls an account's conversation: nobody can name another account's."""
    return hashlib.sha256(f"{account_id}\n{session_id}".encode()).hexdigest()[:40]


class Hub:
    """A component: conversations by account and name, and their connections."""

    name = "websockets"

    def __init__(self) -> None:
        self._conversations: dict[str, Conversation] = {}
        self._accounts: dict[str, int] = {}
        self._connected: dict[Connection, Principal] = {}
        self._total = 0
        self._closing = False
        self._alone = asyncio.Event()
        self._alone.set()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to forget idle conversations."""
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Ends answers that are under way."""
        await self.farewell()
        tasks = [each.answering for each in self._conversations.values()]
        ending = [task for task in (self._sweeper, *tasks) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def farewell(self) -> None:
        """Tells every client that the service stops, and closes the connections."""
        self._closing = True
        goodbye = "The backend stops; the page comes back when it does."
        for conversation in self._conversations.values():
            for connection in conversation.connections:
                conversation.tell(connection, "system", kind="stopping", text=goodbye)
        for connection in tuple(self._connected):
            connection.end(_GOING_AWAY, "the service stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._alone.wait()

    def state(self) -> dict[str, Any]:
        """For the health answer."""
        return {"status": "ok", "detail": f"{len(self._connected)} connected", "connections": len(self._connected)}

    def stats(self) -> dict[str, Any]:
        """Numbers for people and tests."""
        return {
            "connections": len(self._connected),
            "connections_total": self._total,
            "conversations": len(self._conversations),
            "answering": sum(each.busy for each in self._conversations.values()),
            "messages": sum(each.message_count for each in self._conversations.values()),
        }

    def admit(self, connection: Connection, principal: Principal) -> None:
        """Counts a connection. Raises ApiError when there are too many, or the service stops."""
        if self._closing:
            raise ApiError(503, "stopping", "The backend stops.")
        mine = self._accounts.get(principal.account_id, 0)
        if len(self._connected) >= MOST_CONNECTIONS or mine >= MOST_PER_ACCOUNT:
            raise ApiError(503, "too_many_connections", "Too many connections are open; close a page, or try again later.")
        self._connected[connection] = principal
        self._alone.clear()
        self._accounts[principal.account_id] = mine + 1
        self._total += 1
        WS_CONNECTIONS.set(len(self._connected))

    def dismiss(self, connection: Connection) -> None:
        """A connection is gone."""
        principal = self._connected.pop(connection, None)
        if principal is not None:
            left = self._accounts[principal.account_id] - 1
            if left:
                self._accounts[principal.account_id] = left
            else:
                del self._accounts[principal.account_id]
            WS_CONNECTIONS.set(len(self._connected))
            if not self._connected:
                self._alone.set()

    def revoked(self, sign_in: str) -> None:
        """A sign-in has ended: so do its connections."""
        for connection, principal in tuple(self._connected.items()):
            if principal.session_id == sign_in:
                connection.end(SIGN_IN_AGAIN, "the sign-in has ended")

    def renewed(self, connection: Connection, principal: Principal) -> None:
        """A client has signed in anew, perhaps by another of the account's sign-ins: that one decides from now on."""
        if connection in self._connected:
            self._connected[connection] = principal

    def conversation(self, principal: Principal, session_id: str) -> Conversation:
        """An account's conversation, new or known."""
        key = key_of(principal.account_id, session_id)
        known = self._conversations.get(key)
        if known is None:
            if len(self._conversations) >= MOST_CONVERSATIONS:
                self._make_room()
            known = self._conversations[key] = Conversation(session_id, key, principal.name)
        return known

    def find(self, key: str) -> Conversation | None:
        """The conversation that the router calls `key`."""
        return self._conversations.get(key)

    def forget(self, key: str) -> None:
        """Forgets what was said in a conversation, and stops its answer; its clients stay connected to it, all to the same."""
        conversation = self._conversations.get(key)
        if conversation is not None:
            if conversation.answering is not None:
                conversation.answering.cancel()
            conversation.forget()
            if not conversation.connections:
                del self._conversations[key]

    def _make_room(self) -> None:
        """Forgets the conversation that is idle for longest, if one is."""
        seconds, key = max((each.idle_seconds(), key) for key, each in self._conversations.items())
        if seconds > 0:
            del self._conversations[key]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            for key, each in tuple(self._conversations.items()):
                if each.idle_seconds() > IDLE:
                    del self._conversations[key]
