"""A project to run stacks of, and what tests look at from outside."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from devctl.api import Service


def write(directory: Path, text: str) -> Path:
    """A manifest in `directory`, with {python} as this interpreter."""
    path = directory / "services.yaml"
    path.write_text(text.format(python=sys.executable) if "{python}" in text else text)
    return path


def alive(pid: int) -> bool:
    """Whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(service: Service) -> int:
    """The pid that the service has written last."""
    return int(service.logs(grep="^pid ")[-1].text.split()[1])
