"""The link: a stack followed over everything that can happen to its supervisor. A real server, a real client, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devctl.control.client import Client
from devctl.dashboard import link as module
from devctl.dashboard.link import CALLS, Link
from devctl.dashboard.state import Snapshot
from devctl.errors import ControlError, UnknownService
from devctl.model import ServiceState
from devctl.paths import StackPaths
from tests.control.running import GUARD, Running

HELLO = 0.05  # seconds between two tries to be heard


class Listener:
    """A link, and all that it has said."""

    def __init__(self, directory: Path, timeout: float = GUARD) -> None:
        paths = StackPaths(directory)
        self.snapshots: list[Snapshot] = []
        self.events: list[dict[str, Any]] = []
        self.states: list[tuple[str, str]] = []
        self._said = asyncio.Event()
        self.link = Link(
            Client(paths.socket, timeout),
            paths,
            on_snapshot=lambda snapshot: self._take(self.snapshots, snapshot),
            on_event=lambda event: self._take(self.events, event),
            on_state=lambda state, words: self._take(self.states, (state, words)),
        )

    def _take(self, kept: list[Any], one: Any) -> None:
        kept.append(one)
        self._said.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Waits until what was said makes it true."""
        async with asyncio.timeout(GUARD):
            while not condition():
                self._said.clear()
                await self._said.wait()

    async def is_heard(self, running: Running) -> None:
        """Emits events until one arrives, so that the next one will: nothing says when the stream is open."""
        known = len(self.events)
        async with asyncio.timeout(GUARD):
            while len(self.events) == known:
                running.call(lambda: running.supervisor.emit("hello"))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HELLO):
                        await self.until(lambda: len(self.events) > known)

    def marks(self) -> list[int]:
        """The numbers of the events that a test has numbered."""
        return [event["mark"] for event in self.events if "mark" in event]

    def state_of(self, name: str) -> str:
        """A service's state in the last snapshot."""
        views = self.snapshots[-1].services if self.snapshots else ()
        return next((view.state.value for view in views if view.name == name), "")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A stack's runtime directory, with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="dl"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def running(directory: Path) -> Iterator[Running]:
    """A control server with a supervisor of two services behind it."""
    server = Running(directory)
    yield server
    server.stop()


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[Listener]:
    """A link that runs, and has ended afterwards."""
    listener = Listener(directory)
    task = asyncio.create_task(listener.link.run())
    try:
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test's coroutine."""
    asyncio.run(asyncio.wait_for(scene(), 3 * GUARD))


def emit(running: Running, first: int, end: int) -> None:
    """Emits numbered events, all at once."""
    running.call(lambda: [running.supervisor.emit("noted", mark=number) for number in range(first, end)])


def test_first_look(directory: Path, running: Running) -> None:
    """It connects, and tells how the services are."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.until(lambda: listener.snapshots)
            assert listener.states == [("connected", "")]
            assert [view.name for view in listener.snapshots[0].services] == ["router", "backend"]

    play(scene)


def test_an_event_brings_a_look_at_once(directory: Path, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has changed is not left to the next look of the clock, which here would never come."""
    monkeypatch.setattr(module, "PACE", 10 * GUARD)

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.is_heard(running)
            running.call(lambda: running.supervisor.set_state("backend", ServiceState.FAILED))
            await listener.until(lambda: listener.state_of("backend") == "failed")

    play(scene)


def test_changes_without_events_show_too(directory: Path, running: Running) -> None:
    """CPU, memory and health change without one."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.until(lambda: listener.snapshots)
            running.call(lambda: running.supervisor.states.update(backend=ServiceState.UNHEALTHY))
            await listener.until(lambda: listener.state_of("backend") == "unhealthy")

    play(scene)


def test_many_events_bring_few_looks(directory: Path, running: Running) -> None:
    """Each event arrives, in order; the status is not asked for once an event."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.is_heard(running)
            before = len(listener.snapshots)
            emit(running, 0, 500)
            await listener.until(lambda: len(listener.marks()) == 500)
            assert listener.marks() == list(range(500))
            assert len(listener.snapshots) - before < 250

    play(scene)


def test_a_broken_connection_loses_no_event(directory: Path, running: Running) -> None:
    """What happened meanwhile comes afterwards, once."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.is_heard(running)
            emit(running, 0, 3)
            await listener.until(lambda: len(listener.marks()) == 3)
            running.cut()
            emit(running, 3, 6)
            await listener.until(lambda: len(listener.marks()) == 6)
            assert listener.marks() == [0, 1, 2, 3, 4, 5]

    play(scene)


def test_an_end_in_order_is_said(directory: Path, running: Running) -> None:
    """Somebody has stopped the stack."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.until(lambda: listener.snapshots)
            running.close_server()
            await listener.until(lambda: ("ended", "the stack was stopped") in listener.states)

    play(scene)


