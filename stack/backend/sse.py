"""`GET /api/events`: what happens, as server-sent events, with a heartbeat and resumption."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from starlette.requests import Request
from starlette.responses import StreamingResponse

from stack.backend.auth.guard import Principal, require
from stack.backend.events import Event, EventBus
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.backend.sse")

HEARTBEAT = 15.0
"""Seconds of silence until a comment is sent: proxies and browsers give up on silence after 30 or 60."""

MOST_LISTENERS = 500
"""Streams open at once. A page holds one."""

CHECK = 10.0
"""Seconds between two looks whether the reader's token still holds, as for WebSockets."""

# Milliseconds after which a browser comes back.
_RETRY = 1000

_BYE = b"event: bye\ndata: {}\n\n"


def encode(event: Event) -> bytes:
    """An event as it goes over the wire. JSON has no line breaks of its own, so one `data` line holds it."""
    return f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n".encode()


async def stream(
    bus: EventBus, after: str | None, principal: Principal, check: Callable[[], Awaitable[object]]
) -> AsyncIterator[bytes]:
    """An account's stream: first what a newcomer must know or what was missed, then what happens.

    Args:
        check: raises ApiError (401) when the reader's token has ended.
    """
    account_id = principal.account_id
    checked = time.monotonic()
    with bus.listen(after, principal.session_id) as (listener, missed):
        yield f"retry: {_RETRY}\n\n".encode()
        if missed is None:
            # The id is of another run, or too old. What was missed is lost, and the page should know.
            yield b"event: reset\ndata: {}\n\n"
        if not after or missed is None:
            services = bus.latest("services")
            missed = (services,) if services else ()
        for event in missed:
            if event.concerns(account_id):
                yield encode(event)
        while True:
            if time.monotonic() > checked + CHECK:
                try:
                    await check()
                except ApiError as error:
                    if error.status_code == 401:
                        yield _BYE
                        return
                checked = time.monotonic()
            try:
                next_one = await listener.next(HEARTBEAT)
            except TimeoutError:
                yield b": alive\n\n"
                continue
            if next_one is None:
                # Too slow, signed out, or the service stops: the browser comes back with the id of the last event it has.
                yield _BYE
                return
            if next_one.concerns(account_id):
                yield encode(next_one)


def router(bus: EventBus) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/api", tags=["events"])

    @routes.get("/events", summary="What happens, as server-sent events")
    async def events(
        request: Request,
        principal: Annotated[Principal, Depends(require)],
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Any:
        """Events `services` (at once, and whenever a service's health changes), `ai` and `queue`. `Last-Event-ID` resumes."""
        if bus.listeners >= MOST_LISTENERS:
            raise ApiError(503, "too_many_listeners", f"{MOST_LISTENERS} streams are open already.", {"Retry-After": "5"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

        async def check() -> None:
            # Another service's token lasts for a request; it is not asked for again.
            if not principal.internal:
                await require(request)

        pieces = stream(bus, last_event_id, principal, check)
        return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)

    return routes
