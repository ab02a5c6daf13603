"""The files of one log while they are rotated under the reader: `x.log` ← `x.log.1` ← `x.log.2` …

A file is known by its identity (device, inode), not by its name, which changes with every rotation. An open file keeps its
inode from being used again, so stepping from an open file to its neighbour is safe: find the name that it has now, open the name
beside it, and make sure that nothing has moved meanwhile.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from devctl.errors import StackError
from devctl.logs.cri import NANOSECONDS, parse

# Numbers that may be missing in a row: one while a rotation is under way, and one for each that was broken off.
GAP = 3
# More names change at once only while a writer rotates faster than we can look; then the caller just comes back.
ATTEMPTS = 20
# Two records of the largest size the writer makes, so that one is complete wherever we begin.
PROBE_SIZE = 160 * 1024


class LogPart:
    """One open file of a log. `path` is the log's own, without a number."""

    def __init__(self, path: Path, fd: int, info: os.stat_result) -> None:
        self.path = path
        self.fd = fd
        self.identity = (info.st_dev, info.st_ino)

    def __repr__(self) -> str:
        return f"<LogPart {self.path} inode {self.identity[1]}>"

    def size(self) -> int:
        """In bytes, now."""
        return os.fstat(self.fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end of the file."""
        data = os.pread(self.fd, length, offset)
        if len(data) in (0, length):
            return data
        parts = [data]  # a short read is allowed by pread(2), on network file systems for one
        got = len(data)
        while got < length and (data := os.pread(self.fd, length - got, offset + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def first_time(self) -> int | None:
        """The first stamp, nanoseconds since the epoch; None when there is none near the start."""
        for line in self.read(0, PROBE_SIZE).split(b"\n"):
            if record := parse(line):
                return record.time_ns
        return None

    def modified(self) -> int:
        """When it was last written, nanoseconds since the epoch."""
        return int(os.fstat(self.fd).st_mtime * NANOSECONDS)

    def copy(self) -> LogPart:
        """The same open file, to be closed by itself."""
        fd = os.dup(self.fd)
        return LogPart(self.path, fd, os.fstat(fd))

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:  # readers are generators that may be dropped half-way
        self.close()


def open_part(path: Path, index: int) -> LogPart | None:
    """The file `index` rotations ago; None when it does not exist. Raises StackError when it may not be read."""
    name = _name(path, index)
    try:
        # O_NONBLOCK: a FIFO of that name must not hang us.
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StackError(f"cannot read the log {name}: {error.strerror}", "look at its permissions") from error
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        os.close(fd)
        return None
    return LogPart(path, fd, info)


def newest(path: Path) -> LogPart | None:
    """The current file, or in the moment when a rotation has moved it away, the one before."""
    for index in range(GAP + 1):
        if part := open_part(path, index):
            return part
    return None


def oldest(path: Path) -> LogPart | None:
    """The first file of the log; None when there is none."""
    part = newest(path)
    while part is not None and (before := older(part)) is not None:
        part.close()
        part = before
    return part


def older(part: LogPart) -> LogPart | None:
    """The file before `part`; None when it is the first one or was removed itself."""
    for _ in range(ATTEMPTS):
        index = _locate(part)
        if index is None:
            return None
        found, missing = None, []
        for candidate in range(index + 1, index + 2 + GAP):
            if found := open_part(part.path, candidate):
                break
            missing.append(candidate)
        if _settled(part, index, missing):
            return found
    return None


def newer(part: LogPart, last_time: int) -> LogPart | None:
    """The file after `part`, once there is one.

    Args:
        last_time: the last stamp read from `part`, for when it was removed itself: then the first file that begins later is next.
    """
    for _ in range(ATTEMPTS):
        index = _locate(part)
        if index == 0:
            return None
        if index is None:
            return _first_after(part, last_time)
        found, missing = None, []
        for candidate in range(index - 1, -1, -1):
            if found := open_part(part.path, candidate):
                break
            missing.append(candidate)
        if _settled(part, index, missing):
            return found
    return None


def _name(path: Path, index: int) -> str:
    return f"{path}.{index}" if index else str(path)


def _identity(path: Path, index: int) -> tuple[int, int] | None:
    try:
        info = os.stat(_name(path, index))
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _locate(part: LogPart) -> int | None:
    """How many rotations ago `part` is now; None when it has no name any more."""
    index = missing = 0
    while missing <= GAP:
        identity = _identity(part.path, index)
        if identity == part.identity:
            return index
        missing = 0 if identity else missing + 1
        index += 1
    return None


def _settled(part: LogPart, index: int, missing: list[int]) -> bool:
    """Whether nothing was renamed since: renames go from the oldest to the newest, so a file on its way would fill a gap."""
    return _identity(part.path, index) == part.identity and not any(_identity(part.path, number) for number in missing)


def _first_after(part: LogPart, last_time: int) -> LogPart | None:
    """The oldest file that begins after `last_time`, else the current one."""
    found = newest(part.path)
    while found is not None and (before := older(found)) is not None:
        begin = before.first_time()
        if begin is None or begin <= last_time:
            before.close()
            break
        found.close()
        found = before
    return found
