"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.driver import Project


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project directory without a manifest; what runs in it at the end is stopped."""
    project = Project(tmp_path, tmp_path_factory.mktemp("rt") / "d")
    yield project
    project.close()
