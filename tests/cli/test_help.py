"""Help, usage errors and completion."""

from __future__ import annotations

import subprocess

import pytest

from devctl.cli import table
from devctl.cli.completion import complete
from tests.cli.driver import DEVCTL, Project

CONTRACT = [
    "up", "down", "start", "stop", "restart", "run", "exec", "status", "logs", "why",
    "wait", "events", "timeline", "ls", "check", "config", "graph", "schema", "reap", "clean",
    "doctor", "dashboard", "export",
]  # fmt: skip


def test_help_lists_every_command(project: Project) -> None:
    """`devctl --help` names all of them, and so does devctl alone."""
    result = project.run("--help")
    assert result.returncode == 0
    assert all(f"\n  {name} " in result.stdout for name in CONTRACT)
    assert project.run().stdout == result.stdout


@pytest.mark.parametrize("name", [*table.COMMANDS, *table.ALIASES])
def test_every_command_has_help(project: Project, name: str) -> None:
    """`devctl COMMAND --help` describes its options, the global ones among them."""
    result = project.run(name, "--help")
    assert result.returncode == 0
    assert "--directory" in result.stdout


def test_version(project: Project) -> None:
    """--version prints it."""
    assert project.run("--version").stdout.startswith("devctl ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["statsu"], "did you mean status?"),
        (["attach", "x"], "not in this version"),
        (["status", "--nope"], "--nope"),
        (["up", "--no-wait"], "add --detach"),
        (["up", "-d", "--abort-on-exit"], "leave out --detach"),
        (["logs", "-n", "many"], "many"),
        (["wait", "--timeout", "soon"], "duration"),
        (["restart"], "SERVICE"),
        (["-C", "/no/such/place", "status"], "/no/such/place"),
    ],
)
def test_usage_errors_exit_with_2(project: Project, arguments: list[str], message: str) -> None:
    """They say what is wrong and what would mend it, on stderr, without a traceback."""
    result = project.run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_no_manifest_is_a_usage_error(project: Project) -> None:
    """A directory without services.yaml, and none above it."""
    result = project.run("status")
    assert result.returncode == 2
    assert "services.yaml" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_devctl(project: Project, shell: str) -> None:
    """Each script calls back for candidates."""
    assert "devctl __complete --" in project.run("completion", shell).stdout


@pytest.mark.parametrize(
    ("before", "word", "expected"),
    [
        ([], "sta", ["start", "status"]),
        (["graph", "--format"], "", ["text", "mermaid", "dot"]),
        (["wait", "--for"], "un", ["unhealthy"]),
        (["logs"], "--st", ["--stream"]),
        (["-f"], "", ["@files"]),
        (["status", "-C"], "", ["@directories"]),
        (["completion"], "z", ["zsh"]),
        (["nonsense"], "", []),
    ],
)
def test_completion_of_words(before: list[str], word: str, expected: list[str]) -> None:
    """Commands, options, their values, and what the shell itself completes."""
    assert [text for text, _ in complete(before, word)] == expected


def test_completion_of_services_from_the_manifest(project: Project) -> None:
    """Where nothing runs, names come from services.yaml; those given already are left out."""
    project.write("services: {router: {command: sleep 9}, backend: {command: sleep 9}}")
    words = project.run("__complete", "--", "restart", "router", "").stdout.split()
    assert words == ["backend"]


def test_completion_in_bash(project: Project) -> None:
    """The script works in a real bash."""
    script = f"""
        PATH={DEVCTL.parent}:$PATH; eval "$(devctl completion bash)"
        COMP_WORDS=(devctl sta); COMP_CWORD=1; _devctl; echo "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=project.environment, cwd=project.root)
    assert result.stdout.split() == ["start", "status"]
