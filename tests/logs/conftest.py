"""Logs under tmp_path, and reading them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devctl.logs.clock import Clock
from devctl.logs.query import read
from devctl.logs.store import ServiceLog
from devctl.plan import LogSettings


@dataclass
class Stage:
    """A directory with logs in it, and what was said about trouble."""

    directory: Path
    troubles: list[str] = field(default_factory=list)
    logs: list[ServiceLog] = field(default_factory=list)

    def path(self, service: str = "web") -> Path:
        return self.directory / f"{service}.log"

    def log(self, service: str = "web", *, max_size: int = 10**9, max_files: int = 5, clock: Clock | None = None) -> ServiceLog:
        settings = LogSettings(max_size=max_size, max_files=max_files)
        log = ServiceLog(self.path(service), settings, on_trouble=self.troubles.append, clock=clock or Clock())
        self.logs.append(log)
        return log

    def texts(self, service: str = "web", **options: object) -> list[str]:
        return [record.text for record in read([(service, self.path(service))], **options)]  # type: ignore[arg-type]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "logs")
    yield stage
    for log in stage.logs:
        log.close()


@pytest.fixture
def line_writer() -> Callable[[ServiceLog, int, int], None]:
    """Appends "line FIRST" to "line LAST - 1", one block each."""

    def write(log: ServiceLog, first: int, last: int) -> None:
        for number in range(first, last):
            log.append("stdout", b"line %d\n" % number)

    return write
