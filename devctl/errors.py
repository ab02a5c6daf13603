"""Every error a user can meet, as one tree.

    DevctlError                      what happened, where, and what would mend it
    ├── UsageError                   exit 2: the command was called wrongly
    ├── ManifestError                exit 2: services.yaml is wrong; carries every problem found
    ├── NotRunning                   exit 3: no stack is running here
    ├── UnknownService               exit 2: a name that is in no manifest
    ├── StackError                   exit 1: the stack or an operation on it failed
    │   ├── StackBusy                another supervisor holds this stack's lock
    │   ├── PortBusy                 a port is held by a process that is not ours
    │   ├── SpawnError               a program, directory or permission is missing
    │   ├── LaunchError              guard or supervisor could not be started
    │   ├── ControlError             the supervisor refused or did not answer
    │   └── NotReady                 something did not become ready in time
    └── UnsafePath                   exit 1: a runtime path is not ours alone

Programmer errors are plain Python exceptions and show a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


class DevctlError(Exception):
    """An error to be shown to the user as it is, without a traceback.

    Args:
        what: one sentence saying what happened and where.
        mend: what would mend it, as an instruction; empty when there is nothing to do.
    """

    exit_status = 1

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}\n  {self.mend}" if self.mend else self.what


class UsageError(DevctlError):
    """The command was called with arguments that make no sense together."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a manifest.

    Attributes:
        file: path of the file as the user would write it; "" when there is no file.
        line: 1-based; 0 when unknown.
        column: 1-based; 0 when unknown.
        message: what is wrong, one sentence without a final full stop.
        help: what would mend it; may be empty.
        source: the line itself, without its newline; may be empty.
    """

    file: str
    line: int
    column: int
    message: str
    help: str = ""
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else (f"{self.file}: " if self.file else "")
        text = f"{where}{self.message}"
        if self.source:
            text += f"\n    {self.source}\n    {' ' * max(0, self.column - 1)}^"
        if self.help:
            text += f"\n    {self.help}"
        return text


class ManifestError(DevctlError):
    """services.yaml cannot be used. `problems` holds every one that was found, in file order."""

    exit_status = 2

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class UnknownService(DevctlError):
    """A service name that the stack does not have."""

    exit_status = 2


class NotRunning(DevctlError):
    """No stack is running for this manifest."""

    exit_status = 3


class StackError(DevctlError):
    """The stack, or an operation on it, failed."""


class StackBusy(StackError):
    """Another supervisor holds this stack's lock."""


class PortBusy(StackError):
    """A port that a service needs is held by a process that is not ours."""


class SpawnError(StackError):
    """A program, working directory or permission is missing."""


class LaunchError(StackError):
    """Guard or supervisor could not be started."""


class ControlError(StackError):
    """The supervisor refused a request or did not answer."""


class NotReady(StackError):
    """Something did not become ready in time."""


class UnsafePath(DevctlError):
    """A runtime directory or socket is not owned by us alone."""
