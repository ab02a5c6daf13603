"""The tools on a running stack, over the official client."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.driver import Project
from tests.mcp.conftest import Agent

LOOKS = {"status", "logs", "why", "events", "wait", "check"}
CHANGES = {"start", "stop", "restart"}


def test_tools_say_what_they_change(agent: Agent) -> None:
    """Looking is annotated as read-only, stopping as destructive, and nothing more is offered."""
    tools = agent.tools()
    assert tools.keys() == LOOKS | CHANGES
    assert {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint} == LOOKS
    assert {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint} == {"stop", "restart"}


def test_every_tool_has_schemas(agent: Agent) -> None:
    """Inputs and outputs are described, every argument in words, and unknown arguments are excluded."""
    for tool in agent.tools().values():
        assert tool.description
        assert tool.output_schema is not None
        assert "summary" in tool.output_schema["properties"]
        assert tool.input_schema["additionalProperties"] is False
        assert all(argument.get("description") for argument in tool.input_schema["properties"].values())


def test_status_tells_of_every_service(agent: Agent) -> None:
    """The report has the facts, and its summary names what is not well."""
    report = agent.ask("status")
    assert (report["running"], report["stack"], report["state"]) == (True, "shop", "degraded")
    assert {service["name"]: service["state"] for service in report["services"]} == {
        "web": "ready",
        "worker": "ready",
        "broken": "failed",
    }
    assert "broken is failed" in report["summary"]


def test_status_of_some(agent: Agent) -> None:
    """Only the named services are told of."""
    assert [service["name"] for service in agent.ask("status", services=["web"])["services"]] == ["web"]


@pytest.mark.parametrize("tool", ["status", "logs", "why", "wait", "restart"])
def test_unknown_service(agent: Agent, tool: str) -> None:
    """A name that does not exist is refused in words that name it."""
    assert "wbe" in agent.refusal(tool, services=["wbe"])


def test_logs_are_merged(agent: Agent) -> None:
    """Without conditions, all services' lines come in the order of time."""
    lines = agent.ask("logs")["lines"]
    assert {line["service"] for line in lines} == {"web", "broken"}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_logs_search_is_plain_text(agent: Agent) -> None:
    """What would be a costly pattern is text, and case does not matter."""
    assert [line["text"] for line in agent.ask("logs", search="(A+)+B")["lines"]] == ["INFO starting [v1.0] (a+)+b"]
    assert agent.ask("logs", search="(a+)+$")["lines"] == []


def test_logs_by_level(agent: Agent) -> None:
    """A level takes the worse ones too, and the lines that belong to them."""
    lines = agent.ask("logs", services=["web"], level="error")["lines"]
    assert [line["text"] for line in lines] == ["ERROR first trouble", "    with a detail"]


def test_logs_say_what_they_leave_out(agent: Agent) -> None:
    """Of more lines than asked for the newest come, and `truncated` says so; all of them are not truncated."""
    answer = agent.ask("logs", services=["broken"], tail=1)
    assert answer["truncated"] is False
    answer = agent.ask("logs", services=["web"], stream="stderr", tail=1)
    assert ([line["text"] for line in answer["lines"]], answer["truncated"]) == (["    with a detail"], True)


def test_long_lines_are_cut(agent: Agent) -> None:
    """A line of 5,000 characters is shown as its beginning."""
    answer = agent.ask("logs", search="xxxxx")
    assert len(answer["lines"][0]["text"]) == 2001
    assert answer["truncated"] is True


def test_logs_of_a_time(agent: Agent) -> None:
    """`since` takes times as people write them, and refuses others in words."""
    assert agent.ask("logs", since="1h")["lines"]
    assert "yesteryear" in agent.refusal("logs", since="yesteryear")


def test_why_explains_what_is_not_well(agent: Agent) -> None:
    """Without a name, what is not well is explained, with evidence from its log."""
    (reason,) = agent.ask("why")["services"]
    assert reason["service"] == "broken"
    assert "3" in reason["sentence"]
    assert any("no database" in fact["text"] for fact in reason["evidence"])


def test_events_in_words(agent: Agent) -> None:
    """Events of one service, the newest, with ids that go on."""
    answer = agent.ask("events", services=["broken"])
    assert "exited with status 3" in [event["text"] for event in answer["events"]]
    last = answer["events"][-1]["id"]
    assert agent.ask("events", services=["broken"], after=last)["events"] == []
    assert agent.ask("events", tail=2)["truncated"] is True


def test_check_of_a_valid_manifest(agent: Agent) -> None:
    """A manifest without problems is said to be so, with its services."""
    checked = agent.ask("check")
    assert checked["ok"]
    assert checked["services"] == ["web", "worker", "broken"]


def test_restart_and_wait(agent: Agent) -> None:
    """A restart gives the service a new process, and a wait tells when it is ready."""
    before = agent.ask("status", services=["web"])["services"][0]
    (service,) = agent.ask("restart", services=["web"])["services"]
    assert service["name"] == "web"
    waited = agent.ask("wait", services=["web"])
    assert waited["done"]
    assert waited["services"][0]["pid"] != before["pid"]


def test_stop_and_start(agent: Agent) -> None:
    """A stopped service has no process, and starts again."""
    assert agent.ask("stop", services=["worker"])["summary"] == "worker is stopped"
    assert agent.ask("status", services=["worker"])["services"][0]["pid"] is None
    agent.ask("start", services=["worker"])
    assert agent.ask("wait", services=["worker"])["done"]


def test_wait_for_what_cannot_happen(agent: Agent) -> None:
    """A wait for a service that has failed ends at once and says so."""
    waited = agent.ask("wait", services=["broken"], timeout=600)
    assert (waited["done"], waited["impossible"]) == (False, ["broken"])


def test_wait_ends(agent: Agent) -> None:
    """A wait for what does not happen ends when its time is over."""
    waited = agent.ask("wait", services=["web"], condition="stopped", timeout=0.01)
    assert (waited["done"], waited["timed_out"]) == (False, True)
    assert "web is ready" in waited["summary"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("status", {"service": "web"}),
        ("logs", {"tail": 0}),
        ("logs", {"tail": 100_000}),
        ("logs", {"level": "loud"}),
        ("logs", {"search": "x" * 1000}),
        ("wait", {"timeout": 1e9}),
        ("restart", {"services": []}),
        ("restart", {}),
        ("stop", {"services": "web"}),
    ],
)
def test_wrong_arguments(agent: Agent, tool: str, arguments: dict[str, object]) -> None:
    """Arguments outside of the schema are refused, and the argument is named."""
    named = next(iter(arguments), "services")
    assert named in agent.refusal(tool, **arguments)


def test_named_from_elsewhere(shop: Project, idle: Project, connect: Callable[..., Agent]) -> None:
    """The global options say which stack is meant."""
    away = Project(idle.root, shop.root)
    away.environment = shop.environment
    assert connect(away, "-C", str(shop.root)).ask("status")["stack"] == "shop"
