"""The backend's tools: real MCP servers as processes, one of them with every bad habit, and calls that a person must allow."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from stack.backend.tools.config import ServerConfig, servers_of_environment
from stack.backend.tools.confirmations import EXPIRES_AFTER, Confirmation, Confirmations
from stack.backend.tools.server import ToolServer
from stack.backend.tools.shapes import Outcome
from stack.backend.tools.tools import Tools
from stack.common.errors import ApiError
from stack.common.settings import SettingError

SINNER = str(Path(__file__).with_name("mcp_sinner.py"))

# Seconds until a test gives up on something that takes one at most.
GUARD = 60.0

T = TypeVar("T")


class House:
    """Tools that run, and what they asked people; called from ordinary tests."""

    def __init__(self, portal: BlockingPortal, file: Path) -> None:
        self.file = file
        self.asked: list[Confirmation] = []
        config = ServerConfig("sinner", sys.executable, (SINNER,), {"SINNER_FILE": str(file)})
        self.portal = portal
        # Long enough for a loaded machine to answer; what hangs is called with less.
        self.tools = portal.call(lambda: _made(Tools([config], self.asked.append)))
        portal.call(self.tools.start)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def run() -> T:
            return await work

        return self.portal.call(run)

    def outcome(self, name: str, arguments: dict[str, Any] | None = None) -> Outcome:
        came = self.do(self.tools.call(f"sinner.{name}", arguments or {}))
        assert isinstance(came, Outcome)
        return came

    def pending(self, name: str, arguments: dict[str, Any] | None = None, session: str | None = None) -> Confirmation:
        came = self.do(self.tools.call(f"sinner.{name}", arguments or {}, session))
        assert isinstance(came, Confirmation)
        return came

    def trouble(self, name: str, arguments: dict[str, Any] | None = None) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.do(self.tools.call(f"sinner.{name}", arguments or {}))
        return caught.value


async def _made(value: T) -> T:
    return value


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with start_blocking_portal("asyncio") as portal:
        house = House(portal, tmp_path_factory.mktemp("tools") / "noted")
        yield house
        portal.call(house.tools.stop)


def test_a_call_answers(house: House) -> None:
    """A tool's structured answer comes back as data."""
    assert house.outcome("echo", {"number": 7}) == Outcome(allowed=True, ok=True, text="", data={"number": 7})


def test_tools_are_discovered(house: House) -> None:
    """Every tool is listed with its server's name, and those that do not say that they only read count as changing."""
    house.outcome("echo", {"number": 1})
    tools = {tool.name: tool for tool in house.do(house.tools.list())}
    assert {name for name, tool in tools.items() if tool.changes} == {"sinner.remembers", "sinner.breaks_when_confirmed"}
    assert tools["sinner.echo"].output_schema is not None
    assert house.tools.state()["status"] == "ok"


def test_a_refusal_is_an_outcome(house: House) -> None:
    """What a tool says when it refuses is handed on as it is."""
    assert house.outcome("refuses") == Outcome(allowed=True, ok=False, text="not today")


@pytest.mark.parametrize("arguments", [{}, {"number": "seven"}, {"number": None}])
def test_arguments_are_checked(house: House, arguments: dict[str, Any]) -> None:
    """Arguments that the schema excludes never reach the server."""
    error = house.trouble("echo", arguments)
    assert (error.status_code, error.code) == (422, "invalid_arguments")
    assert "number" in error.detail


@pytest.mark.parametrize("name", ["sinner.nope", "nobody.echo", "echo", "sinner.", ""])
def test_unknown_tools(house: House, name: str) -> None:
    """A name that no server has is a 404."""
    with pytest.raises(ApiError) as caught:
        house.do(house.tools.call(name, {}))
    assert caught.value.status_code == 404


@pytest.mark.parametrize("name", ["lies_about_its_output", "floods", "has_no_schema", "refers_elsewhere"])
def test_unusable_answers_are_reported(house: House, name: str) -> None:
    """An answer or schema that cannot be used is the server's fault: 502, and the tool is named."""
    error = house.trouble(name)
    assert (error.status_code, error.code) == (502, "tool_malformed")
    assert f"sinner.{name}" in error.detail


