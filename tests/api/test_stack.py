"""The public Python API, on real stacks."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from devctl import Stack
from devctl.control.teardown import teardown
from devctl.errors import DevctlError, ManifestError, NotReady, NotRunning, StackBusy, StackError, UnknownService, UsageError
from devctl.model import ServiceState, StackState
from devctl.paths import stack_paths
from tests.api.project import alive, pid_of, write

WEB = """
services:
  web:
    command: {python} -u -m http.server ${{services.web.port}} --bind 127.0.0.1
    port: 8917
    healthcheck: {{http: "http://127.0.0.1:${{services.web.port}}/"}}
  worker:
    command: [{python}, -c, "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"]
    depends_on: [web]
    healthcheck: {{log: ^pid}}
"""
FAILING = """
services:
  broken:
    command: [{python}, -c, "import sys; print('no database here', flush=True); sys.exit(3)"]
    port: 8918
"""
SLEEPER = """
services:
  sleeper:
    command: [{python}, -c, "import time; time.sleep(600)"]
"""


@pytest.fixture
def project(tmp_path: Path, runtime: Path) -> Callable[[str], Path]:
    """Writes a manifest and gives its path."""
    return lambda text: write(tmp_path, text)


def test_stack_is_ready_and_gone(project: Callable[[str], Path]) -> None:
    """The block has a stack that answers on a free port, and after it nothing is left."""
    with Stack(project(WEB), auto_ports=True) as stack:
        stack.wait_ready()
        assert stack.state == StackState.READY
        assert list(stack) == ["web", "worker"]
        assert stack["web"].port not in (0, 8917)
        assert stack["web"].ports == {"default": stack["web"].port}
        with urllib.request.urlopen(stack["web"].url) as answer:
            assert answer.status == 200
        pid = pid_of(stack["worker"])
        assert alive(pid)
    assert not alive(pid)
    assert stack.state == StackState.STOPPED


def test_service_can_be_operated(project: Callable[[str], Path]) -> None:
    """A service is stopped, started and restarted, and says how it is."""
    with Stack(project(WEB), auto_ports=True) as stack:
        stack.wait_ready()
        worker = stack["worker"]
        first = pid_of(worker)
        worker.stop()
        assert worker.state == ServiceState.STOPPED
        assert not worker.ready
        assert not alive(first)
        worker.start()
        worker.wait_ready()
        worker.restart()
        worker.wait_ready()
        assert worker.ready
        assert worker.why().sentence
        assert worker.status.name == "worker"
        assert len(worker.logs(grep="^pid ")) == 3
        assert len(worker.logs(tail=1)) == 1


def test_logs_can_be_read_afterwards(project: Callable[[str], Path]) -> None:
    """What a service wrote can be read when the stack has ended, as the files are still there."""
    with Stack(project(WEB), auto_ports=True, services=["web"]) as stack:
        stack.wait_ready()
        assert list(stack) == ["web"]
        urllib.request.urlopen(stack["web"].url + "/?after").close()
    assert any("after" in record.text for record in stack["web"].logs(stream="stderr"))


def test_not_ready_says_why(project: Callable[[str], Path]) -> None:
    """A stack that cannot become ready is an exception with the reason and the last log lines, at once."""
    with Stack(project(FAILING), auto_ports=True) as stack:
        with pytest.raises(NotReady) as caught:
            stack.wait_ready(timeout=30)
        assert "broken" in caught.value.what
        assert "3" in str(caught.value)
        assert "no database here" in str(caught.value)


def test_not_ready_in_time(project: Callable[[str], Path]) -> None:
    """Waiting ends with the timeout, and names what is missing."""
    text = SLEEPER + "    port: 8919\n"
    with Stack(project(text), auto_ports=True) as stack, pytest.raises(NotReady, match="sleeper: not ready after 0"):
        stack.wait_ready(timeout=0)


def test_exception_in_the_block_ends_the_stack(project: Callable[[str], Path]) -> None:
    """The teardown is done for a failing block too, and its own exception is what is seen."""
    stack = Stack(project(SLEEPER))
    with pytest.raises(ZeroDivisionError), stack:
        raise ZeroDivisionError
    assert stack.state == StackState.STOPPED


def test_unknown_service(project: Callable[[str], Path]) -> None:
    """A wrong name is an error that lists the right ones."""
    with Stack(project(SLEEPER)) as stack:
        assert "sleeper" in stack
        with pytest.raises(UnknownService, match="sleeper"):
            stack["sleper"]


def test_service_without_port(project: Callable[[str], Path]) -> None:
    """The URL and port of a service that has none are errors that say what is missing."""
    with Stack(project(SLEEPER)) as stack:
        for look in (lambda: stack["sleeper"].url, lambda: stack["sleeper"].port):
            with pytest.raises(StackError, match="sleeper has no"):
                look()


def test_attach_leaves_the_stack_running(project: Callable[[str], Path]) -> None:
    """A second object operates the same stack and does not end it."""
    manifest = project(SLEEPER)
    with Stack(manifest) as stack:
        with Stack.attach(manifest) as other:
            other.wait_ready()
            assert list(other) == ["sleeper"]
        assert stack.state == StackState.READY


def test_attach_to_nothing(project: Callable[[str], Path]) -> None:
    """Attaching where nothing runs is NotRunning."""
    with pytest.raises(NotRunning):
        Stack.attach(project(SLEEPER))


def test_second_run_is_refused(project: Callable[[str], Path]) -> None:
    """The same manifest twice is StackBusy, and the first one goes on."""
    manifest = project(SLEEPER)
    with Stack(manifest) as stack:
        with pytest.raises(StackBusy):
            Stack(manifest).start()
        assert stack.state == StackState.READY


def test_private_runs_side_by_side(project: Callable[[str], Path], runtime: Path) -> None:
    """Private stacks of one manifest do not meet, and leave neither logs nor runtime files."""
    manifest = project(WEB)
    with Stack(manifest, auto_ports=True, private=True) as one, Stack(manifest, auto_ports=True, private=True) as two:
        one.wait_ready()
        two.wait_ready()
        assert one["web"].port != two["web"].port
    assert not (manifest.parent / "logs").exists()
    assert [path for path in runtime.rglob("*") if path.is_file() or path.is_socket()] == []


def test_log_dir_is_kept(project: Callable[[str], Path], tmp_path: Path) -> None:
    """Logs go where they are asked to, and stay."""
    with Stack(project(SLEEPER), private=True, log_dir=tmp_path / "here") as stack:
        stack.wait_ready()
    assert (tmp_path / "here" / "devctl.log").is_file()


def test_directory_means_its_manifest(project: Callable[[str], Path]) -> None:
    """A directory is looked through upwards, as the command line does."""
    manifest = project(SLEEPER)
    below = manifest.parent / "a" / "b"
    below.mkdir(parents=True)
    assert Stack(below).manifests == [manifest]


def test_no_manifest(tmp_path: Path, runtime: Path) -> None:
    """A directory without one, an empty list and a file that is missing are devctl's own errors."""
    with pytest.raises(UsageError, match=r"no services\.yaml"):
        Stack(tmp_path)
    with pytest.raises(UsageError, match="empty list"):
        Stack([])
    with pytest.raises(DevctlError):
        Stack(tmp_path / "missing.yaml").start()


