"""One life of an MCP server: its process from start to end, over the official SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CONNECTION_CLOSED, CallToolResult, TextContent
from mcp_types import Tool as McpTool
from pydantic import ValidationError

from stack.backend.tools.config import ServerConfig
from stack.backend.tools.shapes import Malformed, Outcome, ServerGone, ToolInfo
from stack.common.log import Log

log = Log("stack.backend.tools")

# Seconds. An interpreter with the SDK takes one to start on a busy machine.
_CONNECT_TIMEOUT = 15.0

# A server with more tools than this is nothing a model or a person can choose from.
_MAX_TOOLS = 200

# Characters of a result that are handed on; our own tools bound theirs to a part of that.
_MAX_TEXT = 256_000


class Connection:
    """A server that was started just now.

    Args:
        config: what to start.

    Attributes:
        task: its whole life; ends with it, and cancelling ends it.
        over: it has hung up, or never came. Known before the calls in flight fail.
        tools: what it offers, once `ready`.
        garbage: how many lines it wrote that are no MCP. A call that gets no answer may have got one of these.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.over = False
        self.garbage = 0
        self.tools: tuple[ToolInfo, ...] = ()
        self._config = config
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting when it fails; that is then no error of its own.
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self.task = asyncio.create_task(self._live())

    async def ready(self) -> None:
        """Wait until it can be called. Raises ServerGone."""
        await asyncio.shield(self._ready)

    async def call(self, tool: str, arguments: dict[str, Any]) -> Outcome:
        """Call a tool by its own name. Cancelling tells the server so.

        Raises:
            ServerGone: it ended during the call.
            Malformed: its answer is none.
        """
        client = await asyncio.shield(self._ready)
        try:
            return _outcome(tool, await client.call_tool(tool, arguments))
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                raise ServerGone("it ended during the call") from error
            raise Malformed(f"error {error.code}, {error.message}") from error
        except (ValidationError, RuntimeError, ValueError) as error:
            # The SDK checks the answer against the protocol and the tool's own output schema, and raises these.
            raise Malformed(str(error).splitlines()[0]) from error

    async def close(self) -> None:
        """End it and its process."""
        self.over = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _live(self) -> None:
        reason = "it is being ended"
        try:
            await self._serve()
        except Exception as error:
            reason = _reason(error)
        finally:
            self.over = True
            if not self._ready.done():
                self._ready.set_exception(ServerGone(reason))

    async def _serve(self) -> None:
        ended = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT):
                    client = await stack.enter_async_context(Client(self._transport(ended)))
                    self.tools = await _discover(self._config.name, client)
            except TimeoutError as error:
                raise TimeoutError(f"it did not introduce itself within {_CONNECT_TIMEOUT:g} s") from error
            self._ready.set_result(client)
            log.info(f"MCP server {self._config.name} is there", tools=len(self.tools), protocol=client.protocol_version)
            await ended.wait()

    @contextlib.asynccontextmanager
    async def _transport(self, ended: asyncio.Event) -> AsyncIterator[Any]:
        """The SDK's transport, and `ended` is set when the server hangs up: the SDK tells that only to calls in flight."""
        parameters = StdioServerParameters(
            command=self._config.command,
            args=list(self._config.arguments),
            env=self._config.environment,
            cwd=self._config.directory,
        )
        async with stdio_client(parameters) as (messages, writer), anyio.create_task_group() as group:
            forward, reader = anyio.create_memory_object_stream[Any](0)

            async def relay() -> None:
                # The session may go first, and its end of the stream with it.
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    async with forward:
                        async for message in messages:
                            if isinstance(message, Exception):
                                self.garbage += 1
                                log.warning(f"MCP server {self._config.name} wrote what is no MCP message")
                            await forward.send(message)
                        # Before the calls in flight learn it: whoever calls again should get a new one.
                        self.over = True
                ended.set()

            group.start_soon(relay)
            try:
                yield reader, writer
            finally:
                group.cancel_scope.cancel()


async def _discover(server: str, client: Client) -> tuple[ToolInfo, ...]:
    """All tools of a server, page by page, up to a bound."""
    found: list[McpTool] = []
    cursor: str | None = None
    while len(found) < _MAX_TOOLS:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        if (cursor := page.next_cursor) is None:
            break
    return tuple(_info(server, tool) for tool in found[:_MAX_TOOLS])


def _info(server: str, tool: McpTool) -> ToolInfo:
    reads = tool.annotations is not None and tool.annotations.read_only_hint is True
    return ToolInfo(f"{server}.{tool.name}", tool.description or "", tool.input_schema, tool.output_schema, changes=not reads)


def _outcome(tool: str, result: CallToolResult) -> Outcome:
    data = result.structured_content if isinstance(result.structured_content, dict) else None
    said = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    if len(said) > _MAX_TEXT:
        raise Malformed(f"it has more than {_MAX_TEXT} characters")
    # Servers made with the official SDK begin so; whoever reads it knows what was called.
    said = said.removeprefix(f"Error executing tool {tool}: ")
    # With an output schema the text is the same as JSON, for older clients; a summary is what people want to read.
    summary = (data or {}).get("summary")
    return Outcome(allowed=True, ok=not result.is_error, text=summary if isinstance(summary, str) else said, data=data)


def _reason(error: BaseException) -> str:
    """What went wrong, without the groups that tasks wrap their errors in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return f"there is no program {error.filename}"
    if isinstance(error, MCPError):
        return "it ended before it introduced itself" if error.code == CONNECTION_CLOSED else error.message
    return str(error) or type(error).__name__
