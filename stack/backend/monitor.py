"""How the backend and what it uses are: for `/health`, the metrics and the stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psutil

from stack.backend.events import EventBus
from stack.common.health import Health
from stack.common.lifecycle import Components
from stack.common.metrics import record_components
from stack.common.peer import Peer

# Seconds between two looks. As often as the services look at each other.
_INTERVAL = 1.0


class Monitor:
    """A component that watches the others.

    Args:
        models: names of the models that can be asked now.
        bus: told of every change, as `services`.
    """

    name = "monitor"

    def __init__(self, router: Peer, models: Callable[[], list[str]], bus: EventBus) -> None:
        self.components: Components | None = None
        self._router = router
        self._models = models
        self._bus = bus
        self._health = Health("backend")
        self._process = psutil.Process()
        self._told: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def state(self) -> dict[str, Any]:
        """For the health answer."""
        return {"status": "ok", "detail": "watching"}

    def health(self) -> dict[str, Any]:
        """The health answer: `ok`, or `degraded` while a component is not."""
        states = self._states()
        return {
            **self._health.answer(states),
            "models": self._models(),
            "memory_bytes": self._process.memory_info().rss,
        }

    def _states(self) -> dict[str, dict[str, Any]]:
        own = {} if self.components is None else self.components.states()
        own.pop(self.name, None)
        return {"router": self._router.state.json(), **own}

    async def _watch(self) -> None:
        while True:
            states = self._states()
            record_components(states)
            services = [
                {"name": name, "status": state["status"], "detail": state.get("detail", "")} for name, state in states.items()
            ]
            # What changes all the time, such as how long an answer took, is no news.
            news = [(service["name"], service["status"]) for service in services]
            if news != self._told:
                self._told = news
                self._bus.publish("services", {"services": services})
            await asyncio.sleep(_INTERVAL)
