"""run and exec."""

from __future__ import annotations

import os

import pytest

from tests.cli.driver import Project, is_alive

STACK = """
services:
  base: {command: sleep 100, environment: {COLOUR: green}, working_dir: sub}
  job: {command: "sh -c 'echo $$DEVCTL_SERVICE $$0 $$1; exit 7'", depends_on: [base], profiles: [tools]}
"""


@pytest.fixture
def project(project: Project) -> Project:
    """A project with a service and a tool that needs it."""
    (project.root / "sub").mkdir()
    project.write(STACK)
    return project


def test_run_starts_what_is_needed_and_stops_it(project: Project) -> None:
    """Without a stack: dependencies come up, the command gets the arguments, and all is gone afterwards."""
    result = project.run("run", "job", "--", "one", "--two")
    assert result.stdout.splitlines()[0] == "job one --two"
    assert result.returncode == 7
    assert project.run("status").returncode == 3


def test_run_beside_a_running_stack(project: Project) -> None:
    """The stack goes on; the tool need not be part of it."""
    project.run("up", "-d")
    result = project.run("run", "job", "--", "one", "two")
    assert (result.stdout, result.returncode) == ("job one two\n", 7)
    assert project.states() == {"base": "ready"}


def test_run_of_an_unknown_service(project: Project) -> None:
    """It is a usage error."""
    assert project.run("run", "jab").returncode == 2


def test_exec_has_the_services_environment(project: Project) -> None:
    """Variables and directory are the service's."""
    project.run("up", "-d")
    result = project.run("exec", "base", "--", "sh", "-c", "echo $COLOUR; pwd")
    assert result.stdout == f"green\n{os.path.realpath(project.root / 'sub')}\n"


def test_exec_passes_the_exit_status_on(project: Project) -> None:
    """Also of a command that a signal ended: 128 + its number."""
    project.run("up", "-d")
    assert project.run("exec", "base", "sh", "-c", "exit 5").returncode == 5
    assert project.run("exec", "base", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_exec_leaves_nothing_behind(project: Project) -> None:
    """What the command put into the background, even in a session of its own, ends with it."""
    project.run("up", "-d")
    result = project.run("exec", "base", "--", "sh", "-c", "setsid sleep 100 >/dev/null & echo $!")
    assert not is_alive(int(result.stdout))


def test_exec_of_a_missing_program(project: Project) -> None:
    """It says so, with a mend."""
    project.run("up", "-d")
    result = project.run("exec", "base", "--", "no-such-program")
    assert result.returncode == 1
    assert "no-such-program is not on PATH" in result.stderr


def test_ctrl_c_reaches_the_command(project: Project) -> None:
    """The command has the terminal: Ctrl-C is its own to handle, and its exit status counts."""
    project.run("up", "-d")
    script = "trap 'echo caught; exit 9' INT; echo begun; while :; do sleep 0.1; done"
    terminal = project.terminal("exec", "base", "--", "sh", "-c", script)
    try:
        terminal.wait_for("begun")
        terminal.press("\x03")
        assert terminal.status() == 9
        assert "caught" in terminal.text()
    finally:
        terminal.close()


def test_command_reads_the_terminal(project: Project) -> None:
    """It is the terminal's foreground group, so it may read what is typed."""
    project.run("up", "-d")
    terminal = project.terminal("exec", "base", "--", "sh", "-c", "echo ask; read answer; echo got $answer")
    try:
        terminal.wait_for("ask")
        terminal.press("yes\n")
        terminal.wait_for("got yes")
        assert terminal.status() == 0
    finally:
        terminal.close()


def test_run_alone_with_automatic_ports(project: Project) -> None:
    """With nothing running, a service's own automatic port is a free one, and those of others do not matter."""
    tool = "{command: \"sh -c 'echo $$PORT'\", port: auto, oneshot: true}"
    other = "{command: sleep 60, port: auto, url: 'http://127.0.0.1:${services.other.port}'}"
    project.write(f"services: {{tool: {tool}, other: {other}}}")
    result = project.run("run", "tool")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 0
