"""Fixtures of the dashboard's tests: stacks that run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.driver import Project
from tests.dashboard.stage import MANIFEST, WRITER


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project directory without a manifest; what runs in it at the end is stopped."""
    runtime = tmp_path_factory.mktemp("rt") / "d"
    monkeypatch.setenv("DEVCTL_RUNTIME_DIR", str(runtime))
    project = Project(tmp_path, runtime)
    yield project
    project.close()


@pytest.fixture
def stack(project: Project) -> Project:
    """db ← web ← worker, ready."""
    return started(project)


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The same stack, one for all tests of a module that only look at it. DEVCTL_RUNTIME_DIR is theirs to set."""
    project = Project(tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("rt") / "d")
    try:
        yield started(project)
    finally:
        project.close()


def started(project: Project) -> Project:
    """The stack that is looked at."""
    (project.root / "writer.py").write_text(WRITER)
    project.write(MANIFEST)
    up = project.run("up", "-d")
    assert up.returncode == 0, up.stderr
    return project
