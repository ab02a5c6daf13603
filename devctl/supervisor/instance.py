"""One started service: its leader, its output on the way to the log, its health, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from devctl.health import ExecResult, NotifySocket, Prober, ProbeResult
from devctl.lifecycle import ExitStatus
from devctl.logs.capture import Capture
from devctl.logs.cri import Stream
from devctl.logs.store import ServiceLog
from devctl.plan import ServiceSpec
from devctl.process.roster import Roster, Stopped
from devctl.process.spawn import Child, SpawnRequest

# What is remembered of a health command's output; a person reads its end.
OUTPUT_LIMIT = 2000


class Instance:
    """The n-th start of a service.

    Args:
        spec: ports filled in.
        environment: whole.
        indices: dye indices of the service and of its health commands.
        log: where its output goes; shared by all instances of the service.
    """

    def __init__(
        self,
        number: int,
        spec: ServiceSpec,
        environment: Mapping[str, str],
        indices: tuple[int, int],
        log: ServiceLog,
        roster: Roster,
    ) -> None:
        self.number = number
        self.spec = spec
        self.environment = environment
        self.child: Child | None = None
        self.force = asyncio.Event()
        self.ending = False
        self.leader_lives = False
        self._index, self._probe_index = indices
        self._log = log
        self._roster = roster
        self._captures: list[Capture] = []
        self._prober: Prober | None = None
        self._probing: asyncio.Task[None] | None = None
        self._notify: NotifySocket | None = None

    @property
    def pid(self) -> int | None:
        """The leader's pid; None before it was started and after it ended."""
        return self.child.pid if self.child is not None and self.leader_lives else None

    @property
    def index(self) -> int:
        """The owner under which the roster knows its processes."""
        return self._index

    def start(self, on_exit: Callable[[ExitStatus], None], notify_path: Path | None) -> None:
        """Starts the leader and everything that listens to it. Raises DevctlError, and then nothing of it exists."""
        if notify_path is not None:
            self._notify = NotifySocket(notify_path, self._notified)
        request = SpawnRequest(self.spec.argv, self.environment, self.spec.working_dir, self._index)

        def exited(status: ExitStatus) -> None:
            self.leader_lives = False
            on_exit(status)

        try:
            self.child = self._roster.spawn(request, exited)
        except BaseException:
            self._close_notify()
            raise
        self.leader_lives = True
        pipes: tuple[tuple[int, Stream], ...] = ((self.child.stdout, "stdout"), (self.child.stderr, "stderr"))
        for fd, stream in pipes:
            capture = Capture(fd, stream, self._log, on_block=partial(self._wrote, stream))
            capture.start()
            self._captures.append(capture)

    def probe(self, report: Callable[[ProbeResult], None]) -> None:
        """Starts the health check."""
        assert self.spec.healthcheck is not None
        self._prober = Prober(self.spec.healthcheck, report=report, run_exec=self.run_probe)
        self._probing = asyncio.create_task(self._prober.run())

    def unprobe(self) -> None:
        """Ends the health check; its commands are ended with the tree."""
        if self._probing is not None:
            self._probing.cancel()
            self._probing = None
        self._prober = None

    async def run_probe(self, argv: tuple[str, ...], timeout: float) -> ExecResult:
        """Runs a health command in the service's environment. Its whole tree is gone when this returns or is cancelled."""
        return await run_command(self._roster, self._probe_request(argv), timeout)

    async def end(self) -> Stopped:
        """Ends the tree and keeps what it wrote to the last byte. `force` may be set meanwhile to skip the grace period."""
        self.ending = True
        self.unprobe()
        stopped = Stopped()
        if self.child is not None:
            grace = self.spec.stop_grace_period
            if self.spec.stop_command is not None and self.leader_lives and not self.force.is_set():
                loop = asyncio.get_running_loop()
                began = loop.time()
                await self._run_stop_command(grace)
                grace = max(0.0, grace - (loop.time() - began))
            signum = signal.Signals[self.spec.stop_signal]
            stopped = await self._roster.stop(self.child, signum, grace, self.force)
        await self._roster.kill(self._probe_index)
        for capture in self._captures:
            capture.finish()
        self._captures.clear()
        self._close_notify()
        return stopped

    def signal(self, signum: int) -> None:
        """Sends a signal to the leader's group."""
        if self.child is not None:
            self._roster.signal(self.child, signum)

    async def _run_stop_command(self, timeout: float) -> None:
        assert self.spec.stop_command is not None
        command = asyncio.ensure_future(self.run_probe(self.spec.stop_command, timeout))
        forced = asyncio.ensure_future(self.force.wait())
        try:
            await asyncio.wait({command, forced}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            forced.cancel()
            command.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                result = await command
                if result.exit_code != 0:
                    how = "timed out" if result.timed_out else f"exited with status {result.exit_code}"
                    self._log.append("stderr", f"devctl: stop_command {how}: {result.output}\n".encode())

    def _probe_request(self, argv: tuple[str, ...]) -> SpawnRequest:
        return SpawnRequest(argv, self.environment, self.spec.working_dir, self._probe_index)

    def _wrote(self, stream: str, block: bytes) -> None:
        if self._prober is not None:
            self._prober.feed(block, stream)

    def _notified(self, message: bytes) -> None:
        if self._prober is not None:
            self._prober.notify(message)

    def _close_notify(self) -> None:
        if self._notify is not None:
            self._notify.close()
            self._notify = None


async def run_command(roster: Roster, request: SpawnRequest, timeout: float) -> ExecResult:
    """Runs a command and ends its whole tree, however this ends. Raises SpawnError."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[ExitStatus] = loop.create_future()
    child = roster.spawn(request, lambda status: None if exited.done() else exited.set_result(status))
    output = bytearray()

    def read(fd: int) -> None:
        try:
            block = os.read(fd, 65536)
        except BlockingIOError:
            return
        if not block:
            loop.remove_reader(fd)
        output.extend(block)
        del output[: -OUTPUT_LIMIT * 4]  # a character has at most four bytes

    for fd in (child.stdout, child.stderr):
        loop.add_reader(fd, read, fd)
    status: ExitStatus | None = None
    try:
        # Not wait_for: Python 3.11's forgets a cancellation that comes together with the exit.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                status = await exited
    finally:
        try:
            await asyncio.shield(roster.kill(child.index))
        finally:
            for fd in (child.stdout, child.stderr):
                loop.remove_reader(fd)
                with contextlib.suppress(OSError):
                    read(fd)
                loop.remove_reader(fd)
                os.close(fd)
    text = output.decode("utf-8", "replace")[-OUTPUT_LIMIT:].strip()
    return ExecResult(status.code if status else None, text, status is None)
