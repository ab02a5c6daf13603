"""`devctl dashboard`, and when `devctl up` opens one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from devctl.cli import dashboard
from tests.cli.driver import DEVCTL, Project, Terminal

STACK = "services: {a: {command: sleep 1000}}"
LINES = "services: {a: {command: echo hello, oneshot: true}}"
ALTERNATE = "\x1b[?1049h"  # what opens a screen of its own

Shell = Callable[[str], Terminal]


@pytest.fixture
def shell(project: Project) -> Iterator[Shell]:
    """Runs command lines, in which devctl is the one under test, each on a terminal that is closed at the end."""
    project.environment.pop("CI", None)
    with ExitStack() as opened:

        def start(words: str) -> Terminal:
            made = Terminal(["/bin/sh", "-c", words.replace("devctl", str(DEVCTL))], project.root, project.environment)
            opened.callback(made.close)
            return made

        yield start


@pytest.mark.parametrize("words", [["dashboard"], ["ui"], ["dashboard", "--web"]], ids=" ".join)
def test_nothing_runs(project: Project, words: list[str]) -> None:
    """Exit status 3, and what would start it."""
    project.write(STACK)
    result = project.run(*words)
    assert result.returncode == 3
    assert "devctl up" in result.stderr


@pytest.mark.parametrize("port", ["-1", "0", "65536", "http", "8080x"])
def test_ports_that_are_none(project: Project, port: str) -> None:
    """A usage error that names what was given."""
    result = project.run("dashboard", f"--web={port}")
    assert result.returncode == 2
    assert port in result.stderr


def test_without_a_terminal(project: Project) -> None:
    """Exit status 2, and what does without one."""
    project.write(STACK)
    project.run("up", "-d")
    result = project.run("dashboard")
    assert result.returncode == 2
    assert "devctl status" in result.stderr


def test_up_opens_it_and_can_leave_the_stack(project: Project, shell: Shell) -> None:
    """On a terminal; `d` leaves the stack running, and the screen as it was."""
    project.write(STACK)
    up = shell("devctl up")
    up.wait_for("ready")
    up.wait_for("quit")
    up.press("d")
    assert up.status() == 0
    assert up.output.index(ALTERNATE) < up.output.rindex("\x1b[?1049l")
    assert "left running" in up.text()
    assert project.states() == {"a": "ready"}


@pytest.mark.parametrize(
    "words",
    [
        "devctl up --no-ui",
        "devctl up --abort-on-exit",
        "CI=1 devctl up",
        "TERM=dumb devctl up",
        "devctl up | cat",
        "devctl up </dev/null",
        "devctl up 2>errors",
    ],
)
def test_up_prints_lines_otherwise(project: Project, shell: Shell, words: str) -> None:
    """Told so, meant to end by itself, or with a stream that is no terminal: Textual reads one and draws on another."""
    project.write(LINES)
    up = shell(words)
    assert up.status() == 0
    assert "| hello" in up.text()
    assert ALTERNATE not in up.output


def test_it_needs_standard_error(project: Project, shell: Shell) -> None:
    """It would draw into the file: said there, with 2."""
    project.write(STACK)
    project.run("up", "-d")
    assert shell("devctl dashboard 2>errors").status() == 2
    assert (project.root / "errors").read_text().startswith("error: the dashboard needs a terminal")


@pytest.mark.parametrize(
    "option", [{"no_ui": True}, {"detach": True}, {"abort_on_exit": True}, {"abort_on_failure": True}, {"exit_code_from": "a"}]
)
def test_options_that_want_none(monkeypatch: pytest.MonkeyPatch, option: dict[str, object]) -> None:
    """Each alone is enough."""
    monkeypatch.setattr(dashboard, "has_terminal", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    plain = {"no_ui": False, "detach": False, "abort_on_exit": False, "abort_on_failure": False, "exit_code_from": None}
    assert dashboard.wanted(Namespace(**plain))
    assert not dashboard.wanted(Namespace(**{**plain, **option}))
