"""What holds for all tests."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Compiles the packages once, as an installer would: where PYTHONDONTWRITEBYTECODE is set, each of the thousands of processes
    that the tests start would compile them again. A tree that cannot be written to stays as it is."""
    if hasattr(config, "workerinput"):  # pytest-xdist: it has been done before the workers were started
        return
    for package in ("devctl", "stack"):
        compileall.compile_dir(ROOT / package, quiet=2)
