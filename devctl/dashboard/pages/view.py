"""What the pages read of a status: shapes that the dashboard's snapshot fits, and `devctl.model` too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from devctl.model import ServiceState


class View(Protocol):
    """One service."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> ServiceState: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def started_at(self) -> str | None: ...
    @property
    def startup_seconds(self) -> float | None: ...
    @property
    def url(self) -> str | None: ...
    @property
    def restarts(self) -> int: ...
    @property
    def processes(self) -> int: ...
    @property
    def depends_on(self) -> Sequence[str]: ...


class Status(Protocol):
    """The stack."""

    @property
    def run_id(self) -> str: ...
    @property
    def started_at(self) -> str: ...
    @property
    def services(self) -> Iterable[View]: ...
