"""Manners on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.cli.driver import Project, Terminal
from tests.cli.screen import Screen

STACK = "services: {a: {command: sleep 100}, b: {command: sleep 100, depends_on: [a]}}"
STUBBORN = """
services:
  stubborn: {command: "sh -c 'trap \\"\\" TERM; echo here; while :; do sleep 0.1; done'", stop_grace_period: 100s}
"""
SLOW = 'services: {slow: {command: sleep 100, healthcheck: {exec: "false"}}, after: {command: sleep 100, depends_on: [slow]}}'

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(project: Project) -> Iterator[Open]:
    """Opens terminals in the project that are closed at the end."""
    with ExitStack() as opened:

        def start(*arguments: str) -> Terminal:
            made = project.terminal(*arguments)
            opened.callback(made.close)
            return made

        yield start


def test_ctrl_c_stops_gracefully(project: Project, terminal: Open) -> None:
    """Once: everything is stopped, a receipt is printed, 130."""
    project.write(STACK)
    up = terminal("up", "--no-ui")
    up.wait_for("all ready")
    up.press("\x03")
    assert up.status() == 130
    assert "2 services, 2 processes: all gone in" in up.text()
    assert project.run("status").returncode == 3


def test_second_ctrl_c_kills(project: Project, terminal: Open) -> None:
    """A service that ignores TERM is waited for, visibly; the second Ctrl-C ends that."""
    project.write(STUBBORN)
    up = terminal("up", "--no-ui")
    up.wait_for(r"stubborn \| here")
    up.press("\x03")
    up.wait_for(r"stopping stubborn \(\d")
    up.press("\x03")
    assert up.status() == 130
    assert "killing everything" in up.text()
    assert "all gone in" in up.text()


def test_closing_the_terminal_stops_the_stack(project: Project, terminal: Open) -> None:
    """A hang-up ends the lease."""
    project.write(STACK)
    up = terminal("up", "--no-ui")
    up.wait_for("all ready")
    up.hang_up()
    assert up.status() != 0
    project.run("down")
    assert project.run("status").returncode == 3


def test_live_lines_say_what_is_waited_for(project: Project, terminal: Open) -> None:
    """While things start, each has a line with its state; why a check fails is in it."""
    project.write(SLOW)
    up = terminal("up", "--no-ui")
    up.wait_for(r"slow +starting [\d.]+ s +.*exit")
    up.wait_for(r"after +waiting [\d.]+ s +.*slow")
    up.press("\x03")
    assert up.status() == 130


def test_live_lines_leave_nothing_behind(project: Project, terminal: Open) -> None:
    """What a person sees at the end are whole lines of log and state, and nothing of the live ones."""
    project.write(STACK)
    up = terminal("up", "--no-ui")
    up.wait_for("all ready")
    up.press("\x03")
    up.status()
    screen = Screen(100)
    screen.feed(up.output.replace("^C", ""))
    assert all(line.startswith("devctl | ") for line in screen.lines())


def test_ctrl_c_while_waiting_undoes_the_start(project: Project, terminal: Open) -> None:
    """`up -d` that is interrupted stops what it has started."""
    project.write(SLOW)
    up = terminal("up", "-d")
    up.wait_for("slow +starting")
    up.press("\x03")
    assert up.status() == 130
    assert "all gone in" in up.text()
    assert project.run("status").returncode == 3


def test_ctrl_c_while_waiting_leaves_what_ran_before(project: Project, terminal: Open) -> None:
    """Of a stack that was running only the new services are stopped."""
    project.write("services: {old: {command: sleep 100}}")
    project.run("up", "-d")
    project.write('services: {old: {command: sleep 100}, new: {command: sleep 100, healthcheck: {exec: "false"}}}')
    up = terminal("up", "-d")
    up.wait_for("new +starting")
    up.press("\x03")
    assert up.status() == 130
    assert project.states() == {"old": "ready", "new": "stopped"}


def test_status_has_colours_on_a_terminal(project: Project, terminal: Open) -> None:
    """States are coloured there, unless NO_COLOR is set."""
    project.write(STACK)
    project.run("up", "-d")
    coloured = terminal("status")
    coloured.status()
    assert "\x1b[32m" in coloured.output
    project.environment["NO_COLOR"] = "1"
    plain = terminal("status")
    plain.status()
    assert "\x1b[" not in plain.output


def test_watch_follows_until_ctrl_c(project: Project, terminal: Open) -> None:
    """The table changes in place."""
    project.write(STACK)
    project.run("up", "-d")
    watch = terminal("status", "--watch")
    watch.wait_for("b +● ready")
    project.run("stop", "b")
    watch.wait_for("b +· stopped")
    watch.press("\x03")
    assert watch.status() == 130


def test_escape_sequences_of_services_do_no_harm(project: Project, terminal: Open) -> None:
    """A service cannot clear the screen or set the title; its colours stay."""
    (project.root / "wild.sh").write_text(r"printf 'a\033[2Jb\033]0;title\007c\033[31mred\n'")
    project.write("services: {wild: {command: sh wild.sh, oneshot: true}}")
    up = terminal("up", "--no-ui")
    assert up.status() == 0
    assert "\x1b[2J" not in up.output
    assert "title" not in up.output
    assert "abc\x1b[31mred\x1b[0m" in up.output
