"""The tcp probe: passes when the port accepts."""

from __future__ import annotations

import asyncio

from devctl.health.address import Target, split_address
from devctl.health.result import ProbeResult, duration
from devctl.health.stream import StreamFailed, open_stream
from devctl.plan import TcpProbe


class TcpChecker:
    """Connects to `probe.address` and closes. Raises ValueError when that is no host:port."""

    def __init__(self, probe: TcpProbe) -> None:
        self._target = Target(*split_address(probe.address))

    async def check(self, within: float) -> ProbeResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout_at(began + within):
                (await open_stream(self._target, began + within)).close()
        except TimeoutError:
            return ProbeResult(False, f"no connection to {self._target} within {duration(within)}", loop.time() - began)
        except StreamFailed as error:
            return ProbeResult(False, str(error), loop.time() - began)
        took = loop.time() - began
        return ProbeResult(True, f"{self._target} accepts in {duration(took)}", took)

    async def settle(self) -> None:
        """Nothing is open."""
