"""A command in the foreground: signals that come while it is being started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HANG = 60.0  # seconds

# Ctrl-C in the moment in which the command runs already and does not have the terminal yet.
EARLY = """
import os, signal, subprocess, sys
from devctl.cli.job import run_job

start, pipe = subprocess.Popen, sys.argv[1]

def slow(*arguments, **options):
    process = start(*arguments, **options)
    open(pipe).read()
    os.kill(os.getpid(), signal.SIGINT)
    return process

subprocess.Popen = slow
script = "trap 'exit 9' INT; echo begun > $0; for _ in $(seq 100); do sleep 0.1; done"
sys.exit(run_job(["sh", "-c", script, pipe], os.environ, "/"))
"""

IGNORED = """
import os, signal, sys
from devctl.cli.job import run_job

signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.exit(run_job(["sh", "-c", "kill -HUP $PPID; kill -HUP $$; exit 4"], os.environ, "/"))
"""


def play(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a session of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG, start_new_session=True,
    )  # fmt: skip


def test_a_signal_before_the_command_has_the_terminal(tmp_path: Path) -> None:
    """It is the command's, however early it comes, and the command's exit status counts."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    result = play(EARLY, str(pipe))
    assert result.returncode == 9, result.stderr


def test_what_we_ignore_the_command_ignores() -> None:
    """As under nohup."""
    result = play(IGNORED)
    assert result.returncode == 4, result.stderr
