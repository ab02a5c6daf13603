"""The tools of all MCP servers: a component of the backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from jsonschema import SchemaError  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
from jsonschema.validators import validator_for  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from stack.backend.tools.config import ServerConfig
from stack.backend.tools.confirmations import Confirmation, Confirmations
from stack.backend.tools.server import CALL_TIMEOUT, ToolServer
from stack.backend.tools.shapes import Outcome, ToolInfo
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.backend.tools")

# Of arguments, in the sentence that a person confirms.
_SHOWN_ARGUMENTS = 200


def _nobody(_: Confirmation) -> None:
    pass


class Tools:
    """Every tool of every server.

    Args:
        servers: see `stack.backend.tools.config.servers_of_environment`.
        on_pending: told of each call that waits for a person.
        call_timeout: seconds for one call.
    """

    name = "tools"

    def __init__(
        self,
        servers: Sequence[ServerConfig],
        on_pending: Callable[[Confirmation], None] = _nobody,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        self.confirmations = Confirmations()
        self._servers = {config.name: ToolServer(config, call_timeout) for config in servers}
        self._on_pending = on_pending

    async def start(self) -> None:
        """Nothing yet: a server is started when it is first needed, so that the backend does not wait for it."""

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers.values()))

    def state(self) -> dict[str, Any]:
        servers = {name: server.detail for name, server in self._servers.items()}
        failing = [f"{name}: {server.detail}" for name, server in self._servers.items() if server.failing]
        detail = "; ".join(failing or [f"{name}: {text}" for name, text in servers.items()]) or "no tool servers"
        return {
            "status": "degraded" if failing else "ok",
            "detail": detail,
            "servers": servers,
            "waiting_for_confirmation": self.confirmations.pending(),
        }

    async def list(self) -> list[ToolInfo]:
        """The tools that there are; a server that is not there has none, and `state` says so."""
        found = await asyncio.gather(*(server.tools() for server in self._servers.values()), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, ApiError):
                raise each
        return [tool for tools in found if not isinstance(tools, BaseException) for tool in tools]

    async def call(self, name: str, arguments: dict[str, Any], session_id: str | None = None) -> Outcome | Confirmation:
        """Call a tool, or let the call wait for a person when it changes something.

        Args:
            session_id: the conversation that it comes up in; the confirmation can only be given there, or from outside of all.

        Raises:
            ApiError: 404 for an unknown tool, 422 for arguments it does not take, and what `ToolServer.call` raises.
        """
        server, tool = await self._find(name)
        _check(name, tool.input_schema, arguments)
        if not tool.changes:
            return await self._do(server, name, arguments)
        made = self.confirmations.ask(name, arguments, _question(name, arguments), session_id)
        log.info("A call waits for confirmation", tool=name, session=session_id)
        self._on_pending(made)
        return made

    async def decide(self, call_id: str, allow: bool, session_id: str | None = None) -> Outcome:
        """Make the call that waits, or drop it. A server's failure is an outcome here: whoever confirmed wants to read it.

        Raises:
            ApiError: what `Confirmations.take` raises.
        """
        confirmation = self.confirmations.take(call_id, allow, session_id)
        log.info("A call was confirmed" if allow else "A call was refused", tool=confirmation.tool)
        if not allow:
            return Outcome(allowed=False, ok=False, text=f"{confirmation.tool} was not called.")
        try:
            server, _ = await self._find(confirmation.tool)
            return await self._do(server, confirmation.tool, confirmation.arguments)
        except ApiError as error:
            return Outcome(allowed=True, ok=False, text=str(error.detail))

    async def _find(self, name: str) -> tuple[ToolServer, ToolInfo]:
        server = self._servers.get(name.partition(".")[0])
        if server is not None:
            for tool in await server.tools():
                if tool.name == name:
                    return server, tool
        raise ApiError(404, "unknown_tool", f"There is no tool {name!r}; GET /api/tools lists them.")

    async def _do(self, server: ToolServer, name: str, arguments: dict[str, Any]) -> Outcome:
        outcome = await server.call(name.partition(".")[2], arguments)
        log.info("Called a tool", tool=name, ok=outcome.ok)
        return outcome


def _check(name: str, schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Raises ApiError 422: nobody should be asked to confirm what cannot be done."""
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
        # An empty registry: a schema that refers to an address would have us fetch it.
        problem = best_match(kind(schema, registry=Registry()).iter_errors(arguments))
    except (SchemaError, Unresolvable) as error:
        raise ApiError(502, "tool_malformed", f"{name} declares an input schema that is none.") from error
    if problem is not None:
        where = ".".join(str(part) for part in problem.absolute_path)
        message = problem.message[:300]
        raise ApiError(422, "invalid_arguments", f"{name}: {where}: {message}" if where else f"{name}: {message}")


def _question(name: str, arguments: dict[str, Any]) -> str:
    """What a person is asked: `Call devctl.restart with services: frontend?`"""
    parts = []
    for key, value in arguments.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else json.dumps(value, ensure_ascii=False)
        parts.append(f"{key}: {shown}")
    text = "; ".join(parts)
    if len(text) > _SHOWN_ARGUMENTS:
        text = f"{text[:_SHOWN_ARGUMENTS]}…"
    return f"Call {name} with {text}?" if text else f"Call {name}?"
