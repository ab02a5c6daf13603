"""How the dashboard looks, in ten situations: SVG pictures in snapshots/, compared line by line.

When a change of the looks is meant, run this file with DEVCTL_SNAPSHOTS=write in the environment, and look at the pictures.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from devctl.control.client import Client
from devctl.dashboard.app import Dashboard
from devctl.dashboard.context import Context
from devctl.dashboard.link import Link
from devctl.dashboard.services import ServicesPane
from devctl.dashboard.state import Snapshot
from devctl.dashboard.teardown import TeardownScreen
from devctl.logs.cri import encode, format_stamp
from devctl.paths import stack_paths
from tests.dashboard.stage import GUARD, Board, play

PICTURES = Path(__file__).with_name("snapshots")
NOW = 1_790_000_000.0
BEGAN = "2026-09-21T14:12:15.000Z"  # 65 s before NOW
LINES = (
    ("router", "stdout", "[INFO] loading the model"),
    ("router", "stdout", "\x1b[32mready\x1b[0m after 1.9 s"),
    ("backend", "stdout", '{"level": "info", "msg": "listening", "port": 3002}'),
    ("backend", "stderr", "ERROR cannot reach the cache"),
    ("backend", "stderr", "Traceback (most recent call last):"),
    ("backend", "stderr", '  File "/srv/app.py", line 12, in connect'),
    ("backend", "stderr", "ConnectionError: refused"),
    ("frontend", "stdout", "GET / 200 日本語"),
)


def service(name: str, state: str, *needs: str, **facts: Any) -> dict[str, Any]:
    up = state in ("ready", "starting", "unhealthy", "stopping")
    common = {
        "name": name, "state": state, "reason": None, "pid": 4000 + len(name) if up else None, "ports": {}, "url": None,
        "started_at": BEGAN if up else None, "ready_at": None, "startup_seconds": 1.9, "restarts": 0, "exit_code": None,
        "processes": 1, "cpu_percent": 2.5 if up else 0.0, "memory_bytes": 48_000_000 if up else 0, "health": None,
        "depends_on": list(needs), "log": f"logs/{name}.log", "description": "",
    }  # fmt: skip
    return {**common, **facts}


def healthy(detail: str = "200 in 3 ms") -> dict[str, Any]:
    return {"health": {"probe": "http", "ok": True, "detail": detail, "checked_at": BEGAN, "failures": 0}}


def stack(state: str, *services: dict[str, Any]) -> Snapshot:
    supervisor = {"pid": 1, "guard_pid": 2, "sweeper_pid": 3, "socket": "/s", "version": "0"}
    data = {"stack": "demo", "directory": "/srv", "run_id": "r", "state": state, "started_at": BEGAN, "supervisor": supervisor}
    return Snapshot.parse({**data, "services": list(services)})


READY = stack(
    "ready",
    service("router", "ready", ports={"default": 8888}, url="http://127.0.0.1:8888", **healthy()),
    service("backend", "ready", "router", ports={"default": 3002}, url="http://127.0.0.1:3002", restarts=1, **healthy()),
    service("frontend", "ready", "backend", ports={"default": 3000}, url="http://127.0.0.1:3000", **healthy()),
)
STARTING = stack(
    "starting",
    service("router", "starting", ports={"default": 8888}, reason="503 Service Unavailable: starting"),
    service("backend", "waiting", "router"),
    service("frontend", "waiting", "backend"),
)
CRASHED = stack(
    "degraded",
    service("router", "ready", **healthy()),
    service("backend", "failed", "router", reason="exited with status 1", exit_code=1),
    service("frontend", "unhealthy", "backend", reason="connection refused on 127.0.0.1:3002"),
    service("job", "completed"),
    service("later", "backoff", reason="exited with status 2; again in 4 s"),
    service("idle", "stopped"),
)
STOPPING = stack(
    "stopping", service("router", "stopping"), service("backend", "stopped", "router"), service("frontend", "stopped", "backend")
)

ANSWERS: dict[str, Any] = {
    "why": {
        "service": "router", "state": "ready", "sentence": "router is ready", "chain": ["router"],
        "evidence": [{"label": "check", "text": "http: 200 in 3 ms"}],
    },
    "timeline": {
        "entries": [
            {
                "service": name, "waiting_from": 0.0, "started": started, "ready": ready, "state": "ready", "depends_on": needs,
                "critical": True,
            }
            for name, started, ready, needs in (
                ("router", 0.1, 2.0, []), ("backend", 2.0, 2.6, ["router"]), ("frontend", 2.6, 3.0, ["backend"]),
            )
        ]
    },
}  # fmt: skip

Act = Callable[[Board], Awaitable[None]]


async def nothing(board: Board) -> None:
    await board.until(lambda: "router is ready" in board.app.details.text)


async def filtered(board: Board) -> None:
    await board.press("ampersand", *"re", "enter", "slash", *"refused", "enter")
    await board.until(lambda: board.app.logs.view.cursor is not None)


async def light(board: Board) -> None:
    board.app.theme = "textual-light"
    await nothing(board)


async def palette(board: Board) -> None:
    await board.press("ctrl+p", *"restart ba")
    await board.sees("restart backend with its dependents")


async def timeline(board: Board) -> None:
    await board.press("2")
    await board.until(lambda: "critical path" in board.app.details.text)


async def stopping(board: Board) -> None:
    await board.press("i")
    board.app.push_screen(TeardownScreen(lambda _: time.sleep(1000), STOPPING))  # type: ignore[arg-type, return-value]
    await board.sees("stopping the stack")


async def lost(board: Board) -> None:
    await nothing(board)
    board.app._on_link("lost", "the supervisor at /run/demo does not answer")
    await board.sees("no connection")


async def quit_(board: Board) -> None:
    await board.press("i", "q")
    await board.sees("leave it running")


async def still(board: Board) -> None:
    await board.press("i")
    await board.until(lambda: not board.app.details.display)


async def small(board: Board) -> None:
    await board.sees("refused")


SCENES: dict[str, tuple[Snapshot, tuple[int, int], Act]] = {
    "healthy": (READY, (130, 36), nothing),
    "starting": (STARTING, (130, 36), still),
    "crashed": (CRASHED, (130, 36), still),
    "filtered": (READY, (130, 36), filtered),
    "narrow": (READY, (60, 20), small),
    "light": (READY, (130, 36), light),
    "palette": (READY, (130, 36), palette),
    "detail": (READY, (130, 36), timeline),
    "stopping": (READY, (130, 36), stopping),
    "disconnected": (READY, (130, 36), lost),
    "quit": (READY, (100, 30), quit_),
}


@pytest.fixture
def still_life(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Dashboard]:
    """A dashboard without a supervisor, at a moment that never passes, and with logs that never grow."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(ServicesPane, "_tick", lambda _: None)
    monkeypatch.setattr("devctl.dashboard.teardown.seconds", lambda _: "0.00 s")

    async def rest(_: Link) -> None:
        await asyncio.Event().wait()

    async def answer(_: Link, path: str) -> Any:
        return ANSWERS[path.rpartition("/")[2]]

    monkeypatch.setattr(Link, "run", rest)
    monkeypatch.setattr(Link, "get", answer)
    for index, (name, stream, text) in enumerate(LINES):
        with open(tmp_path / f"{name}.log", "ab") as file:
            stamp = format_stamp(int(NOW * 1e9) + index * 10**6)
            file.write(b"".join(encode(text.encode(), stamp, stream)[0]))  # type: ignore[arg-type]
    paths = stack_paths(tmp_path / "services.yaml")
    context = Context(Client(paths.socket), paths, tmp_path, (), lambda _: ("", 0), detach=lambda: None)
    return lambda: Dashboard(context, preferences_path=tmp_path / "p.json", keys_path=tmp_path / "k.toml")


