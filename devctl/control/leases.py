"""The leases that clients hold over the API: one open stream each."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator

from devctl.control import sse
from devctl.control.interface import Lease, Supervisor
from devctl.control.problems import Refused
from devctl.control.streams import END, StreamResponse

DETACHED = sse.encode({"reason": "detached"}, event="end")


class Leases:
    """Hands out leases and gives each back to the supervisor once: detached, or because its client is gone.

    Args:
        closing: set when the server closes; the streams then end, and their leases are left as they are.
    """

    def __init__(self, supervisor: Supervisor, closing: asyncio.Event, heartbeat: float, stall: float) -> None:
        self._supervisor = supervisor
        self._closing = closing
        self._heartbeat = heartbeat
        self._stall = stall
        self._held: dict[str, tuple[Lease, asyncio.Event]] = {}

    def open(self) -> StreamResponse:
        """The stream that is a new lease: it is held until the stream ends."""
        id = secrets.token_hex(8)
        ended = asyncio.Event()
        self._held[id] = (self._supervisor.acquire_lease(), ended)

        def on_end(client_left: bool) -> None:
            held = self._held.pop(id, None)
            if held is not None and client_left:
                held[0].release(detach=False)

        return StreamResponse(self._chunks(id, ended), sse.MEDIA_TYPE, on_end=on_end, stall=self._stall)

    def detach(self, id: str) -> None:
        """Gives a lease up while the stack goes on. Raises Refused for one that is not held."""
        held = self._held.pop(id, None)
        if held is None:
            raise Refused("there is no such lease", "it may have been detached already", code="not_found", http_status=404)
        lease, ended = held
        lease.release(detach=True)
        ended.set()

    async def _chunks(self, id: str, ended: asyncio.Event) -> AsyncGenerator[bytes, None]:
        yield sse.encode({"lease": id}, event="lease")
        waits = [asyncio.create_task(event.wait()) for event in (ended, self._closing)]
        try:
            while not (await asyncio.wait(waits, timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED))[0]:
                yield sse.HEARTBEAT
        finally:
            for wait in waits:
                wait.cancel()
        yield DETACHED if ended.is_set() else END
