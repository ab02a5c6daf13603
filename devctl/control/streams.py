"""Answers without an end: events as SSE, log lines as NDJSON. Each ends when its client leaves, stalls, or the server closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from devctl.control import sse
from devctl.control.feed import EventFeed, Filter

NDJSON = "application/x-ndjson"

# A client that has taken nothing for so long, with its socket's and our own buffer full, is gone or stuck.
STALL_SECONDS = 30.0

END = sse.encode({"reason": "the supervisor is ending"}, event="end")


async def event_chunks(feed: EventFeed, after: int, wanted: Filter, heartbeat: float) -> AsyncGenerator[bytes, None]:
    """A feed as SSE text. The first bytes come at once, so that the client knows that it is connected."""
    yield sse.HEARTBEAT
    async with aclosing(feed.batches(after, heartbeat)) as batches:
        async for batch in batches:
            if not batch:
                yield sse.HEARTBEAT
            elif events := [event for event in batch if wanted.accepts(event)]:
                yield b"".join(sse.encode(event.json(), event=event.type, id=event.id) for event in events)
    yield END


async def client_left(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stalled(Exception):
    """The client takes nothing any more."""


class StreamResponse(Response):
    """Sends what `chunks` yields for as long as the client is there and takes it.

    Args:
        chunks: an async generator; it is closed in every case.
        on_end: called once at the end, with True when the client left or stalled and False when the chunks were exhausted.
        stall: seconds that the client may take nothing; then its connection is cut.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        media_type: str,
        *,
        on_end: Callable[[bool], None] | None = None,
        stall: float = STALL_SECONDS,
    ) -> None:
        super().__init__(media_type=media_type, headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._chunks = chunks
        self._on_end = on_end
        self._stall = stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = asyncio.create_task(client_left(receive))
        work = asyncio.create_task(self._send_all(send))
        try:
            await asyncio.wait({left, work}, return_when=asyncio.FIRST_COMPLETED)
            stalled = work.done() and isinstance(work.exception(), _Stalled)
            if self._on_end is not None:
                self._on_end(stalled or not work.done())
        finally:
            left.cancel()
            work.cancel()
            await asyncio.wait({left, work})
        if stalled:
            # Closing would wait for the client to take what is buffered.
            scope["state"]["abort"]()
        elif work.done() and not work.cancelled():
            work.result()

    async def _send_all(self, send: Send) -> None:
        async with aclosing(self._chunks) as chunks:
            await self._patiently(send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}))
            async for chunk in chunks:
                await self._patiently(send({"type": "http.response.body", "body": chunk, "more_body": True}))
            await self._patiently(send({"type": "http.response.body", "body": b"", "more_body": False}))

    async def _patiently(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._stall):
                await sending
        except TimeoutError as error:
            raise _Stalled from error
