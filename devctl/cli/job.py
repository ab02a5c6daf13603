"""A command in the foreground: it gets the terminal, Ctrl-C and Ctrl-Z work on it, and nothing of it is left when it ends.

The job control is what a shell does, see termios(3), tcsetpgrp(3) and "Implementing a Shell" in the GNU C library's manual.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from devctl.process import reap, system
from devctl.process.spawn import SpawnRequest, explain

# After TERM or HUP to us the command has so long to end before its tree is killed.
GRACE = 10.0
# The kill loop needs milliseconds; what hangs in the kernel is not waited for longer.
KILL_PATIENCE = 5.0
Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_job(argv: Sequence[str], environment: Mapping[str, str], directory: str) -> int:
    """Runs a command with our terminal, input and output, and ends every process it has started.

    Returns its exit status; 128 + the signal's number where a signal ended it. Raises SpawnError.
    """
    with contextlib.suppress(OSError):
        system.become_subreaper()  # what it detaches comes to us
    others = set(system.children(os.getpid()))
    terminal = _terminal()
    signals = _Signals()
    try:
        process = subprocess.Popen(argv, env=dict(environment), cwd=directory, process_group=0)
    except (OSError, ValueError) as error:
        signals.end()
        raise explain(error, SpawnRequest(tuple(argv), environment, directory, 0)) from error
    try:
        signals.begin(process.pid)
        if terminal is not None:
            _give(terminal, process.pid)
            # It may have touched the terminal before it had it, and been stopped for that.
            os.killpg(process.pid, signal.SIGCONT)
        status = _wait(process.pid, terminal)
    finally:
        process.returncode = 0  # reaped by us
        signal.setitimer(signal.ITIMER_REAL, 0)
        if terminal is not None:
            _give(terminal, os.getpgrp())
        reap.kill_children(time.monotonic() + KILL_PATIENCE, spare=others.__contains__)
        signals.end()
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _terminal() -> int | None:
    """The descriptor of our terminal, when we are the ones it listens to."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if os.tcgetpgrp(stream.fileno()) == os.getpgrp():
                return stream.fileno()
    return None


def _give(terminal: int, group: int) -> None:
    """Makes `group` the one that reads the terminal and gets its signals."""
    # We may be in the background by now, and the kernel stops a background process that does this, unless it ignores SIGTTOU.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):  # the terminal or the group is gone
            os.tcsetpgrp(terminal, group)
    finally:
        signal.signal(signal.SIGTTOU, before)


def _wait(pid: int, terminal: int | None) -> int:
    """The wait status of `pid`. When it is stopped by Ctrl-Z, we stop as well, so that the shell gets its prompt."""
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return status
        if terminal is None:
            continue  # stopped by somebody with kill(1), who will continue it
        _give(terminal, os.getpgrp())
        os.kill(os.getpid(), signal.SIGSTOP)
        _give(terminal, pid)
        os.killpg(pid, signal.SIGCONT)


class _Signals:
    """Hands on to the command what is sent to us, with SIGKILL after a while for TERM and HUP.

    Made before the command is: until that has the terminal, Ctrl-C comes to us, and is meant for a command that may be running.
    """

    def __init__(self) -> None:
        self._group: int | None = None
        self._early: list[int] = []
        # What we ignore, as under nohup(1), the command ignores as well; a handler would take that from it.
        heard = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
        self._before: dict[int, Handler] = {number: signal.signal(number, self._forward) for number in heard}
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._kill)

    def begin(self, group: int) -> None:
        """The command is there: it gets what has come so far, and what comes."""
        self._group = group
        for number in self._early:
            self._forward(number, None)

    def end(self) -> None:
        """Puts the handlers back that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if self._group is None:
            self._early.append(number)
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
            os.killpg(self._group, signal.SIGCONT)
        if number in (signal.SIGTERM, signal.SIGHUP):
            signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _kill(self, number: int, frame: FrameType | None) -> None:
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
