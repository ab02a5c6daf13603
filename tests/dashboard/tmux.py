"""A real terminal: tmux, with a server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

PROGRAM = shutil.which("tmux")
GUARD = 60.0  # seconds; only a hang meets it

# Where CI is set nothing is skipped: a missing tmux is a failure there.
needs_tmux = pytest.mark.skipif(PROGRAM is None and "CI" not in os.environ, reason="needs the package tmux")


class Tmux:
    """A terminal with a shell in it.

    Args:
        directory: where the shell starts; the server's socket is below `runtime`.
        environment: the shell's.
    """

    def __init__(
        self, directory: Path, runtime: Path, environment: dict[str, str], columns: int = 130, rows: int = 40
    ) -> None:  # fmt: skip
        # Without the outer terminal's variables, and without a user's configuration.
        kept = {name: value for name, value in environment.items() if name not in ("TMUX", "CI", "NO_COLOR")}
        self._environment = {**kept, "HOME": str(runtime), "PS1": "$ ", "ENV": ""}
        self._command = [PROGRAM or "tmux", "-S", str(runtime / "tmux"), "-f", os.devnull]
        self._call("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(directory), "/bin/sh")

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, capture_output=True, text=True, timeout=GUARD, check=True
        )
        return done.stdout

    def type(self, text: str) -> None:
        """Types a text."""
        self._call("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Presses keys by tmux's names: Enter, C-c, Escape."""
        self._call("send-keys", *keys)

    def screen(self) -> str:
        """What a person sees."""
        return self._call("capture-pane", "-p")

    def sees(self, *texts: str) -> str:
        """Waits until all of `texts` are on the screen at once; gives the screen."""
        deadline = time.monotonic() + GUARD
        while not all(text in (screen := self.screen()) for text in texts):
            assert time.monotonic() < deadline, f"{texts} never on the screen:\n{screen}"
            time.sleep(0.05)
        return screen

    def close(self) -> None:
        """Closes the terminal's window, as a person does."""
        subprocess.run([*self._command, "kill-server"], env=self._environment, capture_output=True, timeout=GUARD, check=False)
