"""The dashboard's link to the supervisor: its status and events as they come, and the answers to questions.

The client that blocks does the talking, in threads: an asynchronous one of the same quality would cost 100 ms of imports.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from devctl.control.client import Client
from devctl.control.http1 import quote
from devctl.control.teardown import crash_of
from devctl.dashboard.background import in_thread
from devctl.dashboard.state import Snapshot
from devctl.errors import ControlError, DevctlError, NotRunning
from devctl.paths import StackPaths

LinkState = Literal["connecting", "connected", "lost", "ended"]

T = TypeVar("T")

# Seconds between two looks when nothing happens: CPU, memory and uptimes change without an event.
PACE = 1.0
# Seconds while services start: how their checks fail makes no events either, and is what one wants to see then.
STARTING_PACE = 0.25
# Seconds between two looks when much happens: a start of 300 services makes thousands of events.
GAP = 0.1
# Seconds between two tries to reach a supervisor that does not answer, at first and at most.
RETRY, RETRY_MOST = 0.1, 1.0
# Questions under way at once, and orders and waits besides: those may take as long as a grace period, and must not keep the
# details from being asked for. More would be a key that is held down.
CALLS = 16
TIMEOUT = 5.0  # seconds for a status
WAIT = 3600.0  # seconds that `wait` waits


class Link:
    """One stack's supervisor, as the dashboard sees it.

    Args:
        on_snapshot, on_event, on_state: called on the event loop. The state comes with a sentence for people.
    """

    def __init__(
        self,
        client: Client,
        paths: StackPaths,
        *,
        on_snapshot: Callable[[Snapshot], None],
        on_event: Callable[[dict[str, Any]], None],
        on_state: Callable[[LinkState, str], None],
    ) -> None:
        self._client = client
        self._paths = paths
        self._on_snapshot = on_snapshot
        self._on_event = on_event
        self._on_state = on_state
        self.state: LinkState = "connecting"
        self.run_id = ""
        self._starting = True
        self._said = ""
        self._changed = asyncio.Event()
        self._questions = threading.BoundedSemaphore(CALLS)
        self._orders = threading.BoundedSemaphore(CALLS)
        self._closing = threading.Event()
        self._last_event: int | None = None

    def __repr__(self) -> str:
        return f"<Link to {self._client!r} is {self.state}>"

    async def run(self) -> None:
        """Follows the supervisor until cancelled: over its end too, as another run may begin."""
        loop = asyncio.get_running_loop()
        # Events are taken in the caller's context, not in the thread's empty one: a timer that an event sets finds the app by it.
        context = contextvars.copy_context()
        threading.Thread(target=self._follow, args=(loop, context), daemon=True, name="dashboard-events").start()
        pause = RETRY
        try:
            while True:
                began = time.monotonic()
                self._changed.clear()
                if await self._look():
                    pause = RETRY
                    left = STARTING_PACE if self._starting else PACE
                else:
                    left, pause = pause, min(RETRY_MOST, pause * 2)
                # Not wait_for: Python 3.11's forgets a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._changed.wait()
                await asyncio.sleep(max(0.0, began + GAP - time.monotonic()))
        finally:
            self._closing.set()

    def refresh(self) -> None:
        """Looks again now."""
        self._changed.set()

    async def _look(self) -> bool:
        try:
            status = await in_thread(lambda: self._client.get("/v1/status", timeout=TIMEOUT))
            snapshot = Snapshot.parse(status)
        except NotRunning:
            await self._gone()
            return False
        except ControlError as error:
            self._tell("lost", str(error.what))
            return False
        except (DevctlError, LookupError, TypeError, ValueError, AttributeError) as error:
            self._tell("lost", f"the supervisor's answer cannot be used: {error}")
            return False
        self.run_id = snapshot.run_id
        self._starting = snapshot.state == "starting"
        self._tell("connected", "")
        self._on_snapshot(snapshot)
        return True

    async def _gone(self) -> None:
        """Nobody listens: has the run ended, crashed, or is the supervisor only slow?"""
        crash = await in_thread(lambda: crash_of(self._paths))
        if crash is not None:
            self._tell("ended", f"the run crashed: {crash}; its services were ended")
        elif self.state == "connecting":
            self._tell("lost", "the supervisor does not answer yet")
        else:
            self._tell("ended", "the stack was stopped")

    def _tell(self, state: LinkState, sentence: str) -> None:
        if (state, sentence) != (self.state, self._said):
            self.state, self._said = state, sentence
            self._on_state(state, sentence)

    def _follow(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        """Hands events over, for ever. In a thread of its own, which ends with the process."""
        while not self._closing.is_set():
            with contextlib.suppress(DevctlError, OSError, ValueError):
                for event in self._client.events(self._last_event):
                    if self._closing.is_set():
                        return
                    self._last_event = event.get("id", self._last_event)
                    self._hand_over(loop, context, event)
            self._hand_over(loop, context, None)
            # Ids go on over runs, so that a new supervisor tells what has happened since.
            self._closing.wait(RETRY_MOST)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context, event: dict[str, Any] | None) -> None:
        def take() -> None:
            self._changed.set()
            if event is not None:
                self._on_event(event)

        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(take, context=context)

    # --- questions and orders: each raises DevctlError --------------------------------------------------------------------------

    async def _call(self, slots: threading.BoundedSemaphore, function: Callable[[], T]) -> T:
        """Runs `function` in a thread. Raises DevctlError when too many are under way.

        The slot is the thread's: a caller that is cancelled leaves the thread behind, which goes on until it has its answer.
        """
        if not slots.acquire(blocking=False):
            raise ControlError("too many requests are under way", "wait for the supervisor to answer them")

        def work() -> T:
            try:
                return function()
            finally:
                slots.release()

        return await in_thread(work)

    async def get(self, path: str) -> dict[str, Any]:
        """What GET answers."""
        return await self._call(self._questions, lambda: self._client.get(path))

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What POST answers, once it is done. The services are looked at right afterwards."""
        try:
            return await self._call(self._orders, lambda: self._client.post(path, body))
        finally:
            self.refresh()

    async def start(self, names: Sequence[str]) -> dict[str, Any]:
        """Starts services, and what they depend on."""
        return await self.post("/v1/start", {"services": list(names)})

    async def stop(self, names: Sequence[str], *, with_dependents: bool = False) -> dict[str, Any]:
        """Stops services."""
        return await self.post("/v1/stop", {"services": list(names), "with_dependents": with_dependents})

    async def restart(self, names: Sequence[str], *, with_dependents: bool = False) -> dict[str, Any]:
        """Restarts services."""
        return await self.post("/v1/restart", {"services": list(names), "with_dependents": with_dependents})

    async def signal(self, name: str, signal_name: str) -> dict[str, Any]:
        """Sends a signal to a service's process group."""
        return await self.post(f"/v1/services/{quote(name)}/signal", {"signal": signal_name})

    async def wait(self, name: str, condition: str = "ready") -> dict[str, Any]:
        """Waits for a service."""
        return await self._call(self._orders, lambda: self._client.wait([name], condition, WAIT))

    async def why(self, name: str) -> dict[str, Any]:
        """Why a service is in its state."""
        return await self.get(f"/v1/services/{quote(name)}/why")

    async def timeline(self) -> list[dict[str, Any]]:
        """The start-up of all services."""
        return list((await self.get("/v1/timeline"))["entries"])

    async def environment(self, name: str) -> dict[str, Any]:
        """A service's environment, command and directory. Not masked."""
        return await self.get(f"/v1/services/{quote(name)}/environment")

    async def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What has happened, as far as the supervisor remembers."""
        return list((await self.get(f"/v1/events?after={after}"))["events"])

    async def health_history(self, name: str) -> dict[str, Any]:
        """How a service is checked, and what the checks said."""
        return await self.get(f"/v1/services/{quote(name)}/health")

    async def processes(self, name: str) -> dict[str, Any]:
        """The processes of a service's tree."""
        return await self.get(f"/v1/services/{quote(name)}/processes")
