"""A stage for the pages' commands: a scratch copy, a runtime directory of its own, and nothing left afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

BIN = Path(sys.executable).parent
PATIENCE = 100.0  # seconds; a hang guard
DEMO = Path(__file__).with_name("demo")
# Ports of its own, so that nobody's running stack is in the way. What refers to them follows.
ANY_PORT = "services:\n" + "".join(f"  {name}: {{port: !override auto}}\n" for name in ("router", "backend", "frontend"))


@dataclass
class Stage:
    """A project directory in which commands are run."""

    project: Path
    environment: dict[str, str]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a script with bash, without a terminal and without input."""
        file = self.project.with_name("script.sh")
        file.write_text(script)
        return subprocess.run(
            ["bash", "-u", file],
            stdin=subprocess.DEVNULL,
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[[Path], Stage]]:
    """Makes a stage from a project: the reference stack when it is the repository itself. Stops every stack of it afterwards."""
    # Short: a socket's path has at most 107 bytes.
    runtime = tempfile.mkdtemp(prefix="devctl-docs-")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVCTL_", "ROUTER_", "PYTEST_"))}
    environment = {**kept, "DEVCTL_RUNTIME_DIR": runtime, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}

    def make(source: Path) -> Stage:
        project = tmp_path / "project"
        shutil.copytree(DEMO, tmp_path / "feature")  # "a second checkout beside it"
        if source != ROOT:
            shutil.copytree(source, project)
            return Stage(project, environment)
        project.mkdir()
        shutil.copytree(ROOT / "stack", project / "stack", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "services.yaml", project)
        (project / "services.override.yaml").write_text(ANY_PORT)
        return Stage(project, {**environment, "STACK_PYTHON": sys.executable})

    try:
        yield make
    finally:
        done = subprocess.run(
            [BIN / "devctl", "down", "--all", "--timeout", "10s"], env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        shutil.rmtree(runtime, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
