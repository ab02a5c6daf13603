"""Waking up when a file in a directory changes: inotify(7) by ctypes; elsewhere, or when the kernel refuses, the caller polls."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from pathlib import Path

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x0100_0000
_MASK = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_IGNORED, _OVERFLOW = 0x8000, 0x4000
_EVENT = struct.Struct("iIII")
# 64 KiB: some 2,000 events a read.
_BUFFER = 65_536


class Inotify:
    """Watches directories, not files: they see new files and renames too. `fd` is -1 where it does not work."""

    def __init__(self) -> None:
        self.fd = -1
        self._directories: dict[int, Path] = {}
        if sys.platform == "linux":
            with contextlib.suppress(OSError, AttributeError):
                self._libc = ctypes.CDLL(None, use_errno=True)
                # EMFILE: fs.inotify.max_user_instances is 128 by default. Then polling has to do.
                self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def watch(self, directory: Path) -> bool:
        """Whether `directory` is watched now; not when it does not exist. Asking again is cheap."""
        if self.fd < 0:
            return False
        number: int = self._libc.inotify_add_watch(self.fd, os.fsencode(directory), ctypes.c_uint32(_MASK))
        if number < 0:
            return False
        self._directories[number] = directory
        return True

    def changes(self) -> set[tuple[Path, str]] | None:
        """(directory, name) of what changed since the last call; None when it may be anything (an overflow, a lost directory)."""
        changed: set[tuple[Path, str]] = set()
        certain = True
        while data := self._read():
            offset = 0
            while offset < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size
                name = data[offset : offset + length].rstrip(b"\0")
                offset += length
                if mask & (_OVERFLOW | _IGNORED | _DELETE_SELF | _MOVE_SELF):
                    certain = False
                elif directory := self._directories.get(number):
                    changed.add((directory, os.fsdecode(name)))
        return changed if certain else None

    def close(self) -> None:
        """Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, _BUFFER) if self.fd >= 0 else b""
        except BlockingIOError:
            return b""
