"""`devctl ls`, `reap`, `clean` and `down --all`: the stacks of this user, and what they left."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devctl.cli import grid
from devctl.cli.output import print_json
from devctl.cli.receipts import outcome_json, outcome_lines, recovered, recovery_json
from devctl.cli.style import Style, columns
from devctl.cli.where import read_json
from devctl.control.client import Client
from devctl.control.teardown import crash_of, recover, teardown
from devctl.errors import DevctlError, NotRunning, UsageError
from devctl.paths import StackPaths, all_stack_paths
from devctl.process import lock

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where

LOG_LOCK = ".lock"  # held by the supervisor that writes into a log directory
ANSWER_TIMEOUT = 2.0  # seconds for each stack's status: one that hangs must not hide the others

COLUMNS = (
    grid.Column("STACK"),
    grid.Column("STATE"),
    grid.Column("SERVICES", right=True, drop=3),
    grid.Column("PORTS", shrinks=True, drop=2),
    grid.Column("DIRECTORY", shrinks=True, drop=1, least=20),
)


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack that has runtime files.

    Attributes:
        about: stack.json: name, directory, files, log_dir, services.
        status: as its supervisor tells; None when none answers.
        crash: how its last run crashed, if nobody has cleaned up since.
    """

    paths: StackPaths
    about: dict[str, Any]
    status: dict[str, Any] | None
    crash: str | None

    @property
    def state(self) -> str:
        """A stack's state, or `crashed`."""
        if self.status is not None:
            return str(self.status["state"])
        return "crashed" if self.crash is not None else "stopped"

    @property
    def name(self) -> str:
        return str(self.about.get("name") or self.paths.root.name)

    @property
    def directory(self) -> str:
        return str(self.about.get("directory") or "?")


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    if name == "ls":
        parser.flag("-a", "--all", help="also those that are stopped")
    if name == "clean":
        parser.flag("--all", help="every stopped stack of yours, not only this one")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Lists, reaps or cleans."""
    return {"ls": ls, "reap": reap, "clean": clean}[args.name](args, where)


def stacks() -> Iterator[Stack]:
    """Every stack of this user, running or not."""
    for paths in all_stack_paths():
        status = None
        with contextlib.suppress(DevctlError):
            status = Client(paths.socket, timeout=ANSWER_TIMEOUT).get("/v1/status")
        yield Stack(paths, read_json(paths.stack), status, None if status else crash_of(paths))


def ls(args: Namespace, where: Where) -> int:
    """Prints a table of what runs or has crashed."""
    shown = [stack for stack in stacks() if args.all or stack.state != "stopped"]
    if args.json:
        print_json([facts(stack) for stack in shown])
        return 0
    if not shown:
        print("no stack of yours runs" if not args.all else "no stack of yours has ever run here", file=sys.stderr)
        return 0
    style = Style()
    rows = []
    for stack in shown:
        services = stack.status["services"] if stack.status else []
        ports = [str(port) for service in services for port in service["ports"].values()]
        state = stack.state if stack.crash is None else f"crashed: {stack.crash}"
        rows.append([stack.name, style.state(state) if stack.crash is None else style.paint(state, "red"),
                     str(len(services)) if services else "", " ".join(ports), stack.directory])  # fmt: skip
    print("\n".join(grid.render(COLUMNS, rows, style, columns())))
    return 0


def facts(stack: Stack) -> dict[str, Any]:
    """One stack for `ls --json`."""
    services = stack.status["services"] if stack.status else []
    return {
        "stack": stack.name,
        "directory": stack.directory,
        "files": stack.about.get("files", []),
        "state": stack.state,
        "crash": stack.crash,
        "ports": {service["name"]: service["ports"] for service in services},
        "supervisor": stack.status["supervisor"] if stack.status else None,
    }


def reap(args: Namespace, where: Where) -> int:
    """Ends what crashed runs left, of every stack. Exit status 1 when something could not be ended."""
    found = [(stack, report) for stack in stacks() if stack.status is None and (report := recover(stack.paths)) is not None]
    if args.json:
        entries = [{"stack": stack.name, "directory": stack.directory, **recovery_json(report)} for stack, report in found]
        print_json(entries)
    elif not found:
        print("no crashed run has left anything")
    else:
        for stack, report in found:
            print(f"{stack.name} in {stack.directory}:")
            print("\n".join(f"  {line}" for line in recovered(report)))
            for left in report.survivors:
                print(f"    still there: pid {left['pid']}  {left['command']}: {left['reason']}")
    return 1 if any(report.survivors for _, report in found) else 0


def clean(args: Namespace, where: Where) -> int:
    """Removes logs and runtime files of stopped stacks. What a crashed run left is ended first."""
    if args.all:
        chosen = [stack for stack in stacks() if stack.status is None]
    else:
        paths = where.paths()
        if lock.is_held(paths.lock):
            raise UsageError("the stack is running", "devctl down first")
        chosen = [Stack(paths, read_json(paths.stack), None, None)] if paths.root.is_dir() else []
    removed: list[str] = []
    for stack in chosen:
        recover(stack.paths)
        removed += remove(stack)
    if args.json:
        print_json({"removed": removed})
    else:
        print("\n".join(f"removed {path}" for path in removed) or "there is nothing to remove")
    return 0


def remove(stack: Stack) -> list[str]:
    """Removes one stopped stack's files, under its lock; only what devctl wrote. Returns the paths."""
    fd = lock.acquire(stack.paths.lock)
    if fd is None:
        return []
    try:
        removed = []
        log_dir = stack.about.get("log_dir")
        if isinstance(log_dir, str) and os.path.isabs(log_dir):
            names = [*stack.about.get("services", []), "devctl"]
            removed += remove_logs(Path(log_dir), [name for name in names if isinstance(name, str)])
        shutil.rmtree(stack.paths.root, ignore_errors=True)
        removed.append(str(stack.paths.root))
        return removed
    finally:
        os.close(fd)


def remove_logs(directory: Path, services: list[str]) -> list[str]:
    """Removes the logs of `services` with their rotated files, and the history; the directory too if it is empty then."""
    current = {f"{name}.log" for name in services} | {"events.jsonl"}
    if not lock.is_held(directory / LOG_LOCK):  # by another stack, which writes there now
        current.add(LOG_LOCK)
    removed = []
    with contextlib.suppress(OSError):
        for entry in sorted(directory.iterdir()):
            base, _, number = entry.name.rpartition(".")
            if entry.name in current or (number.isdigit() and base in current):
                entry.unlink()
                removed.append(str(entry))
        directory.rmdir()
    return removed


def down_all(args: Namespace) -> int:
    """`down --all`. Exit status 1 when something is left of any stack."""
    outcomes = []
    for stack in stacks():
        if stack.state == "stopped" and not lock.is_held(stack.paths.lock):
            continue
        with contextlib.suppress(NotRunning):
            outcomes.append((stack, teardown(stack.paths, timeout=args.timeout)))
    if args.json:
        print_json([{"stack": stack.name, "directory": stack.directory, **outcome_json(outcome)} for stack, outcome in outcomes])
    elif not outcomes:
        print("nothing is running")
    for stack, outcome in outcomes if not args.json else ():
        print("\n".join([f"{stack.name} in {stack.directory}:", *(f"  {line}" for line in outcome_lines(outcome))]))
    return 0 if all(outcome.clean for _, outcome in outcomes) else 1
