"""What the dashboard does outside of itself: the user's editor and browser, and files that it writes."""

from __future__ import annotations

import os
import shlex
import webbrowser
from pathlib import Path


def editor_command(name: str, line: int, directory: Path) -> list[str] | None:
    """What opens a file at a line in the user's editor; None when the file is not found."""
    path = next((place for place in (directory / name, Path(name)) if place.is_file()), None)
    if path is None:
        return None
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    if not editor:
        return None
    kind = Path(editor[0]).name
    if kind in ("code", "codium", "cursor", "windsurf"):
        return [*editor, "--goto", f"{path}:{line}"]
    if kind in ("hx", "helix", "subl", "zed", "micro"):
        return [*editor, f"{path}:{line}"]
    return [*editor, f"+{line}", str(path)]


def open_browser(url: str) -> bool:
    """Opens a page in the user's browser, where there is a graphical one."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.uname().sysname == "Darwin"):
        return False
    return webbrowser.open(url)


def write_new(path: Path, lines: list[str]) -> None:
    """Writes lines into a file that does not exist yet. Raises OSError."""
    # A new file: nothing that is there is lost. Services print secrets at times, so it is not for everyone.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(f"{line}\n" for line in lines)
