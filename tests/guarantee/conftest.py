"""Fixtures of the guarantee tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.guarantee.harness import AS_IS, Devctl, Mode


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process outside of every stack. It must be alive at the end of the test."""
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    innocent_lives = process.poll() is None
    process.kill()
    process.wait()
    assert innocent_lives, f"an innocent bystander was ended with {process.returncode}"


MakeDevctl = Callable[..., Devctl]


@pytest.fixture
def make_devctl(bystander: subprocess.Popen[bytes]) -> Iterator[MakeDevctl]:
    """Makes Devctl places that are closed, and checked for leftovers, at the end."""
    made: list[Devctl] = []

    def make(mode: Mode = AS_IS, **options: object) -> Devctl:
        if not mode.possible:
            # Where CI is set nothing is skipped that root can have.
            assert "CI" not in os.environ or os.getuid() != 0, "no interpreter that others may run was found"
            pytest.skip("needs root and an interpreter that others may run")
        made.append(Devctl(mode, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for devctl in made:
        devctl.close()


@pytest.fixture
def devctl(make_devctl: MakeDevctl) -> Devctl:
    """devctl as the tests' own user."""
    return make_devctl()
