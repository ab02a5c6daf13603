"""The real program on a real terminal: from the first look to the end, and what becomes of the terminal when it is killed."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.cli.driver import DEVCTL, Project
from tests.dashboard.tmux import GUARD, Tmux, needs_tmux

ROOT = Path(__file__).parents[2]
STACK = "services: {db: {command: sleep 1000}, web: {command: sleep 1000, depends_on: [db]}}"

pytestmark = needs_tmux
Open = Callable[..., Tmux]


@pytest.fixture
def terminal(project: Project) -> Iterator[Open]:
    """Opens terminals in the project that are closed at the end."""
    with ExitStack() as opened:

        def start(**options: int) -> Tmux:
            # Short: a socket's path has at most 107 bytes.
            runtime = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="devctl-tmux-")))
            path = f"{DEVCTL.parent}{os.pathsep}{os.environ['PATH']}"
            made = Tmux(project.root, runtime, {**project.environment, "PATH": path}, **options)
            opened.callback(made.close)
            return made

        yield start


def dashboards(project: Project) -> list[psutil.Process]:
    """The dashboard processes of a project, the one that draws first."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(project.root) and words[1:2] == [str(DEVCTL)] and words[2:3] in (["up"], ["dashboard"]):
            found.append(process)
    return sorted(found, key=lambda process: process.pid)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_day_with_the_reference_stack(project: Project, terminal: Open) -> None:
    """Started, looked at, a service restarted, a line searched, left and come back to, stopped; and nothing is left."""
    (project.root / "services.yaml").write_bytes((ROOT / "services.yaml").read_bytes())
    (project.root / "stack").symlink_to(ROOT / "stack")
    project.environment["STACK_PYTHON"] = sys.executable
    screen = terminal()
    screen.type("devctl up --auto-ports; echo left with $?")
    screen.press("Enter")
    screen.sees("assistant", "router", "waiting", "for router")
    screen.sees("assistant ready", "backend is ok")
    screen.press("j", "1")
    screen.sees("backend is ready")
    before = {service["name"]: service["pid"] for service in project.json("status")["services"]}
    screen.press("r")
    until(lambda: project.states()["backend"] == "ready" and project.json("status")["services"][1]["pid"] != before["backend"])
    screen.press("/")
    screen.type("load_seconds")
    screen.press("Enter")
    screen.sees("load_seconds", "/load_seconds")
    screen.press("Escape")
    until(lambda: "/load_seconds" not in screen.screen())  # an Escape with a key behind it would be Alt
    screen.press("2")
    screen.sees("critical")
    screen.press("d")
    screen.sees("left running", "left with 0")
    screen.type("clear; devctl dashboard; echo closed with $?")
    screen.press("Enter")
    screen.sees("assistant ready")
    pids = [service["pid"] for service in project.json("status")["services"]]
    screen.press("q")
    screen.sees("stop the stack")
    screen.press("s")
    screen.sees("3 services, 3 processes, 3 ports: all gone", "closed with 0")
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert project.run("status").returncode == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_terminal_is_restored_and_the_stack_stopped(project: Project, terminal: Open, number: signal.Signals) -> None:
    """Whatever kills a dashboard that holds the stack: the shell echoes again, on its own screen, and nothing is left."""
    project.write(STACK)
    screen = terminal()
    screen.type("echo before; devctl up")
    screen.press("Enter")
    screen.sees("web", "ready", "q quit")
    pids = [service["pid"] for service in project.json("status")["services"]]
    os.kill(dashboards(project)[0].pid, number)
    if number is signal.SIGKILL:
        screen.sees("the dashboard was killed")
    screen.sees("before")
    screen.type("echo typed-$((40 + 2))")
    screen.press("Enter")
    shown = screen.sees("typed-42")
    assert "echo typed-$((40 + 2))" in shown  # echoed, so the terminal is in its own mode again
    until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])
    until(lambda: not dashboards(project))


