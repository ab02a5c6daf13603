"""The supervisor's process: from the guard's launch message to the last byte of the last log."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from devctl import lifecycle as lc
from devctl.errors import DevctlError, LaunchError, PortBusy
from devctl.logs.store import ServiceLog
from devctl.model import Event
from devctl.plan import Plan
from devctl.process import cgroup, dye, lock, ports, record, system
from devctl.process.guard import LAUNCH_VARIABLE
from devctl.process.handle import Handle
from devctl.process.roster import Roster
from devctl.supervisor.channel import Channel
from devctl.supervisor.clock import Clock
from devctl.supervisor.engine import Engine
from devctl.supervisor.facade import Facade, Lease
from devctl.supervisor.history import History
from devctl.supervisor.story import tell_story

# How long open streams may take to say goodbye once the stack is down; the server itself cuts them off after two seconds.
GOODBYE_TIMEOUT = 4.0


def main() -> int:
    """Prepares this process while it is small and has no thread, then runs the loop. Returns an exit status."""
    launch = json.loads(os.environ.pop(LAUNCH_VARIABLE))
    for name in ("channel", "lock", "life"):
        fcntl.fcntl(launch[name], fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    system.become_subreaper()
    dyed = dye.apply(launch["run"])
    if launch["cgroup"] is not None and not cgroup.join(launch["cgroup"]):
        launch["cgroup"] = None
    watched = Handle.open(record.Identity(**launch["guard"]))
    if watched is None or os.getppid() != launch["guard"]["pid"]:
        return 1  # the guard died before we could watch it, and nothing was started yet
    return asyncio.run(run(launch, dyed, watched))


async def run(launch: dict[str, Any], dyed: bool, watched: Handle) -> int:
    """Runs the stack until it is down."""
    root = Path(launch["root"])
    channel = Channel(launch["channel"])
    try:
        plan, leased = await channel.receive()
        stack = await _begin(plan, launch, root, dyed)
    except DevctlError as error:
        channel.tell_error(error)
        return 0
    ended = asyncio.Event()
    facade = Facade(stack.engine, stack.record, root / "socket", ended.set)
    _take_signals(facade, watched)
    lease = facade.acquire_lease() if leased else None
    channel.tell({"event": "started", "run_id": stack.engine.run_id, "log_dir": str(stack.engine.log_dir)})
    names = tuple(plan.services)
    stack.engine.dispatch(lc.Start(names))
    # Only now, while the first services start: the server is half of all imports.
    await asyncio.sleep(0)
    from devctl.control.server import serve

    server = await serve(facade, root / "socket", stack.engine.run_id)
    channel.tell({"event": "serving"})
    watching = asyncio.create_task(_watch(channel, lease))
    await ended.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.close(), GOODBYE_TIMEOUT)
    watching.cancel()
    stack.close()
    return 0


class _Stack:
    """What a run is made of."""

    def __init__(self, engine: Engine, record: record.Record, story: ServiceLog) -> None:
        self.engine = engine
        self.record = record
        self.story = story

    def close(self) -> None:
        self.engine.close()
        self.engine.roster.close()
        self.story.close()


async def _begin(plan: Plan, launch: dict[str, Any], root: Path, dyed: bool) -> _Stack:
    """Everything that must be in place before the first spawn. Raises DevctlError; nothing was started then."""
    clock = Clock()
    run_id = launch["run_id"]
    log_dir, trouble = _log_directory(Path(plan.logging.dir), root)
    guard, sweeper = (record.Identity(**launch[role]) for role in ("guard", "sweeper"))
    current = record.Record(
        run=launch["run"],
        run_id=run_id,
        boot_id=system.boot_id(),
        stack=plan.name,
        directory=plan.directory,
        started_at=clock.now(),
        guard=guard,
        supervisor=record.Identity(os.getpid(), system.start_time(os.getpid()) or 0),
        sweeper=sweeper,
        leaders=str(root / "leaders"),
        cgroup=launch["cgroup"],
        log_dir=str(log_dir),
    )
    try:
        roster = Roster(launch["run"] if dyed else None, run_id, current.leaders)
        record.write(root / "state.json", current)
        about = {"name": plan.name, "directory": plan.directory, "files": list(plan.files), "log_dir": str(log_dir)}
        record.write_json(root / "stack.json", {**about, "services": list(plan.services)})
    except OSError as error:
        raise LaunchError(f"cannot write to the runtime directory {root}: {error.strerror}", "free space there") from error
    story = ServiceLog(log_dir / "devctl.log", plan.logging, on_trouble=lambda _: None)

    def tell(event: Event) -> None:
        for stream, line in tell_story(event):
            story.append(stream, line.encode("utf-8", "replace") + b"\n")

    history = History(log_dir / "events.jsonl", run_id, clock, tell)
    try:
        engine = Engine(plan, roster, history, clock, run_id=run_id, runtime=root, log_dir=log_dir)
    except OSError as error:
        raise LaunchError(f"cannot assign ports: {error.strerror or error}", "free some TCP ports") from error
    _check_ports(engine)
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: story.append("stderr", _describe(context).encode("utf-8", "replace"))
    )
    history.record("run_started", None, stack=plan.name, services=list(plan.services), pid=os.getpid())
    if trouble:
        history.record("log_trouble", None, reason=trouble)
    return _Stack(engine, current, story)


def _check_ports(engine: Engine) -> None:
    """Finds every busy port before anything starts. Raises PortBusy, naming all holders."""
    listening = ports.listening()
    busy = []
    for name, spec in engine.specs.items():
        if spec.reuse:
            continue
        for port in engine.ports.get(name, {}).values():
            if port in listening and (holder := ports.holder(port)) is not None:
                busy.append((name, holder))
    if busy:
        what = "\n".join(f"{name} cannot start: {holder}" for name, holder in busy)
        raise PortBusy(what, "\n  ".join(dict.fromkeys(holder.mend() for _, holder in busy)))


def _log_directory(wanted: Path, root: Path) -> tuple[Path, str | None]:
    """Where logs go: as the manifest says, or in the runtime directory where that cannot be written.

    Raises LaunchError when another running stack writes its logs there: the two would mix.
    """
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK | os.X_OK):
            # Kept open, and so locked, until this process ends.
            if lock.acquire(wanted / ".lock") is None:
                raise LaunchError(f"another running stack writes its logs to {wanted}", "give one of them another `logging.dir`")
            return wanted, None
        reason = "permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    fallback = root / "logs"
    fallback.mkdir(exist_ok=True)
    return fallback, f"{wanted} cannot be written ({reason}); logs go to {fallback}"


def _take_signals(facade: Facade, watched: Handle) -> None:
    """TERM, INT, HUP and QUIT stop the stack, a second one at once; so does the death of the guard."""
    loop = asyncio.get_running_loop()
    asked = False
    tasks: set[asyncio.Task[Any]] = set()

    def stop() -> None:
        nonlocal asked
        task = loop.create_task(facade.shutdown(force=asked))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        asked = True

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        loop.add_signal_handler(signum, stop)

    def guard_died() -> None:
        loop.remove_reader(watched.fileno())
        stop()

    loop.add_reader(watched.fileno(), guard_died)


async def _watch(channel: Channel, lease: Lease | None) -> None:
    """The client that started us: its death ends its lease."""
    detach = await channel.ended()
    if lease is not None:
        lease.release(detach)


def _describe(context: dict[str, Any]) -> str:
    error = context.get("exception")
    if error is None:
        return f"internal error: {context.get('message')}\n"
    import traceback

    return "internal error: " + "".join(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(main())
