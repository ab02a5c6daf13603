"""What a running stack tells of its processes, its checks and its start, asked over the control API."""

from __future__ import annotations

from pathlib import Path

import pytest

from devctl import Stack
from devctl.errors import UsageError
from devctl.plan import LogSettings, Plan, to_json
from tests.api.project import write

FAMILY = """
services:
  family:
    command: "(sleep 600 &); sleep 601 & echo complete; wait"
    healthcheck: {log: complete}
"""
CHECKED = """
services:
  web:
    command: {python} -m http.server ${{services.web.port}} --bind 127.0.0.1
    port: auto
    healthcheck: {{http: "http://127.0.0.1:${{services.web.port}}/"}}
  later:
    command: sleep 600
    depends_on: [never]
  never:
    command: sleep 600
    healthcheck: {{log: never}}
"""


@pytest.fixture
def directory(tmp_path: Path, runtime: Path) -> Path:
    return tmp_path


def test_a_tree_with_what_it_detached(directory: Path) -> None:
    """The leader, its child, and the daemon whose parent is gone, each told as what it is."""
    with Stack(write(directory, FAMILY)) as stack:
        stack.wait_ready()
        answer = stack.client.get("/v1/services/family/processes")
        kinds = {process["command"]: process["kind"] for process in answer["processes"]}
        assert kinds.pop("sleep 600") == "adopted"
        assert kinds.pop("sleep 601") == "child"
        assert list(kinds.values()) == ["main"]
        assert answer["total"] == 3
        stack["family"].stop()
        assert stack.client.get("/v1/services/family/processes") == {"processes": [], "total": 0}


def test_checks_and_the_start_as_they_were(directory: Path) -> None:
    """The probe as it runs, with its last answer at the end; what still waits is part of the timeline."""
    with Stack(write(directory, CHECKED)) as stack:
        stack.wait_ready("web")
        health = stack.client.get("/v1/services/web/health")
        assert health["check"]["probe"]["url"] == f"http://127.0.0.1:{stack['web'].port}/"
        assert health["history"][-1]["ok"]
        assert stack.client.get("/v1/services/later/health") == {"check": None, "history": []}
        entries = {entry["service"]: entry for entry in stack.client.get("/v1/timeline")["entries"]}
        assert (entries["later"]["started"], entries["later"]["state"]) == (None, "waiting")


def test_a_reload_takes_a_plan_and_nothing_else(directory: Path) -> None:
    """Which services belong to it is for the plan to say: an option that would be ignored is refused."""
    with Stack(write(directory, FAMILY)) as stack:
        plan = Plan("demo", str(directory), (), {}, LogSettings(dir=str(directory / "logs")))
        with pytest.raises(UsageError, match="no_deps"):
            stack.client.post("/v1/reload", {"plan": to_json(plan), "no_deps": True})
