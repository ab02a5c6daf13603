"""Where the services keep what outlives them: databases, keys, data of servers."""

from __future__ import annotations

import os
from pathlib import Path

# The repository when run from it.
_PROJECT = Path(__file__).parents[2]


def state_dir() -> Path:
    """The directory, made when it is missing, for its owner alone: STACK_STATE, or `.state` in the project.

    Raises:
        OSError: it cannot be made.
    """
    path = Path(os.environ.get("STACK_STATE", "").strip() or _PROJECT / ".state")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
