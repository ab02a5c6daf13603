"""`WS /ws/assistant/{session_id}`: sign-in, messages, answers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from stack.backend.auth.guard import Principal
from stack.backend.ws.answering import Answering
from stack.backend.ws.connection import Connection
from stack.backend.ws.conversation import Conversation
from stack.backend.ws.hub import SIGN_IN_AGAIN, Hub
from stack.backend.ws.messages import (
    AuthMessage,
    CancelMessage,
    ChatMessage,
    ConfirmMessage,
    PingMessage,
    ResumeMessage,
    parse,
)
from stack.common.contract import SESSION_ID
from stack.common.errors import ApiError, answer
from stack.common.log import Log
from stack.common.metrics import WS_ERRORS, WS_MESSAGES

log = Log("stack.backend.ws")

SIGN_IN = 5.0
"""Seconds that a client has to say who it is."""

CHECK = 10.0
"""Seconds between two looks whether a silent client's token still holds."""

# Seconds that a client gets to take the rest and the goodbye.
_LAST_WORDS = 1.0

NO_SUCH, BROKEN_RULES, TRY_LATER, FAILED = 4404, 1008, 1013, 1011
"""Close codes (the small ones are RFC 6455's): no name of a conversation; the client breaks the rules; no room; a bug."""

# By the status that HTTP would have; all others may be tried again.
_CODES = {401: SIGN_IN_AGAIN, 422: BROKEN_RULES}

# Messages that make no sense until the connection is ended.
_PATIENCE = 20


class SignIns(Protocol):
    """What the socket needs of the accounts."""

    async def principal_of(self, token: str) -> Principal:
        """Who a token belongs to. Raises ApiError."""


class Socket:
    """Serves one WebSocket from its opening to its end.

    Args:
        origins: further origins that may connect, such as `https://example.org`; the page's own always may.
    """

    def __init__(self, hub: Hub, auth: SignIns, answering: Answering, origins: frozenset[str] = frozenset()) -> None:
        self._hub = hub
        self._auth = auth
        self._answering = answering
        self._origins = origins

    def routes(self) -> APIRouter:
        """The route."""
        routes = APIRouter()
        routes.websocket("/ws/assistant/{session_id}")(self.serve)
        return routes

    async def serve(self, websocket: WebSocket, session_id: str) -> None:
        """One connection."""
        if not self._welcome(websocket):
            WS_ERRORS.labels("refused").inc()
            log.warning("A page from elsewhere wanted a WebSocket", origin=websocket.headers["origin"][:200])
            await websocket.send_denial_response(answer(403, "other_origin", "Pages from elsewhere may not connect."))
            return
        await websocket.accept()
        connection = Connection(websocket)
        writer = asyncio.create_task(connection.write())
        reader = asyncio.create_task(self._talk(websocket, connection, session_id))
        ended = asyncio.create_task(connection.ended.wait())
        try:
            await asyncio.wait((reader, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, ended):
                task.cancel()
            await asyncio.gather(reader, ended, return_exceptions=True)
            await self._part(websocket, connection, writer)
            self._hub.dismiss(connection)

    async def _part(self, websocket: WebSocket, connection: Connection, writer: asyncio.Task[None]) -> None:
        """Sends what waits and the close; a client that takes neither is cut off."""
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await connection.flush()
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await websocket.close(connection.code, connection.reason)
        except TimeoutError:
            log.info("A client takes nothing and is cut off")
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _welcome(self, websocket: WebSocket) -> bool:
        """Whether the page that opens it is ours: browsers let any page open a WebSocket, and say which one it was."""
        origin = websocket.headers.get("origin")
        if origin is None or origin in self._origins:
            return True
        try:
            return urlsplit(origin).netloc == websocket.headers.get("host")
        except ValueError:
            return False

    async def _talk(self, websocket: WebSocket, connection: Connection, session_id: str) -> None:
        try:
            if not SESSION_ID.fullmatch(session_id):
                connection.end(NO_SUCH, "no name of a conversation")
                return
            token = await self._token(websocket, connection)
            principal = await self._auth.principal_of(token)
            self._hub.admit(connection, principal)
            conversation = self._hub.conversation(principal, session_id)
            conversation.join(connection)
            try:
                await self._converse(websocket, connection, conversation, principal, token)
            finally:
                conversation.leave(connection)
        except WebSocketDisconnect:
            connection.end(1000, "")
        except ApiError as error:
            WS_ERRORS.labels("refused").inc()
            log.info("A WebSocket was refused", code=error.code)
            connection.end(_CODES.get(error.status_code, TRY_LATER), str(error.detail))
        except Exception as error:
            WS_ERRORS.labels("failed").inc()
            log.error("A WebSocket failed", exc_info=error)
            connection.end(FAILED, "the backend failed; its log says why")

    async def _token(self, websocket: WebSocket, connection: Connection) -> str:
        try:
            async with asyncio.timeout(SIGN_IN):
                message = parse(await websocket.receive_text())
        except TimeoutError as error:
            raise ApiError(401, "not_signed_in", f"no sign-in within {SIGN_IN:g} s") from error
        except KeyError as error:
            raise ApiError(401, "not_signed_in", "the first message must be text") from error
        if not isinstance(message, AuthMessage):
            raise ApiError(401, "not_signed_in", "the first message must be the sign-in")
        return message.token

    async def _converse(
        self, websocket: WebSocket, connection: Connection, conversation: Conversation, principal: Principal, token: str
    ) -> None:
        patience = _PATIENCE
        while True:
            try:
                async with asyncio.timeout(CHECK):
                    text = await websocket.receive_text()
            except TimeoutError:
                # Raises when it has ended or was revoked.
                await self._auth.principal_of(token)
                continue
            except KeyError:
                text = ""
            WS_MESSAGES.labels("in").inc()
            try:
                message = parse(text)
                if isinstance(message, AuthMessage):
                    token = await self._renewed(connection, message.token, principal)
                else:
                    await self._auth.principal_of(token)
                    self._handle(message, connection, conversation)
            except ApiError as error:
                if error.status_code == 401:
                    raise
                conversation.tell(connection, "error", error={"code": error.code, "message": str(error.detail)})
                if error.status_code == 422:
                    patience -= 1
                    WS_ERRORS.labels("protocol").inc()
                if not patience:
                    log.info("A WebSocket was ended: too many messages that make no sense")
                    connection.end(BROKEN_RULES, "too many messages that make no sense")
                    return

    async def _renewed(self, connection: Connection, token: str, principal: Principal) -> str:
        again = await self._auth.principal_of(token)
        if again.account_id != principal.account_id:
            raise ApiError(401, "other_account", "the token is another account's")
        self._hub.renewed(connection, again)
        return token

    def _handle(self, message: Any, connection: Connection, conversation: Conversation) -> None:
        match message:
            case PingMessage():
                conversation.tell(connection, "pong")
            case ResumeMessage():
                conversation.replay(connection, message.after)
            case ChatMessage():
                self._answering.begin(conversation, uuid.uuid4().hex, message.text, message.mode)
            case CancelMessage():
                self._answering.cancel(conversation)
            case ConfirmMessage():
                self._answering.confirm(conversation, message.call_id, message.allow)
