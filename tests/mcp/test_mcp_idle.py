"""The tools where nothing runs, and how the server begins and ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.driver import DEVCTL, HANG, Project
from tests.mcp.conftest import Agent

ONE = "services:\n  one:\n    command: [sh, -c, 'echo hello from one; sleep 1000']\n"


def test_no_manifest(visitor: Agent, empty: Path) -> None:
    """Without a manifest every tool says so, and the server goes on."""
    assert "services.yaml" in visitor.refusal("status")
    assert "services.yaml" in visitor.refusal("logs")
    assert visitor.ask("check")["ok"] is False


def test_nothing_runs(visitor: Agent, idle: Project, empty: Path) -> None:
    """A stack that does not run is an answer of `status`; what needs one refuses in words."""
    idle.write(ONE)
    report = visitor.ask("status")
    assert (report["running"], report["state"], report["services"]) == (False, "stopped", [])
    assert "devctl up" in report["summary"]
    for tool in ("why", "wait"):
        assert "no stack is running" in visitor.refusal(tool)
    assert "no stack is running" in visitor.refusal("restart", services=["one"])


def test_the_last_run_can_be_read(visitor: Agent, idle: Project, empty: Path) -> None:
    """A server that was there before the run sees it begin, and reads its logs and events after its end."""
    idle.write(ONE)
    idle.run("up", "-d")
    assert visitor.ask("status")["running"]
    idle.run("down")
    assert [line["text"] for line in visitor.ask("logs")["lines"]] == ["hello from one"]
    assert visitor.ask("events")["events"][-1]["type"] == "run_ended"
    assert visitor.ask("events", services=["one"])["events"][-1]["service"] == "one"


def test_check_finds_every_problem(visitor: Agent, idle: Project, empty: Path) -> None:
    """Problems come with file, line and help."""
    idle.write("services:\n  one: {comand: true}\n  two: {command: 'true', depends_on: [three]}\n")
    checked = visitor.ask("check")
    assert checked["ok"] is False
    assert {flaw["line"] for flaw in checked["problems"]} == {2, 3}
    assert any("comand" in flaw["message"] for flaw in checked["problems"])


def _spawn(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(DEVCTL), "mcp"],
        cwd=project.root, env=project.environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_ends_with_its_input(idle: Project) -> None:
    """Garbage is answered with an error or ignored, standard output is the protocol's alone, and the end of input is the end."""
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}
    text = "this is no message\n" + json.dumps(hello) + "\n"
    with _spawn(idle) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline())]
        while answers[-1].get("id") != 1:
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(HANG) == 0
    assert answers[-1]["result"]["serverInfo"]["name"] == "devctl"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(idle: Project, number: signal.Signals) -> None:
    """A signal ends it at once, also while it waits for input, and nothing is printed."""
    with _spawn(idle) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 7, "method": "ping"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(HANG) == -number
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_without_the_sdk(idle: Project, tmp_path: Path) -> None:
    """Where the SDK is not installed, the command says which extra has it."""
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError(\"No module named 'mcp'\", name='mcp')\n")
    program = "import sys; from devctl.cli.main import main; sys.exit(main(['mcp']))"
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=idle.root, env={**idle.environment, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        capture_output=True, text=True, timeout=HANG, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 2
    assert "devctl[mcp]" in result.stderr
