"""Questions about the running stack, asked of the real one: services.yaml under devctl, whose tools the backend has over MCP."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from devctl.control.client import Client
from stack.common.internal import InternalKey
from tests.cli.driver import HANG, Project

ROOT = Path(__file__).parents[2]


class Assistant:
    """A signed-in user of the running stack."""

    def __init__(self, project: Project) -> None:
        self.project = project
        ports = {service["name"]: service["ports"]["default"] for service in project.json("status")["services"]}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{ports['backend']}", timeout=HANG, trust_env=False)
        self._token = self.http.post("/api/auth/demo").raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self._token}"

    def ask(self, message: str, session: str = "ops") -> str:
        """The reply to a question, which the ops agent must have given."""
        answer = self.http.post("/api/assistant/chat", json={"message": message, "session_id": session}).raise_for_status().json()
        assert answer["agent"] == "ops", answer
        return str(answer["reply"])

    @contextlib.contextmanager
    def talk(self) -> Iterator[ClientConnection]:
        """A WebSocket of a new conversation, as the page has it."""
        url = self.http.base_url
        with connect(f"ws://{url.host}:{url.port}/ws/assistant/{uuid.uuid4().hex}", proxy=None) as socket:
            socket.send(json.dumps({"type": "auth", "token": self._token}))
            _receive(socket, "connected")
            yield socket

    def service(self, name: str) -> dict[str, Any]:
        """A service as devctl sees it."""
        services = self.project.json("status")["services"]
        return next(service for service in services if service["name"] == name)

    def tool_server(self) -> int:
        """The process id of the backend's `devctl mcp`."""
        client = Client(Path(self.project.json("status")["supervisor"]["socket"]))
        processes = client.get("/v1/services/backend/processes")["processes"]
        return next(int(process["pid"]) for process in processes if process["command"].endswith(" mcp"))

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """The reference stack as its manifest has it, on free ports, with files of its own."""
    project = Project(tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("rt") / "d")
    shutil.copy(ROOT / "services.yaml", project.root)
    project.environment |= {
        "STACK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "STACK_STATE": str(tmp_path_factory.mktemp("state")),
    }
    for name in ("MCP_SERVERS", "REDIS_URL", "NATS_URL", "DATABASE_URL", "AUTH"):
        project.environment.pop(name, None)
    try:
        started = project.run("up", "-d", "--auto-ports")
        assert started.returncode == 0, started.stderr
        assistant = Assistant(project)
        yield assistant
        assistant.http.close()
    finally:
        project.close()


def test_is_everything_healthy(assistant: Assistant) -> None:
    """The answer names every service with its state."""
    reply = assistant.ask("is everything healthy?")
    assert reply.startswith("Everything is healthy")
    for name in ("router", "backend", "frontend"):
        assert f"- {name}: ready" in reply


def test_why_is_the_backend_down(assistant: Assistant) -> None:
    """For a service that is up the answer is that it is; for one that is stopped, that somebody stopped it."""
    assert "backend is ready" in assistant.ask("why is the backend down?")
    assistant.project.run("stop", "frontend")
    try:
        assert "frontend is stopped" in assistant.ask("why is the frontend down?")
        assert assistant.ask("is everything healthy?").startswith("Not everything is well")
    finally:
        assistant.project.run("start", "frontend")
        assistant.project.run("wait", "frontend")


def test_show_the_last_errors(assistant: Assistant) -> None:
    """Errors are those of the log; without any, that is the answer."""
    assert "no errors of router" in assistant.ask("show the last errors of router")
    reply = assistant.ask("give me the last 3 lines of the router")
    assert reply.count(" router  ") == 3


def test_restart_needs_a_yes(assistant: Assistant) -> None:
    """Asked for in the page, a restart waits for the person's yes, and then the service has a new process."""
    before = assistant.service("frontend")["pid"]
    with assistant.talk() as socket:
        socket.send(json.dumps({"type": "message", "text": "restart frontend"}))
        question = _receive(socket, "system", kind="confirmation")
        assert (question["tool"], question["arguments"]) == ("devctl.restart", {"services": ["frontend"]})
        assert "confirm" in _receive(socket, "stream_end")["reply"]
        assert assistant.service("frontend")["pid"] == before
        socket.send(json.dumps({"type": "confirm", "call_id": question["call_id"], "allow": True}))
        outcome = _receive(socket, "system", kind="confirmed")
    assert (outcome["allowed"], outcome["ok"]) == (True, True), outcome
    assistant.project.run("wait", "frontend")
    assert assistant.service("frontend")["pid"] != before


