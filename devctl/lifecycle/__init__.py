"""The lifecycle of a stack as a pure function: `step(stack, event, now) → (stack, actions)`.

It knows no clock, process or socket. The supervisor carries the actions out and feeds what happens back as events; a test writes
an event history and reads the outcome.
"""

from devctl.lifecycle.events import (
    Action,
    Adopt,
    Adopted,
    Event,
    Exited,
    ExitStatus,
    Gone,
    Healthy,
    NotAdopted,
    Probe,
    Replace,
    Restart,
    Shutdown,
    Spawn,
    Spawned,
    SpawnFailed,
    Start,
    Stop,
    StopTree,
    Tick,
    Unhealthy,
    Unprobe,
)
from devctl.lifecycle.machine import next_wake, step
from devctl.lifecycle.state import Reason, Service, Stack, new_stack

__all__ = [
    "Action",
    "Adopt",
    "Adopted",
    "Event",
    "ExitStatus",
    "Exited",
    "Gone",
    "Healthy",
    "NotAdopted",
    "Probe",
    "Reason",
    "Replace",
    "Restart",
    "Service",
    "Shutdown",
    "Spawn",
    "SpawnFailed",
    "Spawned",
    "Stack",
    "Start",
    "Stop",
    "StopTree",
    "Tick",
    "Unhealthy",
    "Unprobe",
    "new_stack",
    "next_wake",
    "step",
]
