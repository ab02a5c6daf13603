"""Plays scenes in a process of their own, and leaves nothing of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devctl.process import reap

ROOT = Path(__file__).parent.parent.parent
Play = Callable[[str], dict[str, Any]]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Plays a scene of tests/process/scenes.py and returns what it printed."""
    run_id = f"scene-{uuid.uuid4().hex}"

    def run(scene: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.process.scenes", scene, run_id],
            cwd=ROOT,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=90,
            start_new_session=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    yield run
    left = reap.sweep(lambda pid: _carries(pid, run_id), time.monotonic() + 5, scans=1)
    assert not left.killed, f"a scene left processes: {left.killed}"


def _carries(pid: int, run_id: str) -> bool:
    # In its environment or, once that is emptied, in the arguments of the adversaries.
    for name in ("environ", "cmdline"):
        with contextlib.suppress(OSError):
            if run_id.encode() in Path(f"/proc/{pid}/{name}").read_bytes():
                return True
    return False
