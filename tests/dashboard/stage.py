"""A dashboard on a stage: a real stack, the real application, and a pilot who presses its keys."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot, WaitForScreenTimeout

from devctl.control.client import Client
from devctl.control.teardown import teardown
from devctl.dashboard.app import Dashboard
from devctl.dashboard.context import Context
from devctl.paths import stack_paths
from tests.cli.driver import Project

GUARD = 30.0  # seconds after which a test that hangs is ended
SIZE = (140, 44)

WRITER = r"""
import sys, time
print("started with colour \x1b[32mgreen\x1b[0m", flush=True)
print('{"level": "warn", "msg": "slow query", "took": 0.25}', flush=True)
print("ERROR cannot reach /srv/app.py:12", file=sys.stderr, flush=True)
print("Traceback (most recent call last):\n  File \"%s\", line 2, in <module>\n    boom()\nValueError: boom" % __file__,
      file=sys.stderr, flush=True)
print("needle in the log", flush=True)
print("a long line " + "x" * 300, flush=True)
for number in range(10**9):
    print("line", number, flush=True)
    time.sleep(0 if number < 80 else 0.2)  # some pages at once; then slowly, as each line is painted
"""

MANIFEST = """
name: demo
services:
  db: {command: [python3, -u, writer.py], description: keeps things}
  web: {command: "python3 -m http.server ${services.web.port}", port: auto, depends_on: [db]}
  worker: {command: sleep 1000, depends_on: [web], environment: {API_TOKEN: hidden-thing}}
"""


class Board:
    """What a test sees and does."""

    def __init__(self, app: Dashboard, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, condition: Callable[[], Any]) -> None:
        """Waits until it holds; fails with what is on the screen."""
        end = time.monotonic() + GUARD
        while not condition():
            assert time.monotonic() < end, "in vain; on the screen:\n" + self.text()
            # An application that ends in the meantime has no screen to wait for.
            with contextlib.suppress(WaitForScreenTimeout):
                await self.pilot.pause(0.02)

    async def sees(self, text: str) -> None:
        """Waits until `text` is on the screen."""
        await self.until(lambda: text in self.text())

    async def press(self, *keys: str) -> None:
        """Types."""
        await self.pilot.press(*keys)

    def text(self) -> str:
        """The screen as text."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in lines)

    def state(self, name: str) -> str:
        """A service's state as the dashboard knows it."""
        view = self.app.view_of(name)
        return "" if view is None else view.state.value

    def log_lines(self) -> list[str]:
        """The log lines that are shown, as far as they are in memory."""
        model = self.app.logs.model
        return [model.entry(index).record.text for index in range(len(model))]


def make_context(project: Project, **extra: Any) -> Context:
    """The stack of `project`, which may run or not."""
    from devctl.cli.receipts import outcome_lines

    paths = stack_paths(project.root / "services.yaml")

    def stop(force: bool) -> tuple[str, int]:
        outcome = teardown(paths, force=force)
        return "\n".join(outcome_lines(outcome)), 0 if outcome.clean else 1

    return Context(
        client=Client(paths.socket),
        paths=paths,
        logs=project.root / "logs",
        names=(),
        teardown=stop,
        **extra,
    )


@asynccontextmanager
async def opened(
    project: Project, size: tuple[int, int] = SIZE, keys: Path | None = None, home: Path | None = None, **extra: Any
) -> AsyncIterator[Board]:
    """The dashboard on the stack of `project`; in `home`, by default the project's directory, is what it remembers."""
    home = home or project.root
    app = Dashboard(make_context(project, **extra), preferences_path=home / "prefs.json", keys_path=keys or home / "keys.toml")
    async with app.run_test(size=size) as pilot:
        yield Board(app, pilot)


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test's coroutine."""
    asyncio.run(asyncio.wait_for(scene(), 3 * GUARD))
