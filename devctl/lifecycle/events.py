"""What can happen to a stack (events) and what is to be done about it (actions).

Every event and action about a running service names its *instance*: the n-th time it was started. A late event of an old instance
never touches a new one.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from devctl.plan import ServiceSpec


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: `code` or `signal`, exactly one of them; both None when nobody could tell."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            try:
                return f"was killed by {signal.Signals(self.signal).name}"
            except ValueError:
                return f"was killed by signal {self.signal}"
        return "ended, nobody could tell how" if self.code is None else f"exited with status {self.code}"


# --- what people ask for -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Run `names`; `needed` are dependencies, started only where they neither run nor have completed."""

    names: tuple[str, ...]
    needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop `names`, dependents before what they depend on."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop `names` and start each again once its old tree is gone."""

    names: tuple[str, ...]
    reason: str = "restart asked for"


@dataclass(frozen=True, slots=True)
class Replace:
    """The manifest changed: `services` is the whole new set. Changed ones restart, removed ones stop, `start` are to run."""

    services: Mapping[str, ServiceSpec]
    start: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything and start nothing ever again. `force` kills at once, without order."""

    force: bool = False


# --- what happens --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawned:
    """The leader of an instance runs."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """An instance could not be started; nothing of it exists. `retry`: a later try may succeed, so the restart policy applies."""

    service: str
    instance: int
    reason: str
    retry: bool = False
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class Adopted:
    """A healthy instance that is not ours was found (`reuse`)."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class NotAdopted:
    """There is nothing to reuse: start our own."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The leader ended. What it started may live on. `jitter` in [0, 1) spreads restarts."""

    service: str
    instance: int
    exit: ExitStatus
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class Gone:
    """No process of an instance is left."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class Healthy:
    """The health check passed."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """The health check failed; `detail` says how."""

    service: str
    instance: int
    detail: str
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; sent when `next_wake` is due. `jitter` as in Exited."""

    jitter: float = 0.5


Event = (
    Start
    | Stop
    | Restart
    | Replace
    | Shutdown
    | Spawned
    | SpawnFailed
    | Adopted
    | NotAdopted
    | Exited
    | Gone
    | Healthy
    | Unhealthy
    | Tick
)


# --- what is to be done --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Adopt:
    """See whether a healthy instance exists already; answer Adopted or NotAdopted."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the leader; answer Spawned or SpawnFailed."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class StopTree:
    """End every process of the instance, gently unless `force`; answer Gone. May come again to escalate."""

    service: str
    instance: int
    force: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """Run the health check from now on; answer Healthy and Unhealthy."""

    service: str
    instance: int


@dataclass(frozen=True, slots=True)
class Unprobe:
    """Stop running the health check."""

    service: str
    instance: int


Action = Adopt | Spawn | StopTree | Probe | Unprobe
