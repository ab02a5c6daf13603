"""`up` in the foreground, without a terminal."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.cli.driver import DEVCTL, HANG, Project, read_until

STACK = """
services:
  router: {command: "sh -c 'echo up and running; exec sleep 100'"}
  backend: {command: sleep 100, depends_on: [router]}
"""


def test_lines_are_labelled(project: Project) -> None:
    """What services write and what becomes of them, each line with its service, without control sequences."""
    project.write(STACK)
    process = project.start("up")
    seen = read_until(process, "all ready")
    process.terminate()
    rest, _ = process.communicate(timeout=HANG)
    assert "router  | up and running\n" in seen + rest
    assert "devctl  | backend starting\n" in seen
    assert "\x1b" not in seen + rest


def test_sigterm_stops_the_stack(project: Project) -> None:
    """It is like Ctrl-C: a graceful stop, a receipt, 130."""
    project.write(STACK)
    process = project.start("up")
    read_until(process, "all ready")
    process.terminate()
    rest, _ = process.communicate(timeout=HANG)
    assert "all gone in" in rest
    assert process.returncode == 130
    assert project.run("status").returncode == 3


def test_last_words_are_printed(project: Project) -> None:
    """Lines written while stopping, the last one without its end, are not lost."""
    script = project.root / "polite.sh"
    script.write_text("trap 'echo tidying; printf goodbye; exit 0' TERM; echo here; while :; do sleep 0.1; done")
    project.write("services: {polite: {command: sh polite.sh}}")
    process = project.start("up")
    read_until(process, "polite | here")
    process.terminate()
    rest, _ = process.communicate(timeout=HANG)
    assert "polite | tidying\npolite | goodbye\n" in rest


def test_killed_client_takes_the_stack_with_it(project: Project) -> None:
    """The lease ends with the process that holds it, however it ends."""
    project.write(STACK)
    process = project.start("up")
    read_until(process, "all ready")
    process.kill()
    process.communicate(timeout=HANG)
    # `down` waits for a teardown that is under way.
    project.run("down")
    assert project.run("status").returncode == 3


def test_reader_that_leaves_stops_the_stack(project: Project) -> None:
    """`devctl up | head -1` ends cleanly."""
    project.write(STACK)
    result = subprocess.run(
        ["bash", "-c", f"{DEVCTL} up | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=project.root, env=project.environment, capture_output=True, text=True, timeout=HANG,
    )  # fmt: skip
    assert "Traceback" not in result.stderr
    assert result.stdout.splitlines()[-1] == "0"
    assert project.run("status").returncode == 3


def test_somebody_elses_down_is_no_failure(project: Project) -> None:
    """Who is attached sees the teardown and exits 0."""
    project.write(STACK)
    process = project.start("up")
    read_until(process, "all ready")
    project.run("down")
    rest, _ = process.communicate(timeout=HANG)
    assert "router stopped" in rest
    assert process.returncode == 0


def test_ends_when_every_service_has_ended(project: Project) -> None:
    """0 when all went well."""
    project.write("services: {task: {command: echo done, oneshot: true}}")
    result = project.run("up")
    assert result.returncode == 0
    assert "task   | done" in result.stdout
    assert "every service has ended" in result.stdout


def test_ends_with_1_when_a_service_failed(project: Project) -> None:
    """One failure among the ended ones is a failure of the whole."""
    project.write("services: {bad: {command: \"sh -c 'exit 3'\"}, task: {command: echo done, oneshot: true}}")
    assert project.run("up").returncode == 1


def test_stays_with_failures_among_running_ones(project: Project) -> None:
    """A failed service does not end what others look at."""
    project.write("services: {bad: {command: \"sh -c 'exit 3'\"}, good: {command: sleep 100}}")
    process = project.start("up")
    read_until(process, "bad failed")
    assert project.states() == {"bad": "failed", "good": "ready"}
    process.terminate()
    process.communicate(timeout=HANG)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--abort-on-failure"], 1), (["--abort-on-exit"], 1), (["--exit-code-from", "tests"], 7)],
    ids=["on failure", "on exit", "exit code from"],
)
def test_aborts_as_asked(project: Project, arguments: list[str], status: int) -> None:
    """The failure of one ends the rest, with the exit status that was asked for."""
    project.write("""
services:
  server: {command: sleep 100}
  tests: {command: "sh -c 'exit 7'", oneshot: true, depends_on: [server]}
""")
    result = project.run("up", *arguments)
    assert result.returncode == status
    assert "server stopped" in result.stdout


def test_exit_code_from_success(project: Project) -> None:
    """A oneshot that succeeds ends the stack with 0."""
    project.write("services: {server: {command: sleep 100}, tests: {command: 'true', oneshot: true, depends_on: [server]}}")
    assert project.run("up", "--exit-code-from", "tests").returncode == 0


def test_attaching_to_a_running_stack(project: Project) -> None:
    """A second `up` follows what runs; when it leaves, the stack stops, as it now has a lease."""
    project.write(STACK)
    project.run("up", "-d")
    process = project.start("up")
    read_until(process, "nothing has changed")
    project.run("restart", "router")
    read_until(process, "router  | up and running")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert project.run("status").returncode == 3


def test_crash_of_the_supervisor_is_reported(project: Project) -> None:
    """The guard ends the services; the client says what happened and exits 1."""
    project.write(STACK)
    process = project.start("up")
    read_until(process, "all ready")
    os.kill(project.json("status")["supervisor"]["pid"], signal.SIGKILL)
    rest, _ = process.communicate(timeout=HANG)
    assert "the supervisor is gone" in rest
    assert process.returncode == 1
    assert project.run("status").returncode == 3
