"""Fixtures of the control API's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devctl.control.routes import Pace
from tests.control.running import Running


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose path is short enough for a socket; pytest's own may not be."""
    path = Path(tempfile.mkdtemp(prefix="dc"))
    (path / "logs").mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(directory: Path) -> Iterator[Callable[..., Running]]:
    """Starts servers with options of `serve` (and `fake={…}` for the supervisor); they are closed at the end."""
    running: list[Running] = []

    def run(**options: Any) -> Running:
        running.append(Running(directory, **options))
        return running[-1]

    yield run
    for one in running:
        one.stop()


@pytest.fixture
def running(start: Callable[..., Running]) -> Running:
    """A server with streams that show life often."""
    return start(pace=Pace(heartbeat=0.05))
