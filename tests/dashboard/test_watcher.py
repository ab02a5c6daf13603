"""The watcher of the terminal: what it undoes when its dashboard is killed, and what it must not hold on to."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.driver import HANG, Terminal

# Stands for a dashboard. It holds a pipe as one holds the stack: the other end sees when the last copy is gone.
PROGRAM = """
import os, sys, time, tty
from devctl.dashboard.terminal import guarded

held = os.open(sys.argv[1], os.O_WRONLY)
with guarded() as ended:
    tty.setraw(0)
    {body}
"""
LIVES = 'os.write(held, b"%d\\n" % os.getpid()); time.sleep(1000)'
FULL = """
    os.set_blocking(1, False)
    try:
        while True:
            os.write(1, b"x" * 512)
    except BlockingIOError:
        os.set_blocking(1, True)
    """

Stage = Callable[..., "Scene"]


class Scene:
    """A program on a terminal whose session a shell leads, as in real life: its death does not hang up."""

    def __init__(self, directory: Path, body: str, redirect: str) -> None:
        self._pipe = directory / "held"
        os.mkfifo(self._pipe)
        self._reader = os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)
        (directory / "program.py").write_text(PROGRAM.format(body=body))
        words = f'"{sys.executable}" program.py held {redirect}; echo the shell goes on; read line'
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.terminal = Terminal(["/bin/sh", "-c", words], directory, environment)

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self.terminal._fd)[3] & termios.ECHO)

    def said(self) -> bytes:
        """The next that comes through the held pipe; nothing once nobody holds it."""
        assert select.select([self._reader], [], [], HANG)[0], "the pipe is still held"
        return os.read(self._reader, 100)

    def kill(self) -> None:
        """Waits until the program is up, and kills it."""
        os.kill(int(self.said()), signal.SIGKILL)

    def close(self) -> None:
        self.terminal.close()
        os.close(self._reader)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Opens a scene that is closed at the end."""
    with ExitStack() as opened:

        def start(body: str, redirect: str = "") -> Scene:
            scene = Scene(tmp_path, body, redirect)
            opened.callback(scene.close)
            return scene

        yield start


def test_a_killed_program_leaves_a_terminal_that_works(stage: Stage) -> None:
    """It echoes, shows its own screen and cursor, and reports no mouse; a line says what has happened."""
    scene = stage(LIVES)
    scene.kill()
    scene.terminal.wait_for("the dashboard was killed.*reset")
    assert scene.echoes()
    assert {"\x1b[?1049l", "\x1b[?25h", "\x1b[?1003l", "\x1b[?2004l"} <= {
        f"\x1b{part}" for part in scene.terminal.output.replace("\r", "\x1b").split("\x1b")
    }


def test_standard_input_that_can_only_be_read(stage: Stage) -> None:
    """`devctl up </dev/tty`: the terminal is restored where it was drawn on."""
    scene = stage(LIVES, "</dev/tty")
    scene.kill()
    scene.terminal.wait_for("the dashboard was killed")
    assert scene.echoes()


def test_a_terminal_that_takes_nothing_keeps_no_stack_alive(stage: Stage) -> None:
    """The watcher may wait for the terminal for ever; the hold on the stack has ended with the dashboard."""
    scene = stage(FULL + LIVES)
    scene.kill()
    assert scene.said() == b""


def test_an_end_in_order_is_silent(stage: Stage) -> None:
    """Who has put the terminal back itself has nothing undone, and nothing said."""
    scene = stage("ended()")
    scene.terminal.wait_for("the shell goes on")
    assert "killed" not in scene.terminal.text()
    assert "\x1b[?1049l" not in scene.terminal.output


def test_an_error_can_be_read(stage: Stage) -> None:
    """What Python prints comes after the terminal's settings are back."""
    scene = stage('raise ValueError("a bug")')
    scene.terminal.wait_for("ValueError: a bug")
    scene.terminal.wait_for("the shell goes on")
    assert scene.echoes()
    assert "killed" not in scene.terminal.text()


def test_no_terminal_no_watcher() -> None:
    """As in a browser: there is nothing to watch."""
    words = "import os\nfrom devctl.dashboard.terminal import guarded\nwith guarded() as ended: ended()\nos.wait()"
    done = subprocess.run(
        [sys.executable, "-c", words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG, check=False
    )
    assert "ChildProcessError" in done.stderr
