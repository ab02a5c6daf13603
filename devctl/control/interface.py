"""What the control API needs of a supervisor.

The engine fits these protocols by shape: it does not import them, as the supervisor must not know its faces. Every method runs on
the supervisor's event loop. Wherever a service is named, UnknownService is raised for a name that the stack does not have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from devctl.model import Event, Explanation, HealthHistory, ProcessTree, Receipt, ServiceStatus, StackStatus, TimelineEntry
from devctl.plan import Plan, ServiceSpec

WaitFor = Literal["ready", "stopped", "unhealthy", "completed"]
"""What `Supervisor.wait` can wait for."""


class Lease(Protocol):
    """A client's hold on the stack: the stack lives as long as the client does."""

    def release(self, detach: bool) -> None:
        """Ends the hold. With `detach` the stack goes on; without, the client has died or left, and the stack is stopped.

        Called exactly once, and never for leases still open when the server closes: the run is over then anyway.
        """


class Supervisor(Protocol):
    """A running stack, as the control API sees it."""

    def status(self) -> StackStatus:
        """The stack and all its services, now."""

    def service(self, name: str) -> ServiceStatus:
        """One service, now."""

    def spec(self, name: str) -> ServiceSpec:
        """What the service runs: its spec with port references filled in."""

    def environment(self, name: str) -> dict[str, str]:
        """The whole environment as the service gets it."""

    def health(self, name: str) -> HealthHistory:
        """How the service is checked, and what the last checks said (bounded)."""

    def processes(self, name: str) -> ProcessTree:
        """The processes of the service's tree, now (bounded)."""

    async def start(self, names: Sequence[str], *, with_dependencies: bool = True) -> list[str]:
        """Starts services; returns when their start is under way, the names that were asked for."""

    async def stop(self, names: Sequence[str], *, with_dependents: bool = False) -> list[str]:
        """Stops services; returns when their process trees are gone, the names of all that were stopped."""

    async def restart(self, names: Sequence[str], *, with_dependents: bool = False) -> list[str]:
        """Restarts services; returns when the old trees are gone and the new start is under way, the names of all of them."""

    async def signal(self, name: str, signal_name: str) -> None:
        """Sends a signal ("SIGHUP") to the service's process group. Raises UsageError for a name that is no signal."""

    async def reload(self, plan: Plan) -> dict[str, list[str]]:
        """Makes the running stack match `plan`. The answer has the keys started, restarted, stopped and unchanged."""

    async def shutdown(self, *, force: bool = False) -> Receipt:
        """Ends the stack; returns when every process is gone, just before the supervisor exits. `force` skips the grace periods."""

    async def wait(self, names: Sequence[str], condition: WaitFor) -> dict[str, Any]:
        """Waits until all `names` (never empty) meet the condition, or until that can no longer happen. Cancellable.

        Returns {"done": bool, "services": [ServiceStatus.json(), …], "impossible": [names]}.
        """

    def explain(self, name: str) -> Explanation:
        """Why a service is in the state it is in."""

    def timeline(self) -> list[TimelineEntry]:
        """The start-up of this run."""

    def events(self, after: int = 0) -> list[Event]:
        """The recent history (bounded, in memory) with ids greater than `after`, oldest first."""

    def follow_events(self, after: int | None) -> AsyncIterator[Event]:
        """Every event from now on (None), or those after an id and then the coming ones; an async generator.

        An event is part of `events()` before it is yielded here. Ends when the supervisor does.
        """

    def log_files(self) -> Mapping[str, Path]:
        """Service → its current log file."""

    def acquire_lease(self) -> Lease:
        """A new hold on the stack."""
