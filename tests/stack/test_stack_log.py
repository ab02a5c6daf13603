"""Where the services' log lines go."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_file_gets_every_line_too(launcher: Any, tmp_path: Path) -> None:
    """With LOG_FILE every line stands in the file as well, from the start's marker to the end's, and later runs append."""
    file = tmp_path / "frontend.log"
    written = ""
    for _ in range(2):
        frontend = launcher.start("frontend", LOG_FILE=str(file))
        assert frontend.stop() == 0
        written += frontend.output() + "\n"
    assert file.read_text() == written
    assert written.count("Starting frontend") == written.count("Stopped frontend") == 2


def test_a_file_that_cannot_be_written_is_named(launcher: Any, tmp_path: Path) -> None:
    """The start ends with status 2 and a line that names the setting."""
    path = tmp_path / "nowhere" / "x.log"
    frontend = launcher.spawn("frontend", LOG_FILE=str(path))
    assert frontend.output() == f"frontend: LOG_FILE='{path}': give a file that can be written (No such file or directory)"
    assert frontend.process.returncode == 2
