"""What the dashboard needs to know of the stack before it asks, and the few things that only its caller can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devctl.control.client import Client
from devctl.paths import StackPaths

LOG_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class Context:
    """One stack, for one dashboard.

    Attributes:
        client: asks the supervisor; blocks.
        logs: the directory with a file for each service.
        names: the services, in the manifest's order, as far as they are known.
        teardown: stops the stack: (what to say about it, exit status). With True it kills. Blocks.
        detach: gives the hold on the stack up; None when there is none.
        since: this command has started the run, then (nanoseconds since the epoch); the log begins there.
        message: what starting or reconciling has to say.
    """

    client: Client
    paths: StackPaths
    logs: Path
    names: tuple[str, ...]
    teardown: Callable[[bool], tuple[str, int]]
    detach: Callable[[], None] | None = None
    since: int | None = None
    message: str = ""

    def log_files(self, names: tuple[str, ...]) -> list[tuple[str, Path]]:
        """Each service's current log file."""
        return [(name, self.logs / f"{name}{LOG_SUFFIX}") for name in names]
