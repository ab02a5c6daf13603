"""The MCP server: the tools with their names, schemas and annotations, over standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import Field

from devctl.errors import DevctlError, NotRunning
from devctl.mcp import look
from devctl.mcp.place import Place
from devctl.mcp.shapes import (
    MAX_LINES,
    MAX_NAMES,
    MAX_WAIT,
    Changed,
    Checked,
    Condition,
    Events,
    Level,
    Lines,
    Name,
    Reasons,
    Service,
    StackReport,
    Waited,
)
from devctl.version import __version__

T = TypeVar("T")

INSTRUCTIONS = (
    "The services of one devctl stack (services.yaml). Begin with `status`; `why` explains what is not ready, `logs` and `events` "
    "have the details. `restart` and `start` return when the start is under way: `wait` then tells when all is ready. "
    "Starting the whole stack is the user's: `devctl up`."
)

# Calls at once, each with a thread; further ones wait their turn. An agent makes a handful.
AT_ONCE = 32

_LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_STARTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_STOPS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
_RESTARTS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)

Some = Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES, description="Names of services; none for all of them")]
Unwell = Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES, description="Names of services; none for all that are not well")]
Which = Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_NAMES, description="Names of services")]


def serve(place: Place) -> None:
    """Serves until standard input ends. A signal ends it at once: it holds nothing that would need an orderly end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    build(place).run("stdio")


def build(place: Place) -> MCPServer[Any]:
    """The server with all its tools."""
    tools = _Tools(place)
    entries: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
        (tools.status, _LOOKS),
        (tools.logs, _LOOKS),
        (tools.why, _LOOKS),
        (tools.events, _LOOKS),
        (tools.wait, _LOOKS),
        (tools.check, _LOOKS),
        (tools.start, _STARTS),
        (tools.stop, _STOPS),
        (tools.restart, _RESTARTS),
    )
    return MCPServer(
        "devctl",
        version=__version__,
        instructions=INSTRUCTIONS,
        log_level="WARNING",
        tools=[_tool(function, annotations) for function, annotations in entries],
    )


def _tool(function: Callable[..., Any], annotations: ToolAnnotations) -> Tool:
    """A tool that refuses arguments it does not know: `status(service="x")` must not be taken for `status()`."""
    tool = Tool.from_function(function, annotations=annotations)
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return tool


class _Tools:
    """The tools of one stack. Their docstrings are what a model reads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def status(self, services: Some = ()) -> StackReport:
        """The stack's services: state and why, health, ports and URL, restarts, CPU and memory. Also when nothing runs."""
        return await self._answer(lambda: look.status(self._place, services))

    async def logs(
        self,
        services: Some = (),
        search: Annotated[
            str | None, Field(min_length=1, max_length=500, description="Only lines with this text in them; case does not matter")
        ] = None,
        level: Annotated[Level | None, Field(description="Only lines of this level or worse")] = None,
        stream: Annotated[Literal["stdout", "stderr"] | None, Field(description="Only lines of this one")] = None,
        since: Annotated[
            str | None,
            Field(max_length=40, description="Not before: 5m, 1h30m, 10:00, 2026-11-20T10:00:00Z. Else: since the last run began"),
        ] = None,
        tail: Annotated[int, Field(ge=1, le=MAX_LINES, description="Only the last so many of the lines that match")] = 100,
    ) -> Lines:
        """What services wrote, merged by time, oldest first: of the run that goes on, else of the last one."""
        return await self._answer(lambda: look.logs(self._place, services, search, level, stream, since, tail))

    async def why(self, services: Unwell = ()) -> Reasons:
        """Why services are not ready: one causal sentence each, and its evidence (checks, exit status, ports, last lines)."""
        return await self._answer(lambda: look.why(self._place, services))

    async def events(
        self,
        services: Some = (),
        after: Annotated[int, Field(ge=0, description="Only events with a greater id")] = 0,
        tail: Annotated[int, Field(ge=1, le=MAX_LINES, description="Only the last so many of them")] = 100,
    ) -> Events:
        """What happened in this run, else in the last one: starts, exits, restarts, failing checks."""
        return await self._answer(lambda: look.events(self._place, services, after, tail))

    async def wait(
        self,
        services: Some = (),
        condition: Annotated[Condition, Field(description="What to wait for")] = "ready",
        timeout: Annotated[float, Field(ge=0, le=MAX_WAIT, description="Seconds")] = 25,
    ) -> Waited:
        """Waits until services are ready (or stopped, unhealthy, completed)."""
        given_up = threading.Event()
        try:
            return await self._answer(lambda: look.wait(self._place, services, condition, timeout, given_up))
        finally:
            given_up.set()

    async def check(self) -> Checked:
        """Validates the manifest, services.yaml, and says what is wrong and where."""
        return await self._answer(lambda: look.check(self._place))

    async def start(
        self,
        services: Which,
        with_dependencies: Annotated[bool, Field(description="Also what they depend on")] = True,
    ) -> Changed:
        """Starts services of the running stack. Returns when their start is under way."""
        return await self._operate("start", services, {"with_dependencies": with_dependencies})

    async def stop(
        self, services: Which, with_dependents: Annotated[bool, Field(description="Also what depends on them")] = False
    ) -> Changed:
        """Stops services. Returns when none of their processes is left, which may take their grace periods."""
        return await self._operate("stop", services, {"with_dependents": with_dependents})

    async def restart(
        self, services: Which, with_dependents: Annotated[bool, Field(description="Also what depends on them")] = False
    ) -> Changed:
        """Restarts services. Returns when the old processes are gone and the new start is under way."""
        return await self._operate("restart", services, {"with_dependents": with_dependents})

    async def _operate(self, verb: str, services: Sequence[str], options: dict[str, Any]) -> Changed:
        def operate() -> Changed:
            try:
                answer = self._place.client().post(f"/v1/{verb}", {"services": list(dict.fromkeys(services)), **options})
            except NotRunning as error:
                raise self._place.not_running() from error
            items = [Service.of(item) for item in answer["services"]]
            summary = ", ".join(f"{item.name} is {item.state}" for item in items) or "nothing changed"
            return Changed(summary=summary, services=items)

        return await self._answer(operate)

    async def _answer(self, work: Callable[[], T]) -> T:
        """What `work` returns; an error of devctl's becomes the tool's, in the same words."""
        try:
            async with self._turns:
                return await _in_thread(work)
        except DevctlError as error:
            raise ToolError(f"{error.what}. To mend it: {error.mend}" if error.mend else error.what) from error


async def _in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises.

    It runs in a daemon thread: neither a caller that gives up nor the end of the server waits for a grace period.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():  # cancelled: nobody wants it
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]  # T, where there is no error
        else:
            future.set_exception(error)

    def run() -> None:
        outcome: tuple[T | None, Exception | None]
        try:
            outcome = work(), None
        except Exception as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, daemon=True, name="tool").start()
    return await future
