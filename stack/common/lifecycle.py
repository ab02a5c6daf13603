"""The parts of a service that start and stop: in a declared order, and back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from stack.common.log import Log

log = Log("stack.lifecycle")

START_TIMEOUT = 15.0
"""Seconds that a component may take to start. Opening a database or connecting takes well under one."""

STOP_TIMEOUT = 2.0
"""Seconds that a component may take to stop; then it is left behind, and the log says so."""


class Component(Protocol):
    """A part with a life of its own.

    Attributes:
        name: as people call it; unique in the service.
    """

    name: str

    async def start(self) -> None:
        """Make it ready. An exception ends the service: what may be absent must start without it, and report itself degraded."""

    async def stop(self) -> None:
        """End it. Called once, and also when `start` was cancelled or failed."""

    def state(self) -> dict[str, Any]:
        """For the health answer: `status` (`ok`, or what is wrong), `detail` for people, and more."""


class Components:
    """Starts components one after the other, and stops them in reverse.

    Args:
        components: in the order of their start: what a component uses comes before it.

    Raises:
        ValueError: two have one name.
    """

    def __init__(self, components: Sequence[Component]) -> None:
        names = [component.name for component in components]
        if len(set(names)) != len(names):
            raise ValueError(f"two components have one name: {', '.join(names)}")
        self._components = tuple(components)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs inside the block. A failed start stops what has started, and is raised."""
        begun: list[Component] = []
        try:
            for component in self._components:
                begun.append(component)
                await _start(component)
            yield
        finally:
            for component in reversed(begun):
                await _stop(component)

    def states(self) -> dict[str, dict[str, Any]]:
        """What each says of itself, by name."""
        return {component.name: component.state() for component in self._components}


async def _start(component: Component) -> None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await component.start()
    except TimeoutError as error:
        raise TimeoutError(f"{component.name} did not start within {START_TIMEOUT:g} s") from error
    log.info(f"Started {component.name}", ms=_milliseconds(began))


async def _stop(component: Component) -> None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await component.stop()
    except TimeoutError:
        log.error(f"{component.name} did not stop in time and is left behind", seconds=STOP_TIMEOUT)
    except Exception as error:
        log.error(f"{component.name} failed to stop", exc_info=error)
    else:
        log.info(f"Stopped {component.name}", ms=_milliseconds(began))


def _milliseconds(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
