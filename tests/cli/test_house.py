"""ls, reap, clean and doctor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.driver import Project, is_alive

STACK = "{name: %s, services: {a: {command: sleep 100}}}"


@pytest.fixture
def two(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Two running stacks of one user."""
    other = Project(tmp_path_factory.mktemp("other"), Path("/nowhere"))
    other.environment = project.environment
    for each, name in ((project, "one"), (other, "two")):
        each.write(STACK % name)
        assert each.run("up", "-d").returncode == 0
    return project, other


def crash(project: Project) -> None:
    """Kills devctl's own processes at once, so that the service is left."""
    about = project.json("status")["supervisor"]
    for key in ("sweeper_pid", "guard_pid", "pid"):
        os.kill(about[key], signal.SIGSTOP)
    for key in ("sweeper_pid", "guard_pid", "pid"):
        os.kill(about[key], signal.SIGKILL)


def test_ls_shows_every_stack(two: tuple[Project, Project]) -> None:
    """From anywhere; those that were stopped only with --all."""
    assert {stack["stack"]: stack["state"] for stack in two[0].json("ls")} == {"one": "ready", "two": "ready"}
    two[1].run("down")
    assert [stack["stack"] for stack in two[0].json("ls")] == ["one"]
    assert len(two[0].json("ls", "--all")) == 2


def test_down_all(two: tuple[Project, Project]) -> None:
    """Every stack of this user is stopped."""
    result = two[0].run("down", "--all")
    assert result.returncode == 0
    assert result.stdout.count("all gone in") == 2
    assert two[0].json("ls") == []


def test_crashed_run_is_told_and_reaped(project: Project) -> None:
    """status says that it crashed, with 3; reap ends what it left and names it; then there is nothing."""
    project.write(STACK % "one")
    project.run("up", "-d")
    left = project.json("status")["services"][0]["pid"]
    crash(project)
    status = project.run("status")
    assert status.returncode == 3
    assert "crashed" in status.stderr
    assert project.json("ls")[0]["state"] == "crashed"
    assert f"pid {left}" in project.run("reap").stdout
    assert not is_alive(left)
    assert project.run("reap").stdout == "no crashed run has left anything\n"


def test_down_reaps_after_a_crash(project: Project) -> None:
    """Idempotent, and it says what it found."""
    project.write(STACK % "one")
    project.run("up", "-d")
    crash(project)
    result = project.run("down")
    assert result.returncode == 0
    assert "the last run had crashed" in result.stdout
    assert project.run("down").stdout == "nothing is running\n"


def test_up_reaps_before_it_starts(project: Project) -> None:
    """A crashed run does not keep the next from starting."""
    project.write(STACK % "one")
    project.run("up", "-d")
    crash(project)
    result = project.run("up", "-d")
    assert result.returncode == 0
    assert "the last run had crashed" in result.stderr


def test_clean_removes_only_what_devctl_wrote(project: Project) -> None:
    """Logs and runtime files go; a file of the user's in the same directory stays."""
    project.write(STACK % "one")
    project.run("up", "-d")
    assert project.run("clean").returncode == 2
    project.run("down")
    (project.root / "logs" / "notes.txt").write_text("mine")
    project.run("clean")
    assert [path.name for path in (project.root / "logs").iterdir()] == ["notes.txt"]
    assert project.json("ls", "--all") == []


def test_doctor_finds_this_machine_fit(project: Project) -> None:
    """Every finding has a level, and none is bad where the tests run."""
    findings = project.json("doctor")
    assert {finding["what"] for finding in findings} >= {"python", "pidfd", "subreaper", "open files"}
    assert all(finding["level"] in ("ok", "note") for finding in findings)
    assert project.run("doctor").returncode == 0
