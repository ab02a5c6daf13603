"""Where a command acts: the manifest it means, that stack's runtime files, and the way to its supervisor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devctl.errors import NotRunning, UsageError
from devctl.paths import MANIFEST_NAMES, StackPaths, find_manifest, stack_paths

if TYPE_CHECKING:
    from devctl.control.client import Client
    from devctl.plan import Plan

CONTROL_TIMEOUT = 10.0  # seconds; a supervisor that is alive answers in milliseconds, also while 300 services start


@dataclass(slots=True)
class Where:
    """The global options, resolved when asked.

    Attributes:
        directory: absolute; what -C names, else the current directory.
        files: -f, absolute, in merge order; empty when the nearest manifest is meant.
        profiles: --profile, in order.
    """

    directory: Path
    files: list[Path] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, directory: str | None, files: list[str], profiles: list[str]) -> Where:
        """From the options as given. Raises UsageError when the directory does not exist."""
        base = Path(os.path.abspath(directory or "."))
        if not base.is_dir():
            raise UsageError(f"there is no directory {base}", "name one that exists after -C")
        return cls(base, [base / name for name in files], profiles)

    def manifest(self) -> Path:
        """The manifest that names the stack (of several, the first). Raises UsageError when there is none."""
        if self.files:
            return self.files[0]
        found = find_manifest(self.directory)
        if found is None:
            raise UsageError(
                f"there is no {MANIFEST_NAMES[0]} in {self.directory} or above it",
                "go to a project that has one, or name it with -f FILE",
            )
        return found

    def paths(self) -> StackPaths:
        """This stack's runtime files."""
        return stack_paths(self.manifest())

    def client(self, timeout: float = CONTROL_TIMEOUT) -> Client:
        """The way to this stack's supervisor. Nothing is connected yet."""
        from devctl.control.client import Client

        return Client(self.paths().socket, timeout=timeout)

    def plan(self, services: Sequence[str] = (), *, check_commands: bool = True) -> Plan:
        """The manifest, loaded: every service without a profile, those of active profiles, and `services`.

        What is odd but no error is said on stderr. Raises ManifestError with every problem, UnknownService.
        """
        from devctl.manifest.load import load

        return load(
            self.files or None,
            directory=self.directory,
            environ=os.environ,
            profiles=self.profiles,
            services=services,
            check_commands=check_commands,
            warn=_warn,
        )

    def arguments(self) -> list[str]:
        """The global options that mean the same place from any directory."""
        options = [("--file", str(file)) for file in self.files or [self.manifest()]]
        options += [("--profile", profile) for profile in self.profiles]
        return [word for option in options for word in option]

    def not_running(self) -> NotRunning:
        """What to raise when nobody answers: says when a run has crashed."""
        from devctl.control.teardown import crash_of

        manifest = self.manifest()
        if (how := crash_of(self.paths())) is not None:
            return NotRunning(
                f"the last run of {manifest} crashed: {how}",
                "devctl down reaps what it may have left; devctl up reaps first, then starts anew",
            )
        return NotRunning(f"no stack is running for {manifest}", "devctl up starts it")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of ours; {} when it is missing or damaged."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _warn(problem: object) -> None:
    print(f"warning: {problem}", file=sys.stderr)
