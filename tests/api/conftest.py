"""Fixtures of the Python API's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of this test's own, with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="dc"))
    monkeypatch.setenv("DEVCTL_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path)