def drawn(app: Dashboard) -> str:
    """What the dashboard shows, without what differs each time."""
    picture = re.sub(r"terminal-\d+", "terminal", app.export_screenshot())
    # The reader's own font will do, and the picture fetches nothing.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    return re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_is_as_it_was(name: str, still_life: Callable[[], Dashboard], tmp_path: Path) -> None:
    """Line by line; what differs is written beside the test's other files."""
    snapshot, size, act = SCENES[name]
    kept = PICTURES / f"{name}.svg"
    writing = os.environ.get("DEVCTL_SNAPSHOTS") == "write"
    picture = ""

    async def scene() -> None:
        nonlocal picture
        app = still_life()
        async with app.run_test(size=size) as pilot:
            board = Board(app, pilot)
            app._on_link("connected", "")
            app._on_snapshot(snapshot)
            await board.until(lambda: len(app.logs.model) == len(LINES))
            await act(board)
            # What a busy machine paints late is waited for: nothing moves in the end.
            expected = "" if writing else kept.read_text(encoding="utf-8")
            end = time.monotonic() + (1.0 if writing else GUARD)
            while not picture or picture.splitlines() != expected.splitlines():
                await pilot.pause(0.1)
                picture = drawn(app)
                if time.monotonic() > end:
                    break

    play(scene)
    if writing:
        kept.write_text(picture, encoding="utf-8")
    (tmp_path / f"{name}.svg").write_text(picture, encoding="utf-8")
    assert picture.splitlines() == kept.read_text(encoding="utf-8").splitlines(), f"it looks different: {tmp_path / name}.svg"
