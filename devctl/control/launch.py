"""Starting a stack: the guard is spawned, the plan handed over, and the supervisor's first news awaited."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devctl import errors
from devctl.control.client import Client
from devctl.errors import DevctlError, LaunchError, StackBusy
from devctl.paths import StackPaths, prepare
from devctl.plan import Plan, to_json
from devctl.process import lock
from devctl.process.guard import PYTHON_OPTIONS

# Imports of guard and supervisor on a slow, busy machine; normally 0.2 s.
LAUNCH_TIMEOUT = 30.0
# How long a lock may be held without anybody answering: another command that cleans up, or a supervisor about to end.
BUSY_TIMEOUT = 20.0
BUSY_PAUSE = 0.02
LINE_LIMIT = 1 << 20
STDERR_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What an earlier run had left.

    Attributes:
        crash: how that run had ended.
        killed: (pid, command) of what had to be ended now.
        already_reaped: how many processes guard or sweeper had ended right after the crash.
        survivors: what could not be ended: {"pid", "command", "reason"}.
    """

    run_id: str | None
    crash: str
    killed: tuple[tuple[int, str], ...] = ()
    already_reaped: int = 0
    survivors: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RecoveryReport:
        """From what `devctl.process.guard.recover` says."""
        return cls(
            run_id=data["run_id"],
            crash=data["crash"],
            killed=tuple((int(pid), str(command)) for pid, command in data["killed"]),
            already_reaped=int(data["already_reaped"]),
            survivors=tuple(data["survivors"]),
        )


class Launched:
    """A stack that has begun to start. Closing, or this process's death, ends the lease if there is one."""

    def __init__(self, channel: socket.socket, news: Iterator[dict[str, Any]]) -> None:
        self._channel = channel
        self._news = news
        self.recovery: RecoveryReport | None = None
        self.run_id = ""
        self.log_dir = ""

    def fileno(self) -> int:
        """Readable once the supervisor is gone."""
        return self._channel.fileno()

    def wait_serving(self, timeout: float = LAUNCH_TIMEOUT) -> None:
        """Returns when the control socket answers. Raises LaunchError when the supervisor ends, or after `timeout` seconds."""
        self._channel.settimeout(timeout)
        for news in self._news:
            if news["event"] == "serving":
                return
        raise LaunchError("the supervisor ended while the stack was starting", "see logs/devctl.log")

    def detach(self) -> None:
        """The stack goes on without us."""
        with contextlib.suppress(OSError):
            self._channel.sendall(b"detach\n")
        self.close()

    def close(self) -> None:
        """Ends the connection, and with it the lease."""
        self._channel.close()


def launch(plan: Plan, paths: StackPaths, *, lease: bool) -> Launched:
    """Starts guard and supervisor and hands `plan` over; returns when services begin to start.

    Args:
        lease: the stack lives as long as this process and the returned object, unless it is detached.

    Raises:
        StackBusy: a supervisor runs this stack already, and answers.
        PortBusy: a port is held by somebody else; nothing was started.
        LaunchError: guard or supervisor failed.
        UnsafePath: the runtime directory is not ours alone.
    """
    prepare(paths)
    payload = json.dumps(to_json(plan)).encode()
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        launched = _attempt(payload, paths, lease)
        if launched is not None:
            return launched
        while lock.is_held(paths.lock):
            if _answers(paths):
                raise StackBusy("this stack is running already", "use `devctl status`, or `devctl down` first")
            if time.monotonic() > deadline:
                raise LaunchError("another devctl holds this stack's lock and does not answer", "try `devctl down`")
            time.sleep(BUSY_PAUSE)


def _attempt(payload: bytes, paths: StackPaths, lease: bool) -> Launched | None:
    """One try; None when somebody holds the lock."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _stderr_file(paths) as stderr:
            # It forks, and its first process ends at once.
            guard = subprocess.Popen(
                [sys.executable, *PYTHON_OPTIONS, "-m", "devctl.process.guard", str(paths.root), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(theirs.fileno(),),
                # Never the terminal's session: a hang-up or a shell's kill must not hit client and guard at once.
                start_new_session=True,
            )
    except OSError as error:
        ours.close()
        raise LaunchError(f"cannot start the guard: {error.strerror}", "see `ulimit -a` and free memory") from error
    finally:
        theirs.close()
    guard.wait()
    news = _lines(ours)
    launched = Launched(ours, news)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it had a reason, and says it
            ours.settimeout(LAUNCH_TIMEOUT)
            ours.sendall(json.dumps({"size": len(payload), "lease": lease}).encode() + b"\n" + payload)
        for message in news:
            if message["event"] == "recovered":
                launched.recovery = RecoveryReport.from_json(message)
            elif message["event"] == "started":
                launched.run_id, launched.log_dir = message["run_id"], message["log_dir"]
                return launched
            elif message["event"] == "error":
                raise _error(message)
            elif message["event"] == "busy":
                launched.close()
                return None
    except BaseException:
        launched.close()
        raise
    launched.close()
    raise LaunchError("guard or supervisor ended before the first service was started" + _last_words(paths), "see `devctl doctor`")


def _answers(paths: StackPaths) -> bool:
    try:
        Client(paths.socket, timeout=2.0).get("/health")
    except DevctlError:
        return False
    return True


def _lines(channel: socket.socket) -> Iterator[dict[str, Any]]:
    data = b""
    while True:
        while b"\n" in data:
            line, _, data = data.partition(b"\n")
            yield json.loads(line)
        if len(data) > LINE_LIMIT:
            raise LaunchError("the supervisor said something that is no message")
        try:
            block = channel.recv(65536)
        except TimeoutError as error:
            silence = f"the supervisor said nothing for {channel.gettimeout():g} s"
            raise LaunchError(silence, "run `devctl down`, then try again") from error
        except ConnectionResetError:
            block = b""
        if not block:
            return
        data += block


def _error(message: dict[str, Any]) -> DevctlError:
    kind = getattr(errors, message["type"], LaunchError)
    if not (isinstance(kind, type) and issubclass(kind, DevctlError)) or kind is errors.ManifestError:
        kind = LaunchError
    return kind(message["what"], message["mend"])


def _stderr_file(paths: StackPaths) -> Any:
    path = paths.root / "supervisor.err"
    mode = "ab" if path.exists() and path.stat().st_size < STDERR_LIMIT else "wb"
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


def _last_words(paths: StackPaths) -> str:
    try:
        lines = (paths.root / "supervisor.err").read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f": {lines[-1]}" if lines else ""