def test_no_is_no(assistant: Assistant) -> None:
    """After a no over HTTP nothing happens, and it cannot be taken back."""
    before = assistant.service("frontend")["pid"]
    pending = assistant.post("/api/tools/devctl.restart", arguments={"services": ["frontend"]})
    assert pending.status_code == 202
    path = f"/api/tools/confirmations/{pending.json()['confirmation']['call_id']}"
    assert assistant.http.get(path).json()["status"] == "pending"
    assert assistant.post(path, allow=False).raise_for_status().json()["allowed"] is False
    assert assistant.post(path, allow=True).status_code == 409
    assert assistant.http.get(path).json()["status"] == "denied"
    assert assistant.service("frontend")["pid"] == before


def _receive(socket: ClientConnection, type_: str, **fields: str) -> dict[str, Any]:
    """The next message of a type with these fields."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(HANG))
        assert message["type"] != "error", message
        if message["type"] == type_ and fields.items() <= message.items():
            return message


def test_tools_over_http(assistant: Assistant) -> None:
    """What may be looked at is answered at once; what is wrong is refused in the one error shape."""
    tools = {tool["name"]: tool for tool in assistant.http.get("/api/tools").json()["tools"]}
    assert tools["devctl.status"]["changes"] is False
    assert tools["devctl.stop"]["changes"] is True
    answer = assistant.post("/api/tools/devctl.status").json()
    assert answer["data"]["running"] is True
    for path, body, status in (
        ("/api/tools/devctl.nope", {}, 404),
        ("/api/tools/devctl.logs", {"arguments": {"tail": 0}}, 422),
        ("/api/tools/devctl.logs", {"tail": 5}, 422),
        ("/api/tools/a%2Fb", {}, 404),
        ("/api/tools/confirmations/unknown", {"allow": True}, 404),
        ("/api/tools/confirmations/unknown", {"allow": "perhaps"}, 422),
    ):
        response = assistant.post(path, **body)
        assert (path, response.status_code) == (path, status)
        assert response.json().keys() == {"error"}


def test_tools_need_a_sign_in(assistant: Assistant) -> None:
    """Without a token nothing is told; another service's token cannot confirm."""
    anonymous = httpx.Client(base_url=assistant.http.base_url, timeout=HANG, trust_env=False)
    with anonymous:
        assert anonymous.get("/api/tools").status_code == 401
        assert anonymous.post("/api/tools/devctl.status", json={}).status_code == 401
        assert anonymous.post("/api/tools/confirmations/x", json={"allow": True}).status_code == 401
        service = InternalKey(Path(assistant.project.environment["STACK_STATE"]) / "internal.key").headers("router")
        assert anonymous.get("/api/tools", headers=service).status_code == 200
        refused = anonymous.post("/api/tools/confirmations/x", json={"allow": True}, headers=service)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "people_only")


def test_the_tool_server_comes_back(assistant: Assistant) -> None:
    """Killed under use, `devctl mcp` is started again, and questions are answered as before."""
    assistant.ask("is everything healthy?")
    first = assistant.tool_server()
    os.kill(first, signal.SIGKILL)
    # Whether this call meets the end of the old process or already the new one: it is answered.
    assert assistant.ask("is the stack well?")
    assert assistant.ask("is everything healthy?").startswith("Everything is healthy")
    assert assistant.tool_server() != first


def test_the_backend_restarts_itself(assistant: Assistant) -> None:
    """A confirmed restart of the backend, which the request goes through, is carried out all the same."""
    before = assistant.service("backend")["pid"]
    assert "away" in assistant.ask("restart the backend")
    pending = assistant.post("/api/tools/devctl.restart", arguments={"services": ["backend"]}).json()["confirmation"]
    # The answer is lost on the way, or says that the tool server has ended with the backend.
    with contextlib.suppress(httpx.TransportError):
        assistant.post(f"/api/tools/confirmations/{pending['call_id']}", allow=True)
    client = Client(Path(assistant.project.json("status")["supervisor"]["socket"]))
    started = (event for event in client.events(0, services=["backend"], types=["service_state"]) if event["state"] == "ready")
    # The first time, and again.
    assert [next(started)["service"], next(started)["service"]] == ["backend", "backend"]
    assert assistant.service("backend")["pid"] != before
    assert assistant.ask("is everything healthy?").startswith("Everything is healthy")
