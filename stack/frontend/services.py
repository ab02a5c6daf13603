"""The state of the services for the page, as a stream of events: it also runs while the backend does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from stack.common import peer
from stack.common.errors import ApiError
from stack.common.health import Health

MAX_READERS = 500
"""Open streams. A page has one."""

# Seconds. Sent also when nothing changed, with fresh latencies, so that a page notices a connection that died silently.
_HEARTBEAT = 5.0

# Milliseconds after which a browser asks again when the stream ended.
_RETRY = 1000


def rows(own: dict[str, Any], backend: peer.PeerState) -> list[dict[str, Any]]:
    """The state of everything that can be seen from here, the nearest first: `{name, kind, status, detail, latency_ms}` each.

    `kind` is `service`, or `component` for a part of the backend. What lies behind the backend is known from its own health answer.
    """
    found = [
        {"name": "frontend", "kind": "service", "status": own["status"], "detail": "this page's server", "latency_ms": None},
        {"name": "backend", "kind": "service", **backend.json()},
    ]
    components = backend.answer.get("components")
    components = {name: part for name, part in components.items() if isinstance(part, dict)} if isinstance(components, dict) else {}
    router = components.pop("router", None) or {"status": "unknown", "detail": "only the backend can see it"}
    found.append(_row("router", "service", router))
    found.extend(_row(name, "component", part) for name, part in components.items())
    return found


def _row(name: str, kind: str, part: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "kind": kind} | {key: part.get(key) for key in ("status", "detail", "latency_ms")}


class Services:
    """Watches the backend, and tells every page that reads what it sees.

    Args:
        health: the frontend's own.
        backend: the backend, as a peer.
    """

    def __init__(self, health: Health, backend: peer.Peer) -> None:
        self._health = health
        self._backend = backend
        self._readers = 0
        self._stopping = False
        # Replaced at each change, so that every reader sees it once, and a slow one sees the newest only.
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        """Look again and again until cancelled."""
        before: list[tuple[object, object]] = []
        while True:
            await self._backend.look()
            now = [(row["name"], row["status"]) for row in self._rows()]
            if now != before:
                self._tell()
            before = now
            await asyncio.sleep(peer.INTERVAL)

    async def stop(self) -> None:
        """End every stream."""
        self._stopping = True
        self._tell()

    async def get(self, _: Request) -> Response:
        """What is seen now."""
        return JSONResponse({"services": self._rows()})

    async def get_events(self, _: Request) -> Response:
        """What is seen now, and again at each change (server-sent events, named `services`).

        Raises:
            ApiError: 503 with too many readers.
        """
        if self._readers >= MAX_READERS:
            raise ApiError(503, "busy", "Too many pages are open; try again in a moment.", {"Retry-After": "5"})
        return StreamingResponse(self._events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _events(self) -> AsyncIterator[str]:
        self._readers += 1
        try:
            yield f"retry: {_RETRY}\n\n"
            while not self._stopping:
                changed = self._changed
                yield f"event: services\ndata: {json.dumps({'services': self._rows()})}\n\n"
                try:
                    async with asyncio.timeout(_HEARTBEAT):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self._readers -= 1

    def _rows(self) -> list[dict[str, Any]]:
        return rows(self._health.answer({}), self._backend.state)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
