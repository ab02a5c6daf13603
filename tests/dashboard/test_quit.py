"""Leaving the dashboard: the stack is stopped, left, or gone already; each is said."""

from __future__ import annotations

import os
import signal

import pytest

from devctl.dashboard import teardown
from devctl.dashboard.dialogs import ChoiceDialog
from devctl.dashboard.teardown import TeardownScreen
from tests.cli.driver import Project
from tests.dashboard.stage import GUARD, opened, play

STUBBORN = """
services:
  stubborn: {command: "sh -c 'trap \\"\\" TERM; echo here; while :; do sleep 0.1; done'", stop_grace_period: 100s}
"""


def test_ctrl_c_stops_a_stack_that_is_ours(stack: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, with a receipt that stays until a key is pressed, or a moment; the exit status is that of an interrupted command."""
    monkeypatch.setattr(teardown, "LINGER", GUARD)

    async def scene() -> None:
        async with opened(stack, detach=lambda: None) as board:
            await board.until(lambda: board.state("worker") == "ready")
            await board.press("ctrl+c")
            await board.sees("all gone in")
            await board.press("x")
            await board.until(lambda: not board.app.is_running)
            assert board.app.return_value == 130
            assert "3 services, 3 processes" in board.app.farewell
        assert stack.run("status").returncode == 3

    play(scene)


def test_ctrl_c_twice_kills(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that ignores TERM is shown; the second Ctrl-C ends that."""
    monkeypatch.setattr(teardown, "LINGER", GUARD)

    async def scene() -> None:
        async with opened(project, detach=lambda: None) as board:
            await board.until(lambda: board.state("stubborn") == "ready")
            await board.press("ctrl+c")
            await board.until(lambda: isinstance(board.app.screen, TeardownScreen))
            await board.until(lambda: board.state("stubborn") == "stopping")
            await board.sees("stubborn")
            await board.press("ctrl+c")
            await board.sees("all gone in")
            await board.press("enter")
            await board.until(lambda: not board.app.is_running)
            assert board.app.return_value == 130

    project.write(STUBBORN)
    assert project.run("up", "-d").returncode == 0
    play(scene)


def test_somebody_else_stops_the_stack(stack: Project) -> None:
    """It is said in place; the log stays; quitting asks nothing more."""

    async def scene() -> None:
        async with opened(stack) as board:
            await board.until(lambda: board.state("worker") == "ready" and board.log_lines())
            stack.run("down")
            await board.sees("the stack was stopped")
            await board.sees("stopped")
            assert board.log_lines()
            await board.press("q")
            await board.until(lambda: not board.app.is_running)
            assert board.app.return_value == 0

    play(scene)


def test_another_run_is_picked_up(stack: Project) -> None:
    """The dashboard of a stack that is started again shows the new run."""

    async def scene() -> None:
        async with opened(stack) as board:
            await board.until(lambda: board.state("worker") == "ready")
            before = board.app.snapshot.run_id
            stack.run("down")
            await board.sees("the stack was stopped")
            stack.run("up", "-d")
            await board.until(lambda: board.app.snapshot.run_id != before and board.state("worker") == "ready")
            await board.until(lambda: "the stack was stopped" not in board.text())

    play(scene)


def test_a_killed_supervisor_is_said(stack: Project) -> None:
    """With what ended it; leaving cleans up, and fails."""

    async def scene() -> None:
        async with opened(stack) as board:
            await board.until(lambda: board.state("worker") == "ready")
            os.kill(stack.json("status")["supervisor"]["pid"], signal.SIGKILL)
            await board.sees("the run crashed")
            await board.press("q")
            await board.sees("had crashed")
            await board.press("enter")
            await board.until(lambda: not board.app.is_running)
            assert board.app.return_value == 1

    play(scene)


def test_a_supervisor_that_hangs_is_said(stack: Project) -> None:
    """A lost connection is shown above everything, with since when; nothing hangs, and it comes back."""
    pid = stack.json("status")["supervisor"]["pid"]

    async def scene() -> None:
        async with opened(stack) as board:
            await board.until(lambda: board.state("worker") == "ready")
            os.kill(pid, signal.SIGSTOP)
            await board.sees("no connection to the supervisor")
            await board.press("j", "question_mark")
            await board.sees("down a line in the pane")
            await board.press("escape")
            os.kill(pid, signal.SIGCONT)
            await board.until(lambda: "no connection" not in board.text())

    try:
        play(scene)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_what_would_be_lost_is_asked_for(stack: Project) -> None:
    """Stopping a service that others need asks; Escape does nothing, and one of the answers only stops that one."""

    async def scene() -> None:
        async with opened(stack) as board:
            await board.until(lambda: board.state("worker") == "ready")
            await board.press("x")
            await board.until(lambda: isinstance(board.app.screen, ChoiceDialog))
            assert "web, worker need it and run" in board.text()
            await board.press("escape")
            assert board.state("db") == "ready"
            await board.press("x")
            await board.until(lambda: isinstance(board.app.screen, ChoiceDialog))
            await board.press("a")
            await board.until(lambda: {board.state(name) for name in ("db", "web", "worker")} == {"stopped"})

    play(scene)


def test_refused_orders_are_said(stack: Project) -> None:
    """With the supervisor's own words."""

    async def scene() -> None:
        async with opened(stack) as board:
            await board.until(lambda: board.state("worker") == "ready")
            board.app.commands.run("start", "nobody")
            await board.until(lambda: any("cannot start nobody" in note.message for note in board.app._notifications))

    play(scene)
