"""A detached stack, from `up -d` to `down`, through every command that looks at it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.driver import DEVCTL, HANG, Project, free_port, is_alive, read_until

STACK = """
name: demo
services:
  web: {{command: python3 -m http.server {port} --bind 127.0.0.1, port: {port}}}
  work: {{command: "sh -c 'echo hello from work; exec sleep 100'", depends_on: [web]}}
  task: {{command: echo done, oneshot: true}}
"""
FAILING = """
services:
  bad: {command: "sh -c 'echo the reason >&2; exit 3'", oneshot: true}
  dependent: {command: sleep 100, depends_on: [bad]}
  good: {command: sleep 100}
"""


@pytest.fixture
def running(project: Project) -> Project:
    """A project whose stack is up."""
    return started(project)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The same, one for all tests that only look at it."""
    project = Project(tmp_path_factory.mktemp("seen"), tmp_path_factory.mktemp("rt") / "d")
    try:
        yield started(project)
    finally:
        project.close()


def started(project: Project) -> Project:
    """Brings the stack up."""
    project.write(STACK.format(port=free_port()))
    result = project.run("up", "-d")
    assert result.returncode == 0, result.stderr
    return project


def test_up_returns_when_all_is_ready(seen: Project) -> None:
    """After `up -d` every service is ready, or completed."""
    assert seen.states() == {"web": "ready", "work": "ready", "task": "completed"}


def test_up_prints_the_urls(project: Project) -> None:
    """On stdout, so that they can be used; progress is on stderr."""
    port = free_port()
    project.write(STACK.format(port=port))
    result = project.run("up", "-d")
    assert f"http://127.0.0.1:{port}" in result.stdout
    assert "web" in result.stderr


def test_status_for_people(seen: Project) -> None:
    """A plain table in a pipe: no colours, no boxes."""
    result = seen.run("status")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[2:]] == ["SERVICE", "web", "work", "task"]


def test_status_of_one_service(seen: Project) -> None:
    """Named services only; an unknown one is an error with a suggestion."""
    assert [service["name"] for service in seen.json("ps", "work")["services"]] == ["work"]
    result = seen.run("status", "wrk")
    assert result.returncode == 2
    assert "did you mean work?" in result.stderr


def test_status_from_elsewhere(seen: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """-C and -f name the stack from anywhere, before or after the command."""
    elsewhere = Project(tmp_path_factory.mktemp("elsewhere"), Path("/nowhere"))
    elsewhere.environment = seen.environment
    assert elsewhere.run("-C", str(seen.root), "status").returncode == 0
    assert elsewhere.run("status", "-f", str(seen.root / "services.yaml")).returncode == 0


def test_logs_are_labelled(seen: Project) -> None:
    """Each line has its service; a name restricts them."""
    assert "work | hello from work\n" in seen.run("logs").stdout
    assert seen.run("logs", "task").stdout == "task | done\n"


def test_logs_work_when_nothing_runs(running: Project) -> None:
    """The files outlive the stack."""
    running.run("down")
    assert "hello from work" in running.run("logs", "-n", "50").stdout
    assert running.run("logs", "--run", "last", "task", "--raw").stdout == "done\n"


def test_logs_as_json(seen: Project) -> None:
    """One object a line."""
    record = json.loads(seen.run("logs", "task", "--json").stdout)
    assert (record["service"], record["stream"], record["text"]) == ("task", "stdout", "done")


def test_logs_of_an_unknown_service(seen: Project) -> None:
    """A name that is in no log and no manifest is a usage error."""
    assert seen.run("logs", "nobody").returncode == 2


def test_logs_follow_over_a_restart(running: Project) -> None:
    """A follower sees what the service writes after its restart."""
    follower = running.start("logs", "-f", "work", "-n", "1")
    try:
        # What was there before shows that it follows.
        assert "hello from work" in read_until(follower, "hello")
        running.run("restart", "work")
        assert "hello from work" in read_until(follower, "hello")
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=30) == 130
        follower.communicate()


def test_logs_follow_ends_with_its_reader(seen: Project) -> None:
    """`logs -f | head -1` ends though nothing more is written."""
    result = subprocess.run(
        ["bash", "-c", f"{DEVCTL} logs -f task | head -1"],
        cwd=seen.root, env=seen.environment, capture_output=True, text=True, timeout=HANG,
    )  # fmt: skip
    assert result.stdout == "task | done\n"


def test_stop_and_start(running: Project) -> None:
    """A stopped service stays stopped until it is started."""
    assert running.run("stop", "work").returncode == 0
    assert running.states()["work"] == "stopped"
    assert running.run("start", "work").returncode == 0
    assert running.run("wait", "work").returncode == 0


def test_restart_gives_a_new_process(running: Project) -> None:
    """The old tree is gone when `restart` returns."""
    before = running.json("status", "work")["services"][0]["pid"]
    running.run("restart", "work")
    running.run("wait", "work")
    assert running.json("status", "work")["services"][0]["pid"] != before
    assert not is_alive(before)


def test_wait_for_what_cannot_happen(running: Project) -> None:
    """Waiting for the completion of a stopped service ends at once, with 1 and a reason."""
    running.run("stop", "work")
    result = running.run("wait", "work", "--for", "unhealthy", "--timeout", "0.2")
    assert result.returncode == 1
    assert "unhealthy" in result.stderr


def test_why_of_a_ready_service(seen: Project) -> None:
    """It is a sentence with evidence; without a name only what is not well is explained."""
    assert "web is ready" in seen.run("why", "web").stdout
    assert seen.run("why").stdout == ""
    assert seen.json("why", "web")["state"] == "ready"