def test_closing_the_window_stops_the_stack(project: Project, terminal: Open) -> None:
    """As of any foreground `up`."""
    project.write(STACK)
    screen = terminal()
    screen.type("devctl up")
    screen.press("Enter")
    screen.sees("web", "q quit")
    until(lambda: project.states() == {"db": "ready", "web": "ready"})
    screen.close()
    until(lambda: project.run("status").returncode == 3)
    until(lambda: not dashboards(project))


def test_killing_a_dashboard_that_only_looks_harms_nothing(project: Project, terminal: Open) -> None:
    """The stack goes on; a second dashboard too."""
    project.write(STACK)
    project.run("up", "-d")
    first, second = terminal(), terminal()
    for screen in (first, second):
        screen.type("devctl dashboard")
        screen.press("Enter")
        screen.sees("web", "q quit")
    os.kill(dashboards(project)[0].pid, signal.SIGKILL)
    until(lambda: "the dashboard was killed" in first.screen() + second.screen())
    assert project.states() == {"db": "ready", "web": "ready"}
    living = next(screen for screen in (first, second) if "the dashboard was killed" not in screen.screen())
    living.press("x")
    living.sees("Stop db?")
    living.press("a")
    living.sees("stopped")


def test_up_on_a_running_stack_can_leave_it_running(project: Project, terminal: Open) -> None:
    """It opens the dashboard, says what reconciling changed, and lets go of the stack when it is told to."""
    project.write(STACK)
    project.run("up", "-d")
    project.write(STACK[:-1] + ", more: {command: sleep 1000}}")
    screen = terminal()
    screen.type("devctl up; echo left with $?")
    screen.press("Enter")
    screen.sees("started more", "q quit")
    screen.press("d")
    screen.sees("left with 0")
    assert project.states() == {"db": "ready", "web": "ready", "more": "ready"}


def test_a_small_window_and_resizing(project: Project, terminal: Open) -> None:
    """60 by 20 shows services, log and keys; larger shows more, back again less."""
    project.write("services: {talker: {command: \"sh -c 'echo hello; sleep 1000'\"}, other: {command: sleep 1000}}")
    project.run("up", "-d")
    screen = terminal(columns=60, rows=20)
    screen.type("devctl dashboard")
    screen.press("Enter")
    screen.sees("talker", "hello", "q quit", "following")
    screen._call("resize-window", "-x", "150", "-y", "45")
    screen.sees("1 why", "hello")
    screen._call("resize-window", "-x", "60", "-y", "20")
    until(lambda: "1 why" not in screen.screen())
    screen.sees("talker", "hello")


def test_errors_before_the_dashboard_are_plain(project: Project, terminal: Open) -> None:
    """A manifest's problems are printed as always; nothing flickers by."""
    project.write("services: {a: {comand: sleep 1}}")
    screen = terminal()
    screen.type("devctl up; echo failed with $?")
    screen.press("Enter")
    screen.sees("comand", "failed with 2")


def test_without_a_terminal(project: Project) -> None:
    """Nothing runs: 3. A pipe: 2, and what to do instead."""
    project.write(STACK)
    assert project.run("dashboard").returncode == 3
    project.run("up", "-d")
    done = project.run("ui")
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr


def test_ctrl_z_and_back(project: Project, terminal: Open) -> None:
    """The shell gets its terminal, and the dashboard comes back as it was."""
    project.write(STACK)
    project.run("up", "-d")
    screen = terminal()
    screen.type("set -m; devctl dashboard")
    screen.press("Enter")
    screen.sees("web", "q quit")
    screen.press("C-z")
    until(lambda: "q quit" not in screen.screen())
    screen.type("echo meanwhile-$((1 + 1)); fg")
    screen.press("Enter")
    screen.sees("web", "q quit")
    screen.press("d")
    screen.sees("meanwhile-2")


def test_up_without_the_dashboard(project: Project, terminal: Open) -> None:
    """With --no-ui, in CI, and when it is to end by itself: labelled lines."""
    project.write("services: {a: {command: echo lines}}")
    screen = terminal()
    for words in ("devctl up --no-ui", "CI=1 devctl up", "devctl up --abort-on-exit"):
        screen.type(f"clear; {words}; echo ended with $?")
        screen.press("Enter")
        screen.sees("| lines", "ended with 0")