def test_manifest_errors_come_through(project: Callable[[str], Path]) -> None:
    """A broken manifest is a ManifestError with its problems, and nothing was started."""
    stack = Stack(project("services: {web: {comand: x}}"))
    with pytest.raises(ManifestError) as caught:
        stack.start()
    assert caught.value.problems
    assert stack.state == StackState.STOPPED


def test_killed_process_takes_its_stack_along(project: Callable[[str], Path]) -> None:
    """When the process that holds the stack is killed with SIGKILL, the stack's processes end."""
    script = (
        "import sys, time\nfrom devctl import Stack\n"
        "with Stack(sys.argv[1]) as stack:\n"
        "    stack.wait_ready()\n    print(stack['sleeper'].status.pid, flush=True)\n    time.sleep(600)\n"
    )
    manifest = project(SLEEPER)
    holder = subprocess.Popen([sys.executable, "-c", script, str(manifest)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        pidfd = os.pidfd_open(int(holder.stdout.readline()))
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert select.select([pidfd], [], [], 30)[0], "the service is still alive"
    os.close(pidfd)
    teardown(stack_paths(manifest))  # waits for supervisor, guard and sweeper too


def test_forked_child_neither_holds_nor_ends_the_stack(project: Callable[[str], Path]) -> None:
    """A child forked off inside the block can leave it without ending its parent's stack."""
    with Stack(project(SLEEPER)) as stack:
        stack.wait_ready()
        child = os.fork()
        if child == 0:
            stack.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert stack.state == StackState.READY


def test_threads_share_a_stack(project: Callable[[str], Path]) -> None:
    """Several threads ask the same stack at once."""
    with Stack(project(SLEEPER)) as stack:
        stack.wait_ready()
        states: list[ServiceState] = []
        threads = [threading.Thread(target=lambda: states.append(stack["sleeper"].state)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert states == [ServiceState.READY] * 8


def test_events_end_with_the_stack(project: Callable[[str], Path]) -> None:
    """Events are given from the beginning on request, and their stream ends when the stack does."""
    seen: list[str] = []
    with Stack(project(SLEEPER)) as stack:
        events = stack.events(after=0)
        seen.append(next(events)["type"])
        reading = threading.Thread(target=lambda: seen.extend(event["type"] for event in events))
        reading.start()
    reading.join(30)
    assert seen[0] == "run_started"
    assert not reading.is_alive()


def test_signal_reaches_the_service(project: Callable[[str], Path]) -> None:
    """A signal is delivered, and an exit by it is seen."""
    with Stack(project(SLEEPER)) as stack:
        stack.wait_ready()
        pid = stack["sleeper"].status.pid
        assert pid is not None
        pidfd = os.pidfd_open(pid)
        stack["sleeper"].signal("SIGINT")
        assert select.select([pidfd], [], [], 30)[0]
        os.close(pidfd)