def test_events_outlive_the_run(running: Project) -> None:
    """The history is there while it runs, and afterwards."""
    types = [json.loads(line)["type"] for line in running.run("events", "--json").stdout.splitlines()]
    assert types[0] == "run_started"
    running.run("down")
    assert "run started" in running.run("events").stdout


def test_timeline(seen: Project, tmp_path: Path) -> None:
    """Text with the critical path, JSON, and a picture."""
    assert "critical path: web → work" in seen.run("timeline").stdout
    assert {entry["service"] for entry in seen.json("timeline")} == {"web", "work", "task"}
    seen.run("timeline", "--svg", str(tmp_path / "chart.svg"))
    assert (tmp_path / "chart.svg").read_text().startswith("<svg")


def test_completion_of_running_services(seen: Project) -> None:
    """Names come from the supervisor, which needs no YAML."""
    assert seen.run("__complete", "--", "logs", "w").stdout.split() == ["web", "work"]


def test_down_prints_a_receipt(running: Project) -> None:
    """What was stopped, that it is gone, and a second time that there is nothing."""
    result = running.run("down")
    assert result.returncode == 0
    assert ": all gone in " in result.stdout
    assert "1 port" in result.stdout
    again = running.run("down")
    assert (again.returncode, again.stdout) == (0, "nothing is running\n")


def test_down_as_json(running: Project) -> None:
    """The receipt for programs."""
    outcome = running.json("down")
    assert outcome["clean"]
    assert outcome["receipt"]["services"] == 2


@pytest.mark.parametrize(
    "arguments", [["status"], ["wait"], ["why", "web"], ["restart", "web"], ["exec", "web", "--", "true"], ["timeline"]]
)
def test_exit_status_3_when_nothing_runs(project: Project, arguments: list[str]) -> None:
    """Commands that need a running stack say so."""
    project.write(STACK.format(port=free_port()))
    result = project.run(*arguments)
    assert result.returncode == 3
    assert "devctl up" in result.stderr


def test_up_that_fails_says_why_and_leaves_the_rest(project: Project) -> None:
    """Exit status 1, a sentence for each service that is not ready, and what runs goes on."""
    project.write(FAILING)
    result = project.run("up", "-d")
    assert result.returncode == 1
    assert "error: bad failed" in result.stderr
    assert "error: dependent" in result.stderr
    assert project.states() == {"bad": "failed", "dependent": "failed", "good": "ready"}
    assert "the reason" in project.run("why", "bad").stdout


def test_up_times_out(project: Project) -> None:
    """--timeout ends the waiting, not the stack."""
    project.write('services: {slow: {command: sleep 100, healthcheck: {exec: "false"}}}')
    result = project.run("up", "-d", "--timeout", "300ms")
    assert result.returncode == 1
    assert "not ready after" in result.stderr
    assert project.states() == {"slow": "starting"}


def test_up_without_waiting(project: Project) -> None:
    """--no-wait returns while things start."""
    project.write('services: {slow: {command: sleep 100, healthcheck: {exec: "false"}}}')
    assert project.run("up", "-d", "--no-wait").returncode == 0
    assert project.states() == {"slow": "starting"}


def test_up_of_some_services(project: Project) -> None:
    """A name brings what it depends on; --no-deps does not."""
    project.write(STACK.format(port=free_port()))
    project.run("up", "-d", "work")
    assert set(project.states()) == {"web", "work"}
    project.run("down")
    project.run("up", "-d", "--no-deps", "work")
    assert set(project.states()) == {"work"}


def test_up_reconciles_a_running_stack(running: Project) -> None:
    """New services are started, changed ones restarted, removed ones stopped, the others left alone."""
    pid = running.json("status", "web")["services"][0]["pid"]
    text = (running.root / "services.yaml").read_text()
    text = text.replace("task: {command: echo done, oneshot: true}", "new: {command: sleep 9}")
    running.write(text.replace("hello from work", "changed"))
    result = running.run("up", "-d")
    assert "started new" in result.stderr
    assert "restarted work" in result.stderr
    assert "stopped task" in result.stderr
    assert running.json("status", "web")["services"][0]["pid"] == pid
    assert set(running.states()) == {"web", "work", "new"}


def test_two_checkouts_side_by_side(running: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """--auto-ports takes free ones where the fixed ones are taken."""
    other = Project(tmp_path_factory.mktemp("other"), Path("/nowhere"))
    other.environment = running.environment
    port = running.json("status", "web")["services"][0]["ports"]["default"]
    command = "sh -c 'exec python3 -m http.server $$PORT --bind 127.0.0.1'"
    other.write(f'services: {{web: {{command: "{command}", port: {port}}}}}')
    refused = other.run("up", "-d")
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    result = other.run("up", "-d", "--auto-ports")
    assert result.returncode == 0, result.stderr
    assert len(running.json("ls")) == 2


def test_manifest_error_before_anything_starts(project: Project) -> None:
    """`up` with a broken manifest is a usage error with all its problems."""
    project.write("services:\n  a: {comand: x}\n  b: {command: sleep 1, depends_on: [c]}\n")
    result = project.run("up", "-d")
    assert result.returncode == 2
    assert result.stderr.count("error: ") >= 2


def test_what_stopped_with_it_is_named(project: Project) -> None:
    """`stop --with-dependents` lists every service that it stopped."""
    project.write("services: {base: {command: sleep 60}, web: {command: sleep 60, depends_on: [base]}}")
    project.run("up", "-d")
    assert [line.split()[0] for line in project.run("stop", "base", "--with-dependents").stdout.splitlines()] == ["base", "web"]
