"""An agent: the official MCP client on a `devctl mcp` of its own, called from ordinary tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, Tool

from tests.cli.driver import DEVCTL, HANG, Project, free_port

# Ready when it says so; writes lines of every kind; a page of its own on the port.
WEB = """
import http.server, os, sys
print("INFO starting [v1.0] (a+)+b", flush=True)
print("ERROR first trouble\\n    with a detail", file=sys.stderr, flush=True)
print("WARN second trouble", flush=True)
print("INFO " + "x" * 5000, flush=True)
http.server.SimpleHTTPRequestHandler.log_message = lambda *_: None
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler)
print("INFO serving", flush=True)
server.serve_forever()
"""

MANIFEST = """
name: shop
services:
  web:
    command: [python3, -u, web.py]
    port: {port}
    healthcheck: {{http: "http://127.0.0.1:{port}/web.py"}}
  worker:
    command: sleep 1000
    depends_on: [web]
  broken:
    command: [sh, -c, "echo FATAL no database >&2; exit 3"]
"""


class Agent:
    """Calls tools and waits for the answers."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self._client = client

    def tools(self) -> dict[str, Tool]:
        """What there is, by name."""
        return {tool.name: tool for tool in self._portal.call(self._client.list_tools).tools}

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """The whole answer."""
        return self._portal.call(partial(self._client.call_tool, tool, arguments, read_timeout_seconds=HANG))

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of a call that succeeds. The client has checked it against the tool's schema."""
        result = self.call(tool, **arguments)
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of a call that is refused."""
        result = self.call(tool, **arguments)
        assert result.is_error
        return "".join(part.text for part in result.content if part.type == "text")


def server(project: Project, *arguments: str) -> StdioServerParameters:
    """How a client starts `devctl mcp` in a project."""
    return StdioServerParameters(command=str(DEVCTL), args=[*arguments, "mcp"], cwd=project.root, env=project.environment)


@pytest.fixture(scope="module")
def connect() -> Iterator[Callable[..., Agent]]:
    """Starts agents; they end with the module."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def connect(project: Project, *arguments: str) -> Agent:
            client = stack.enter_context(portal.wrap_async_context_manager(Client(server(project, *arguments))))
            return Agent(portal, client)

        yield connect


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A running stack of three services, one of which fails. Tests that change it put it back."""
    project = Project(tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("rt") / "d")
    project.write(WEB, "web.py")
    project.write(MANIFEST.format(port=free_port()))
    try:
        project.run("up", "-d")
        yield project
    finally:
        project.close()


@pytest.fixture(scope="module")
def agent(shop: Project, connect: Callable[..., Agent]) -> Agent:
    """An agent at the running shop."""
    return connect(shop)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which nothing runs at first; its tests write the manifest they want."""
    project = Project(tmp_path_factory.mktemp("idle"), tmp_path_factory.mktemp("rt") / "d")
    yield project
    project.close()


@pytest.fixture(scope="module")
def visitor(idle: Project, connect: Callable[..., Agent]) -> Agent:
    """An agent where nothing runs."""
    return connect(idle)


@pytest.fixture
def empty(idle: Project) -> Path:
    """That project's directory, without a manifest."""
    (idle.root / "services.yaml").unlink(missing_ok=True)
    return idle.root
