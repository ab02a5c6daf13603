"""Makes docs/images/up.svg from the real program: `devctl up` on the reference stack in a terminal of 110×24, drawn as tmux sees it.

Run from the repository after `make install`, with tmux installed: python docs/images/render.py
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 110, 24
PATIENCE = 60.0


def tmux(server: str, *arguments: str) -> str:
    """Runs tmux on a server of its own."""
    return subprocess.run(["tmux", "-L", server, *arguments], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Runs the program, waits until all is ready, and draws what is on the screen."""
    server = f"devctl-picture-{os.getpid()}"
    with tempfile.TemporaryDirectory() as runtime:
        environment = {"DEVCTL_RUNTIME_DIR": runtime, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}", "PS1": "$ "}
        exports = " ".join(f"{name}='{value}'" for name, value in environment.items())
        tmux(server, "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(ROOT), f"env {exports} sh")
        try:
            tmux(server, "send-keys", "devctl up --no-ui", "Enter")
            end = time.monotonic() + PATIENCE
            while "all ready" not in (screen := tmux(server, "capture-pane", "-e", "-p", "-S", "-100")):
                if time.monotonic() > end:
                    raise SystemExit(f"the stack did not become ready:\n{screen}")
                time.sleep(0.1)
            time.sleep(0.5)  # the lines that come right after
            screen = tmux(server, "capture-pane", "-e", "-p", "-S", "-100")
        finally:
            tmux(server, "send-keys", "C-c")
            while "all gone" not in tmux(server, "capture-pane", "-p") and time.monotonic() < end:
                time.sleep(0.1)
            tmux(server, "kill-server")
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(screen.rstrip()))
    picture = console.export_svg(title="devctl up")
    # The reader's own monospace font will do; a picture should fetch nothing.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    Path(__file__).with_name("up.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
