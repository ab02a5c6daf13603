"""Watching another service through its `/health`: is it there, since when, and what does it say of itself?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from stack.common.log import Log

log = Log("stack.peer")

INTERVAL = 1.0
"""Seconds between two looks. As often as devctl itself looks at a service."""

TIMEOUT = 1.0
"""Seconds for one look. A healthy service answers in milliseconds."""

# Bytes of a health answer that are read; ours have a few hundred.
_MAX_ANSWER = 64 * 1024

# Connections at once: as many as WebSockets may be open, whose answers hold one each. With httpx's own 100 the next look at the
# service's health would wait behind them and find it unreachable. Kept for later as many as httpx would.
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=20)


@dataclass(frozen=True, slots=True)
class PeerState:
    """What one look found.

    Attributes:
        status: `ok`, or what the service calls itself (`starting`, `degraded`, `failed`); `unreachable` when nothing answered;
            `failing` when the answer made no sense; `unknown` before the first look.
        detail: for people, one phrase.
        latency_ms: how long the answer took; None without one.
        answer: the service's own health answer; empty without one.
    """

    status: str = "unknown"
    detail: str = "not looked at yet"
    latency_ms: float | None = None
    answer: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """For another service's health answer."""
        return {"status": self.status, "detail": self.detail, "latency_ms": self.latency_ms}


class Peer:
    """Another service.

    Args:
        name: as people call it.
        url: its address, without a slash at the end.
        client: what to ask with. Its owner closes it.
    """

    def __init__(self, name: str, url: str, client: httpx.AsyncClient) -> None:
        self.name = name
        self.url = url
        self.state = PeerState()
        self._client = client

    def __repr__(self) -> str:
        return f"<Peer {self.name} at {self.url} is {self.state.status}>"

    async def look(self) -> PeerState:
        """Ask once and remember the outcome. Takes TIMEOUT at most and raises nothing."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT):
                state = await self._ask(began)
        except TimeoutError:
            state = PeerState("unreachable", f"no answer within {TIMEOUT:g} s")
        except (httpx.HTTPError, OSError) as error:
            state = PeerState("unreachable", str(error) or type(error).__name__)
        if state.status != self.state.status:
            write = log.info if state.status in ("ok", "starting") else log.warning
            write(f"{self.name} is {state.status}", url=self.url, was=self.state.status, detail=state.detail)
        self.state = state
        return state

    async def _ask(self, began: float) -> PeerState:
        body = b""
        async with self._client.stream("GET", f"{self.url}/health") as response:
            async for block in response.aiter_bytes():
                body += block
                if len(body) > _MAX_ANSWER:
                    return PeerState("failing", "its health answer is too long")
        latency = round((time.perf_counter() - began) * 1000, 1)
        try:
            answer = httpx.Response(200, content=body).json()
            status = str(answer["status"])
        except (ValueError, TypeError, KeyError):
            return PeerState("failing", f"{response.status_code} without a usable health answer", latency)
        if response.is_success == (status in ("ok", "degraded")):
            return PeerState(status, f"{response.status_code} in {latency:g} ms", latency, answer)
        return PeerState("failing", f"{response.status_code}, calling itself {status[:40]!r}", latency, answer)

    async def watch(self) -> None:
        """Look again and again until cancelled. Changes are logged."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)


def client(timeout: float) -> httpx.AsyncClient:
    """A client for the other services, with `timeout` seconds for each step of a request.

    It takes no proxy from the environment: the services are on this machine or near it.
    """
    return httpx.AsyncClient(trust_env=False, timeout=timeout, limits=_LIMITS)
