"""What the hot commands must not import: each of these costs more than the whole command may."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.driver import Project

FORBIDDEN = {"yaml", "pydantic", "textual", "httpx", "psutil", "rich", "typer", "starlette", "uvicorn", "asyncio", "http.client"}


def imported(project: Project, *arguments: str) -> set[str]:
    """The modules that a command imports, as -X importtime tells."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import sys; from devctl.cli.main import main; sys.exit(main())", *arguments],
        cwd=project.root, env=project.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status"], ["logs", "-n", "50"], ["down"], ["logs", "--help"], ["dashboard", "--help"], ["--version"]],
    ids=" ".join,
)
@pytest.mark.parametrize("running", [False, True], ids=["nothing runs", "running"])
def test_hot_commands_are_light(project: Project, arguments: list[str], running: bool) -> None:
    """status, logs, down and --help import none of the big libraries."""
    project.write("services: {web: {command: echo hello}}")
    if running:
        project.run("up", "-d")
    modules = imported(project, *arguments)
    assert "devctl.cli.main" in modules
    assert not modules & FORBIDDEN
