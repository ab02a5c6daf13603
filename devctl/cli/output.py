"""Standard output: JSON, and noticing that nobody reads it any more."""

from __future__ import annotations

import os
import stat
import sys
from typing import Any


def print_json(data: Any) -> None:
    """Prints one JSON document, indented, for people and programs."""
    import json

    print(json.dumps(data, indent=2, ensure_ascii=False))


def pipe_out() -> int | None:
    """The descriptor of standard output if it is a pipe or a socket.

    poll(2) reports POLLERR there once the reader has gone, which a quiet command would not learn before its next write.
    """
    try:
        fd = sys.stdout.fileno()
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError):
        return None
    return fd if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