def test_a_server_that_dies_comes_back(house: House) -> None:
    """A call during which the server ends is a 503; the next one finds a new process."""
    error = house.trouble("dies")
    assert (error.status_code, error.code) == (503, "tool_server_away")
    assert house.outcome("echo", {"number": 2}).data == {"number": 2}


def test_change_waits_for_a_person(house: House) -> None:
    """A tool that changes something does it after a yes, once; the listeners are told at once."""
    pending = house.pending("remembers", {"what": "tea"}, "talk")
    assert house.asked[-1] == pending
    assert "sinner.remembers" in pending.text
    assert "tea" in pending.text
    assert not house.file.exists()
    assert house.do(house.tools.decide(pending.call_id, True, "talk")) == Outcome(allowed=True, ok=True, text="noted")
    assert house.file.read_text() == "tea\n"
    with pytest.raises(ApiError) as caught:
        house.do(house.tools.decide(pending.call_id, True, "talk"))
    assert caught.value.status_code == 409
    assert house.file.read_text() == "tea\n"


def test_no_means_no(house: House) -> None:
    """After a no nothing is called, and a later yes does not help."""
    before = house.file.read_text() if house.file.exists() else ""
    pending = house.pending("remembers", {"what": "coffee"})
    outcome = house.do(house.tools.decide(pending.call_id, False))
    assert (outcome.allowed, outcome.ok) == (False, False)
    with pytest.raises(ApiError):
        house.do(house.tools.decide(pending.call_id, True))
    assert (house.file.read_text() if house.file.exists() else "") == before


def test_failure_after_a_yes_is_told(house: House) -> None:
    """When the server ends during a confirmed call, whoever confirmed reads that."""
    pending = house.pending("breaks_when_confirmed")
    outcome = house.do(house.tools.decide(pending.call_id, True))
    assert (outcome.allowed, outcome.ok) == (True, False)
    assert "sinner" in outcome.text


def test_other_conversations_cannot_confirm(house: House) -> None:
    """A call belongs to its conversation: another one does not even learn that it exists."""
    pending = house.pending("remembers", {}, "mine")
    with pytest.raises(ApiError) as caught:
        house.do(house.tools.decide(pending.call_id, True, "yours"))
    assert caught.value.status_code == 404


def _scene(config: ServerConfig, timeout: float, tool: str) -> ApiError:
    async def play() -> ApiError:
        server = ToolServer(config)
        try:
            # Its start does not count.
            await server.tools()
            server.call_timeout = timeout
            await server.call(tool, {})
        except ApiError as error:
            return error
        finally:
            await server.stop()
        pytest.fail("the call succeeded")

    return asyncio.run(play())


@pytest.mark.parametrize(("tool", "status", "code"), [("hangs", 504, "tool_timeout"), ("prints_garbage", 502, "tool_malformed")])
def test_calls_end(tool: str, status: int, code: str) -> None:
    """A call without an answer ends after its time; garbage instead of an answer is named as that."""
    error = _scene(ServerConfig("sinner", sys.executable, (SINNER,)), 0.3, tool)
    assert (error.status_code, error.code) == (status, code)


@pytest.mark.parametrize(("command", "reason"), [("/nowhere/devctl", "no program"), (sys.executable, "ended before")])
def test_servers_that_never_come(command: str, reason: str) -> None:
    """A server that cannot be started or ends at once does not hold anybody up for long, and says why."""
    error = _scene(ServerConfig("sinner", command, (SINNER, "ends_at_once")), 5, "echo")
    assert (error.status_code, error.code) == (503, "tool_server_away")
    assert reason in error.detail


def test_a_failed_start_is_not_repeated_at_once() -> None:
    """Who asks right after a failure is told the same without another start; later there is one."""

    async def play() -> tuple[list[str], bool]:
        server = ToolServer(ServerConfig("none", "/nowhere/devctl"))
        details = []
        for _ in range(3):
            with pytest.raises(ApiError) as caught:
                await server.call("echo", {})
            details.append(caught.value.detail)
        return details, server.failing

    details, failing = asyncio.run(play())
    assert len(set(details)) == 1
    assert failing


