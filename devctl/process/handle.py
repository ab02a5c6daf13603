"""Holding on to a process of others so that it can be waited for and killed, and never be mistaken for another.

A pidfd on Linux (pidfd_open(2)), a kqueue with EVFILT_PROC on macOS.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import Any

from devctl.process import system
from devctl.process.record import Identity


class Handle:
    """One process. Readable, for a selector, once it has ended."""

    def __init__(self, identity: Identity, watch: Any) -> None:
        self._identity = identity
        self._watch = watch

    @classmethod
    def open(cls, identity: Identity) -> Handle | None:
        """None when the process has ended, whoever has its pid now."""
        watch = _watch(identity.pid)
        if watch is None:
            return None
        handle = cls(identity, watch)
        # Checked while it is held: from here on it cannot become somebody else.
        if system.start_time(identity.pid) == identity.start_time:
            return handle
        handle.close()
        return None

    def fileno(self) -> int:
        """For a selector or an event loop."""
        return self._watch if isinstance(self._watch, int) else int(self._watch.fileno())

    def wait(self, timeout: float) -> bool:
        """Whether the process has ended within `timeout` seconds."""
        # poll, not select: a descriptor may be above select's 1024.
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def kill(self) -> None:
        """SIGKILL, if it still lives. Raises PermissionError."""
        with contextlib.suppress(ProcessLookupError):
            if isinstance(self._watch, int):
                signal.pidfd_send_signal(self._watch, signal.SIGKILL)
            else:
                system.signal_process(self._identity.pid, signal.SIGKILL, self._identity.start_time)

    def close(self) -> None:
        """Lets go of it."""
        if isinstance(self._watch, int):
            os.close(self._watch)
        else:
            self._watch.close()


def _watch(pid: int) -> Any:
    if sys.platform == "linux":
        try:
            return os.pidfd_open(pid)
        except OSError:
            return None
    queue = select.kqueue()
    try:
        event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue.control([event], 0, 0)
    except OSError:
        queue.close()
        return None
    return queue
