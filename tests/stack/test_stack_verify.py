"""The whole stack under devctl, proved from outside, with real servers. `make verify` proves it without as well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.servers import program

PROJECT = Path(__file__).parents[2]


def verify(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m stack.verify`."""
    return subprocess.run(
        [sys.executable, "-m", "stack.verify", *arguments],
        cwd=PROJECT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
    )


@pytest.mark.thorough
def test_everything_is_proved() -> None:
    """Start, sign-in, conversation, streams, cache, jobs, tools, kills and the end: every step holds."""
    for server in ("redis-server", "nats-server", "prometheus"):
        program(server)
    done = verify("--profile", "full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("proved in")


def test_what_does_not_hold_is_told() -> None:
    """A stack that cannot start is a failed step with devctl's own words, and exit status 1."""
    done = verify("--profile", "full", PATH="/nowhere")
    assert done.returncode == 1
    assert done.stdout.startswith("✗ everything becomes ready: ")
    assert "redis-server" in done.stdout
