"""A detail pane on a stage: an app around it, and somebody to ask who says what the test wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Container
from textual.pilot import Pilot
from textual.widgets import Static

from devctl.dashboard.detail import DetailPane
from devctl.errors import DevctlError
from devctl.model import ServiceState, ServiceStatus, StackState, StackStatus, SupervisorInfo

S = ServiceState
TIME = "2026-11-20T23:50:01.123Z"
GUARD = 30.0  # seconds after which a test that hangs is ended


class Oracle:
    """Answers each question from `answers`, or with `failure`; notes what it was asked. A closed gate holds answers back."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.failure: DevctlError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers: dict[str, Callable[[str], Any]] = {
            "why": lambda name: {
                "service": name,
                "state": "ready",
                "sentence": f"{name} is ready",
                "evidence": [],
                "chain": [name],
            },
            "timeline": lambda _: [],
            "events": lambda _: [],
            "health": lambda _: {"check": None, "history": []},
            "environment": lambda name: {"environment": {"SERVICE": name}, "argv": ["run", name], "working_dir": "/srv"},
            "processes": lambda _: {"processes": [], "total": 0},
        }

    async def _answer(self, tab: str, name: str = "") -> Any:
        self.asked.append((tab, name))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.answers[tab](name)

    async def why(self, name: str) -> dict[str, Any]:
        return await self._answer("why", name)  # type: ignore[no-any-return]

    async def timeline(self) -> list[dict[str, Any]]:
        return await self._answer("timeline")  # type: ignore[no-any-return]

    async def events(self, after: int) -> list[dict[str, Any]]:
        return await self._answer("events")  # type: ignore[no-any-return]

    async def health_history(self, name: str) -> dict[str, Any]:
        return await self._answer("health", name)  # type: ignore[no-any-return]

    async def environment(self, name: str) -> dict[str, Any]:
        return await self._answer("environment", name)  # type: ignore[no-any-return]

    async def processes(self, name: str) -> dict[str, Any]:
        return await self._answer("processes", name)  # type: ignore[no-any-return]


class Theatre(App[None]):
    """Nothing but the pane, in a box that can be hidden."""

    def __init__(self, pane: DetailPane) -> None:
        super().__init__()
        self.pane = pane

    def compose(self) -> ComposeResult:
        with Container(id="box"):
            yield self.pane
        yield Static("below", id="below")


class Stage:
    """What a test sees and does."""

    def __init__(self, app: Theatre, pilot: Pilot[None], oracle: Oracle) -> None:
        self.app = app
        self.pane = app.pane
        self.pilot = pilot
        self.oracle = oracle

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition()` holds; fails with what is shown."""
        end = time.monotonic() + GUARD
        while not condition():
            assert time.monotonic() < end, f"in vain; the page: {self.pane.text!r}, asked: {self.oracle.asked}"
            await self.pilot.pause(0.02)

    async def says(self, text: str) -> None:
        """Waits until the page has `text`."""
        await self.until(lambda: text in self.pane.text)

    def bar(self) -> str:
        """The line of tabs."""
        return str(self.pane.query_one("TabBar").render())


def service(name: str, state: ServiceState = S.READY, *needs: str, **facts: Any) -> ServiceStatus:
    """A service's status."""
    return ServiceStatus(name=name, state=state, depends_on=needs, started_at=TIME, **facts)


def stack(*services: ServiceStatus, run_id: str = "r1") -> StackStatus:
    """A stack's status."""
    return StackStatus("demo", "/srv", run_id, StackState.READY, TIME, SupervisorInfo(1, 2, 3, "/s", "0"), services)


@asynccontextmanager
async def staged(size: tuple[int, int] = (100, 20)) -> AsyncIterator[Stage]:
    """A pane that shows `web`, which needs `db`."""
    oracle = Oracle()
    app = Theatre(DetailPane(oracle))
    async with app.run_test(size=size) as pilot:
        app.pane.update(stack(service("db"), service("web", S.READY, "db")))
        app.pane.show("web")
        yield Stage(app, pilot, oracle)


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test's coroutine."""
    asyncio.run(asyncio.wait_for(scene(), 3 * GUARD))