def test_a_crash_is_said(directory: Path, running: Running) -> None:
    """With what the runtime files tell about it."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.until(lambda: listener.snapshots)
            StackPaths(directory).state.write_text("{")
            running.die()
            await listener.until(lambda: any(state == "ended" and "its state file is damaged" in words
                                             for state, words in listener.states))  # fmt: skip

    play(scene)


def test_the_next_run_is_followed(directory: Path, running: Running) -> None:
    """Its services and its events, though its event numbers may begin anew."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.is_heard(running)
            emit(running, 0, 5)
            await listener.until(lambda: len(listener.marks()) == 5)
            running.close_server()
            await listener.until(lambda: listener.link.state == "ended")
            successor = Running(directory, fake={"names": ("other",)})
            try:
                await listener.until(lambda: listener.state_of("other") == "ready" and listener.link.state == "connected")
                emit(successor, 5, 6)
                await listener.until(lambda: 5 in listener.marks())
            finally:
                successor.stop()

    play(scene)


def test_a_supervisor_in_trouble_is_lost_and_found(directory: Path, running: Running) -> None:
    """Its errors are said, and it is asked again."""

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.until(lambda: listener.snapshots)
            running.supervisor.failure = RuntimeError("out of luck")
            await listener.until(lambda: listener.link.state == "lost")
            assert listener.states[-1][1]
            running.supervisor.failure = None
            await listener.until(lambda: listener.link.state == "connected")

    play(scene)


def test_an_answer_that_makes_no_sense_is_said(directory: Path, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor of another version does not take the dashboard down."""

    class Strange:
        def json(self) -> dict[str, Any]:
            return {"services": [{"name": "x", "state": "levitating"}]}

    monkeypatch.setattr(running.supervisor, "status", Strange)

    async def scene() -> None:
        async with listening(directory) as listener:
            await listener.until(lambda: listener.states)
            assert listener.states[0][0] == "lost"
            assert "cannot be used" in listener.states[0][1]
            monkeypatch.undo()
            await listener.until(lambda: listener.link.state == "connected")

    play(scene)


def test_a_supervisor_that_never_answers_holds_nobody(directory: Path) -> None:
    """The link ends when it is cancelled, and a question has an end of its own."""

    async def scene() -> None:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(StackPaths(directory).socket))
            deaf.listen()
            async with listening(directory):
                with pytest.raises(ControlError, match="does not answer"):
                    await Listener(directory, timeout=0.2).link.get("/v1/timeline")

    play(scene)


def test_orders(directory: Path, running: Running) -> None:
    """Each reaches the supervisor with its options."""

    async def scene() -> None:
        link = Listener(directory).link
        await link.start(["backend"])
        await link.stop(["router"], with_dependents=True)
        await link.restart(["router", "backend"])
        await link.signal("backend", "SIGHUP")
        assert running.supervisor.calls == [
            ("start", ["backend"], True),
            ("stop", ["router"], True),
            ("restart", ["router", "backend"], False),
            ("signal", "backend", "SIGHUP"),
        ]

    play(scene)


def test_questions(directory: Path, running: Running) -> None:
    """Each gives what the supervisor says."""

    async def scene() -> None:
        link = Listener(directory).link
        emit(running, 0, 2)
        assert (await link.why("backend"))["chain"] == ["backend", "router"]
        assert [entry["service"] for entry in await link.timeline()] == ["router", "backend"]
        assert (await link.environment("backend"))["environment"]["PORT"] == "8888"
        assert [event["mark"] for event in await link.events(1)] == [1]
        assert (await link.health_history("backend"))["history"][0]["count"] == 3
        assert (await link.processes("backend"))["total"] == 1
        assert (await link.wait("backend"))["done"]

    play(scene)


def test_names_are_data(directory: Path, running: Running) -> None:
    """A name with a slash or a question mark never asks for another page."""

    async def scene() -> None:
        with pytest.raises(ControlError, match="not part of the API"):
            await Listener(directory).link.why("backend/why?x=")
        with pytest.raises(UnknownService):
            await Listener(directory).link.why("backend?x=")

    play(scene)


def test_waits_are_bounded_and_keep_nobody_from_asking(directory: Path, running: Running) -> None:
    """A wait takes its place until the supervisor has answered, cancelled or not; questions have places of their own."""

    async def scene() -> None:
        link = Listener(directory).link
        waits = [asyncio.create_task(link.wait("backend", "stopped")) for _ in range(CALLS)]
        await asyncio.sleep(0)  # each has begun
        for wait in waits:
            wait.cancel()
        with pytest.raises(ControlError, match="too many"):
            await link.wait("backend", "stopped")
        assert (await link.why("backend"))["service"] == "backend"
        running.call(lambda: running.supervisor.set_state("backend", ServiceState.STOPPED))
        async with asyncio.timeout(GUARD):
            while True:
                with contextlib.suppress(ControlError):
                    assert (await link.wait("backend", "stopped"))["done"]
                    return
                await asyncio.sleep(HELLO)  # the places are given back by threads, which tell nobody

    play(scene)


def test_events_are_taken_in_the_context_of_the_run(directory: Path, running: Running) -> None:
    """Textual finds the application of a timer there: without it one that an event sets does nothing, and fails at the end."""
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []

    class Witness(Listener):
        def _take(self, kept: list[Any], one: Any) -> None:
            if kept is self.events:
                seen.append(who.get())
            super()._take(kept, one)

    async def scene() -> None:
        who.set("the application")
        listener = Witness(directory)
        task = asyncio.create_task(listener.link.run())
        try:
            await listener.is_heard(running)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert set(seen) == {"the application"}

    play(scene)
