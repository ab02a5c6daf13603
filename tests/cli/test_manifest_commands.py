"""check, config, graph and schema."""

from __future__ import annotations

import json
import socket

from tests.cli.driver import Project, free_port

TWO = """
name: demo
services:
  a: {command: sleep 100, port: %d, environment: {API_TOKEN: hunter2}}
  b: {command: sleep 100, depends_on: [a]}
"""


def test_check_shows_every_problem(project: Project) -> None:
    """All problems at once, located, with exit status 2."""
    project.write("services:\n  a: {comand: x}\n  b: {command: sleep 1, depends_on: [c]}\n")
    result = project.run("check")
    assert result.returncode == 2
    assert result.stderr.count("error: ") >= 2
    assert "services.yaml:2:" in result.stderr
    assert "services.yaml:3:" in result.stderr


def test_check_as_json(project: Project) -> None:
    """Problems for programs have their place in fields."""
    project.write("services:\n  a: {comand: x}\n")
    result = project.run("check", "--json")
    problems = json.loads(result.stdout)["problems"]
    assert result.returncode == 2
    assert {"file", "line", "column", "message", "help"} == set(problems[0])


def test_check_ports_names_the_holder(project: Project) -> None:
    """A port that somebody else has is an error, and says who it is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        project.write(TWO % port)
        result = project.run("check", "--ports")
    assert result.returncode == 1
    assert f"port {port} is held by pid" in result.stdout


def test_config_masks_secrets(project: Project) -> None:
    """Values of secret-looking names never appear."""
    project.write(TWO % free_port())
    assert "hunter2" not in project.run("config").stdout
    assert project.json("config")["services"]["a"]["environment"].keys() == {"API_TOKEN"}


def test_graph_formats(project: Project) -> None:
    """Text, mermaid, dot and JSON tell the same edge."""
    project.write(TWO % free_port())
    assert "a" in project.run("graph").stdout
    assert "flowchart" in project.run("graph", "--format", "mermaid").stdout
    assert "digraph" in project.run("graph", "--format", "dot").stdout
    assert project.json("graph")["b"][0]["service"] == "a"


def test_schema_is_json_schema(project: Project) -> None:
    """It needs no manifest."""
    assert "$schema" in json.loads(project.run("schema").stdout)


def test_dry_run_starts_nothing(project: Project) -> None:
    """The plan is printed in order, and nothing runs afterwards."""
    project.write(TWO % free_port())
    lines = project.run("up", "--dry-run").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["1", "a"], ["2", "b"]]
    assert project.run("status").returncode == 3


def test_profiles_and_files(project: Project) -> None:
    """--profile adds its services, and a second -f is merged over the first."""
    project.write("services: {a: {command: sleep 1}, t: {command: sleep 1, profiles: [tools]}}", "one.yaml")
    project.write("services: {a: {command: sleep 2}}", "two.yaml")
    config = project.json("-f", "one.yaml", "-f", "two.yaml", "--profile", "tools", "config")
    assert config["services"]["a"]["command"] == ["sleep", "2"]
    assert "t" in config["services"]
    assert "t" not in project.json("-f", "one.yaml", "config")["services"]
