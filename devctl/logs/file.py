"""One growing file on a disk that may be full, with people who delete and truncate: it takes whole records and never raises.

Rotation: `router.log` → `router.log.1` → … → `router.log.N`, the newest with the lowest number, cut between records.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# 0.1 s: after a failure output is dropped without another try for so long, so that a dead disk costs next to nothing.
RETRY_SECONDS = 0.1
# 1 MiB: holds the last record of each stream in all but odd cases, and reads in under a millisecond.
TAIL_SIZE = 1 << 20
# Services print secrets at times: not for everyone.
FILE_MODE = 0o640


class LogFile:
    """The file behind a service's log.

    Args:
        path: of the current file; its directory is created.
        max_size: bytes; the file is rotated before it grows beyond.
        max_files: the current one and the rotated ones.
        on_trouble: told once an episode, in words, that output is dropped or that the file was tampered with.
    """

    def __init__(self, path: Path, max_size: int, max_files: int, on_trouble: Callable[[str], None]) -> None:
        self.path = path
        self._max_size = max(1, max_size)
        self._max_files = max(1, max_files)
        self._on_trouble = on_trouble
        self._fd = -1
        self._identity = (-1, -1)
        self._size = 0
        self._rotate_at = self._max_size
        self._torn = False
        self._failure = ""
        self._retry_at = 0.0
        self._rotation_failed = False
        try:
            self._open()
        except OSError as error:
            self._fail(error)

    def __repr__(self) -> str:
        return f"<LogFile {self.path} with {self._size} bytes{': ' + self._failure if self._failure else ''}>"

    @property
    def failure(self) -> str:
        """Why output is dropped at the moment; "" when all is well."""
        return self._failure

    def tail(self) -> bytes:
        """The last records, up to TAIL_SIZE bytes; b"" when there is no file."""
        try:
            return os.pread(self._fd, TAIL_SIZE, max(0, self._size - TAIL_SIZE)) if self._fd >= 0 else b""
        except OSError:
            return b""

    def write(self, parts: Sequence[bytes]) -> int:
        """Appends records.

        Args:
            parts: buffers which together are whole records, the last byte a newline.

        Returns:
            How many bytes at their end could not be kept; records are kept or dropped as a whole.
        """
        total = sum(map(len, parts))
        if self._failure and time.monotonic() < self._retry_at:
            return total
        try:
            self._settle()
        except OSError as error:
            self._fail(error)
            return total
        if self._torn:
            parts = [b"\n", *parts]
        length = total + self._torn
        if self._size + length <= self._rotate_at:
            return min(total, self._append(parts, length))
        return min(total, self._append_rotating(b"".join(parts)))

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        os.makedirs(self.path.parent, exist_ok=True)
        # O_NONBLOCK: if somebody put a FIFO there, opening it must not hang. O_APPEND: after a truncation go on at the new end.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(self.path, flags, FILE_MODE)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise OSError(0, "it is not a regular file")
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd = fd
        self._identity = (info.st_dev, info.st_ino)
        self._rotate_at = self._max_size
        self._resize(info.st_size)

    def _resize(self, size: int) -> None:
        """Takes notice of the file's real size, and whether its last record lacks the end."""
        self._size = size
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def _settle(self) -> None:
        """Makes sure that what is written now lands in the file of that name. One stat(2) a block, about 2 µs."""
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            was_open = self._fd >= 0
            self._open()
            if was_open and not self._failure:
                self._on_trouble(f"{self.path} was deleted while in use; it was created anew, earlier lines are gone")
            return
        if self._fd < 0 or (info.st_dev, info.st_ino) != self._identity:
            self._open()
        elif info.st_size != self._size:
            if info.st_size < self._size and not self._failure:
                self._on_trouble(f"{self.path} was truncated from {self._size} to {info.st_size} bytes while in use")
            self._resize(info.st_size)

    def _append(self, parts: Sequence[bytes], length: int) -> int:
        """Writes all buffers; returns how many bytes at the end are lost. On failure the file ends at a record's end."""
        done = 0
        try:
            done = os.writev(self._fd, parts)
            if done < length:
                data = memoryview(b"".join(parts))
                while done < length:
                    done += os.write(self._fd, data[done:])
        except OSError as error:
            kept = b"".join(parts).rfind(b"\n", 0, done) + 1
            self._torn = self._torn and not kept
            self._cut_back(kept, done)
            self._fail(error)
            return length - kept
        self._size += length
        self._torn = False
        self._failure = ""
        return 0

    def _cut_back(self, kept: int, done: int) -> None:
        """Removes the part of a record that still fitted. Readers consume whole lines only, so they do not notice."""
        self._size += done
        if done == kept:
            return
        try:
            os.ftruncate(self._fd, self._size - done + kept)
            self._size += kept - done
        except OSError:
            self._torn = True

    def _append_rotating(self, data: bytes) -> int:
        """Writes `data` into as many files as it takes, cut between records; returns how many bytes are lost."""
        start = 0
        while start < len(data):
            room = self._rotate_at - self._size
            end = len(data) if len(data) - start <= room else data.rfind(b"\n", start, start + max(0, room)) + 1
            # A torn record's missing newline belongs to the file that has the record.
            if self._torn and start == 0 and end == 0:
                end = 1
            if end == 0 and self._size > 0 and self._rotate():
                continue
            if end == 0:  # a record that is larger than a file may be, or a rotation that failed: it has to go somewhere
                end = data.find(b"\n", start) + 1 if self._size == 0 else len(data)
            lost = self._append([data[start:end]], end - start)
            if lost:
                return lost + len(data) - end
            start = end
        return 0

    def _rotate(self) -> bool:
        """Moves the files on and opens a new one. When it fails, the current file grows on, by as much again until the next try."""
        try:
            self._shift()
        except OSError as error:
            self._rotate_at = self._size + self._max_size
            if not self._rotation_failed:
                self._on_trouble(f"cannot rotate {self.path}: {error.strerror}; it grows on")
            self._rotation_failed = True
            return False
        self._rotation_failed = False
        return True

    def _shift(self) -> None:
        surplus = self._max_files
        while _remove(self.numbered(surplus)):  # left from when more files were allowed
            surplus += 1
        free = 1
        while free < self._max_files - 1 and os.path.lexists(self.numbered(free)):
            free += 1
        for index in range(free - 1, 0, -1):
            # The first failure ends it: going on would move a newer file over one that could not be moved.
            _rename(self.numbered(index), self.numbered(index + 1))
        if self._max_files == 1:
            _remove(self.numbered(0))
            self._open()
            return
        _rename(self.numbered(0), self.numbered(1))
        try:
            self._open()
        except OSError:
            _rename(self.numbered(1), self.numbered(0))
            raise

    def numbered(self, index: int) -> str:
        """The name of the file `index` rotations ago; 0 is the current one."""
        return f"{self.path}.{index}" if index else str(self.path)

    def _fail(self, error: OSError) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        first = not self._failure
        self._failure = error.strerror or str(error)
        if first:
            self._on_trouble(f"cannot write {self.path}: {self._failure}; output is dropped and counted until it can")


def _rename(old: str, new: str) -> None:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        return


def _remove(name: str) -> bool:
    try:
        os.unlink(name)
    except FileNotFoundError:
        return False
    return True
