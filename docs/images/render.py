"""Makes the pictures in this folder from the real program, as tmux sees it in a terminal of 132 by 36.

    starting.svg    the dashboard that `devctl up` opens, while the router loads and the others wait for it
    up.svg          the same when all is ready, with the start-up's critical path

Run it after `make install`, with tmux installed: .venv/bin/python docs/images/render.py
It starts the reference stack on its own ports, so these must be free.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIDTH, HEIGHT = 132, 36
PATIENCE = 60.0  # seconds for the whole start; it takes five
PAUSE = 0.03  # seconds between two looks: the start is over in two seconds
SETTLE = 1.5  # seconds until the sparklines and the answer to what was asked are there
WAITING = re.compile(r"frontend +○ waiting")
LOADING = re.compile(r"router is starting: 503")
COLOUR = re.compile(r"\033\[[0-9;]*m")


class Screen:
    """A terminal of its own, with a shell in the repository and devctl on its PATH."""

    def __init__(self, runtime: str) -> None:
        self._server = f"devctl-picture-{os.getpid()}"
        environment = {
            "DEVCTL_RUNTIME_DIR": runtime,
            "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
            "PS1": "$ ",
            # No user's own keys, theme or widths.
            "XDG_CONFIG_HOME": runtime,
            "XDG_STATE_HOME": runtime,
            "COLORTERM": "truecolor",
            "ROUTER_WARMUP_SECONDS": "2",
        }
        # By env, as tmux sets PATH anew; without start-up files, so that everybody gets the same picture.
        shell = ["env", "-u", "ENV", *(f"{name}={value}" for name, value in environment.items()), "sh"]
        self._tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(ROOT), *shell)

    def close(self) -> None:
        """Ends the terminal and whatever runs in it."""
        self._tmux("kill-server")

    def type(self, *keys: str) -> None:
        """Presses keys, as tmux names them."""
        self._tmux("send-keys", *keys)

    def text(self) -> str:
        """What is on it, with colours."""
        return self._tmux("capture-pane", "-e", "-p", "-N")

    def wait(self, seen: Callable[[str], object], what: str) -> str:
        """The text, once `seen` is content with it (colours removed)."""
        end = time.monotonic() + PATIENCE
        while not seen(COLOUR.sub("", text := self.text())):
            if time.monotonic() > end:
                raise SystemExit(f"waited {PATIENCE:g} s for {what}; on the screen:\n{text}")
            time.sleep(PAUSE)
        return text

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._server, "-f", os.devnull, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def draw(name: str, screen: str) -> None:
    """Writes one picture."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(Text.from_ansi(screen.rstrip()))
    # A fixed id, so that pictures differ only where the screen does.
    picture = console.export_svg(title="devctl up", unique_id="devctl")
    # The reader's own monospace font will do; a picture should fetch nothing.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE).rstrip("\n") + "\n"
    (HERE / f"{name}.svg").write_text(picture, encoding="utf-8")


def main() -> None:
    """Runs the program, and draws what is on the screen at two moments."""
    if shutil.which("tmux") is None:
        raise SystemExit("tmux is not installed")
    with tempfile.TemporaryDirectory() as runtime:
        screen = Screen(runtime)
        try:
            screen.wait(lambda text: "$" in text, "the shell")
            screen.type("devctl up", "Enter")
            draw(
                "starting",
                screen.wait(lambda text: LOADING.search(text) and WAITING.search(text), "the router to say why it is not ready"),
            )
            screen.wait(lambda text: "assistant ready" in text and "backend is ok" in text, "all to be ready")
            screen.type("j")
            screen.type("2")
            screen.wait(lambda text: "critical path" in text, "the timeline")
            time.sleep(SETTLE)
            draw("up", screen.text())
            screen.type("C-c")
            screen.wait(lambda text: "all gone" in text, "the stack to end")
        finally:
            screen.close()


if __name__ == "__main__":
    main()
