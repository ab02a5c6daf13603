"""The test's side of an adversary's stage directory: its marker, the wait for its word, the order to stop."""

from __future__ import annotations

import os
import secrets
import select
from pathlib import Path

HANG_GUARD = 30.0  # seconds; only a broken adversary or a very busy machine gets there


class Stage:
    """One adversary's directory. It is open to every user, as the adversary may run as another one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marker = f"devctl-adversary-{secrets.token_hex(6)}"
        path.mkdir(parents=True)
        path.chmod(0o777)
        os.mkfifo(path / "ready", 0o666)
        (path / "ready").chmod(0o666)
        self._fd = os.open(path / "ready", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # RDWR: no end of file between writers

    @property
    def pulse(self) -> Path:
        return self.path / "pulse"

    def await_in_position(self, timeout: float = HANG_GUARD) -> None:
        """Waits for the word that the sin is committed, once for each start."""
        if not select.select([self._fd], [], [], timeout)[0]:
            raise TimeoutError(f"{self.path.name} did not get into position within {timeout} s")
        os.read(self._fd, 1)

    def starts(self) -> int:
        """How many more were in position since the last wait."""
        try:
            return len(os.read(self._fd, 4096))
        except BlockingIOError:
            return 0

    def stop(self) -> None:
        """Asks every adversary of this stage to leave."""
        (self.path / "stop").touch()

    def close(self) -> None:
        os.close(self._fd)
