"""One MCP server: started when it is needed, started again when it has ended, ended when nobody has needed it for a while."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from stack.backend.tools.config import ServerConfig
from stack.backend.tools.shapes import Malformed, Outcome, ServerGone, ToolInfo
from stack.common.background import in_thread
from stack.common.errors import ApiError
from stack.common.log import Log

if TYPE_CHECKING:
    from stack.backend.tools.connection import Connection

log = Log("stack.backend.tools")

CALL_TIMEOUT = 30.0
"""Seconds for one call, a start of the server included."""

IDLE = 300.0
"""Seconds without a call after which the process is ended: it has some 70 MB, and starts again in under a second."""

# Seconds after a start that failed in which there is no other: 0.5, 1, 2, … 30, each give or take a quarter.
_BACKOFF_FIRST = 0.5
_BACKOFF_MOST = 30.0

# Calls at once to one server; further ones wait their turn within their own timeout.
_AT_ONCE = 8


class ToolServer:
    """A server and its process, if there is one now.

    Args:
        config: what to start.
        call_timeout: seconds for one call.
        idle: seconds without a call after which the process is ended.
    """

    def __init__(self, config: ServerConfig, call_timeout: float = CALL_TIMEOUT, idle: float = IDLE) -> None:
        self.name = config.name
        self.call_timeout = call_timeout
        self._config = config
        self._idle = idle
        self._connection: Connection | None = None
        self._starting = asyncio.Lock()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._calls = 0
        self._retirement: asyncio.TimerHandle | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        # Of starts that failed in a row: how many, why the last one did, and when there may be another.
        self._failures = 0
        self._failure = ""
        self._not_before = 0.0

    def __repr__(self) -> str:
        return f"<ToolServer {self.name}: {self.detail}>"

    @property
    def failing(self) -> bool:
        """Whether the last start failed."""
        return self._failures > 0

    @property
    def detail(self) -> str:
        """How it is, for people."""
        if self._failures:
            return self._failure
        if self._connection is None or self._connection.over:
            return "starts when it is needed"
        return f"{len(self._connection.tools)} tools"

    async def stop(self) -> None:
        """End it and its process."""
        if self._retirement is not None:
            self._retirement.cancel()
        if self._connection is not None:
            await self._connection.close()
        await asyncio.gather(*self._retiring)

    async def tools(self) -> tuple[ToolInfo, ...]:
        """What it offers. Raises ApiError 503."""
        return (await self._connect()).tools

    async def call(self, tool: str, arguments: dict[str, Any]) -> Outcome:
        """Call a tool by its own name. An outcome that is not `ok` is the tool's own refusal.

        Raises:
            ApiError: 503 when the server is not there or ends meanwhile, 504 when it takes too long, 502 when its answer is none.
        """
        self._calls += 1
        connection, garbage = self._connection, 0
        try:
            async with asyncio.timeout(self.call_timeout), self._turns:
                connection = await self._connect()
                garbage = connection.garbage
                return await connection.call(tool, arguments)
        except TimeoutError as error:
            if connection is not None and connection.garbage > garbage:
                raise self._malformed(tool, "what it wrote is no MCP message") from error
            raise ApiError(504, "tool_timeout", f"{self.name}.{tool} did not answer within {self.call_timeout:g} s.") from error
        except ServerGone as error:
            raise self._away(str(error)) from error
        except Malformed as error:
            raise self._malformed(tool, str(error)[:300]) from error
        finally:
            self._calls -= 1
            self._retire_later()

    async def _connect(self) -> Connection:
        """The process, started if there is none."""
        async with self._starting:
            connection = self._connection
            if connection is None or connection.over:
                if time.monotonic() < self._not_before:
                    raise self._away(self._failure)
                make = await in_thread(_sdk)
                connection = self._connection = make(self._config)
        try:
            await connection.ready()
        except ServerGone as error:
            self._failed(connection, str(error))
            raise self._away(str(error)) from error
        self._failures = 0
        return connection

    def _failed(self, connection: Connection, reason: str) -> None:
        # Everybody who waited for this start comes here; it counts once.
        if self._connection is not connection:
            return
        self._connection = None
        pause = min(_BACKOFF_FIRST * 2**self._failures, _BACKOFF_MOST) * random.uniform(0.75, 1.25)
        self._failures += 1
        self._failure = reason
        self._not_before = time.monotonic() + pause
        log.warning(f"MCP server {self.name} cannot be started", reason=reason, not_again_for_seconds=round(pause, 1))

    def _retire_later(self) -> None:
        if self._retirement is not None:
            self._retirement.cancel()
        self._retirement = asyncio.get_running_loop().call_later(self._idle, self._retire)

    def _retire(self) -> None:
        connection = self._connection
        if connection is None or connection.over or self._calls:
            return
        log.info(f"MCP server {self.name} is not needed and ended", idle_seconds=self._idle)
        self._connection = None
        task = asyncio.create_task(connection.close())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _away(self, reason: str) -> ApiError:
        return ApiError(503, "tool_server_away", f"The tool server {self.name} is not there: {reason}.", {"Retry-After": "1"})

    def _malformed(self, tool: str, reason: str) -> ApiError:
        log.warning(f"{self.name}.{tool} gave an answer that cannot be used", reason=reason)
        return ApiError(502, "tool_malformed", f"{self.name}.{tool} gave an answer that cannot be used: {reason}.")


def _sdk() -> type[Connection]:
    from stack.backend.tools.connection import Connection

    return Connection