def _wait_for_end(pid: int) -> None:
    """Returns when a process has ended; fails the test when it does not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], GUARD)[0], "still there"
    finally:
        os.close(descriptor)


def test_what_nobody_needs_is_ended() -> None:
    """A server's process ends some time after the last call, and the next call has a new one."""

    async def play() -> list[str]:
        server = ToolServer(ServerConfig("sinner", sys.executable, (SINNER,)), idle=0)
        try:
            pids = [(await server.call("tells_its_process_id", {})).text]
            await asyncio.to_thread(_wait_for_end, int(pids[0]))
            assert server.detail == "starts when it is needed"
            pids.append((await server.call("tells_its_process_id", {})).text)
        finally:
            await server.stop()
        return pids

    first, second = asyncio.run(play())
    assert first != second
    _wait_for_end(int(second))


def test_one_start_for_many() -> None:
    """Calls that come at once share one process."""

    async def play() -> set[str]:
        server = ToolServer(ServerConfig("sinner", sys.executable, (SINNER,)))
        try:
            outcomes = await asyncio.gather(*(server.call("tells_its_process_id", {}) for _ in range(20)))
        finally:
            await server.stop()
        return {outcome.text for outcome in outcomes}

    assert len(asyncio.run(play())) == 1


def test_no_servers() -> None:
    """Without servers there are no tools, and nothing is wrong."""

    async def play() -> dict[str, Any]:
        tools = Tools([])
        await tools.start()
        state = tools.state()
        await tools.stop()
        return state

    assert asyncio.run(play())["status"] == "ok"


class Clock:
    """Seconds, as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_confirmations_run_out() -> None:
    """After its time a call cannot be allowed any more, and says so."""
    clock = Clock()
    confirmations = Confirmations(clock)
    made = confirmations.ask("a.b", {}, "Call a.b?", None)
    assert confirmations.look(made.call_id)["status"] == "pending"
    clock.now = EXPIRES_AFTER
    with pytest.raises(ApiError) as caught:
        confirmations.take(made.call_id, True, None)
    assert caught.value.status_code == 410
    assert confirmations.look(made.call_id)["status"] == "expired"
    assert confirmations.pending() == 0


def test_confirmations_are_bounded() -> None:
    """One conversation cannot push out another's calls, and all together are a few hundred at most."""
    confirmations = Confirmations()
    first = confirmations.ask("a.b", {}, "", "quiet")
    for _ in range(1000):
        confirmations.ask("a.b", {}, "", "loud")
    assert confirmations.look(first.call_id)["status"] == "pending"
    for number in range(1000):
        confirmations.ask("a.b", {}, "", f"talk {number}")
    assert confirmations.pending() == 200


def test_servers_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MCP_SERVERS has the usual form; servers get what finds a running stack, and not our secrets."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DEVCTL_RUNTIME_DIR", "/run/here")
    monkeypatch.setenv("MCP_SERVERS", '{"files": {"command": "files", "args": ["-r"], "env": {"A": "b"}, "cwd": "/tmp"}}')
    (server,) = servers_of_environment()
    assert (server.name, server.command, server.arguments, server.directory) == ("files", "files", ("-r",), "/tmp")
    assert server.environment["DEVCTL_RUNTIME_DIR"] == "/run/here"
    assert server.environment["A"] == "b"
    assert "OPENAI_API_KEY" not in server.environment
    monkeypatch.setenv("MCP_SERVERS", "{}")
    assert servers_of_environment() == ()


def test_devctl_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MCP_SERVERS, the devctl beside the interpreter is the one server."""
    monkeypatch.delenv("MCP_SERVERS", raising=False)
    (server,) = servers_of_environment()
    assert (server.name, os.path.basename(server.command), server.arguments) == ("devctl", "devctl", ("mcp",))


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"a b": {"command": "x"}}', '{"a": {}}', '{"a": {"command": ""}}', '{"a": {"command": "x", "shell": true}}'],
)
def test_wrong_settings(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A setting that makes no sense is refused at the start, and its value, which may hold a secret, is not repeated."""
    monkeypatch.setenv("MCP_SERVERS", text)
    with pytest.raises(SettingError, match="MCP_SERVERS"):
        servers_of_environment()
