"""The http probe: what an answer means."""

from __future__ import annotations

import asyncio

from devctl.health.exchange import Answer, Exchange, ExchangeFailed
from devctl.health.pattern import Pattern, PatternTooSlow
from devctl.health.request import build_request
from devctl.health.result import EXCERPT_LENGTH, ProbeResult, duration, excerpt
from devctl.health.stream import StreamFailed
from devctl.plan import HttpProbe

BODY_LIMIT = 65_536  # bytes of body on the wire that a `body` pattern is looked for in: a health answer, not a download
EXCERPT_WAIT = 0.05  # seconds to wait for the body of a wrong answer: it is only quoted, and the next probe is due soon


class HttpChecker:
    """Asks `probe.url`. Raises ValueError when the probe cannot be asked at all."""

    def __init__(self, probe: HttpProbe) -> None:
        self._probe = probe
        self._request = build_request(probe)
        self._pattern = None if probe.body is None else Pattern(probe.body)
        self._exchange: Exchange | None = None

    async def check(self, within: float) -> ProbeResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._exchange = exchange = Exchange(self._request, began + within)
        ok = False
        keep = False
        try:
            response = await exchange.response()
            ok, detail = await self._judge(exchange, response, began)
            keep = True
        except TimeoutError:
            detail = f"{exchange.progress()} within {duration(within)}{exchange.received()}"
        except (ExchangeFailed, StreamFailed) as error:
            detail = str(error)
        finally:
            if not keep:
                exchange.close()
        return ProbeResult(ok, detail, loop.time() - began)

    async def settle(self) -> None:
        if self._exchange is not None:
            await self._exchange.settle()

    async def _judge(self, exchange: Exchange, response: Answer, began: float) -> tuple[bool, str]:
        status = response.status_code
        if not any(low <= status <= high for low, high in self._probe.status):
            return False, await self._unexpected(exchange, response)
        took = duration(asyncio.get_running_loop().time() - began)
        if self._pattern is None:
            return True, f"{status} in {took}"
        text = await exchange.body(BODY_LIMIT, exchange.deadline)
        try:
            if self._pattern.found((text,)):
                return True, f"{status} in {took}, body matches"
        except PatternTooSlow:
            return False, f"{status}, but {self._pattern.complaint()}"
        quoted = excerpt(text)
        return False, f"{status}, but {self._pattern.source!r} is not in the body{': ' + quoted if quoted else ', which is empty'}"

    async def _unexpected(self, exchange: Exchange, response: Answer) -> str:
        status = response.status_code
        detail = f"{status} {excerpt(response.reason.decode('latin-1'))}".rstrip()
        if 300 <= status < 400:
            location = next((value for name, value in response.headers if name == b"location"), b"")
            return f"{detail} to {excerpt(location.decode('latin-1'))}; redirects are not followed" if location else detail
        if status < 400:
            return f"{detail}, but {_ranges(self._probe.status)} is expected"
        # Four bytes are the longest character in UTF-8.
        text = await exchange.body(4 * EXCERPT_LENGTH, min(exchange.deadline, asyncio.get_running_loop().time() + EXCERPT_WAIT))
        quoted = excerpt(text)
        return f"{detail}: {quoted}" if quoted else detail


def _ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in ranges)
