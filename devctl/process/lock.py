"""The stack's lock: held by guard and supervisor for as long as one of them lives, flock(2)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


def acquire(path: Path) -> int | None:
    """Locks the file and returns its descriptor (close-on-exec); None when somebody else holds it. Raises OSError."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        # `clean` may have removed the file between our open and our lock: then this lock guards nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        os.close(fd)


def is_held(path: Path) -> bool:
    """Whether a guard or supervisor lives. Creates nothing."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
