"""The notify probe: the service says READY=1 on a socket of its own (sd_notify(3)). Nothing polls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from devctl.errors import UnsafePath
from devctl.health.result import excerpt
from devctl.paths import SOCKET_PATH_LIMIT, ensure_private

MESSAGE_LIMIT = 4096  # bytes of a datagram, as systemd's NOTIFY_BUFFER_MAX; longer ones are dropped whole, as there
BURST = 32  # datagrams taken at once: a flood must leave the event loop to others
STATUS_LENGTH = 200  # characters of STATUS= that are shown


class NotifyWatcher:
    """Reads the assignments a service sends.

    READY=1 passes, once and for all, and STATUS= is shown. The others (RELOADING, STOPPING, WATCHDOG, MAINPID, FDSTORE…) are
    for service managers that do more with them; they do no harm here.
    """

    def __init__(self) -> None:
        self.ready = False
        self.status = ""

    def take(self, message: bytes) -> bool:
        """Reads one datagram of newline-separated assignments; whether it told anything new."""
        before = (self.ready, self.status)
        for line in message.decode(errors="replace").split("\n"):
            name, _, value = line.partition("=")
            if name == "READY" and value.strip() == "1":
                self.ready = True
            elif name == "STATUS":
                self.status = excerpt(value, STATUS_LENGTH)
        return (self.ready, self.status) != before

    def detail(self) -> str:
        """For people."""
        said = "READY=1 received" if self.ready else "waiting for READY=1"
        return f"{said}, status: {self.status}" if self.status else said


class NotifySocket:
    """The socket that a service finds in NOTIFY_SOCKET.

    Args:
        path: in a directory that is ours alone; a socket left there by an earlier run is removed.
        callback: gets each datagram, in the event loop that runs now.

    Raises:
        UnsafePath: the directory is not private, the path is too long for a socket, or something else is there.
    """

    def __init__(self, path: Path, callback: Callable[[bytes], None]) -> None:
        self.path = path
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        _make_room(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(os.fspath(path))
            os.chmod(path, 0o600)
        except OSError as error:
            self._socket.close()
            raise UnsafePath(
                f"cannot create the notify socket {path}: {error.strerror}", "see whether the directory is ours"
            ) from error
        self._loop.add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Stops listening and removes the socket's file; may be called again."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _read(self) -> None:
        for _ in range(BURST):
            try:
                # One byte more than the limit shows what is too long. Descriptors that come along (FDSTORE=1, BARRIER=1) are
                # closed by the kernel, as no room is given for them: for a barrier that is the very answer.
                message = self._socket.recv(MESSAGE_LIMIT + 1)
            except OSError:  # nothing there any more
                return
            if 0 < len(message) <= MESSAGE_LIMIT:
                self._callback(message)
            if self._socket.fileno() < 0:  # the callback closed us
                return


def _make_room(path: Path) -> None:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise UnsafePath(
            f"the notify socket's path {path} is longer than the {SOCKET_PATH_LIMIT} bytes the kernel allows",
            "set DEVCTL_RUNTIME_DIR to a shorter directory",
        )
    ensure_private(path.parent)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UnsafePath(f"{path} is in the way of a notify socket, and is not one", "remove it")
    path.unlink()
